// Where the largest or smallest elements along an axis stand: positions, marks of them, and the k best.
import {
  defineOp,
  type EvaluateContext,
  type InferContext,
  type NDArray,
  type Op,
  zeroDerivative,
} from "../ir/op.ts";
import { concreteShape, type TensorType } from "../ir/types.ts";
import { resolveAxis } from "./axes.ts";
import { expectKind, sameAsInput } from "./elementwise.ts";
import { groupOffsets, outputWith, stridesOf, viewOffsets, zerosForOutput } from "./strided.ts";

/** A position (int64) along an axis; `sign` 1 for the largest, -1 for the smallest. */
function definePosition(name: string, what: string, sign: 1 | -1): Op {
  return defineOp(name, {
    doc: `y = position (int64) of the ${what} along \`axis\`; of equal ones the first, or, if asked, the last`,
    source: `ONNX ${name}-13`,
    inputs: ["x"],
    attrs: {
      axis: { kind: "int", default: 0 },
      keepdims: { kind: "int", default: 1 },
      select_last_index: { kind: "int", default: 0 },
    },
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

const TopK = defineOp("TopK", {
  doc: "the k (constant) largest or smallest elements along `axis`, best first, and their positions (int64); both outputs are compulsory",
  source: "ONNX TopK-11",
  inputs: ["x", "k"],
  outputs: ["values", "indices"],
  attrs: {
    axis: { kind: "int", default: -1 },
    largest: { kind: "int", default: 1 },
    sorted: { kind: "int", default: 1 },
  },
  infer: (ctx) => {
    const { dtype, shape } = ctx.input(0);
    expectKind(ctx, ctx.input(0), "number");
    const axis = resolveAxis(ctx.attrs.int("axis"), shape.length, ctx.fail);
    const [k = 0] = ctx.constant(1);
    const size = shape[axis];
    if (k < 0 || (typeof size === "number" && k > size))
      ctx.fail(`expected at most ${size} elements, found ${k}`);
    const best = shape.with(axis, k);
    return [
      { dtype, shape: best },
      { dtype: "int64", shape: best },
    ];
  },
  // dx[indices[i]] = dvalues[i] along the axis, 0 elsewhere
  vjp: ({ b, dy, input, output, attrs }) => {
    const zeros = b.expand(b.scalar(0, dy.type.dtype), concreteShape(input(0).type.shape));
    return [b.emit("ScatterElements", [zeros, output(1), dy], { axis: attrs.int("axis") })];
  },
  evaluate: (ctx) => {
    const x = ctx.input(0);
    const [values, indices] = [zerosForOutput(ctx, 0), zerosForOutput(ctx, 1)];
    const axis = resolveAxis(ctx.attrs.int("axis"), x.shape.length);
    const sign = ctx.attrs.int("largest") === 1 ? -1 : 1;
    const lanes = (shape: readonly number[]) => viewOffsets(shape.with(axis, 1), stridesOf(shape));
    const [step, outStep] = [stridesOf(x.shape)[axis]!, stridesOf(values.shape)[axis]!];
    const into = lanes(values.shape);
    lanes(x.shape).forEach((from, lane) => {
      const column = Array.from({ length: x.shape[axis]! }, (_, i) => x.data[from + i * step]!);
      const order = column.map((_, i) => i).sort((i, j) => sign * (column[i]! - column[j]!) || i - j);
      for (let i = 0; i < values.shape[axis]!; i++) {
        values.data[into[lane]! + i * outStep] = column[order[i]!]!;
        indices.data[into[lane]! + i * outStep] = order[i]!;
      }
    });
    return [values, indices];
  },
});

/** Ops of this family. */
export const EXTREMES: readonly Op[] = [ArgMax, ArgMin, Hardmax, TopK];
