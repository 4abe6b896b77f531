// Samples of triangles, running sums, reversed sequences, and of places by tuples of indices.
import { constants, floats, indices } from "./inputs.ts";
import type { Sample } from "./sample.ts";

const axis = (value: number) => ({ dtype: "int64" as const, shape: [], data: [value], constant: true });

export const SEQUENCE_SAMPLES: Readonly<Record<string, readonly Sample[]>> = {
  Trilu: [
    { title: "the upper triangle, by default", inputs: [floats(3, 4)] },
    { title: "the lower triangle of stacked matrices", inputs: [floats(2, 3, 3)], attrs: { upper: 0 } },
    { title: "above a diagonal further up", inputs: [floats(3, 4), axis(1)] },
    { title: "below a diagonal further down", inputs: [floats(4, 3), axis(-1)], attrs: { upper: 0 } },
  ],
  CumSum: [
    { title: "the last axis", inputs: [floats(2, 4), axis(-1)] },
    { title: "the first axis, from its end", inputs: [floats(3, 2), axis(0)], attrs: { reverse: 1 } },
    { title: "without the number itself", inputs: [floats(2, 3, 2), axis(1)], attrs: { exclusive: 1 } },
    { title: "both", inputs: [floats(2, 4), axis(1)], attrs: { exclusive: 1, reverse: 1 } },
  ],
  ReverseSequence: [
    { title: "time before batch, by default", inputs: [floats(4, 3), indices([3], 4, 1, 3)] },
    {
      title: "batch before time",
      inputs: [floats(2, 4, 2), indices([2], 3, 2)],
      attrs: { batch_axis: 0, time_axis: 1 },
    },
  ],
  GatherND: [
    { title: "single elements, one twice", inputs: [floats(3, 2), indices([3, 2], 0, 1, 2, 0, 0, 1)] },
    { title: "rows, by negative indices too", inputs: [floats(3, 2), indices([2, 1], -1, 0)] },
    {
      title: "one common axis",
      inputs: [floats(2, 3, 2), indices([2, 2, 1], 0, 2, 1, 1)],
      attrs: { batch_dims: 1 },
    },
  ],
  ScatterND: [
    { title: "elements replaced", inputs: [floats(3, 2), indices([2, 2], 0, 1, -1, 0), floats(2)] },
    { title: "rows replaced", inputs: [floats(4, 2), indices([2, 1], 3, 1), floats(2, 2)] },
    {
      title: "adding twice to one row",
      inputs: [floats(3, 2), indices([3, 1], 1, 1, 0), floats(3, 2)],
      attrs: { reduction: "add" },
    },
  ],
  OneHot: [
    { title: "the last axis, by default", inputs: [indices([2, 2], 0, 2, 1, -1), constants(3), floats(2)] },
    { title: "the first axis", inputs: [indices([3], 1, 0, 1), constants(2), floats(2)], attrs: { axis: 0 } },
  ],
  NonZero: [
    { title: "a list of flags", inputs: [{ dtype: "bool", shape: [5], data: [0, 1, 0, 1, 1] }] },
    { title: "a matrix", inputs: [{ dtype: "float32", shape: [2, 3], data: [0, -1, 2, 0.5, 0, 0] }] },
    { title: "nothing found", inputs: [{ dtype: "int64", shape: [3], data: [0, 0, 0] }] },
  ],
};
