// Factors of losses that a step learns (famo): what takes part, what is computed once for both forward
// passes, steps that overflow, and what is refused; on the float64 reference and on ONNX Runtime.
// famoParts.test.ts has steps in parts.
import { describe, expect, test } from "vitest";
import { learningOf } from "../../compiler/combine/combiners.ts";
import type { NDArray } from "../../compiler/ir/op.ts";
import { resolveSpec } from "../../compiler/spec/parseSpec.ts";
import type { SpecInput } from "../../compiler/spec/schema.ts";
import { LOSS_SCALE } from "../../compiler/step/lossScaling.ts";
import { faultsOf } from "../spec/faultsOf.ts";
import { SUM_ORDER_FLOAT32 } from "../tolerances.ts";
import type { TracedBundle } from "../training/tracedGraphs.ts";
import { distances, hiding, NAMES, RATE, rounding, SPEC, TASKS } from "./combinedSteps.ts";
import { compileExperiment, initialState, nextState, randomBatch, tensorOf, train } from "./experiment.ts";
import {
  BEFORE,
  FAMO,
  LOGITS,
  lossesOf,
  M,
  movedState,
  numbers,
  STARTED,
  shares,
  started,
  sumOf,
  V,
} from "./factoredSteps.ts";
import { RUNTIMES, type Tensors, withRunner } from "./graphRunner.ts";
import { relativeDistance, sameBits } from "./tensors.ts";

describe.each(RUNTIMES)("on %s", (runtime) => {
  test.each<[string, string[]]>([
    ["all labels", []],
    ["a task without labels", ["b"]],
    ["two tasks without labels", ["a", "c"]],
    ["no labels at all", NAMES],
  ])("weights and logits are those of the losses before and after the step: %s", (_, hidden) => {
    const [traced, plain] = [compileExperiment(FAMO, TASKS), compileExperiment(SPEC, TASKS)];
    withRunner(runtime, traced, (run) => {
      const state = started(traced);
      const batch = hiding(randomBatch(traced.bundle, "famo"), hidden);
      const outputs = train(run, traced.bundle, state, batch, RATE);
      const losses = lossesOf(outputs);
      const next = nextState(state, outputs);
      const after = lossesOf(train(run, traced.bundle, next, batch, RATE));
      const isThere = NAMES.map((task) => !hidden.includes(task));
      const z = shares(numbers(state, LOGITS), isThere);
      const quotients = z.map((share, t) => share / (losses[t]! + 1e-8));
      const weights = quotients.map((each) => each / (sumOf(quotients) || 1));
      const near = (name: string, found: Tensors, wanted: readonly number[]) =>
        expect(relativeDistance(found.get(name)?.data, Float64Array.from(wanted)), name).toBeLessThan(
          rounding(runtime),
        );
      near("gradient_weights", outputs, weights);
      expect(numbers(outputs, "gradient_weights").map((weight) => weight === 0)).toEqual(
        isThere.map((is) => !is),
      );
      for (const [name, wanted] of movedState(state, losses, after, hidden)) {
        near(name, next, wanted);
        // A task that takes no part rests to the bit.
        const rests = NAMES.map((__, t) => hidden.length > 1 || !isThere[t]);
        for (const [t, is] of rests.entries())
          if (is) expect(numbers(next, name)[t]).toBe(numbers(state, name)[t]);
      }
      if (hidden.length < 2) return;
      // One task alone has its own gradient: the sum's step.
      const sum = withRunner(runtime, plain, (ofSum) => {
        const own = new Map([...state].filter(([name]) => plain.bundle.state.has(name)));
        return nextState(own, train(ofSum, plain.bundle, own, batch, RATE));
      });
      expect(distances(next, sum)).toBeLessThan(rounding(runtime));
    });
  });
});

