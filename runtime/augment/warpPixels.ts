// The loops of warping: uint8 pixels copied in another order, or resampled along columns and then along rows
// in fixed point. Errors of rounding stay below 0.1 of a level before the last rounding, which adds a half.
// The usual case is faster in warpSimd.ts.
import type { AxisTaps } from "./warpTaps.ts";

/** Bits behind the point of a weight. */
export const WEIGHT_BITS = 14;
/** Bits behind the point of a pixel between the passes: 255 and a cubic's overshoot stay within 16 bits. */
export const PIXEL_BITS = 6;

/** Taps with weights in 2^-14ths; each row's sum is exactly 1. */
export interface FixedTaps {
  readonly count: number;
  readonly first: Int32Array;
  readonly weights: Int32Array;
}

export function fixedTaps({ count, first, weights }: AxisTaps): FixedTaps {
  const one = 1 << WEIGHT_BITS;
  const fixed = new Int32Array(weights.length);
  for (let at = 0; at < fixed.length; at += count) {
    let rest = one;
    let heaviest = at;
    for (let tap = at; tap < at + count; tap++) {
      fixed[tap] = Math.round((weights[tap] as number) * one);
      rest -= fixed[tap] as number;
      if ((fixed[tap] as number) > (fixed[heaviest] as number)) heaviest = tap;
    }
    fixed[heaviest] = (fixed[heaviest] as number) + rest;
  }
  return { count, first, weights: fixed };
}

/** Rows [from, to) that the taps read. */
export function rowsRead({ count, first }: FixedTaps): readonly [number, number] {
  let [from, to] = [first.length, 0];
  for (const row of first) {
    from = Math.min(from, row);
    to = Math.max(to, row + count);
  }
  return [from, to];
}

/** Resamples the columns of the rows [from, to) of `source`, uint8 [H,W,C], into `between`, int16 [H,W,C]. */
export function resampleColumns(
  source: Uint8Array,
  between: Int16Array,
  channels: number,
  taps: FixedTaps,
  [from, to]: readonly [number, number],
): void {
  const { count, first, weights } = taps;
  const width = first.length;
  const shift = WEIGHT_BITS - PIXEL_BITS;
  const half = 1 << (shift - 1);
  for (let row = from; row < to; row++)
    for (let column = 0; column < width; column++) {
      const at = (row * width + (first[column] as number)) * channels;
      for (let channel = 0; channel < channels; channel++) {
        let sum = half;
        for (let tap = 0; tap < count; tap++)
          sum +=
            (weights[column * count + tap] as number) * (source[at + tap * channels + channel] as number);
        between[(row * width + column) * channels + channel] = sum >> shift;
      }
    }
}

/**
 * Resamples the rows of `between`, int16 [H,W,C], into `target`, uint8 [H,W,C]; with `isTransposed`, its rows
 * become columns (square images).
 */
export function resampleRows(
  between: Int16Array,
  target: Uint8ClampedArray,
  channels: number,
  taps: FixedTaps,
  isTransposed: boolean,
): void {
  const { count, first, weights } = taps;
  const height = first.length;
  const stride = between.length / height;
  const rowStep = isTransposed ? channels : stride;
  const pixelStep = isTransposed ? height * channels : channels;
  const shift = WEIGHT_BITS + PIXEL_BITS;
  const half = 1 << (shift - 1);
  for (let row = 0; row < height; row++) {
    const at = (first[row] as number) * stride;
    for (let i = 0, out = row * rowStep; i < stride; i += channels, out += pixelStep)
      for (let channel = 0; channel < channels; channel++) {
        let sum = half;
        for (let tap = 0; tap < count; tap++)
          sum +=
            (weights[row * count + tap] as number) * (between[at + tap * stride + i + channel] as number);
        target[out + channel] = sum >> shift;
      }
  }
}

/**
 * Copies pixels, uint8 [H,W,C]: target (row, column) is source (rows[row], columns[column]); with
 * `isTransposed`, target (row, column) is source (rows[column], columns[row]).
 */
export function copyPixels(
  source: Uint8Array,
  target: Uint8ClampedArray,
  channels: number,
  { rows, columns }: { readonly rows: Int32Array; readonly columns: Int32Array },
  isTransposed: boolean,
): void {
  const [height, width] = [rows.length, columns.length];
  const [rowStep, columnStep] = isTransposed ? [channels, height * channels] : [width * channels, channels];
  for (let row = 0; row < height; row++) {
    const from = (rows[row] as number) * width * channels;
    let out = row * rowStep;
    for (let column = 0; column < width; column++) {
      const at = from + (columns[column] as number) * channels;
      for (let channel = 0; channel < channels; channel++)
        target[out + channel] = source[at + channel] as number;
      out += columnStep;
    }
  }
}
