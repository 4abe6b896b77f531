// Samples of the family of normalisation with given statistics.
import { floats, positive } from "./inputs.ts";
import type { Sample } from "./sample.ts";

export const NORMALIZATION_SAMPLES: Readonly<Record<string, readonly Sample[]>> = {
  BatchNormalization: [
    {
      title: "images",
      inputs: [floats(2, 3, 2, 2), positive(3), floats(3), floats(3), positive(3)],
      attrs: { epsilon: 1e-3 },
    },
    {
      title: "vectors and a large epsilon",
      inputs: [floats(4, 2), positive(2), floats(2), floats(2), positive(2)],
      attrs: { epsilon: 0.3 },
    },
  ],
};
