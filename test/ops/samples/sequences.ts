// Samples of triangles, running sums and reversed sequences.
import { floats, indices } from "./inputs.ts";
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
};
