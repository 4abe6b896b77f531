// Samples of parts along an axis, put together and taken apart.
import { constants, floats } from "./inputs.ts";
import type { Sample } from "./sample.ts";

export const CONCAT_SPLIT_SAMPLES: Readonly<Record<string, readonly Sample[]>> = {
  Concat: [
    { title: "two along axis 1", inputs: [floats(2, 1), floats(2, 3)], attrs: { axis: 1 } },
    {
      title: "three along an axis from the end",
      inputs: [floats(1, 2), floats(2, 2), floats(1, 2)],
      attrs: { axis: -2 },
    },
    { title: "one only", inputs: [floats(2, 2)], attrs: { axis: 0 } },
  ],
  Split: [
    { title: "given sizes", inputs: [floats(2, 5), constants(2, 3)], attrs: { axis: 1 }, outputs: 2 },
    { title: "a last part that is smaller", inputs: [floats(5, 2)], attrs: { num_outputs: 3 }, outputs: 3 },
  ],
};
