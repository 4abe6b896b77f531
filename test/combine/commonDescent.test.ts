// What methods claim that harm no task: the result has no negative product with any gradient wherever a
// common descent direction exists. Random gradients and ones that are made to be hard.
import { describe, expect, test } from "vitest";
import { imtl } from "../../compiler/combine/imtl.ts";
import { mgda } from "../../compiler/combine/mgda.ts";
import { nash } from "../../compiler/combine/nash.ts";
import { upgrad } from "../../compiler/combine/upgrad.ts";
import { randomFrom } from "../ops/sampleGraph.ts";
import { COMBINE_ALONE, COMBINE_DEPENDENT, COMBINE_INEXACT } from "../tolerances.ts";
import { drawAwkward, type Gradients, INDEPENDENT, STEPS } from "./awkward.ts";
import { type CombinerRunner, combine, dot, lengthOf, runnerOf } from "./combinerRunner.ts";

/** Rounding of products of float64, as a part of the lengths. */
const ROUNDING = 1e-9;
/** The default of the methods that have one. */
const REGULARIZATION = 1e-8;

/**
 * Gradients that all agree with (1, 0, ..) by `cosine`, and with little else; of lengths from 1 to
 * `spread`.
 */
function fan(tasks: number, cosine: number, spread: number): number[][] {
  return Array.from({ length: tasks }, (_, t) => {
    const angle = (2 * Math.PI * t) / tasks;
    const length = spread ** (t / (tasks - 1));
    const sine = Math.sqrt(1 - cosine * cosine);
    return [cosine, sine * Math.cos(angle), sine * Math.sin(angle)].map((value) => length * value);
  });
}

const RANDOM = STEPS.filter(({ kind }) => INDEPENDENT.includes(kind)).map(({ tasks, kind, gradients }) => ({
  ...{ name: `${tasks} tasks of kind ${kind}`, gradients, isIndependent: true },
}));
const FANS = [2, 3, 5, 8].flatMap((tasks) =>
  [0.5, 0.05, 0.01].flatMap((cosine) =>
    [1, 30].map((spread) => ({
      name: `${tasks} tasks that agree by ${cosine}, lengths 1 to ${spread}`,
      ...{ gradients: fan(tasks, cosine, spread), isIndependent: tasks < 4 },
    })),
  ),
);
const CASES: readonly { name: string; gradients: Gradients; isIndependent: boolean }[] = [...RANDOM, ...FANS];

/** The most negative product, as a part of both lengths, beyond what regularization allows. */
function harm(gradients: Gradients, weights: readonly number[], regularization: number): number {
  const combined = combine(gradients, weights);
  const trace = gradients.reduce((sum, row) => sum + dot(row, row), 0);
  return Math.max(
    ...gradients.map(
      (row, t) =>
        (-dot(row, combined) - regularization * trace * weights[t]!) / (lengthOf(row) * lengthOf(combined)),
    ),
  );
}

describe.each([
  { combiner: mgda, regularization: REGULARIZATION, needsIndependence: false },
  { combiner: upgrad, regularization: REGULARIZATION, needsIndependence: false },
  { combiner: nash, regularization: 0, needsIndependence: false },
  { combiner: imtl, regularization: 0, needsIndependence: true },
])("$combiner.name", ({ combiner, regularization, needsIndependence }) => {
  const { weigh } = runnerOf(combiner);
  const cases = CASES.filter(({ isIndependent }) => isIndependent || !needsIndependence);

  test.each(cases)("harms no task: $name", ({ gradients }) => {
    const weights = weigh({ gradients });
    expect(lengthOf(combine(gradients, weights))).toBeGreaterThan(0);
    expect(harm(gradients, weights, regularization)).toBeLessThan(ROUNDING);
  });

  test("random steps", () => {
    const random = randomFrom(`harm ${combiner.name}`);
    for (let trial = 0; trial < 60; trial++) {
      const tasks = 2 + Math.floor(5 * random());
      const gradients = drawAwkward(random, tasks, INDEPENDENT[trial % INDEPENDENT.length]!);
      expect(harm(gradients, weigh({ gradients }), regularization), String(gradients)).toBeLessThan(ROUNDING);
    }
  });
});

