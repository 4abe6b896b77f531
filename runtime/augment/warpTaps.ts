// Which pixels of an axis a zoom reads, and with what weights: the numbers of the matrices that augment.onnx
// multiplies with, few for each pixel. Zooms in a row become one; mirrorings are folded in.
import {
  centrePlace,
  cubicPlace,
  cubicWeight,
  FLOAT32,
  TABLE_STEPS,
} from "../../compiler/augment/zoomWeights.ts";

/** Weights of `count` neighbouring pixels for each pixel of an axis: target t reads first[t] + 0, 1, ... */
export interface AxisTaps {
  readonly count: number;
  readonly first: Int32Array;
  /** [size, count] row-major; a row's sum is 1. */
  readonly weights: Float64Array;
}

/** The cubic at every distance that its table holds, in steps. */
const CUBIC = Float64Array.from({ length: 2 * TABLE_STEPS + 1 }, (_, steps) =>
  cubicWeight(FLOAT32, steps / TABLE_STEPS),
);
const CUBIC_TAPS = 4;

/**
 * Taps for a resize of the pixels [start, start + length) of an axis to its whole size, as zoom_scale does
 * it.
 */
export function cubicTaps(size: number, start: number, length: number): AxisTaps {
  const first = new Int32Array(size);
  const weights = new Float64Array(size * CUBIC_TAPS);
  for (let target = 0; target < size; target++) {
    const { whole, steps } = cubicPlace(FLOAT32, target, length, size);
    first[target] = start + whole - 1;
    let sum = 0;
    for (let tap = 0; tap < CUBIC_TAPS; tap++) {
      const pixel = whole - 1 + tap;
      const distance = Math.abs(steps - (tap - 1) * TABLE_STEPS);
      // Pixels outside the crop are left out.
      const weight = pixel >= 0 && pixel < length ? (CUBIC[distance] ?? 0) : 0;
      weights[target * CUBIC_TAPS + tap] = weight;
      sum += weight;
    }
    for (let tap = 0; tap < CUBIC_TAPS; tap++)
      weights[target * CUBIC_TAPS + tap] = (weights[target * CUBIC_TAPS + tap] ?? 0) / sum;
  }
  return withinAxis({ count: CUBIC_TAPS, first, weights });
}

/** Taps for the stretch [margin, 1 - margin] of an axis, as center_zoom_scale reads it. */
export function centreTaps(size: number, margin: number): AxisTaps {
  const first = new Int32Array(size);
  const weights = new Float64Array(size * 2);
  for (let target = 0; target < size; target++) {
    const place = centrePlace(FLOAT32, target, margin, size);
    const whole = Math.floor(place);
    first[target] = whole;
    weights[2 * target] = 1 - (place - whole);
    weights[2 * target + 1] = place - whole;
  }
  return withinAxis({ count: 2, first, weights });
}

/** Taps of `after` on an axis that `before` has made. */
export function composeTaps(after: AxisTaps, before: AxisTaps): AxisTaps {
  const size = after.first.length;
  const firsts = new Int32Array(size);
  let count = 1;
  for (let target = 0; target < size; target++) {
    const middle = after.first[target] ?? 0;
    const from = before.first.subarray(middle, middle + after.count);
    firsts[target] = from.reduce((least, pixel) => Math.min(least, pixel), size - 1);
    const last = from.reduce((most, pixel) => Math.max(most, pixel), 0) + before.count;
    count = Math.max(count, last - (firsts[target] ?? 0));
  }
  const weights = new Float64Array(size * count);
  for (let target = 0; target < size; target++)
    for (let tap = 0; tap < after.count; tap++) {
      const middle = (after.first[target] ?? 0) + tap;
      const weight = after.weights[target * after.count + tap] ?? 0;
      const at = target * count + (before.first[middle] ?? 0) - (firsts[target] ?? 0);
      for (let k = 0; k < before.count; k++)
        weights[at + k] = (weights[at + k] ?? 0) + weight * (before.weights[middle * before.count + k] ?? 0);
    }
  return withinAxis({ count, first: firsts, weights });
}

/** The same taps on an axis that is to be mirrored first. */
export function mirrorTaps({ count, first, weights }: AxisTaps): AxisTaps {
  const size = first.length;
  return {
    count,
    first: first.map((pixel) => size - count - pixel),
    weights: weights.map((_, i) => {
      const tap = i % count;
      return weights[i - tap + (count - 1 - tap)] ?? 0;
    }),
  };
}

/** The same weights with every tap on the axis: what lies beyond its ends has the weight 0. */
function withinAxis(taps: AxisTaps): AxisTaps {
  const size = taps.first.length;
  const count = Math.min(taps.count, size);
  const first = taps.first.map((pixel) => Math.min(Math.max(pixel, 0), size - count));
  const weights = new Float64Array(size * count);
  for (let target = 0; target < size; target++) {
    const shift = (first[target] ?? 0) - (taps.first[target] ?? 0);
    for (let tap = 0; tap < count; tap++) {
      const source = tap + shift;
      const isThere = source >= 0 && source < taps.count;
      weights[target * count + tap] = isThere ? (taps.weights[target * taps.count + source] ?? 0) : 0;
    }
  }
  return { count, first, weights };
}
