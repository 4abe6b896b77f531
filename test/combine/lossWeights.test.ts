// Weights of losses against the published formulas, computed in float64 PyTorch (test/fixtures/combine).
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { dynamicAverage, randomSoftmax } from "../../compiler/combine/lossWeights.ts";
import { normalNumber } from "../../runtime/draws/normalNumbers.ts";
import { WEIGHT_FLOAT64 } from "../tolerances.ts";

type Numbers = readonly (number | null)[];
const FILE = join(import.meta.dirname, "..", "fixtures", "combine", "loss_weights.json");
const cases: {
  readonly dwa: readonly { last: Numbers; before: Numbers; temperature: number; weights: Numbers }[];
  readonly rlw: readonly { draws: Numbers; weights: Numbers }[];
} = JSON.parse(readFileSync(FILE, "utf8"));

function expectWeights(found: ReadonlyMap<string, number>, wanted: Numbers): void {
  wanted.forEach((weight, t) => {
    if (weight === null) expect(found.has(String(t))).toBe(false);
    else expect(Math.abs((found.get(String(t)) ?? Number.NaN) - weight)).toBeLessThan(WEIGHT_FLOAT64);
  });
}

describe("loss weights", () => {
  test.each(cases.dwa)("dwa of the losses $last over $before", ({ last, before, temperature, weights }) => {
    const losses = new Map(
      last.map((loss, t) => [String(t), { last: loss ?? Number.NaN, before: before[t] ?? Number.NaN }]),
    );
    const found = dynamicAverage(losses, temperature);
    expect(found.size).toBe(weights.length);
    expectWeights(found, weights);
  });

  test.each(cases.rlw)("rlw of the numbers $draws", ({ draws, weights }) => {
    const drawn = draws.flatMap((draw, t) => (draw === null ? [] : [[String(t), draw] as const]));
    const found = randomSoftmax(new Map(drawn));
    expectWeights(found, weights);
    if (drawn.length === 0) return;
    const sum = [...found.values()].reduce((total, weight) => total + weight, 0);
    expect(Math.abs(sum - drawn.length)).toBeLessThan(WEIGHT_FLOAT64);
  });

  test("there is nothing to weigh without tasks", () => {
    expect([dynamicAverage(new Map(), 2).size, randomSoftmax(new Map()).size]).toEqual([0, 0]);
  });
});

describe("normal numbers", () => {
  test("have mean 0, deviation 1, and a third moment of 0; each its own place", () => {
    const count = 20_000;
    const numbers = Array.from({ length: count }, (_, i) => normalNumber(7, "combine rlw", i >> 1, i & 1));
    expect(new Set(numbers).size).toBe(count);
    for (const [power, expected] of [
      [1, 0],
      [2, 1],
      [3, 0],
      [4, 3],
    ] as const) {
      const moment = numbers.reduce((sum, number) => sum + number ** power, 0) / count;
      // Five deviations of the mean of so many.
      const deviation = Math.sqrt([1, 2, 15, 96][power - 1] ?? 0) / Math.sqrt(count);
      expect(Math.abs(moment - expected)).toBeLessThan(5 * deviation);
    }
  });

  test("are the same for the same seed, stream, step and place, and of each other apart", () => {
    const at = (seed: number, stream: string, step: number, place: number) =>
      normalNumber(seed, stream, step, place);
    expect(at(1, "a", 2, 3)).toBe(at(1, "a", 2, 3));
    const apart = [at(1, "a", 2, 3), at(2, "a", 2, 3), at(1, "b", 2, 3), at(1, "a", 3, 3), at(1, "a", 2, 4)];
    expect(new Set(apart).size).toBe(apart.length);
  });
});
