// Reductions over axes: sums, means and extremes. Those with powers and logarithms are in reductionNorms.ts.
import { defineOp, type NDArray, type Op, type Vjp } from "../ir/op.ts";
import { concreteDim } from "../ir/types.ts";
import { scalarLike } from "./elementwise.ts";
import {
  REDUCTION_ATTRS as ATTRS,
  axesOf,
  inferReduction,
  reduce,
  stretch,
  withKeptAxes,
} from "./reductionAxes.ts";

const ReduceSum = defineOp("ReduceSum", {
  doc: "y = sum of x over the axes",
  source: "ONNX ReduceSum-13",
  inputs: ["x", "axes?"],
  attrs: ATTRS,
  axes: "reduces",
  precision: "float32",
  hostInputs: [1],
  infer: inferReduction,
  // dx = dy, stretched over the axes
  vjp: (ctx) => [stretch(ctx, ctx.dy)],
  evaluate: (ctx) => reduce(ctx, 0, (sum, x) => sum + x),
});

const ReduceMean = defineOp("ReduceMean", {
  doc: "y = mean of x over the axes",
  source: "ONNX ReduceMean-18",
  inputs: ["x", "axes?"],
  attrs: ATTRS,
  axes: "reduces",
  precision: "float32",
  hostInputs: [1],
  infer: inferReduction,
  // dx = dy / n, stretched over the axes; n elements are averaged
  vjp: (ctx) => {
    const { shape } = ctx.input(0).type;
    const count = axesOf(ctx).reduce((product, axis) => product * concreteDim(shape[axis]), 1);
    return [stretch(ctx, ctx.b.div(ctx.dy, scalarLike(ctx.b, count, ctx.dy)))];
  },
  evaluate: (ctx) => {
    const [y] = reduce(ctx, 0, (sum, x) => sum + x) as [NDArray];
    const count = ctx.input(0).data.length / y.data.length;
    return [{ ...y, data: y.data.map((sum) => sum / count) }];
  },
});

/** dx = dy / n where x = y, else 0, with n the number of such elements over the axes. */
const shareAmongEqual: Vjp = (ctx) => {
  const { b } = ctx;
  const x = ctx.input(0);
  // An empty list of axes would make the sum below one over all axes.
  if (axesOf(ctx).length === 0) return [ctx.dy];
  const hits = b.cast(b.emit("Equal", [x, withKeptAxes(ctx, ctx.output(0))]), x.type.dtype);
  const share = b.div(withKeptAxes(ctx, ctx.dy), b.reduceSum(hits, axesOf(ctx), 1));
  return [b.mul(hits, share)];
};

const ReduceMax = defineOp("ReduceMax", {
  doc: "y = largest element of x over the axes; equal ones share the cotangent evenly",
  source: "ONNX ReduceMax-18",
  inputs: ["x", "axes?"],
  attrs: ATTRS,
  axes: "reduces",
  precision: "float32",
  hostInputs: [1],
  infer: inferReduction,
  vjp: shareAmongEqual,
  evaluate: (ctx) => reduce(ctx, Number.NEGATIVE_INFINITY, Math.max),
});

const ReduceMin = defineOp("ReduceMin", {
  doc: "y = smallest element of x over the axes; equal ones share the cotangent evenly",
  source: "ONNX ReduceMin-18",
  inputs: ["x", "axes?"],
  attrs: ATTRS,
  axes: "reduces",
  precision: "float32",
  hostInputs: [1],
  infer: inferReduction,
  vjp: shareAmongEqual,
  evaluate: (ctx) => reduce(ctx, Number.POSITIVE_INFINITY, Math.min),
});

const ReduceSumSquare = defineOp("ReduceSumSquare", {
  doc: "y = sum of x^2 over the axes",
  source: "ONNX ReduceSumSquare-18",
  inputs: ["x", "axes?"],
  attrs: ATTRS,
  axes: "stops",
  precision: "float32",
  hostInputs: [1],
  infer: inferReduction,
  // dx = 2 x dy, dy stretched over the axes
  vjp: (ctx) => {
    const { b } = ctx;
    const twice = b.mul(scalarLike(b, 2, ctx.dy), withKeptAxes(ctx, ctx.dy));
    return [b.mul(ctx.input(0), twice)];
  },
  evaluate: (ctx) => reduce(ctx, 0, (sum, x) => sum + x * x),
});

/** Ops of this family. */
export const REDUCTION: readonly Op[] = [ReduceSum, ReduceMean, ReduceMax, ReduceMin, ReduceSumSquare];
