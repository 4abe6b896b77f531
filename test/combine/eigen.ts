// Eigenvalues and eigenvectors of a small symmetric matrix: Jacobi's rotations.
import { dot } from "./combinerRunner.ts";

/** Rounds over all pairs; they converge quadratically, in some eight. */
const SWEEPS = 12;

/** `vectors[i]` is the unit vector of `values[i]`. */
export function eigenOf(matrix: readonly (readonly number[])[]): {
  readonly values: readonly number[];
  readonly vectors: readonly (readonly number[])[];
} {
  const size = matrix.length;
  const vectors = matrix.map((_, i) => matrix.map((__, j) => Number(i === j)));
  const apply = (x: readonly number[]) => matrix.map((row) => dot(row, x));
  for (let sweep = 0; sweep < SWEEPS; sweep++)
    for (let p = 0; p < size; p++)
      for (let q = p + 1; q < size; q++) {
        const [x, y] = [vectors[p]!, vectors[q]!];
        const [ax, ay] = [apply(x), apply(y)];
        const angle = 0.5 * Math.atan2(2 * dot(x, ay), dot(x, ax) - dot(y, ay));
        const [c, s] = [Math.cos(angle), Math.sin(angle)];
        vectors[p] = x.map((value, i) => c * value + s * y[i]!);
        vectors[q] = x.map((value, i) => c * y[i]! - s * value);
      }
  return { values: vectors.map((vector) => dot(vector, apply(vector))), vectors };
}
