// What the numbers of a tensor give away: filters that blur, matrices that resample, grids and masks have a
// pattern that no training leaves behind. Each test stops at the first number that does not fit.
import type { TensorData } from "../ir/types.ts";

/** A kernel with at least this many pixels may be a filter; smaller ones have no pattern to tell. */
const LEAST_FILTER_PIXELS = 4;
/** Sums of a resampling matrix's rows, rounded to float32. */
const SUM_ROUNDING = 1e-4;
/** Numbers that an evenly spaced grid has at least along its axis. */
const LEAST_GRID = 6;
const GRID_ROUNDING = 1e-4;

/** Whether all numbers are equal, zeros of both signs too; true of one number. */
export function isUniform({ data }: TensorData): boolean {
  return data.every((value) => value === data[0]);
}

/**
 * Whether filters [K,C/group,R,S] are those of no training: each channel has the same one (blurring,
 * resampling), or few different sizes of numbers stand in all of them (Sobel, Laplace, Haar). Kernels of one
 * number throughout are left out, zeros always: networks start from them.
 */
export function isFixedFilter({ shape, data }: TensorData): boolean {
  const [k = 1, c = 1, ...pixels] = shape;
  const area = pixels.reduce((product, size) => product * size, 1);
  if (shape.length !== 4 || area < LEAST_FILTER_PIXELS || data.every((value) => value === 0)) return false;
  const isDepthwise = c === 1 && k > 1;
  if (isDepthwise && data.every((value, i) => value === data[i % area])) return true;
  return !isUniform({ dtype: "float32", shape, data }) && hasFewSizes(data, Math.floor(area / 2));
}

/** Whether at most `most` different absolute values occur. */
function hasFewSizes(data: TensorData["data"], most: number): boolean {
  const sizes = new Set<number>();
  for (const value of data) {
    sizes.add(Math.abs(value));
    if (sizes.size > most) return false;
  }
  return true;
}

/** Whether a matrix [..,m,n] gives means: no number is negative, and all rows, or all columns, sum to 1. */
export function isResampling({ shape, data }: TensorData): boolean {
  const [m = 1, n = 1] = shape.slice(-2);
  if (shape.length < 2 || m < 2 || n < 2 || data.some((value) => !(value >= 0))) return false;
  const rows = new Float64Array(data.length / n);
  const columns = new Float64Array(data.length / m);
  data.forEach((value, i) => {
    const row = Math.floor(i / n);
    rows[row] = (rows[row] ?? 0) + value;
    const column = Math.floor(row / m) * n + (i % n);
    columns[column] = (columns[column] ?? 0) + value;
  });
  const areOne = (sums: Float64Array): boolean => sums.every((sum) => Math.abs(sum - 1) < SUM_ROUNDING);
  return areOne(rows) || areOne(columns);
}

/** Whether a tensor switches: zeros and one other number (an attention's mask), or numbers without end. */
export function isMask({ data }: TensorData): boolean {
  if (data.some((value) => !Number.isFinite(value))) return true;
  if (data.length <= LEAST_GRID || !data.includes(0)) return false;
  const other = data.find((value) => value !== 0);
  return other !== undefined && data.every((value) => value === 0 || value === other);
}

/** Whether a tensor counts along one axis in equal steps and is the same along all others (positions). */
export function isGrid({ shape, data }: TensorData): boolean {
  return shape.some((size, axis) => {
    if (size < LEAST_GRID) return false;
    const stride = shape.slice(axis + 1).reduce((product, dim) => product * dim, 1);
    const [start = 0, next = 0] = [data[0], data[stride]];
    const step = next - start;
    const tolerance = Math.abs(step) * (size - 1) * GRID_ROUNDING;
    return (
      step !== 0 &&
      data.every(
        (value, i) => Math.abs(value - (start + step * (Math.floor(i / stride) % size))) <= tolerance,
      )
    );
  });
}
