// Compares the features and gradients of a family with the reference's float64: every tensor's norm, and its
// products with two directions of its own, each relative to the norm that the reference finds.
import type { NDArray } from "../../compiler/ir/op.ts";
import { VANISHING_GRADIENT } from "../tolerances.ts";
import { measure } from "./drawnValues.ts";
import type { Measured } from "./familyFixture.ts";

type Expected = Readonly<Record<string, Measured>>;

/**
 * What a deviation of each tensor is measured by: its norm. Where that is zero but for rounding (a bias
 * before a norm in training form), the mean norm of all tensors.
 */
export function scales(expected: Expected): Map<string, number> {
  const norms = Object.entries(expected).map(([name, [norm]]): [string, number] => [name, norm]);
  const mean = norms.reduce((sum, [, norm]) => sum + norm / norms.length, 0);
  if (!(mean > 0)) throw new Error(`the mean of the expected norms is ${mean}`);
  return new Map(norms.map(([name, norm]) => [name, norm > VANISHING_GRADIENT * mean ? norm : mean]));
}

/**
 * One line for each tensor that is missing, left over, of a wrong size, or off by more than `tolerance` of
 * its scale in its norm or along a direction.
 */
export function deviations(
  found: ReadonlyMap<string, NDArray>,
  expected: Expected,
  tolerance: number | ((name: string) => number),
): string[] {
  const lines = [...found.keys()]
    .filter((name) => !Object.hasOwn(expected, name))
    .map((name) => `${name}: left over`);
  const scaleOf = scales(expected);
  for (const [name, measured] of Object.entries(expected)) {
    const array = found.get(name);
    const allowed = typeof tolerance === "number" ? tolerance : tolerance(name);
    if (!array) lines.push(`${name}: missing`);
    else
      measure(name, array.data).forEach((number, i) => {
        const off = Math.abs(number - measured[i]!) / scaleOf.get(name)!;
        if (!(off <= allowed)) lines.push(`${name}: ${number}, expected ${measured[i]}, off by ${off}`);
      });
  }
  return lines;
}

/** Norm of the difference of two arrays. */
export function distance(a: Float64Array, b: Float64Array): number {
  if (a.length !== b.length) throw new Error(`${a.length} numbers beside ${b.length}`);
  return Math.sqrt(a.reduce((sum, each, i) => sum + (each - b[i]!) ** 2, 0));
}
