// Samples of the arithmetic family.
import { floats, indices, positive } from "./inputs.ts";
import type { Sample } from "./sample.ts";

const BROADCASTS: readonly Sample[] = [
  { title: "equal shapes", inputs: [floats(2, 3), floats(2, 3)] },
  { title: "a row stretched", inputs: [floats(2, 3), floats(3)] },
  { title: "a scalar first", inputs: [floats(), floats(2, 3)] },
  { title: "both stretched, one with fewer axes", inputs: [floats(2, 3, 1), floats(1, 4)] },
  { title: "axes stretched on both sides of a kept one", inputs: [floats(1, 3, 1), floats(2, 2, 3, 4)] },
];

const UNARY: readonly Sample[] = [
  { title: "a matrix", inputs: [floats(3, 4)] },
  { title: "a scalar", inputs: [floats()] },
];

const UNARY_POSITIVE: readonly Sample[] = [
  { title: "a matrix", inputs: [positive(3, 4)] },
  { title: "a scalar", inputs: [positive()] },
];

/** Wide enough that each input is the largest somewhere, and the smallest somewhere. */
const EXTREMES: readonly Sample[] = [
  { title: "equal shapes", inputs: [floats(3, 4), floats(3, 4)] },
  { title: "a row stretched", inputs: [floats(4, 5), floats(5)] },
  { title: "a scalar first", inputs: [{ shape: [], low: -0.2, high: 0.2 }, floats(3, 4)] },
  { title: "both stretched", inputs: [floats(4, 1), floats(1, 5)] },
  { title: "one input", inputs: [floats(2, 3)] },
  { title: "three inputs that broadcast", inputs: [floats(6, 5), floats(5), floats(6, 1)] },
];

export const ARITHMETIC_SAMPLES: Readonly<Record<string, readonly Sample[]>> = {
  Add: [...BROADCASTS, { title: "integers", inputs: [indices([3], 1, -2, 3), indices([3], 4, 5, 6)] }],
  Sub: BROADCASTS,
  Mul: BROADCASTS,
  Div: [
    { title: "equal shapes", inputs: [floats(2, 3), positive(2, 3)] },
    { title: "a row stretched", inputs: [floats(2, 3), positive(3)] },
    { title: "both stretched", inputs: [floats(2, 1), positive(1, 3)] },
    { title: "integers, truncated", inputs: [indices([3], 7, -7, 6), indices([3], 2, 2, 3)] },
  ],
  Pow: [
    { title: "a positive base", inputs: [positive(2, 3), floats(2, 3)] },
    { title: "a stretched base", inputs: [positive(3), floats(2, 3)] },
    {
      title: "a base of any sign and the exponent 2, a constant",
      inputs: [floats(2, 3), { shape: [], data: [2], constant: true }],
    },
    {
      title: "an integer exponent",
      inputs: [floats(2, 3), { dtype: "int64", shape: [], data: [3], constant: true }],
    },
  ],
  Neg: UNARY,
  Sqrt: UNARY_POSITIVE,
  Reciprocal: UNARY_POSITIVE,
  Exp: UNARY,
  Log: UNARY_POSITIVE,
  Abs: UNARY,
  Sign: UNARY,
  Floor: [{ title: "both signs", inputs: [{ shape: [3, 4], low: -3, high: 3 }] }],
  Max: EXTREMES,
  Min: EXTREMES,
  Sum: [
    ...BROADCASTS,
    { title: "one input", inputs: [floats(2, 3)] },
    { title: "three inputs that broadcast", inputs: [floats(2, 3), floats(3), floats(2, 1)] },
  ],
};
