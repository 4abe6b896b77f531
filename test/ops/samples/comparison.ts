// Samples of the comparison family.
import { bools, floats, indices } from "./inputs.ts";
import type { Sample } from "./sample.ts";

const COMPARED: readonly Sample[] = [
  { title: "a stretched row", inputs: [floats(2, 3), floats(3)] },
  {
    title: "equal numbers among them",
    inputs: [
      { shape: [4], data: [1, 2, 3, 0] },
      { shape: [4], data: [1, 3, 2, 0] },
    ],
  },
  { title: "integers", inputs: [indices([3], 1, 2, 3), indices([3], 1, 3, 2)] },
];

const LOGIC: readonly Sample[] = [
  { title: "all four cases", inputs: [bools([4], 0, 0, 1, 1), bools([4], 0, 1, 0, 1)] },
  { title: "a stretched value", inputs: [bools([2, 2], 0, 0, 1, 1), bools([1], 1)] },
];

export const COMPARISON_SAMPLES: Readonly<Record<string, readonly Sample[]>> = {
  Equal: [...COMPARED, { title: "truth values", inputs: [bools([3], 0, 1, 1), bools([3], 0, 0, 1)] }],
  Greater: COMPARED,
  GreaterOrEqual: COMPARED,
  Less: COMPARED,
  LessOrEqual: COMPARED,
  And: LOGIC,
  Or: LOGIC,
  Not: [{ title: "both values", inputs: [bools([2], 0, 1)] }],
  Where: [
    { title: "equal shapes", inputs: [bools([2, 2], 1, 0, 0, 1), floats(2, 2), floats(2, 2)] },
    { title: "a column of conditions", inputs: [bools([2, 1], 1, 0), floats(2, 3), floats(2, 3)] },
    { title: "a scalar and a row", inputs: [bools([2, 3], 1, 0, 1, 0, 1, 1), floats(), floats(3)] },
  ],
};
