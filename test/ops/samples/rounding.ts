// Samples of rounding, remainders, tests of numbers, exclusive or, and means of several tensors.
import { bools, floats, indices } from "./inputs.ts";
import type { Sample } from "./sample.ts";

const BOTH_SIGNS: Sample = { title: "both signs", inputs: [{ shape: [3, 4], low: -3, high: 3 }] };

export const ROUNDING_SAMPLES: Readonly<Record<string, readonly Sample[]>> = {
  Ceil: [BOTH_SIGNS],
  Round: [BOTH_SIGNS, { title: "halves", inputs: [{ shape: [6], data: [-2.5, -1.5, -0.5, 0.5, 1.5, 2.5] }] }],
  Mod: [
    {
      title: "floats of both signs",
      inputs: [
        { shape: [5], data: [5.3, -5.3, 7.1, -7.1, 0.4] },
        { shape: [5], data: [2, 2.2, -3, -3.2, 1.1] },
      ],
      attrs: { fmod: 1 },
    },
    {
      title: "a divisor that is stretched",
      inputs: [
        { shape: [2, 3], data: [4.2, -3.3, 2.1, 5.7, 3.7, -2.9] },
        { shape: [1], data: [1.5] },
      ],
      attrs: { fmod: 1 },
    },
    {
      title: "integers, of the divisor's sign",
      inputs: [indices([4], 7, -7, 7, -7), indices([4], 3, 3, -3, -3)],
    },
    {
      title: "integers, of the dividend's sign",
      inputs: [indices([4], 7, -7, 7, -7), indices([4], 3, 3, -3, -3)],
      attrs: { fmod: 1 },
    },
  ],
  Xor: [{ title: "all four cases", inputs: [bools([4], 0, 0, 1, 1), bools([4], 0, 1, 0, 1)] }],
  IsNaN: [
    { title: "numbers", inputs: [floats(2, 3)] },
    { title: "one that is none", inputs: [{ shape: [3], data: [1, Number.NaN, Number.POSITIVE_INFINITY] }] },
  ],
  IsInf: [
    { title: "numbers", inputs: [floats(2, 3)] },
    {
      title: "both infinities",
      inputs: [{ shape: [4], data: [1, Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY] }],
    },
  ],
  Mean: [
    { title: "two inputs", inputs: [floats(2, 3), floats(2, 3)] },
    { title: "three inputs that broadcast", inputs: [floats(2, 3), floats(3), floats(2, 1)] },
    { title: "one input", inputs: [floats(2, 3)] },
  ],
};
