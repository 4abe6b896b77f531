// Axes: negative ones counted from the end, and the lists of them that ops take as constant inputs.
import { InternalError } from "../diagnostics.ts";
import type { GraphBuilder } from "../ir/builder.ts";
import type { Shape, Value } from "../ir/types.ts";

/** Axis counted from the front; `fail` (by default an InternalError) when there is no such axis. */
export function resolveAxis(axis: number, rank: number, fail: (message: string) => never = broken): number {
  if (axis < -rank || axis >= rank || !Number.isInteger(axis))
    return fail(`expected an axis of a tensor with ${rank} dimensions, found ${axis}`);
  return axis < 0 ? axis + rank : axis;
}

/** Axes counted from the front, each at most once. */
export function resolveAxes(
  axes: readonly number[],
  rank: number,
  fail: (message: string) => never = broken,
): number[] {
  const resolved = axes.map((axis) => resolveAxis(axis, rank, fail));
  if (new Set(resolved).size !== resolved.length) fail(`expected different axes, found [${axes}]`);
  return resolved;
}

/** 0, 1, ... count-1. */
export function range(count: number): number[] {
  return Array.from({ length: count }, (_, i) => i);
}

/**
 * The numbers of a constant input of a node that has passed its shape rule; undefined where the input is
 * absent.
 */
export function constantNumbers(b: GraphBuilder, value: Value | undefined): number[] | undefined {
  if (!value) return undefined;
  return Array.from(b.constantData(value)?.data ?? broken(`${value.name} must be constant`));
}

/** x in the dimensions `shape`, of which one may be a symbol, or any be 0 (where 0 copies nothing). */
export function reshapeTo(b: GraphBuilder, x: Value, shape: Shape): Value {
  const operand = shape.map((dim) => (typeof dim === "number" ? dim : -1));
  return b.emit("Reshape", [x, b.ints(operand)], shape.includes(0) ? { allowzero: 1 } : {});
}

/** Sizes as an operand or attribute lists them: `open` in place of a symbol (the batch of an export). */
export function sizesOr(shape: Shape, open: number): number[] {
  return shape.map((dim) => (typeof dim === "number" ? dim : open));
}

function broken(message: string): never {
  throw new InternalError(message);
}
