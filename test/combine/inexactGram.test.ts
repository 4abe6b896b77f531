// Gram matrices that are off: kept in float32, with noise of 1e-6 of |g_i| |g_j| on top. Results stay
// finite and bounded whatever the gradients are, and near the exact ones where those do not hang on the
// last digits.
import { describe, expect, test } from "vitest";
import { GRADIENT_METHODS as combiners } from "../../compiler/combine/gradientMethods.ts";
import { randomFrom } from "../ops/sampleGraph.ts";
import { COMBINE_INEXACT } from "../tolerances.ts";
import { drawAwkward, type Gradients } from "./awkward.ts";
import { combine, gramOf, lengthOf, runnerOf } from "./combinerRunner.ts";

const NOISE = 1e-6;
const TRIALS = 12;

/** The gradients' Gram matrix, rounded and with noise, symmetric. */
function inexact(gradients: Gradients, random: () => number): number[] {
  const tasks = gradients.length;
  const exact = gramOf(gradients);
  const off = exact.map((value, at) => {
    const [i, j] = [Math.floor(at / tasks), at % tasks];
    return Math.fround(
      value + NOISE * (2 * random() - 1) * lengthOf(gradients[i]!) * lengthOf(gradients[j]!),
    );
  });
  return off.map((value, at) => {
    const [i, j] = [Math.floor(at / tasks), at % tasks];
    return i <= j ? value : off[j * tasks + i]!;
  });
}

/** Gradients along one direction but for a part of `apart`, with the signs and lengths as given. */
function bundle(random: () => number, factors: readonly number[], apart: number): number[][] {
  const draw = () => random() + random() + random() + random() - 2;
  const common = Array.from({ length: 12 }, draw);
  return factors.map((factor) => common.map((value) => factor * (value + apart * draw())));
}

const HARD: readonly { readonly name: string; readonly draw: (random: () => number) => number[][] }[] = [
  ...[1e-2, 1e-3, 1e-4, 1e-8].map((apart) => ({
    name: `nearly parallel, apart by ${apart}`,
    draw: (random: () => number) => bundle(random, [1, 1, 1, 1, 1], apart),
  })),
  ...[1e-2, 1e-3, 1e-4, 0].map((apart) => ({
    name: `nearly opposite, apart by ${apart}`,
    draw: (random: () => number) => bundle(random, [1, -1], apart),
  })),
  { name: "nearly opposite and parallel", draw: (random) => bundle(random, [1, -2, 3, -1, 1], 1e-3) },
  { name: "lengths 10000 : 1, nearly parallel", draw: (random) => bundle(random, [1, 1e4, 1, 1e4], 1e-3) },
  { name: "lengths 10000 : 1, opposite", draw: (random) => bundle(random, [1e4, -1, 1], 1e-3) },
  { name: "more tasks than numbers", draw: (random) => drawAwkward(random, 8, 2) },
  { name: "repeated ones", draw: (random) => drawAwkward(random, 6, 4) },
  { name: "a gradient of 0", draw: (random) => [...bundle(random, [1, 1, -1], 1e-3), Array(12).fill(0)] },
  { name: "lengths from 1 to e^16", draw: (random) => drawAwkward(random, 5, 3) },
  { name: "20 tasks, few numbers", draw: (random) => drawAwkward(random, 20, 2) },
];

/** How long a result may be, in units of the longest gradient (nash: of max_norm). */
const MOST: Readonly<Record<string, number>> = {
  pcgrad: 20,
  mgda: 1.01,
  cagrad: 6,
  upgrad: 3,
  imtl: 2,
  nash: 2,
  aligned: 1.1,
};

describe.each(combiners)("$name", (combiner) => {
  const { weigh } = runnerOf(combiner);
  const resultOf = (gradients: Gradients, random: () => number) =>
    combine(gradients, weigh({ gradients, gram: inexact(gradients, random) }));

  test.each(HARD)("is finite and bounded: $name", ({ name, draw }) => {
    const random = randomFrom(`${combiner.name} ${name}`);
    for (let trial = 0; trial < TRIALS; trial++) {
      const gradients = draw(random);
      const longest = combiner.name === "nash" ? 1 : Math.max(...gradients.map(lengthOf));
      const length = lengthOf(resultOf(gradients, random));
      expect(Number.isFinite(length)).toBe(true);
      expect(length / longest, String(gradients)).toBeLessThan(MOST[combiner.name]!);
    }
  });

  test.each([2, 3, 5, 9])("is near the exact result for %d tasks that are well apart", (tasks) => {
    const random = randomFrom(`${combiner.name} near ${tasks}`);
    for (const kind of [0, 1, 0, 1]) {
      const gradients = drawAwkward(random, tasks, kind);
      const exact = combine(gradients, weigh({ gradients }));
      const found = resultOf(gradients, random);
      const error = lengthOf(found.map((value, n) => value - exact[n]!)) / lengthOf(exact);
      expect(error, String(gradients)).toBeLessThan(COMBINE_INEXACT);
    }
  });
});
