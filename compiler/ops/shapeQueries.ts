// What is known of a tensor's shape, as tensors of their own: nothing passes through them to be
// differentiated.
import { defineOp, type InferContext, type Op, zeroDerivative } from "../ir/op.ts";
import { elementCount } from "../ir/types.ts";
import { range } from "./axes.ts";
import { outputWith } from "./strided.ts";

const NO_NUMBERS = zeroDerivative("it depends on the shape of its input only");

const Shape = defineOp("Shape", {
  doc: "y = the sizes of x (int64), from axis `start` to before `end`",
  source: "ONNX Shape-15",
  inputs: ["x"],
  attrs: { start: { kind: "int", default: 0 }, end: { kind: "int", default: null } },
  axes: "stops",
  precision: "float32",
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
  axes: "stops",
  precision: "float32",
  infer: () => [{ dtype: "int64", shape: [] }],
  vjp: NO_NUMBERS,
  evaluate: (ctx) => outputWith(ctx, Float64Array.of(elementCount(ctx.input(0).shape))),
});

/** Ops of this family. */
export const SHAPE_QUERIES: readonly Op[] = [Shape, Size];
