// Tensors that follow from shapes and constants, not from numbers: nothing passes through them to be
// differentiated.
import { defineOp, type InferContext, type Op, zeroDerivative } from "../ir/op.ts";
import { concreteShape, elementCount } from "../ir/types.ts";
import { range } from "./axes.ts";
import { expectKind } from "./elementwise.ts";
import { outputWith, zerosForOutput } from "./strided.ts";

const NO_NUMBERS = zeroDerivative("it depends on the shape of its input only");

const Shape = defineOp("Shape", {
  doc: "y = the sizes of x (int64), from axis `start` to before `end`",
  source: "ONNX Shape-15",
  inputs: ["x"],
  attrs: { start: { kind: "int", default: 0 }, end: { kind: "int", default: null } },
  infer: (ctx) => {
    const { rank, start, end } = sizeRange(ctx);
    return [{ dtype: "int64", shape: [range(rank).slice(start, end).length] }];
  },
  vjp: NO_NUMBERS,
  evaluate: (ctx) => {
    const { start, end } = sizeRange(ctx);
    return outputWith(ctx, Float64Array.from(ctx.input(0).shape.slice(start, end)));
  },
});

function sizeRange(ctx: {
  readonly attrs: InferContext["attrs"];
  input(index: number): { readonly shape: readonly unknown[] };
}): { readonly rank: number; readonly start: number; readonly end: number } {
  const rank = ctx.input(0).shape.length;
  const end = ctx.attrs.has("end") ? ctx.attrs.int("end") : rank;
  return { rank, start: Math.max(ctx.attrs.int("start"), -rank), end: Math.max(end, -rank) };
}

const Size = defineOp("Size", {
  doc: "y = the number of elements of x (int64)",
  source: "ONNX Size-13",
  inputs: ["x"],
  infer: () => [{ dtype: "int64", shape: [] }],
  vjp: NO_NUMBERS,
  evaluate: (ctx) => outputWith(ctx, Float64Array.of(elementCount(ctx.input(0).shape))),
});

const EyeLike = defineOp("EyeLike", {
  doc: "y = 1 on the k-th diagonal of a matrix of the shape and dtype of x, else 0",
  source: "ONNX EyeLike-9",
  inputs: ["x"],
  attrs: { k: { kind: "int", default: 0 } },
  infer: (ctx) => {
    expectKind(ctx, ctx.input(0), "number");
    if (ctx.input(0).shape.length !== 2) ctx.fail(`expected a matrix, found [${ctx.input(0).shape}]`);
    return [ctx.input(0)];
  },
  vjp: NO_NUMBERS,
  evaluate: (ctx) => {
    const y = zerosForOutput(ctx);
    const [, columns = 1] = y.shape;
    const k = ctx.attrs.int("k");
    return outputWith(
      ctx,
      y.data.map((_, i) => ((i % columns) - Math.floor(i / columns) === k ? 1 : 0)),
    );
  },
});

const Range = defineOp("Range", {
  doc: "y = start, start + delta, ... before limit (all constant)",
  source: "ONNX Range-11",
  inputs: ["start", "limit", "delta"],
  infer: (ctx) => {
    const [start = 0, limit = 0, delta = 1] = [0, 1, 2].map((i) => ctx.constant(i)[0] ?? 0);
    const { dtype } = ctx.input(0);
    expectKind(ctx, ctx.input(0), "number");
    if (!Number.isFinite((limit - start) / delta)) ctx.fail(`no range from ${start} to ${limit} by ${delta}`);
    return [{ dtype, shape: [Math.max(0, Math.ceil((limit - start) / delta))] }];
  },
  vjp: zeroDerivative("its inputs are constants"),
  evaluate: (ctx) => {
    const [start, delta] = [ctx.input(0).data[0] ?? 0, ctx.input(2).data[0] ?? 1];
    const [count = 0] = concreteShape(ctx.outputs[0]!.shape);
    return outputWith(
      ctx,
      Float64Array.from(range(count), (i) => start + i * delta),
    );
  },
});

/** Ops of this family. */
export const FACTS: readonly Op[] = [Shape, Size, EyeLike, Range];