describe("the second forward pass", () => {
  const nodesOf = (traced: TracedBundle, is: (origin: string) => boolean): number =>
    traced.stages.get("train/5-final")?.nodes.filter(({ outputs: [y] }) => is(y?.origin ?? "")).length ?? 0;

  test("takes augmented images and what a frozen fcn gives from the first", () => {
    const keys: Partial<SpecInput> = { ...SPEC, augment: { flip_left_right: true, gaussian_blur: 0.5 } };
    for (const train_fcn of [true, false]) {
      const [plain, famo] = [SPEC.combine, FAMO.combine].map((combine) =>
        compileExperiment({ ...keys, train_fcn, ...(combine && { combine }) }, TASKS),
      ) as [TracedBundle, TracedBundle];
      const isAugmenting = (origin: string): boolean => origin.startsWith("augment");
      expect(nodesOf(plain, isAugmenting)).toBeGreaterThan(5);
      expect(nodesOf(famo, isAugmenting)).toBe(nodesOf(plain, isAugmenting));
      const isLayer = (origin: string): boolean => origin.startsWith("fcn.layers[0]");
      const once = nodesOf(plain, isLayer);
      if (train_fcn) expect(nodesOf(famo, isLayer)).toBeGreaterThan(once);
      else expect(nodesOf(famo, isLayer)).toBe(once);
    }
  });

  test("has the masks and the batch moments of the first, and moves no statistic", () => {
    const keys: Partial<SpecInput> = { batchnorm: true, shared_layers: [4, "d"], dropout_rate: 0.5 };
    const [plain, famo] = [{}, { combine: FAMO.combine }].map((more) =>
      compileExperiment({ ...SPEC, ...keys, ...more } as Partial<SpecInput>, TASKS),
    ) as [TracedBundle, TracedBundle];
    const state = initialState(plain.bundle);
    const batch = randomBatch(plain.bundle, "masks");
    expect([...batch.keys()].filter((name) => name.startsWith("mask/")).length).toBe(1);
    const step = (traced: TracedBundle) =>
      withRunner("ONNX Runtime", traced, (run) =>
        train(run, traced.bundle, new Map([...initialState(traced.bundle), ...state]), batch, RATE),
      );
    const [ofSum, ofFamo] = [step(plain), step(famo)];
    const statistics = plain.bundle.manifest.state.filter(({ group }) => group === "statistic");
    expect(statistics.length).toBeGreaterThan(3);
    for (const { name } of statistics)
      expect(sameBits(ofFamo.get(`next/${name}`), tensorOf(ofSum, `next/${name}`)), name).toBe(true);
  });

  test("is there in the graph on features, too, and nothing is in parts", () => {
    const cached = compileExperiment({ ...FAMO, train_fcn: false, cache_features: true }, TASKS);
    expect(Object.keys(cached.bundle.manifest.graphs).toSorted()).toEqual(
      ["evaluate", "evaluate_features", "train", "train_features", "trunk"].toSorted(),
    );
    const ofFeatures = cached.bundle.manifest.graphs.train_features;
    expect(ofFeatures?.outputs.map(({ name }) => name)).toEqual(
      expect.arrayContaining(["gradient_weights", `next/${LOGITS}`]),
    );
    withRunner("ONNX Runtime", cached, (run) => {
      const state = started(cached);
      const batch = randomBatch(cached.bundle, "cached");
      const features = tensorOf(run("trunk", batch), "features");
      const images = nextState(state, train(run, cached.bundle, state, batch, RATE));
      const rate: NDArray = { dtype: "float32", shape: [], data: Float64Array.of(RATE) };
      const feeds = new Map([...state, ...batch]).set("features", features).set("learning_rate", rate);
      const found = nextState(state, run("train_features", feeds));
      const floats = [...images].filter(([, { dtype }]) => dtype === "float32");
      expect(distances(found, new Map(floats))).toBeLessThan(SUM_ORDER_FLOAT32);
    });
  });
});

