// Samples of other shapes for the same elements.
import { constants, floats } from "./inputs.ts";
import type { Sample } from "./sample.ts";

export const RESHAPE_SAMPLES: Readonly<Record<string, readonly Sample[]>> = {
  Identity: [{ title: "a matrix", inputs: [floats(2, 3)] }],
  Reshape: [
    { title: "a plain shape", inputs: [floats(2, 6), constants(3, 4)] },
    { title: "a copied and an open size", inputs: [floats(2, 3, 4), constants(0, -1)] },
    { title: "a scalar as result", inputs: [floats(1, 1), constants()] },
    {
      title: "no element, its empty axis moved",
      inputs: [floats(0, 3, 4), constants(3, 4, 0)],
      attrs: { allowzero: 1 },
      gradientFloor: 0,
    },
  ],
  Flatten: [
    { title: "axis 1, by default", inputs: [floats(2, 3, 2)] },
    { title: "axis 0", inputs: [floats(2, 3)], attrs: { axis: 0 } },
    { title: "an axis from the end", inputs: [floats(2, 3, 2)], attrs: { axis: -1 } },
    { title: "no element", inputs: [floats(2, 0, 3)], gradientFloor: 0 },
  ],
  Squeeze: [
    { title: "two axes", inputs: [floats(1, 3, 1), constants(0, -1)] },
    { title: "all axes of size 1, none being named", inputs: [floats(1, 3, 1, 2)] },
  ],
  Unsqueeze: [
    { title: "the first and the last axis", inputs: [floats(2, 3), constants(0, -1)] },
    { title: "a middle axis", inputs: [floats(2, 3), constants(1)] },
  ],
};
