// TopK: the k largest or smallest elements along an axis, and where they stand.
import { defineOp, type Op } from "../ir/op.ts";
import { concreteShape } from "../ir/types.ts";
import { resolveAxis } from "./axes.ts";
import { expectKind } from "./elementwise.ts";
import { stridesOf, viewOffsets, zerosForOutput } from "./strided.ts";

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
  axes: "stops",
  precision: "float32",
  hostInputs: [1],
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
export const TOP_K: readonly Op[] = [TopK];
