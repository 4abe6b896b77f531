// Samples of trigonometric and hyperbolic functions, inside the domain of each.
import type { Sample } from "./sample.ts";

function between(low: number, high: number): readonly Sample[] {
  return [
    { title: `numbers of [${low}, ${high}]`, inputs: [{ shape: [3, 4], low, high }] },
    { title: "a scalar", inputs: [{ shape: [], low, high }] },
  ];
}

export const TRIGONOMETRY_SAMPLES: Readonly<Record<string, readonly Sample[]>> = {
  Sin: between(-3, 3),
  Cos: between(-3, 3),
  Tan: between(-1, 1),
  Asin: between(-0.9, 0.9),
  Acos: between(-0.9, 0.9),
  Atan: between(-3, 3),
  Sinh: between(-2, 2),
  Cosh: between(-2, 2),
  Asinh: between(-2, 2),
  Acosh: between(1.2, 3),
  Atanh: between(-0.8, 0.8),
};
