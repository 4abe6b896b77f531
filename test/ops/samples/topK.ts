// Samples of positions of extremes. Equal numbers stand only where nothing is differentiated.
import { constants, floats } from "./inputs.ts";
import type { Sample } from "./sample.ts";

const POSITIONS: readonly Sample[] = [
  { title: "the first axis, by default", inputs: [floats(3, 4)] },
  { title: "the middle axis, dropped", inputs: [floats(2, 4, 3)], attrs: { axis: 1, keepdims: 0 } },
  {
    title: "the first of equal ones",
    inputs: [{ shape: [2, 3], data: [1, 2, 2, 3, 3, 0] }],
    attrs: { axis: -1 },
  },
  {
    title: "the last of equal ones",
    inputs: [{ shape: [2, 3], data: [1, 2, 2, 3, 3, 0] }],
    attrs: { axis: 1, select_last_index: 1 },
  },
];

export const TOP_K_SAMPLES: Readonly<Record<string, readonly Sample[]>> = {
  ArgMax: POSITIONS,
  ArgMin: POSITIONS,
  Hardmax: [
    { title: "the last axis, by default", inputs: [floats(3, 4)] },
    {
      title: "the first of equal ones",
      inputs: [{ shape: [2, 3], data: [1, 2, 2, 3, 3, 0] }],
      attrs: { axis: 0 },
    },
  ],
  TopK: [
    { title: "two largest of the last axis", inputs: [floats(3, 4), constants(2)], outputs: 2 },
    {
      title: "smallest along the middle axis",
      inputs: [floats(2, 4, 2), constants(3)],
      attrs: { axis: 1, largest: 0 },
      outputs: 2,
    },
    {
      title: "all along the first axis",
      inputs: [floats(3, 2), constants(3)],
      attrs: { axis: -2 },
      outputs: 2,
    },
  ],
};
