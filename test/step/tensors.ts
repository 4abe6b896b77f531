// Comparing tensors of training runs: to the bit, or by their distance in the Euclidean norm.
import type { NDArray } from "../../compiler/ir/op.ts";

/**
 * |a - b| / |b| in the Euclidean norm (|a| where b is 0); Infinity if a is missing, not finite or of another
 * length.
 */
export function relativeDistance(a: ArrayLike<number> | undefined, b: Float64Array): number {
  if (a?.length !== b.length) return Number.POSITIVE_INFINITY;
  const norm = Math.sqrt(b.reduce((sum, x) => sum + x * x, 0));
  const gap = Math.sqrt(b.reduce((sum, x, i) => sum + (x - (a[i] ?? Number.NaN)) ** 2, 0));
  const distance = norm === 0 ? gap : gap / norm;
  return Number.isFinite(distance) ? distance : Number.POSITIVE_INFINITY;
}

/** Whether two tensors are equal to the last bit, the sign of zero included. */
export function sameBits(a: NDArray | undefined, b: NDArray | undefined): boolean {
  if (a === undefined || b === undefined || a.dtype !== b.dtype) return false;
  return a.data.length === b.data.length && a.data.every((x, i) => Object.is(x, b.data[i]));
}
