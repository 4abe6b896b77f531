// Every method that weighs gradients against weights that other programs computed in float64
// (test/fixtures/combine), in the interpreter and on ONNX Runtime; and what must hold whatever the numbers
// are.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { GRADIENT_METHODS as combiners } from "../../compiler/combine/gradientMethods.ts";
import { lowerGraph } from "../../compiler/lower/lower.ts";
import { OPS } from "../../compiler/ops/table.ts";
import { OrtLibrary } from "../../runtime/ort/library.ts";
import { assertClose } from "../assertClose.ts";
import { randomFrom } from "../ops/sampleGraph.ts";
import { COMBINE_ALONE, COMBINE_INEXACT, COMBINE_WEIGHTS } from "../tolerances.ts";
import { type CombineCase, combine, combinerGraph, dot, runnerOf } from "./combinerRunner.ts";

interface Reference extends Required<Pick<CombineCase, "gradients" | "present" | "orders">> {
  readonly name: string;
  readonly weights: Readonly<Record<string, readonly number[]>>;
}

const path = join(import.meta.dirname, "../fixtures/combine/combine.json");
const references = JSON.parse(readFileSync(path, "utf8")) as readonly Reference[];
const library = OrtLibrary.open();
afterAll(() => library[Symbol.dispose]());

/** Random gradients in no small space, of numbers about 1. */
function drawGradients(random: () => number, tasks: number, size = 2 * tasks + 3): number[][] {
  const draw = () => random() + random() + random() + random() - 2;
  return Array.from({ length: tasks }, () => Array.from({ length: size }, draw));
}

/** Numbers of the spec that the references have: TorchJD's reg_eps, and mgda's of another program. */
const REFERENCE_SETTINGS: Readonly<Record<string, Readonly<Record<string, number>>>> = {
  upgrad: { regularization: 1e-4 },
  mgda: { regularization: 1e-6 },
};

test("the methods are those that the references have", () => {
  const known = Object.keys(references[0]!.weights);
  expect(combiners.map(({ name }) => name).toSorted()).toEqual(known.toSorted());
});

describe.each(combiners)("$name", (combiner) => {
  const { weigh } = runnerOf(combiner);
  const referred = runnerOf(combiner, REFERENCE_SETTINGS[combiner.name]);

  test.each(references)("weights are those of another program: $name", (reference) => {
    const expected = reference.weights[combiner.name]!;
    const closeness = { tolerance: COMBINE_WEIGHTS, what: combiner.name };
    assertClose(referred.weigh(reference), expected, closeness);
    assertClose(referred.weighOnOrt(reference, library), expected, closeness);
  });

  test("absent tasks take no part: the present ones get what they get alone", () => {
    const random = randomFrom(`absent ${combiner.name}`);
    for (let trial = 0; trial < 6; trial++) {
      const gradients = drawGradients(random, 6);
      const present = [1, 0, 1, 1, 0, 1];
      const places = present.flatMap((there, t) => (there > 0 ? [t] : []));
      const orders = [[3, 1, 5, 2, 4], [], [5, 4, 0, 3, 1], [0, 1, 2, 4, 5], [], [4, 3, 2, 1, 0]];
      const filled = orders.map((order, i) =>
        order.length > 0 ? order : [0, 1, 2, 3, 5].map((j) => (j + i) % 6),
      );
      const whole = weigh({ gradients, present, orders: filled });
      const alone = weigh({
        gradients: places.map((t) => gradients[t]!),
        orders: places.map((t) => filled[t]!.filter((j) => present[j]! > 0).map((j) => places.indexOf(j))),
      });
      expect([whole[1], whole[4]]).toEqual([0, 0]);
      assertClose(
        places.map((t) => whole[t]!),
        alone,
        { tolerance: COMBINE_ALONE, what: combiner.name },
      );
    }
  });

  test("a single present task has weight 1, and none leaves zeros", () => {
    const gradients = [
      [1, 2],
      [-3, 1],
      [0.5, 0],
    ];
    expect(weigh({ gradients, present: [0, 1, 0] })).toEqual([0, 1, 0]);
    expect(weigh({ gradients, present: [0, 0, 0] })).toEqual([0, 0, 0]);
    expect(
      weigh({
        gradients: [
          [0, 0],
          [1, 1],
        ],
        present: [1, 0],
      }),
    ).toEqual([1, 0]);
  });

  test("the order of the tasks is no matter", () => {
    const gradients = drawGradients(randomFrom("permuted"), 5);
    const orders = [
      [4, 2, 1, 3],
      [0, 3, 4, 2],
      [1, 0, 3, 4],
      [2, 4, 0, 1],
      [3, 2, 1, 0],
    ];
    const places = [3, 0, 4, 1, 2];
    const expected = weigh({ gradients, orders });
    const found = weigh({
      gradients: places.map((t) => gradients[t]!),
      orders: places.map((t) => orders[t]!.map((j) => places.indexOf(j))),
    });
    const back = expected.map((_, t) => found[places.indexOf(t)]!);
    assertClose(back, expected, { tolerance: COMBINE_ALONE, what: combiner.name });
  });

  test.each([1e-20, 1e-4, 1e20])("gradients times %d are weighed alike", (scale) => {
    const gradients = drawGradients(randomFrom("scaled"), 4);
    const scaled = gradients.map((row) => row.map((value) => scale * value));
    const free = runnerOf(combiner, combiner.name === "nash" ? { max_norm: 0 } : {});
    assertClose(free.weigh({ gradients: scaled }), free.weigh({ gradients }), {
      tolerance: COMBINE_ALONE,
      what: combiner.name,
    });
  });
});

