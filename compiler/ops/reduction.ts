// Reductions over axes. The axes are a constant input (opset 18); without any, all axes are reduced, or none
// if `noop_with_empty_axes` is 1.
import type { GraphBuilder } from "../ir/builder.ts";
import {
  type AttrReader,
  type AttrSpec,
  defineOp,
  type EvaluateContext,
  type InferContext,
  type NDArray,
  type Op,
  type VjpContext,
} from "../ir/op.ts";
import { concreteDim, type TensorType, type Value } from "../ir/types.ts";
import { constantNumbers, range, resolveAxes } from "./axes.ts";
import { expectKind, scalarLike } from "./elementwise.ts";
import { groupOffsets, zerosForOutput } from "./strided.ts";

const ATTRS: Readonly<Record<string, AttrSpec>> = {
  keepdims: { kind: "int", default: 1 },
  noop_with_empty_axes: { kind: "int", default: 0 },
};

const ReduceSum = defineOp("ReduceSum", {
  doc: "y = sum of x over the axes",
  source: "ONNX ReduceSum-13",
  inputs: ["x", "axes?"],
  attrs: ATTRS,
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

const ReduceMax = defineOp("ReduceMax", {
  doc: "y = largest element of x over the axes; equal ones share the cotangent evenly",
  source: "ONNX ReduceMax-18",
  inputs: ["x", "axes?"],
  attrs: ATTRS,
  infer: inferReduction,
  // dx = dy / n where x = y, else 0, with n the number of such elements over the axes
  vjp: (ctx) => {
    const { b } = ctx;
    const x = ctx.input(0);
    // An empty list of axes would make the sum below one over all axes.
    if (axesOf(ctx).length === 0) return [ctx.dy];
    const hits = b.cast(b.emit("Equal", [x, withKeptAxes(ctx, ctx.output(0))]), x.type.dtype);
    const share = b.div(withKeptAxes(ctx, ctx.dy), b.reduceSum(hits, axesOf(ctx), 1));
    return [b.mul(hits, share)];
  },
  evaluate: (ctx) => reduce(ctx, Number.NEGATIVE_INFINITY, Math.max),
});

const ReduceSumSquare = defineOp("ReduceSumSquare", {
  doc: "y = sum of x^2 over the axes",
  source: "ONNX ReduceSumSquare-18",
  inputs: ["x", "axes?"],
  attrs: ATTRS,
  infer: inferReduction,
  // dx = 2 x dy, dy stretched over the axes
  vjp: (ctx) => {
    const { b } = ctx;
    const twice = b.mul(scalarLike(b, 2, ctx.dy), withKeptAxes(ctx, ctx.dy));
    return [b.mul(ctx.input(0), twice)];
  },
  evaluate: (ctx) => reduce(ctx, 0, (sum, x) => sum + x * x),
});

/** Axes that are reduced, counted from the front. */
function reducedAxes(
  listed: readonly number[] | undefined,
  attrs: AttrReader,
  rank: number,
  fail?: (message: string) => never,
): number[] {
  if (listed && listed.length > 0) return resolveAxes(listed, rank, fail);
  return attrs.int("noop_with_empty_axes") === 1 ? [] : range(rank);
}

function inferReduction(ctx: InferContext): readonly TensorType[] {
  const { dtype, shape } = ctx.input(0);
  expectKind(ctx, ctx.input(0), "number");
  const listed = ctx.inputs[1] ? ctx.constant(1) : undefined;
  const axes = reducedAxes(listed, ctx.attrs, shape.length, ctx.fail);
  const keep = ctx.attrs.int("keepdims") === 1;
  return [{ dtype, shape: shape.flatMap((dim, axis) => (axes.includes(axis) ? (keep ? [1] : []) : [dim])) }];
}

function axesOf(ctx: {
  readonly b: GraphBuilder;
  readonly inputs: VjpContext["inputs"];
  readonly attrs: AttrReader;
  input(index: number): Value;
}): number[] {
  return reducedAxes(constantNumbers(ctx.b, ctx.inputs[1]), ctx.attrs, ctx.input(0).type.shape.length);
}

/** A value of the output's shape with the reduced axes back as 1. */
function withKeptAxes(ctx: VjpContext, value: Value): Value {
  const axes = axesOf(ctx);
  if (ctx.attrs.int("keepdims") === 1 || axes.length === 0) return value;
  return ctx.b.emit("Unsqueeze", [value, ctx.b.ints(axes)]);
}

/**
 * A value of the output's shape, repeated along the reduced axes to the input's shape; the others may be
 * symbols.
 */
function stretch(ctx: VjpContext, value: Value): Value {
  const axes = axesOf(ctx);
  const { shape } = ctx.input(0).type;
  const kept = withKeptAxes(ctx, value);
  const sizes = shape.map((dim, axis) => (axes.includes(axis) ? concreteDim(dim) : 1));
  return sizes.every((size) => size === 1) ? kept : ctx.b.expand(kept, sizes);
}

function reduce(
  ctx: EvaluateContext,
  start: number,
  step: (result: number, x: number) => number,
): readonly NDArray[] {
  const x = ctx.input(0);
  const listed = ctx.inputs[1] && Array.from(ctx.inputs[1].data);
  const group = groupOffsets(x.shape, reducedAxes(listed, ctx.attrs, x.shape.length));
  const y = zerosForOutput(ctx);
  y.data.fill(start);
  for (let i = 0; i < group.length; i++) y.data[group[i]!] = step(y.data[group[i]!]!, x.data[i]!);
  return [y];
}

/** Ops of this family. */
export const REDUCTION: readonly Op[] = [ReduceSum, ReduceMean, ReduceMax, ReduceSumSquare];
