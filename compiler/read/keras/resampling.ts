// Resizing an axis as a matrix: exact, linear, and differentiable as a matrix product. Half-pixel centres, as
// tf.image.resize and Keras 3 do it.

/**
 * The matrix [to, from], row-major, that resamples an axis of `from` pixels to `to`. Pixel i of the result
 * lies at p = (i + 1/2) from / to - 1/2. Bilinear mixes floor(p) and floor(p) + 1, clamped to the axis;
 * nearest takes floor((i + 1/2) from / to).
 */
export function resamplingMatrix(from: number, to: number, method: "bilinear" | "nearest"): number[] {
  const matrix = new Array<number>(from * to).fill(0);
  const clamp = (at: number): number => Math.min(Math.max(at, 0), from - 1);
  const add = (row: number, at: number, share: number): void => {
    const place = row * from + clamp(at);
    matrix[place] = (matrix[place] ?? 0) + share;
  };
  for (let row = 0; row < to; row++) {
    const centre = ((row + 0.5) * from) / to;
    if (method === "nearest") {
      add(row, Math.floor(centre), 1);
      continue;
    }
    const below = Math.floor(centre - 0.5);
    const share = centre - 0.5 - below;
    add(row, below, 1 - share);
    add(row, below + 1, share);
  }
  return matrix;
}
