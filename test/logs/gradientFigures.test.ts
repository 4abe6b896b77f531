// Cosines, norms and weights of tasks as figures: only pairs that were both there count, means are over the
// steps that know a figure, and an epoch that is gone on with has the means of one that was not cut.
import { describe, expect, test } from "vitest";
import { GradientFigures, meansOf } from "../../runtime/logs/gradientFigures.ts";
import { SUM_FLOAT64 } from "../tolerances.ts";

const TASKS = ["a", "b/c", "d"];
/** Products of gradients of two numbers; an absent task's is 0. */
const gramOf = (...gradients: readonly (readonly [number, number])[]): number[] =>
  gradients.flatMap(([x, y]) => gradients.map(([u, v]) => x * u + y * v));
const BOTH = gramOf([3, 4], [-4, 3], [-6, -8]);
const WITHOUT_SECOND = gramOf([1, 0], [0, 0], [1, 1]);

describe("figures of gradients", () => {
  test("are cosines of pairs and norms of tasks, over the steps that have them", () => {
    const figures = new GradientFigures(TASKS);
    figures.add({ gram: BOTH, weights: new Map([["a", 2]]) });
    figures.add({ gram: WITHOUT_SECOND });
    const means = meansOf(figures.sums);
    const wanted: Record<string, number> = {
      ...{ "gradient_norm/a": (5 + 1) / 2, "gradient_norm/b/c": 5, "gradient_norm/d": (10 + Math.SQRT2) / 2 },
      ...{ "cosine/a/b/c": 0, "cosine/a/d": (-1 + Math.SQRT1_2) / 2, "cosine/b/c/d": 0 },
      ...{ "conflict/a/b/c": 0, "conflict/a/d": 1 / 2, "conflict/b/c/d": 0 },
      "combine_weight/a": 2,
    };
    expect(Object.keys(means).toSorted()).toEqual(Object.keys(wanted).toSorted());
    for (const [name, value] of Object.entries(wanted))
      expect(Math.abs((means[name] ?? Number.NaN) - value), name).toBeLessThan(4 * SUM_FLOAT64);
  });

  test("say in which share of the steps two gradients pull apart, where the mean of cosines hides it", () => {
    const figures = new GradientFigures(["a", "b"]);
    for (const away of [1, 1, -0.2, -0.2])
      figures.add({ gram: gramOf([1, 0], [away, Math.sqrt(1 - away * away)]) });
    const { "cosine/a/b": cosine, "conflict/a/b": conflict } = meansOf(figures.sums);
    expect(Math.abs((cosine ?? 0) - 0.4)).toBeLessThan(SUM_FLOAT64);
    expect(conflict).toBe(0.5);
    // In a checkpoint of an earlier version cosines are there alone: shares are of the steps since.
    const rest = new GradientFigures(["a", "b"], { "cosine/a/b": [0.4, 4] });
    rest.add({ gram: gramOf([1, 0], [-1, 0]) });
    expect(rest.sums).toEqual({
      ...{ "cosine/a/b": [-0.6, 5], "conflict/a/b": [1, 1] },
      ...{ "gradient_norm/a": [1, 1], "gradient_norm/b": [1, 1] },
    });
  });

  test("of an entry begin anew, and leave those of the epoch as they are", () => {
    const figures = new GradientFigures(TASKS);
    figures.add({ weights: new Map([["a", 1]]) });
    expect(figures.takeEntry()).toEqual({ "combine_weight/a": 1 });
    expect(figures.takeEntry()).toEqual({});
    figures.add({ weights: new Map([["a", 3]]) });
    expect(figures.takeEntry()).toEqual({ "combine_weight/a": 3 });
    expect(meansOf(figures.sums)).toEqual({ "combine_weight/a": 2 });
  });

  test("go on from the sums of an epoch that was cut", () => {
    const whole = new GradientFigures(TASKS);
    const first = new GradientFigures(TASKS);
    for (const figures of [whole, first]) figures.add({ gram: BOTH });
    const rest = new GradientFigures(TASKS, JSON.parse(JSON.stringify(first.sums)));
    for (const figures of [whole, rest]) figures.add({ gram: WITHOUT_SECOND });
    expect(rest.sums).toEqual(whole.sums);
  });

  test("leave out a step that overflowed", () => {
    const figures = new GradientFigures(["a", "b"]);
    figures.add({ gram: [Number.NaN, Number.NaN, Number.NaN, Number.NaN] });
    figures.add({ gram: [Number.POSITIVE_INFINITY, 1, 1, 1], weights: new Map([["a", Number.NaN]]) });
    expect(meansOf(figures.sums)).toEqual({});
  });

  test("of many tasks are told by step without the pairs, by epoch with all", () => {
    const names = Array.from({ length: 40 }, (_, i) => `t${i}`);
    const figures = new GradientFigures(names);
    figures.add({ gram: new Float32Array(1600).fill(4) });
    const entry = Object.keys(figures.takeEntry());
    expect(entry.length).toBe(40);
    expect(entry.every((name) => name.startsWith("gradient_norm/"))).toBe(true);
    const means = meansOf(figures.sums);
    expect(Object.keys(means).length).toBe(40 + 2 * 780);
    expect(new Set(Object.values(means))).toEqual(new Set([0, 1, 2]));
  });
});
