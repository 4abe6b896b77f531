// Where the largest or smallest elements along an axis stand: their positions, and marks of them.
import {
  defineOp,
  type EvaluateContext,
  type InferContext,
  type NDArray,
  type Op,
  zeroDerivative,
} from "../ir/op.ts";
import type { TensorType } from "../ir/types.ts";
import { resolveAxis } from "./axes.ts";
import { expectKind, sameAsInput } from "./elementwise.ts";
import { groupOffsets, outputWith, zerosForOutput } from "./strided.ts";

/** A position (int64) along an axis; `sign` 1 for the largest, -1 for the smallest. */
function definePosition(name: "ArgMax" | "ArgMin", what: string, sign: 1 | -1): Op {
  return defineOp(name, {
    doc: `y = position (int64) of the ${what} along \`axis\`; of equal ones the first, or, if asked, the last`,
    source: `ONNX ${name}-13`,
    inputs: ["x"],
    attrs: {
      axis: { kind: "int", default: 0 },
      keepdims: { kind: "int", default: 1 },
      select_last_index: { kind: "int", default: 0 },
    },
    axes: "stops",
    precision: "float32",
    infer: inferPosition,
    vjp: zeroDerivative("a position does not change smoothly"),
    evaluate: (ctx) => evaluatePosition(ctx, sign),
  });
}

function inferPosition(ctx: InferContext): readonly TensorType[] {
  const { shape } = ctx.input(0);
  expectKind(ctx, ctx.input(0), "number");
  const axis = resolveAxis(ctx.attrs.int("axis"), shape.length, ctx.fail);
  const after = ctx.attrs.int("keepdims") === 1 ? [1] : [];
  return [{ dtype: "int64", shape: shape.toSpliced(axis, 1, ...after) }];
}

function evaluatePosition(ctx: EvaluateContext, sign: 1 | -1): readonly NDArray[] {
  const x = ctx.input(0);
  const axis = resolveAxis(ctx.attrs.int("axis"), x.shape.length);
  const last = ctx.attrs.int("select_last_index") === 1;
  const group = groupOffsets(x.shape, [axis]);
  const inner = x.shape.slice(axis + 1).reduce((product, size) => product * size, 1);
  const y = zerosForOutput(ctx);
  const best = new Float64Array(y.data.length).fill(Number.NEGATIVE_INFINITY);
  x.data.forEach((number, i) => {
    const [at, value] = [group[i]!, sign * number];
    if (value > best[at]! || (last && value === best[at])) {
      best[at] = value;
      y.data[at] = Math.floor(i / inner) % x.shape[axis]!;
    }
  });
  return [y];
}

const ArgMax = definePosition("ArgMax", "largest", 1);
const ArgMin = definePosition("ArgMin", "smallest", -1);

const Hardmax = defineOp("Hardmax", {
  doc: "y = 1 at the first largest element along `axis`, else 0",
  source: "ONNX Hardmax-13",
  inputs: ["x"],
  attrs: { axis: { kind: "int", default: -1 } },
  axes: "stops",
  precision: "float32",
  infer: (ctx) => {
    resolveAxis(ctx.attrs.int("axis"), ctx.input(0).shape.length, ctx.fail);
    return sameAsInput("float")(ctx);
  },
  vjp: zeroDerivative("a position does not change smoothly"),
  evaluate: (ctx) => {
    const x = ctx.input(0);
    const group = groupOffsets(x.shape, [resolveAxis(ctx.attrs.int("axis"), x.shape.length)]);
    const best = new Map<number, number>();
    x.data.forEach((value, i) => {
      const at = best.get(group[i]!);
      if (at === undefined || value > x.data[at]!) best.set(group[i]!, i);
    });
    return outputWith(
      ctx,
      x.data.map((_, i) => (best.get(group[i]!) === i ? 1 : 0)),
    );
  },
});

/** Ops of this family. */
export const ARG_EXTREMES: readonly Op[] = [ArgMax, ArgMin, Hardmax];
