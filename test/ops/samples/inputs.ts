// Short ways to write the inputs of samples.
import type { SampleInput } from "./sample.ts";

/** Drawn numbers of [-1, 1]. */
export function floats(...shape: readonly number[]): SampleInput {
  return { shape };
}

/** Drawn numbers of [0.5, 2]. */
export function positive(...shape: readonly number[]): SampleInput {
  return { shape, low: 0.5, high: 2 };
}

/** Constant int64 numbers: axes, sizes, bounds. */
export function constants(...data: readonly number[]): SampleInput {
  return { dtype: "int64", shape: [data.length], data, constant: true };
}

/** int64 numbers that the graph gets as an input. */
export function indices(shape: readonly number[], ...data: readonly number[]): SampleInput {
  return { dtype: "int64", shape, data };
}

/** Truth values that the graph gets as an input. */
export function bools(shape: readonly number[], ...data: readonly (0 | 1)[]): SampleInput {
  return { dtype: "bool", shape, data };
}
