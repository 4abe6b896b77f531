// Reductions with products, powers and logarithms. dy stands for the cotangent with the reduced axes back as
// 1: it broadcasts over x.
import { defineOp, type EvaluateContext, type NDArray, type Op } from "../ir/op.ts";
import { scalarLike } from "./elementwise.ts";
import {
  REDUCTION_ATTRS as ATTRS,
  axesOf,
  inferReduction,
  reduce,
  reducedAxes,
  stretch,
  withKeptAxes,
} from "./reductionAxes.ts";
import { groupOffsets } from "./strided.ts";

const ReduceProd = defineOp("ReduceProd", {
  doc: "y = product of x over the axes",
  source: "ONNX ReduceProd-18",
  inputs: ["x", "axes?"],
  attrs: ATTRS,
  axes: "stops",
  precision: "float32",
  hostInputs: [1],
  infer: inferReduction,
  // dx = dy times the product of the other elements: with ones put for the zeros, product / x, and 0 where
  // another element is 0
  vjp: (ctx) => {
    const { b } = ctx;
    const x = ctx.input(0);
    const axes = axesOf(ctx);
    if (axes.length === 0) return [ctx.dy];
    const zero = scalarLike(b, 0, x);
    const isZero = b.emit("Equal", [x, zero]);
    const replaced = b.where(isZero, scalarLike(b, 1, x), x);
    const product = b.emit("ReduceProd", [replaced, b.ints(axes)], { keepdims: 1 });
    const count = b.cast(isZero, x.type.dtype);
    const otherZeros = b.sub(b.reduceSum(count, axes, 1), count);
    const others = b.where(b.emit("Equal", [otherZeros, zero]), b.div(product, replaced), zero);
    return [b.mul(withKeptAxes(ctx, ctx.dy), others)];
  },
  evaluate: (ctx) => reduce(ctx, 1, (product, x) => product * x),
});

const ReduceL1 = defineOp("ReduceL1", {
  doc: "y = sum of |x| over the axes; the derivative at 0 is 0",
  source: "ONNX ReduceL1-18",
  inputs: ["x", "axes?"],
  attrs: ATTRS,
  axes: "stops",
  precision: "float32",
  hostInputs: [1],
  infer: inferReduction,
  // dx = dy sign(x)
  vjp: (ctx) => [ctx.b.mul(ctx.b.emit("Sign", [ctx.input(0)]), withKeptAxes(ctx, ctx.dy))],
  evaluate: (ctx) => reduce(ctx, 0, (sum, x) => sum + Math.abs(x)),
});

const ReduceL2 = defineOp("ReduceL2", {
  doc: "y = sqrt(sum of x^2) over the axes; the derivative at y = 0 is 0",
  source: "ONNX ReduceL2-18",
  inputs: ["x", "axes?"],
  attrs: ATTRS,
  axes: "stops",
  precision: "float32",
  hostInputs: [1],
  infer: inferReduction,
  // dx = dy x / y, 0 where y = 0
  vjp: (ctx) => {
    const { b } = ctx;
    const y = withKeptAxes(ctx, ctx.output(0));
    const divisor = b.where(b.emit("Equal", [y, scalarLike(b, 0, y)]), scalarLike(b, 1, y), y);
    return [b.mul(ctx.input(0), b.div(withKeptAxes(ctx, ctx.dy), divisor))];
  },
  evaluate: (ctx) =>
    mapResult(
      reduce(ctx, 0, (sum, x) => sum + x * x),
      Math.sqrt,
    ),
});

const ReduceLogSum = defineOp("ReduceLogSum", {
  doc: "y = ln(sum of x) over the axes",
  source: "ONNX ReduceLogSum-18",
  inputs: ["x", "axes?"],
  attrs: ATTRS,
  axes: "stops",
  precision: "float32",
  hostInputs: [1],
  infer: inferReduction,
  // dx = dy / sum of x = dy e^-y
  vjp: (ctx) => {
    const { b } = ctx;
    return [stretch(ctx, b.div(ctx.dy, b.emit("Exp", [ctx.output(0)])))];
  },
  evaluate: (ctx) =>
    mapResult(
      reduce(ctx, 0, (sum, x) => sum + x),
      Math.log,
    ),
});

const ReduceLogSumExp = defineOp("ReduceLogSumExp", {
  doc: "y = ln(sum of e^x) over the axes",
  source: "ONNX ReduceLogSumExp-18",
  inputs: ["x", "axes?"],
  attrs: ATTRS,
  axes: "stops",
  precision: "float32",
  hostInputs: [1],
  infer: inferReduction,
  // dx = dy e^x / sum of e^x, the largest x of each sum taken out of both exponents: x - y would lose digits
  vjp: (ctx) => {
    const { b } = ctx;
    const axes = axesOf(ctx);
    if (axes.length === 0) return [ctx.dy];
    const largest = b.emit("ReduceMax", [ctx.input(0), b.ints(axes)], { keepdims: 1 });
    const powers = b.emit("Exp", [b.sub(ctx.input(0), largest)]);
    return [b.mul(powers, b.div(withKeptAxes(ctx, ctx.dy), b.reduceSum(powers, axes, 1)))];
  },
  evaluate: evaluateLogSumExp,
});

function mapResult(results: readonly NDArray[], f: (x: number) => number): readonly NDArray[] {
  return results.map((y) => ({ ...y, data: y.data.map(f) }));
}

/** The largest element of each group is taken out of the exponentials. */
function evaluateLogSumExp(ctx: EvaluateContext): readonly NDArray[] {
  const x = ctx.input(0);
  const listed = ctx.inputs[1] && Array.from(ctx.inputs[1].data);
  const group = groupOffsets(x.shape, reducedAxes(listed, ctx.attrs, x.shape.length));
  const [largest] = reduce(ctx, Number.NEGATIVE_INFINITY, Math.max) as [NDArray];
  const sums = new Float64Array(largest.data.length);
  x.data.forEach((value, i) => {
    sums[group[i]!]! += Math.exp(value - largest.data[group[i]!]!);
  });
  return [{ ...largest, data: sums.map((sum, at) => Math.log(sum) + largest.data[at]!) }];
}

/** Ops of this family. */
export const REDUCTION_NORMS: readonly Op[] = [ReduceProd, ReduceL1, ReduceL2, ReduceLogSum, ReduceLogSumExp];