describe("imtl, where the published weights sum to less than 0, or to nearly 0", () => {
  const { weigh } = runnerOf(imtl);
  /**
   * Lengths 1, 1 and `length`; the third between the first two, which disagree, and a little beside their
   * plane.
   */
  const gradients = (length: number) =>
    [
      [1, 0, 0.3],
      [-0.6, 0.8, 0.3],
      [0.1, 0.2, 0.05],
    ].map((row, t) => row.map((value) => (t === 2 ? (length * value) / Math.hypot(0.1, 0.2, 0.05) : value)));
  /** v of G v = (|g_1| ..): its sum, by Cramer's rule in cosines. */
  const publishedSum = (rows: Gradients): number => {
    const units = rows.map((row) => row.map((value) => value / lengthOf(row)));
    const c = units.map((x) => units.map((y) => dot(x, y)));
    const minor = (m: readonly (readonly number[])[]) =>
      m[0]![0]! * (m[1]![1]! * m[2]![2]! - m[1]![2]! * m[2]![1]!) -
      m[0]![1]! * (m[1]![0]! * m[2]![2]! - m[1]![2]! * m[2]![0]!) +
      m[0]![2]! * (m[1]![0]! * m[2]![1]! - m[1]![1]! * m[2]![0]!);
    const solved = c.map(
      (_, k) => minor(c.map((row) => row.map((value, j) => (j === k ? 1 : value)))) / minor(c),
    );
    return solved.reduce((sum, value, t) => sum + value / lengthOf(rows[t]!), 0);
  };
  /** The length at which the sum is 0, by halving. */
  const balanced = (): number => {
    let [low, high] = [1e-3, 1e3];
    const isNegative = (length: number) => publishedSum(gradients(length)) < 0;
    expect(isNegative(low)).not.toBe(isNegative(high));
    for (let i = 0; i < 60; i++) {
      const middle = Math.sqrt(low * high);
      if (isNegative(middle) === isNegative(low)) low = middle;
      else high = middle;
    }
    return low;
  };

  test("the result raises no loss, is bounded, and its length has no jump", () => {
    const zero = balanced();
    const seen = new Set<number>();
    for (const factor of [0.1, 0.5, 0.99, 1 - 1e-9, 1 + 1e-9, 1.01, 2, 10]) {
      const rows = gradients(zero * factor);
      seen.add(Math.sign(publishedSum(rows)));
      const combined = combine(rows, weigh({ gradients: rows }));
      const longest = Math.max(...rows.map(lengthOf));
      const gains = rows.map((row) => dot(row, combined) / lengthOf(row));
      expect(Math.min(...gains), String(factor)).toBeGreaterThan(COMBINE_INEXACT * longest);
      expect(Math.max(...gains) / Math.min(...gains) - 1).toBeLessThan(COMBINE_DEPENDENT);
      expect(lengthOf(combined)).toBeLessThan(longest * (1 + COMBINE_ALONE));
      if (Math.abs(factor - 1) < 0.1)
        expect(lengthOf(combined) / longest).toBeGreaterThan(1 - COMBINE_DEPENDENT);
    }
    expect([...seen].toSorted()).toEqual([-1, 1]);
  });
});

describe("upgrad of gradients of uneven length", () => {
  /** How much of the conflict with the short one is left. */
  const left = (ratio: number, { weigh }: CombinerRunner): number => {
    const gradients = [
      [ratio, 0],
      [-0.6, 0.8],
    ];
    const product = 2 * dot(gradients[1]!, combine(gradients, weigh({ gradients })));
    // of the short one itself (0, 0.8) is left, and of the long one what is asked for
    return (product - 0.64) / (-0.6 * ratio);
  };

  test.each([
    [10, 1e-5],
    [100, 1e-3],
    [1000, 0.1],
  ])("of %d : 1 it leaves at most %d of the conflict", (ratio, most) => {
    expect(Math.abs(left(ratio, runnerOf(upgrad)))).toBeLessThan(most);
  });

  test("of TorchJD's regularization half is left at 100 : 1", () => {
    expect(left(100, runnerOf(upgrad, { regularization: 1e-4 }))).toBeGreaterThan(0.3);
  });
});
