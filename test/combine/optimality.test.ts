// What the methods promise, held against random gradients of every awkward kind, where no other program is
// needed to tell: conditions that only the solution meets. And the checks themselves against planted faults.
import { describe, expect, test } from "vitest";
import { aligned } from "../../compiler/combine/aligned.ts";
import { cagrad } from "../../compiler/combine/cagrad.ts";
import { imtl } from "../../compiler/combine/imtl.ts";
import { mgda } from "../../compiler/combine/mgda.ts";
import { nash } from "../../compiler/combine/nash.ts";
import { pcgrad } from "../../compiler/combine/pcgrad.ts";
import { upgrad } from "../../compiler/combine/upgrad.ts";
import { assertClose } from "../assertClose.ts";
import { COMBINE_DEPENDENT, COMBINE_OPTIMALITY, COMBINE_RESTRAINED } from "../tolerances.ts";
import { type Gradients, INDEPENDENT, STEPS } from "./awkward.ts";
import { combine, dot, gramOf, lengthOf, runnerOf } from "./combinerRunner.ts";
import { eigenOf } from "./eigen.ts";

/** G / trace + regularization I, by rows. */
function regular(gradients: Gradients, regularization: number): number[][] {
  const gram = gramOf(gradients);
  const trace = gradients.reduce((sum, row) => sum + dot(row, row), 0);
  return gradients.map((_, i) =>
    gradients.map((_, j) => gram[i * gradients.length + j]! / trace + (i === j ? regularization : 0)),
  );
}

/** Each method's shortfall, 0 of a solution, in units in which the gradients' squared norms add up to 1. */
const shortfalls: Readonly<Record<string, (gradients: Gradients, weights: readonly number[]) => number>> = {
  mgda: (gradients, w) => {
    // sum w = 1, w >= 0, and no vertex is better than w' A w
    const gains = regular(gradients, 1e-8).map((row) => dot(row, w));
    const sum = w.reduce((total, weight) => total + weight, 0);
    return Math.max(Math.abs(sum - 1), -Math.min(...w), dot(w, gains) - Math.min(...gains));
  },
  upgrad: (gradients, w) => {
    // a mean of vectors that conflict with no gradient, each at least e_t
    const gains = regular(gradients, 1e-8).map((row) => dot(row, w));
    return Math.max(1 / w.length - Math.min(...w), -Math.min(...gains));
  },
  cagrad: (gradients, w) => {
    // on the ball's border the worst task's gain is least over the simplex: min F = max gain
    const share = w.map(() => 1 / w.length);
    const gram = regular(gradients, 0);
    const apply = (x: readonly number[]) => gram.map((row) => dot(row, x));
    const moved = w.map((weight, t) => weight - share[t]!);
    const radius = 0.5 * Math.sqrt(dot(share, apply(share)));
    const sum = moved.reduce((total, weight) => total + weight, 0);
    const best = Math.min(...apply(w));
    const at = moved.map((weight) => weight / sum);
    const bound = dot(at, apply(share)) + radius * Math.sqrt(dot(at, apply(at)));
    const reached = Math.sqrt(dot(moved, apply(moved)));
    return Math.max(-Math.min(...moved), reached - radius, bound - best);
  },
  nash: (gradients, w) => {
    // w_t (G w)_t is the Frobenius norm of G for all t
    const gram = regular(gradients, 0);
    const size = Math.hypot(...gram.flat());
    return Math.max(...gram.map((row, t) => Math.abs((w[t]! * dot(row, w)) / size - 1)));
  },
  imtl: (gradients, w) => {
    // equal positive projections; the weights' sum is 1 or -1, or the longest gradient is as long as the
    // result
    const combined = combine(gradients, w);
    const length = lengthOf(combined);
    const gains = gradients.map((row) => dot(row, combined) / (lengthOf(row) * length));
    const longest = Math.max(...gradients.map(lengthOf));
    const sum = Math.abs(w.reduce((total, weight) => total + weight, 0));
    const [most, least] = [Math.max(...gains), Math.min(...gains)];
    const short = Math.min(Math.abs(1 - sum), Math.abs(1 - length / longest));
    return Math.max((most - least) / most, -least, sum - 1, length / longest - 1, short);
  },
  aligned: (gradients, w) => {
    // sqrt(least) V diag(1 / sqrt(l)) V' u by the eigenvectors that count
    const { values, vectors } = eigenOf(regular(gradients, 0));
    const counting = values.flatMap((value, i) => (value > 1e-6 ? [i] : []));
    const least = Math.min(...counting.map((i) => values[i]!));
    const expected = w.map((_, t) =>
      counting.reduce((sum, i) => {
        const share = vectors[i]!.reduce((total, value) => total + value, 0) / w.length;
        return sum + Math.sqrt(least / values[i]!) * vectors[i]![t]! * share;
      }, 0),
    );
    return Math.max(...w.map((weight, t) => Math.abs(weight - expected[t]!)));
  },
};

