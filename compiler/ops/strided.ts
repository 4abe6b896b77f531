// Index arithmetic of the float64 references: arrays are row-major, and every way of moving, broadcasting or
// grouping elements is a list of offsets. In: shapes and strides; out: one offset for each element, in
// row-major order.
import { InternalError } from "../diagnostics.ts";
import type { EvaluateContext, NDArray } from "../ir/op.ts";
import { concreteShape, elementCount } from "../ir/types.ts";

/** Row-major strides of a shape, in elements. */
export function stridesOf(shape: readonly number[]): number[] {
  const strides = shape.map(() => 1);
  for (let axis = shape.length - 2; axis >= 0; axis--) strides[axis] = strides[axis + 1]! * shape[axis + 1]!;
  return strides;
}

/** Offsets start + sum_k index_k * strides_k for every index of `shape`, in row-major order. */
export function viewOffsets(
  shape: readonly number[],
  strides: readonly number[],
  start = 0,
): Int32Array<ArrayBuffer> {
  let offsets = Int32Array.of(start);
  shape.forEach((size, axis) => {
    const next = new Int32Array(offsets.length * size);
    const stride = strides[axis]!;
    let at = 0;
    for (const offset of offsets) for (let i = 0; i < size; i++) next[at++] = offset + i * stride;
    offsets = next;
  });
  return offsets;
}

/** Strides with which an array of shape `from` is read as if it had the (broadcast) shape `to`. */
export function broadcastStrides(from: readonly number[], to: readonly number[]): number[] {
  const strides = stridesOf(from);
  const extra = to.length - from.length;
  return to.map((_, axis) => (axis < extra || from[axis - extra] === 1 ? 0 : strides[axis - extra]!));
}

/** For every element of `shape`, the number of the group it falls into when `axes` are reduced away. */
export function groupOffsets(shape: readonly number[], axes: readonly number[]): Int32Array<ArrayBuffer> {
  const kept = shape.map((size, axis) => (axes.includes(axis) ? 1 : size));
  return viewOffsets(shape, broadcastStrides(kept, shape));
}

/** Numbers of `x` broadcast to `shape`; its own array where nothing is to be done. */
export function broadcastData(x: NDArray, shape: readonly number[]): Float64Array {
  if (x.shape.length === shape.length && x.shape.every((size, axis) => size === shape[axis])) return x.data;
  return takeOffsets(x.data, viewOffsets(shape, broadcastStrides(x.shape, shape)));
}

/** data[offsets[i]] for every i. */
export function takeOffsets(data: Float64Array, offsets: Int32Array): Float64Array<ArrayBuffer> {
  const taken = new Float64Array(offsets.length);
  for (let i = 0; i < taken.length; i++) taken[i] = data[offsets[i]!]!;
  return taken;
}

/** An array of zeros with the type of output `index`. */
export function zerosForOutput(ctx: EvaluateContext, index = 0): NDArray {
  const type = ctx.outputs[index];
  if (!type) throw new InternalError(`there is no output ${index}`);
  return {
    dtype: type.dtype,
    shape: concreteShape(type.shape),
    data: new Float64Array(elementCount(type.shape)),
  };
}

/** Output 0 with these numbers. */
export function outputWith(ctx: EvaluateContext, data: Float64Array): readonly NDArray[] {
  return [{ ...zerosForOutput(ctx), data }];
}
