// What all reductions share: which axes they reduce (a constant input since opset 18; without any, all axes,
// or none if `noop_with_empty_axes` is 1), the shape that is left, and the way back from it.
import type { GraphBuilder } from "../ir/builder.ts";
import type { AttrReader, AttrSpec, EvaluateContext, InferContext, NDArray, VjpContext } from "../ir/op.ts";
import { concreteDim, type TensorType, type Value } from "../ir/types.ts";
import { constantNumbers, range, resolveAxes } from "./axes.ts";
import { expectKind } from "./elementwise.ts";
import { groupOffsets, zerosForOutput } from "./strided.ts";

/** Attributes of every reduction. */
export const REDUCTION_ATTRS: Readonly<Record<string, AttrSpec>> = {
  keepdims: { kind: "int", default: 1 },
  noop_with_empty_axes: { kind: "int", default: 0 },
};

/** Axes that are reduced, counted from the front. */
export function reducedAxes(
  listed: readonly number[] | undefined,
  attrs: AttrReader,
  rank: number,
  fail?: (message: string) => never,
): number[] {
  if (listed && listed.length > 0) return resolveAxes(listed, rank, fail);
  return attrs.int("noop_with_empty_axes") === 1 ? [] : range(rank);
}

/** Shape rule of a reduction of numbers. */
export function inferReduction(ctx: InferContext): readonly TensorType[] {
  const { dtype, shape } = ctx.input(0);
  expectKind(ctx, ctx.input(0), "number");
  const listed = ctx.inputs[1] ? ctx.constant(1) : undefined;
  const axes = reducedAxes(listed, ctx.attrs, shape.length, ctx.fail);
  const keep = ctx.attrs.int("keepdims") === 1;
  return [{ dtype, shape: shape.flatMap((dim, axis) => (axes.includes(axis) ? (keep ? [1] : []) : [dim])) }];
}

/** Axes that a node reduces, counted from the front. */
export function axesOf(ctx: {
  readonly b: GraphBuilder;
  readonly inputs: VjpContext["inputs"];
  readonly attrs: AttrReader;
  input(index: number): Value;
}): number[] {
  return reducedAxes(constantNumbers(ctx.b, ctx.inputs[1]), ctx.attrs, ctx.input(0).type.shape.length);
}

/** A value of the output's shape with the reduced axes back as 1. */
export function withKeptAxes(ctx: VjpContext, value: Value): Value {
  const axes = axesOf(ctx);
  if (ctx.attrs.int("keepdims") === 1 || axes.length === 0) return value;
  return ctx.b.emit("Unsqueeze", [value, ctx.b.ints(axes)]);
}

/**
 * A value of the output's shape, repeated along the reduced axes to the input's shape; the others may be
 * symbols.
 */
export function stretch(ctx: VjpContext, value: Value): Value {
  const axes = axesOf(ctx);
  const { shape } = ctx.input(0).type;
  const kept = withKeptAxes(ctx, value);
  const sizes = shape.map((dim, axis) => (axes.includes(axis) ? concreteDim(dim) : 1));
  return sizes.every((size) => size === 1) ? kept : ctx.b.expand(kept, sizes);
}

/** Reference of a reduction: `step` folds each element into the result, which begins as `start`. */
export function reduce(
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