describe("in float16 with a scaled loss", () => {
  const mixed = compileExperiment({ ...FAMO, precision: "fp16" }, TASKS, undefined, "cuda");
  const scaled = (scale: number): Map<string, NDArray> =>
    started(mixed).set(LOSS_SCALE, { dtype: "float32", shape: [], data: Float64Array.of(scale) });
  const batch = randomBatch(mixed.bundle, "overflow");

  test("a step that overflows moves neither parameters nor factors", () => {
    withRunner("ONNX Runtime", mixed, (run) => {
      const state = scaled(2 ** 120);
      const outputs = train(run, mixed.bundle, state, batch, RATE);
      for (const [name, before] of state)
        if (name === "optimizer.step" || !name.startsWith("optimizer."))
          expect(sameBits(outputs.get(`next/${name}`), before), name).toBe(true);
    });
  });

  test("losses that overflow after a step leave the factors as they were", () => {
    withRunner("ONNX Runtime", mixed, (run) => {
      const state = scaled(1);
      const outputs = train(run, mixed.bundle, state, batch, 1e7);
      expect(tensorOf(outputs, "next/optimizer.step").data[0]).toBe(BEFORE + 1);
      for (const [name] of STARTED)
        expect(sameBits(outputs.get(`next/${name}`), tensorOf(state, name)), name).toBe(true);
    });
  });

  test("the factors know no scale", () => {
    withRunner("the float64 reference", mixed, (run) => {
      const [one, many] = [1, 2 ** 12].map((scale) => train(run, mixed.bundle, scaled(scale), batch, RATE));
      for (const name of ["gradient_weights", ...STARTED.map(([each]) => `next/${each}`)])
        expect(relativeDistance(many?.get(name)?.data, tensorOf(one!, name).data), name).toBeLessThan(
          SUM_ORDER_FLOAT32,
        );
    });
  });
});

describe("a spec of famo", () => {
  const base: SpecInput = { tasks: ["a", "b"], fcn: { layers: [8] }, train_fcn: true, combine: "famo" };

  test.each<[Partial<SpecInput>, string, RegExp]>([
    [{ task_weights: "adaptive" }, "combine", /task_weights: adaptive learns other weights/],
    [{ task_weights: [1, 2] }, "task_weights", /famo makes all losses fall alike, whatever fixed weights/],
  ])("is refused with %o", (more, path, message) => {
    const faults = faultsOf(() => resolveSpec({ ...base, ...more }));
    expect(faults.map(({ at }) => at?.path)).toEqual([path]);
    expect(faults[0]?.message).toMatch(message);
    expect(faults[0]?.hint).toBeDefined();
  });

  test("keeps no factors of a single task", () => {
    expect(learningOf(resolveSpec({ ...base, tasks: ["a"] }))).toBeUndefined();
    const { bundle } = compileExperiment({ ...FAMO, accumulate: 2 }, { a: 3 });
    expect(Object.keys(bundle.manifest.graphs).toSorted()).toEqual(["apply", "evaluate", "grad", "train"]);
    expect(bundle.manifest.state.filter(({ group }) => group === "factor")).toEqual([]);
  });

  test("has state of its own, zeros of each task, and no weight that the host feeds", () => {
    const { bundle } = compileExperiment(FAMO, TASKS);
    const { graphs, state } = bundle.manifest;
    expect(state.filter(({ group }) => group === "factor")).toEqual(
      [LOGITS, M, V].map((name) => ({
        ...{ name, dtype: "float32", shape: [3] },
        ...{ group: "factor", part: "optimizer" },
      })),
    );
    for (const [name] of STARTED) expect(numbers(initialState(bundle), name)).toEqual([0, 0, 0]);
    const fed = graphs.train?.inputs.flatMap(({ name, role }) => (role === "scalar" ? [name] : []));
    expect(fed).toEqual(["learning_rate"]);
    expect(Object.keys(graphs)).toEqual(["train", "evaluate"]);
  });
});
