// Graphs that read features computed once: on what trunk gives for a batch they do to the bit what train,
// grad and evaluate do with its images, and the frozen part is not in them.
import { describe, expect, test } from "vitest";
import type { SpecInput } from "../../compiler/spec/schema.ts";
import { faultsOf } from "../spec/faultsOf.ts";
import { accumulatorsOf, compileExperiment, initialState, randomBatch, tensorOf } from "./experiment.ts";
import { RUNTIMES, type Tensors, withRunner } from "./graphRunner.ts";
import { sameBits } from "./tensors.ts";
import { CORRELATED, CORRELATED_FEATURES } from "./testCombiners.ts";

const FROZEN: Partial<SpecInput> = {
  train_fcn: false,
  fcn: { layers: [4, "p"] },
  shared_layers: [4, "d"],
  batchnorm: true,
  task_weights: "adaptive",
};
const CLASSES = { a: 3, b: 2 };

/** Everything that a step takes beside state and batch, in float32 scalars. */
function scalars(): [string, { dtype: "float32"; shape: number[]; data: Float64Array }][] {
  const values = { learning_rate: 0.01, "inv_count/a": 0.5, "inv_count/b": 0.25 };
  return Object.entries(values).map(([name, value]) => [
    name,
    { dtype: "float32", shape: [], data: Float64Array.of(value) },
  ]);
}

function zeroSums(bundle: ReturnType<typeof compileExperiment>["bundle"]): Tensors {
  return new Map(
    accumulatorsOf(bundle).map(({ name, shape }) => {
      const count = shape.reduce((product, dim) => product * dim, 1);
      return [name, { dtype: "float32", shape, data: new Float64Array(count) }];
    }),
  );
}

describe.each(RUNTIMES)("features computed once, on %s", (runtime) => {
  const combinations = [undefined, CORRELATED, CORRELATED_FEATURES];
  const cases = combinations.flatMap((combination) =>
    ["train", "grad", "evaluate"].map((graph) => ({ graph, combination })),
  );
  test.each(cases)("$graph gives the same bits on them, $combination.combiner.name", (each) => {
    const { graph, combination } = each;
    const traced = compileExperiment(FROZEN, CLASSES, undefined, "cpu", { combination });
    const { bundle } = traced;
    withRunner(runtime, traced, (run) => {
      const batch = randomBatch(bundle, "features");
      const features = tensorOf(run("trunk", batch), "features");
      const rest = new Map([...initialState(bundle), ...batch, ...scalars(), ...zeroSums(bundle)]);
      const expected = run(graph, rest);
      const found = run(`${graph}_features`, new Map(rest).set("features", features));
      expect([...found.keys()].sort()).toEqual([...expected.keys()].sort());
      for (const [name, tensor] of expected) expect(sameBits(found.get(name), tensor), name).toBe(true);
      const others = run(`${graph}_features`, new Map(rest).set("features", doubled(features)));
      const differing = [...expected].filter(([name, tensor]) => !sameBits(others.get(name), tensor));
      expect(differing.length).toBeGreaterThan(1);
    });
  });
});

function doubled<T extends { data: Float64Array }>(tensor: T): T {
  return { ...tensor, data: tensor.data.map((value) => 2 * value) };
}

describe("the bundle of a frozen fcn", () => {
  test("holds them, without the frozen part, and says what they take", () => {
    const { bundle, stages } = compileExperiment({ ...FROZEN, accumulate: 2 }, CLASSES);
    expect(bundle.manifest.features).toEqual({ shape: [4, 3, 3], draws: 0 });
    for (const [graph, batch] of [["train_features", 4] as const, ["grad_features", 2] as const]) {
      const inputs = bundle.manifest.graphs[graph]?.inputs ?? [];
      expect(inputs.find(({ name }) => name === "features")?.shape).toEqual([batch, 4, 3, 3]);
      expect(inputs.map(({ name }) => name)).not.toContain("image");
      const constants = [...(stages.get(`${graph}/1-built`)?.constants.keys() ?? [])];
      expect(constants.filter(({ name }) => name.startsWith("fcn."))).toEqual([]);
    }
  });

  test("holds a trunk of augmented images where draws are kept", () => {
    const spec = { ...FROZEN, augment: { flip_left_right: true }, cache_features: { draws: 3 } };
    const { manifest } = compileExperiment(spec, CLASSES).bundle;
    expect(manifest.features).toEqual({ shape: [4, 3, 3], draws: 3 });
    const names = manifest.graphs.trunk_augmented?.inputs.map(({ name }) => name);
    expect(names).toEqual(["image", "augment"]);
  });

  test.each<[string, Partial<SpecInput>]>([
    ["a trained fcn", { train_fcn: true }],
    ["augmentation that is drawn anew", { augment: true }],
    ["cache_features: false", { cache_features: false }],
  ])("has none with %s", (_, more) => {
    const { manifest } = compileExperiment({ ...FROZEN, ...more }, CLASSES).bundle;
    expect(manifest.features).toBeUndefined();
    expect(Object.keys(manifest.graphs).filter((name) => /features|augmented/.test(name))).toEqual([]);
  });
});

describe("cache_features: true", () => {
  test.each<[string, Partial<SpecInput>, RegExp]>([
    ["a trained fcn", { train_fcn: true }, /the fcn is trained/],
    ["augmentation", { augment: true }, /other images in every epoch/],
    ["a teacher", { teacher: "model.onnx", distill_weight: 1 }, /the teacher looks at the images/],
    ["draws of no augmentation", { cache_features: { draws: 2 } }, /there is none/],
  ])("is refused with %s", (_, more, message) => {
    const spec = { ...FROZEN, cache_features: true, ...more };
    const [fault] = faultsOf(() => compileExperiment(spec, CLASSES));
    expect(fault).toMatchObject({ code: "E_CONFIG", at: { path: "cache_features" } });
    expect(fault?.message).toMatch(message);
  });
});