/**
 * Methods whose equation has no solution where gradients that depend on each other have no common descent.
 */
const NEED_INDEPENDENCE = ["nash", "imtl"];

describe.each([mgda, upgrad, cagrad, nash, imtl, aligned])("$name", (combiner) => {
  const { weigh } = runnerOf(combiner, combiner.name === "nash" ? { max_norm: 0 } : {});
  const shortfall = shortfalls[combiner.name]!;
  const isSolvable = ({ kind }: { kind: number }) =>
    !NEED_INDEPENDENCE.includes(combiner.name) || INDEPENDENT.includes(kind);

  test.each(STEPS.filter(isSolvable))("is optimal for $tasks tasks of kind $kind", ({ gradients, kind }) => {
    const general = combiner.name === "nash" ? COMBINE_RESTRAINED : COMBINE_OPTIMALITY;
    const tolerance = kind === 4 ? COMBINE_DEPENDENT : general;
    expect(shortfall(gradients, weigh({ gradients }))).toBeLessThan(tolerance);
  });

  test("another answer is told from the best one", () => {
    const { gradients } = STEPS.find(
      ({ tasks, kind }) => tasks === 4 && kind === (isSolvable({ kind: 4 }) ? 4 : 5),
    )!;
    const weights = weigh({ gradients });
    const places = weights.map((_, t) => t);
    for (const faulty of [
      weights.toReversed(),
      weights.map((weight) => 0.98 * weight),
      weights.map(() => 1 / weights.length),
      places.map((t) => (t === 0 ? weights[0]! - 0.02 : weights[t]!)),
    ])
      expect(shortfall(gradients, faulty), String(faulty)).not.toBeLessThan(COMBINE_DEPENDENT);
  });
});

describe("two tasks, by hand", () => {
  const gradients = [
    [-4, 1, 1],
    [6, 1, 1],
  ];
  const exact = { tolerance: COMBINE_OPTIMALITY, what: "by hand" };

  test("pcgrad: each without its part along the other", () => {
    // 1 + 22/18 and 1 + 22/38
    const [first, second] = runnerOf(pcgrad).weigh({ gradients });
    assertClose([first!, second!], [1 + 22 / 18, 1 + 22 / 38], exact);
  });

  test("nash: weights times lengths are equal, and the bound on the norm is kept or lifted", () => {
    const weights = runnerOf(nash).weigh({ gradients });
    const length = (w: readonly number[]) => Math.sqrt(dot(combine(gradients, w), combine(gradients, w)));
    assertClose([weights[0]! * Math.sqrt(18)], [weights[1]! * Math.sqrt(38)], exact);
    assertClose([length(weights)], [1], exact);
    expect(length(runnerOf(nash, { max_norm: 0 }).weigh({ gradients }))).toBeGreaterThan(2);
    assertClose([length(runnerOf(nash, { max_norm: 0.25 }).weigh({ gradients }))], [0.25], exact);
  });

  test("imtl: equal projections", () => {
    const combined = combine(gradients, runnerOf(imtl).weigh({ gradients }));
    const [first, second] = gradients.map((row) => dot(row, combined) / Math.sqrt(dot(row, row)));
    assertClose([first!], [second!], exact);
  });

  test("cagrad: no radius is the mean, and a larger one moves further", () => {
    expect(runnerOf(cagrad, { c: 0 }).weigh({ gradients })).toEqual([0.5, 0.5]);
    const worst = (c: number) => {
      const combined = combine(gradients, runnerOf(cagrad, { c }).weigh({ gradients }));
      return Math.min(...gradients.map((row) => dot(row, combined)));
    };
    expect(worst(0.1)).toBeLessThan(worst(0.5));
    expect(worst(0.5)).toBeLessThan(worst(3));
  });
});
