// Batch norm by rows of pixels, forward and derivative together as a step has them: what it loses to rounding
// beside the form in two passes, also where means are large; that every number of it counts; and that in
// float16 nothing of the images' size is kept or moved in float32.
import { describe, expect, test } from "vitest";
import { GraphBuilder } from "../../compiler/ir/builder.ts";
import { interpret } from "../../compiler/ir/interpret.ts";
import type { NDArray } from "../../compiler/ir/op.ts";
import { rewriteGraph } from "../../compiler/ir/rewrite.ts";
import { elementCount, type Graph, isFloat, type Value } from "../../compiler/ir/types.ts";
import { finishGraph } from "../../compiler/lower/finishGraph.ts";
import { ruleOf, shapeKey } from "../../compiler/lower/forms.ts";
import { TARGET_TRAITS } from "../../compiler/lower/targets.ts";
import { OPS } from "../../compiler/ops/table.ts";
import { assertClose } from "../assertClose.ts";
import { randomFrom } from "../ops/sampleGraph.ts";
import { relativeDistance } from "../step/tensors.ts";
import {
  FLOAT16_NORM,
  FLOAT16_NORM_OF_ONE_SIGN,
  FLOAT32_GAP_FACTOR,
  FLOAT32_ROUNDING,
  FORM_FLOAT64,
} from "../tolerances.ts";
import { interpretRounded, roundArray } from "./roundedInterpreter.ts";

type Activation = "float16" | "float32";
type Images = readonly [N: number, C: number, H: number, W: number];

/** The forms of the norm and of its gradient. */
const ROWS = ["imageRows", "imageRows"] as const;
const PRODUCTS = ["imageRows", "imageRowProducts"] as const;
const PASSES = ["twoPass", "channelAffine"] as const;

const SHAPES: readonly Images[] = [
  [8, 3, 1, 1],
  [8, 3, 2, 2],
  [4, 3, 6, 5],
  [1, 3, 16, 16],
  [6, 3, 24, 24],
];
/** In standard deviations. */
const MEANS = [0, 3, 100];

/** A norm and its gradient; x and dy are inputs of type `dtype`. */
function normGraph(shape: Images, dtype: Activation): Graph {
  const b = new GraphBuilder("norm", OPS);
  const [, c] = shape;
  const [x, dy] = [b.input("x", dtype, shape), b.input("dy", dtype, shape)];
  const [scale, bias] = [b.input("scale", "float32", [c]), b.input("bias", "float32", [c])];
  const declare = (names: readonly string[], values: readonly Value[]): void =>
    values.forEach((value, i) => {
      b.output(names[i]!, value);
    });
  const forward = b.emitAll("BatchNormTraining", [x, scale, bias], {}, 3);
  declare(["y", "mean", "var"], forward);
  const gradient = b.emitAll("BatchNormTrainingGrad", [x, dy, scale, ...forward.slice(1)], {}, 3);
  declare(["dx", "dscale", "dbias"], gradient);
  return b.build();
}

/** For CUDA, in the forms named. */
function spelled(graph: Graph, forms: readonly [string, string]): Graph {
  const choices = new Map(graph.nodes.map((node, i) => [shapeKey(node), forms[i]!]));
  return finishGraph(graph, { target: "cuda", forms: choices });
}

/**
 * Images of deviation 1 round a mean, which the cotangent follows round one of its own: no sum of the
 * gradient cancels.
 */
function drawFeeds(graph: Graph, mean: number, cotangentMean = 0.3): Map<string, NDArray> {
  const random = randomFrom(`norm ${mean}`);
  // A sum of uniform numbers: near normal, of deviation 1.
  const draw = (): number => Array.from({ length: 12 }, random).reduce((sum, u) => sum + u, -6);
  const feeds = new Map<string, NDArray>();
  for (const { name, type } of graph.inputs) {
    const shape = type.shape.map(Number);
    const around = { x: mean, dy: cotangentMean, scale: 1, bias: 0 }[name] ?? 0;
    const spread = name === "scale" ? 0.1 : 1;
    const followed = name === "dy" ? feeds.get("x")?.data : undefined;
    const along = (i: number): number => (followed?.[i] ?? mean) - mean;
    const data = Float64Array.from(
      { length: elementCount(shape) },
      (_, i) => around + spread * draw() + along(i),
    );
    feeds.set(name, roundArray({ dtype: type.dtype, shape, data }));
  }
  return feeds;
}

function distances(found: ReadonlyMap<string, NDArray>, expected: ReadonlyMap<string, NDArray>) {
  return new Map(
    [...expected].map(([name, { data }]) => [name, relativeDistance(found.get(name)?.data, data)]),
  );
}

