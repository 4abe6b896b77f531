// compiler/bundle/CONTRACT.md is held to the code: its test vectors are what the code gives, and every word
// of a manifest that a driver meets stands on it. UPDATE_README=1 rewrites the vectors (refused where CI is
// set).
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { compile } from "../../compiler/compile.ts";
import { AUGMENT_NAMES } from "../../compiler/spec/augmentKeys.ts";
import { resolveSpec } from "../../compiler/spec/parseSpec.ts";
import type { SpecInput } from "../../compiler/spec/schema.ts";
import { compileExperiment } from "../step/experiment.ts";
import { ORDERED } from "../step/testCombiners.ts";
import { contractVectors } from "./contractVectors.ts";

const PAGE = join(import.meta.dirname, "..", "..", "compiler", "bundle", "CONTRACT.md");
const vectors = contractVectors();

function between(name: string): RegExp {
  return new RegExp(`(<!-- vectors-${name}:begin -->\\n)([\\s\\S]*?)(<!-- vectors-${name}:end -->)`);
}

if (process.env.UPDATE_README === "1") {
  if (process.env.CI) throw new Error("UPDATE_README is for people, not for CI");
  let text = readFileSync(PAGE, "utf8");
  for (const [name, lines] of Object.entries(vectors))
    text = text.replace(between(name), (_, begin, _old, end) => `${begin}${lines}\n${end}`);
  writeFileSync(PAGE, text);
}
const page = readFileSync(PAGE, "utf8");

describe("the contract", () => {
  test.each(Object.entries(vectors))("holds the vectors of the code: %s", (name, lines) => {
    expect(between(name).exec(page)?.[2]).toBe(`${lines}\n`);
  });

  test("has vectors of the code alone", () => {
    const named = [...page.matchAll(/<!-- vectors-(\w+):begin -->/g)].map(([, name]) => name);
    expect(named).toEqual(Object.keys(vectors));
  });

  test("names every operation of augmentation", () => {
    expect(AUGMENT_NAMES.filter((name) => !page.includes(`\`${name}\``))).toEqual([]);
  });

  test("has images of one channel read as grey, and of three as the spec says", () => {
    const greyOf = (spec: Partial<SpecInput>): boolean =>
      compileExperiment(spec, CLASSES).bundle.manifest.preprocessing.greyscale;
    expect([{ num_channels: 1 }, { single_channel: true }, {}].map(greyOf)).toEqual([true, true, false]);
  });

  test("names every key and word of a manifest that a driver reads", () => {
    const layers: Partial<SpecInput> = { batchnorm: true, shared_layers: [4, "d"] };
    const shared: Partial<SpecInput> = { augment: { mask: 0.5 }, optimizer: "adamw", weight_decay: 0.01 };
    const manifests = [
      compileExperiment({ ...layers, ...shared, class_weights: "balanced", accumulate: 2 }, CLASSES),
      compileExperiment({ ...layers, train_fcn: false, task_weights: "adaptive" }, CLASSES),
      compileExperiment({ class_weights: { a: { "1": 2 } }, precision: "fp16" }, CLASSES, undefined, "cuda"),
      compileExperiment({ cache_features: true, train_fcn: false, ema: 0.9, one_cycle: true }, CLASSES),
      ...(["exponential", "staircase", "cosine", "warmupcosine"] as const).map((decay_type) =>
        compileExperiment({ lr_decay: 9, decay_type, warmup: 3 }, CLASSES),
      ),
      compileExperiment({ warmup: 3, optimizer: "lars" }, CLASSES),
      compileExperiment({}, { a: 3, b: 2, c: 2 }, undefined, "cpu", { combination: ORDERED }),
      ...(["dwa", "rlw", "famo"] as const).map((combine) => compileExperiment({ combine }, CLASSES)),
      {
        bundle: compile(NUMBER_SPEC, [{ task: "n", kind: "number", mean: [2], deviation: [3], loss: "l2" }]),
      },
    ].map(({ bundle }) => bundle.manifest);
    const words = new Set(manifests.flatMap((manifest) => [...wordsOf(manifest)]));
    expect([...words].filter((word) => !page.includes(`\`${word}\``))).toEqual([]);
    for (const known of [
      "class_index",
      "number",
      "absolute_error",
      "inverse_weight",
      "scaled_bernoulli",
      "loss_scale",
      "average",
      "cosine_restarts",
      "one_cycle",
      "dynamic_average",
      "random_softmax",
      "features",
      "purpose",
      "replaces",
      "task_orders",
      "gram",
      "gradient_weights",
      "factor",
    ])
      expect(words).toContain(known);
  });
});

const CLASSES = { a: 3, b: 2 };
const NUMBER_SPEC = resolveSpec({
  tasks: [{ name: "n", kind: "number", loss: "l2" }],
  ...{
    fcn: { layers: [4] },
    train_fcn: true,
    task_layers: [],
    imshape: [6, 6],
    batch_size: 4,
    accumulate: 2,
  },
});
/** Keys whose values are words of the contract. */
const CODED: ReadonlySet<string> = new Set(
  "purpose role scalar formula draw encoding figure prediction group kind".split(" "),
);
/** Keys below which everything is the experiment's own, or for reports. */
const FREE: ReadonlySet<string> = new Set(["spec", "parameters", "forms"]);

/** Keys, and the values of coded ones, all the way down. */
function* wordsOf(value: unknown): Iterable<string> {
  if (Array.isArray(value)) for (const each of value) yield* wordsOf(each);
  else if (typeof value === "object" && value !== null)
    for (const [key, inner] of Object.entries(value)) {
      if (!FREE.has(key)) yield* key === "graphs" ? graphWords(inner) : wordsOf(inner);
      yield key;
      if (CODED.has(key) && typeof inner === "string") yield inner;
    }
}

/** The graphs' names are no words of the contract. */
function* graphWords(graphs: object): Iterable<string> {
  for (const graph of Object.values(graphs)) yield* wordsOf(graph);
}