/** Methods that have a positive product with every gradient wherever some direction has. */
const SERVE_ALL = ["mgda", "upgrad", "imtl", "nash"];

/** Steps at which a method has nothing to hold on to. */
const DEGENERATE: readonly {
  readonly name: string;
  readonly gradients: number[][];
  /** Whether a convex combination of them is 0, so that no direction serves all. */
  readonly isStationary: boolean;
}[] = [
  {
    name: "equal gradients",
    gradients: [
      [1, -2, 3],
      [1, -2, 3],
      [1, -2, 3],
    ],
    isStationary: false,
  },
  {
    name: "opposite gradients",
    gradients: [
      [1, -2, 3],
      [-1, 2, -3],
    ],
    isStationary: true,
  },
  {
    name: "opposite gradients of other length",
    gradients: [
      [1, -2, 3],
      [-2, 4, -6],
    ],
    isStationary: true,
  },
  {
    name: "a gradient of 0",
    gradients: [
      [1, 2, 0],
      [0, 0, 0],
      [-1, 1, 1],
    ],
    isStationary: true,
  },
  {
    name: "gradients of 0",
    gradients: [
      [0, 0],
      [0, 0],
      [0, 0],
    ],
    isStationary: true,
  },
  {
    name: "more tasks than numbers",
    gradients: [
      [1, 0],
      [1, 1],
      [0, 1],
      [-1, 1],
      [-1, 2],
    ],
    isStationary: false,
  },
  {
    name: "a sum of 0",
    gradients: [
      [1, 0],
      [-0.5, 0.75],
      [-0.5, -0.75],
    ],
    isStationary: true,
  },
  {
    name: "one in the plane of the others",
    gradients: [
      [1, 0, 0],
      [0, 1, 0],
      [0.5, 0.5, 0],
    ],
    isStationary: false,
  },
  {
    name: "lengths of a billion to one",
    gradients: [
      [1e5, 0, 1],
      [1e-4, 1e-4, 0],
    ],
    isStationary: false,
  },
];

describe.each(combiners)("$name, where it is degenerate", (combiner) => {
  const { weigh, weighOnOrt } = runnerOf(combiner);

  test.each(DEGENERATE)("$name: finite weights, in both engines", ({ gradients }) => {
    const given = { gradients };
    const found = weigh(given);
    expect(found.every(Number.isFinite), String(found)).toBe(true);
    const onOrt = weighOnOrt(given, library);
    expect(onOrt.every(Number.isFinite), String(onOrt)).toBe(true);
    const longest = Math.max(...gradients.map((row) => Math.sqrt(dot(row, row))));
    const length = Math.sqrt(dot(combine(gradients, found), combine(gradients, found)));
    expect(length).toBeLessThanOrEqual(gradients.length * longest * 1.0001);
  });

  if (SERVE_ALL.includes(combiner.name))
    test.each(DEGENERATE)(
      "$name: a result serves all tasks, and stands still only where none can",
      ({ gradients, isStationary }) => {
        const combined = combine(gradients, weigh({ gradients }));
        const gains = gradients.map((row) => dot(row, combined));
        const [length, ...lengths] = [combined, ...gradients].map((row) => Math.sqrt(dot(row, row)));
        if (!isStationary) for (const gain of gains) expect(gain).toBeGreaterThan(0);
        else if (combiner.name === "mgda")
          expect(length).toBeLessThan(COMBINE_INEXACT * Math.max(1, ...lengths));
      },
    );

  test("equal gradients give one along them", () => {
    const gradient = [1, -2, 3];
    const weights = weigh({ gradients: [gradient, gradient, gradient] });
    const sum = weights.reduce((total, weight) => total + weight, 0);
    expect(sum).toBeGreaterThan(0.25);
    expect(sum).toBeLessThanOrEqual(3.001);
  });
});

test.each(combiners)("$name of 40 tasks compiles for both targets in at most 7,000 nodes", (combiner) => {
  const graph = combinerGraph(combiner, 40);
  for (const target of ["cpu", "cuda"] as const)
    expect(lowerGraph(graph, target, OPS).nodes.length).toBeLessThan(7_000);
});