describe.each(SHAPES)("images [%i,%i,%i,%i]", (...shape) => {
  test.each(MEANS)("in float32, with a mean of %i deviations, rows lose no more than two passes", (mean) => {
    const graph = normGraph(shape, "float32");
    const feeds = drawFeeds(graph, mean);
    const expected = interpret(graph, feeds);
    const [rows, passes] = [ROWS, PASSES].map((forms) =>
      distances(interpretRounded(spelled(graph, forms), feeds), expected),
    );
    for (const [name, distance] of rows!)
      expect(distance, name).toBeLessThan(
        Math.max(FLOAT32_GAP_FACTOR * passes!.get(name)!, FLOAT32_ROUNDING),
      );
  });

  test.each(MEANS)("in float16, with a mean of %i deviations, rows lose a few roundings", (mean) => {
    const graph = normGraph(shape, "float16");
    const feeds = drawFeeds(graph, mean);
    const expected = interpret(graph, feeds);
    const found = [ROWS, PRODUCTS].map((forms) =>
      distances(interpretRounded(spelled(graph, forms), feeds), expected),
    );
    for (const [name, distance] of found.flatMap((each) => [...each]))
      expect(distance, name).toBeLessThan(/mean|var/.test(name) ? FLOAT32_ROUNDING : FLOAT16_NORM);
  });
});

test("in float16, a cotangent of one sign costs dx no more than its own rounding does", () => {
  const graph = normGraph([6, 3, 24, 24], "float16");
  const feeds = drawFeeds(graph, 0, 10);
  const found = distances(interpretRounded(spelled(graph, ROWS), feeds), interpret(graph, feeds));
  // Sums of rows are rounded to float16, as dy is, by 2^-11 of a mean that is 10 times what is left of it.
  expect(found.get("dx")).toBeLessThan(FLOAT16_NORM_OF_ONE_SIGN);
  expect(found.get("dbias")).toBeLessThan(FLOAT16_NORM);
});

/** The graph with output `index` of its node number `place` times 1.001. */
function withFault(graph: Graph, place: number, index: number): Graph {
  let at = 0;
  return rewriteGraph(graph, OPS, (node, b) => {
    if (at++ !== place) return undefined;
    const outputs = b.emitAll(node.op.name, node.inputs, node.attrs, node.outputs.length);
    return outputs.map((value, i) => (i === index ? b.mul(value, b.scalar(1.001, value.type.dtype)) : value));
  }).graph;
}

test.each([ROWS, PRODUCTS])("a fault of a thousandth in any number of %s and %s is found", (...forms) => {
  const graph = normGraph([3, 2, 4, 5], "float32");
  const feeds = drawFeeds(graph, 0.5);
  const expected = interpret(graph, feeds);
  const form = spelled(graph, forms);
  const compare = (found: Graph): void => {
    const numbers = interpret(found, feeds);
    for (const [name, { data }] of expected)
      assertClose(numbers.get(name)!.data, data, { tolerance: FORM_FLOAT64, what: name });
  };
  compare(form);
  form.nodes.forEach((node, place) => {
    node.outputs.forEach((output, index) => {
      if (!isFloat(output.type.dtype)) return;
      expect(() => compare(withFault(form, place, index)), output.name).toThrow("off by");
    });
  });
});

test("forward and gradient normalise the rows once; in float16 no images are float32", () => {
  const shape = [4, 3, 6, 5] as const;
  const form = spelled(normGraph(shape, "float16"), ROWS);
  const count = (name: string): number => form.nodes.filter(({ op }) => op.name === name).length;
  expect(count("LayerNormalization")).toBe(1);
  // The two applications, two tables forward, two back, and the two vectors that are divided.
  expect(count("BatchNormalization")).toBe(8);
  expect(form.nodes.filter(({ op }) => op.name !== "Reshape").length).toBeLessThanOrEqual(34);
  const large = form.nodes
    .flatMap(({ outputs }) => outputs)
    .filter(({ type }) => elementCount(type.shape) >= 360);
  expect(new Set(large.map(({ type }) => type.dtype))).toEqual(new Set(["float16"]));
  // y, dx and what they are made of.
  expect(large.length).toBeGreaterThan(6);
});

test("the constants of several norms of one size are there once", () => {
  const b = new GraphBuilder("two norms", OPS);
  const [scale, bias] = [b.input("scale", "float32", [8]), b.input("bias", "float32", [8])];
  const norm = (x: Value): Value => b.emit("BatchNormTraining", [x, scale, bias]);
  b.output("y", norm(norm(b.input("x", "float32", [16, 8, 10, 10]))));
  const form = finishGraph(b.build(), { target: "cuda" });
  const sizes = [...form.constants.keys()].map(({ type }) => elementCount(type.shape));
  // Ones of a row; zeros and ones of all rows.
  expect(sizes.filter((size) => size > 64).sort()).toEqual([100, 128, 128]);
});

test("the table takes rows for both where they are long, and for neither where they are not", () => {
  const formsOf = (shape: Images) =>
    normGraph(shape, "float16").nodes.map((node) => ruleOf(TARGET_TRAITS.cuda.forms, node.op)?.(node));
  expect(formsOf([2, 3, 4, 4])).toEqual(ROWS);
  expect(formsOf([64, 3, 3, 5])).toEqual(PASSES);
});
