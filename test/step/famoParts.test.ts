// Factors of losses that a step learns (famo), where its batch comes in parts: the step is that of the whole
// batch, however many micro-batches and processes share it.
import { describe, expect, test } from "vitest";
import { withRole } from "../../compiler/bundle/manifest.ts";
import type { NDArray } from "../../compiler/ir/op.ts";
import type { SpecInput } from "../../compiler/spec/schema.ts";
import { LOSS_SCALE } from "../../compiler/step/lossScaling.ts";
import { stepGraphs, stepRounds } from "../../runtime/train/stepRounds.ts";
import { MICRO_BATCHES, SUM_ORDER_FLOAT64 } from "../tolerances.ts";
import type { TracedBundle } from "../training/tracedGraphs.ts";
import { distances, hiding, NAMES, RATE, rounding, TASKS } from "./combinedSteps.ts";
import { compileExperiment, nextState, randomBatch, tensorOf, train } from "./experiment.ts";
import { BEFORE, FAMO, LOGITS, lossesOf, M, movedState, STARTED, started, V } from "./factoredSteps.ts";
import { RUNTIMES, type Tensors, withRunner } from "./graphRunner.ts";
import { sumOfArrays } from "./rankedSteps.ts";
import { alone, stepInRounds, together } from "./roundedSteps.ts";
import { relativeDistance, sameBits } from "./tensors.ts";

const SHARED: Partial<SpecInput> = { ...FAMO, shared_layers: [4, "d", "r"], batch_size: 8 };

function wholeStep(single: TracedBundle, batch: Tensors, state: Tensors): [next: Tensors, outputs: Tensors] {
  return withRunner("the float64 reference", single, (run) => {
    const outputs = train(run, single.bundle, state, batch, RATE);
    return [nextState(state, outputs), outputs];
  });
}

describe.each(RUNTIMES)("on %s a step in micro-batches is that of the whole batch", (runtime) => {
  test.each<[number, string[], Partial<SpecInput>]>([
    [2, [], {}],
    [4, ["b"], { optimizer: "adam" }],
    [8, ["a", "c"], { weight_decay: 0.01, clip_norm: 0.1, ema: 0.9 }],
    [2, NAMES, {}],
  ])("%i of them, without labels of %j, with %j", (accumulate, hidden, more) => {
    const traced = compileExperiment({ ...SHARED, ...more, accumulate }, TASKS);
    const batch = hiding(randomBatch(traced.bundle, "famo in parts"), hidden);
    withRunner(runtime, traced, (run) => {
      const state = started(traced);
      const outputs = train(run, traced.bundle, state, batch, RATE);
      const { next, told } = stepInRounds(traced, traced, alone(run), batch, state);
      expect(distances(next, nextState(state, outputs))).toBeLessThan(rounding(runtime));
      expect(tensorOf(next, "optimizer.step").data[0]).toBe(BEFORE + 1);
      // The logits have moved; those of whom nothing is known have not.
      const moves = sameBits(tensorOf(next, LOGITS), tensorOf(state, LOGITS));
      expect(moves).toBe(hidden.length > 1);
      const weights = [...(told.get("grad") ?? [])].map((each) => tensorOf(each, "gradient_weights"));
      expect(weights.length).toBe(accumulate);
      for (const each of weights)
        expect(relativeDistance(each.data, tensorOf(outputs, "gradient_weights").data)).toBeLessThan(
          rounding(runtime),
        );
    });
  });

  test("with norms of micro-batches logits move by the losses that the rounds tell", () => {
    const traced = compileExperiment({ ...SHARED, batchnorm: true, accumulate: 2 }, TASKS);
    const batch = hiding(randomBatch(traced.bundle, "figures"), ["b"]);
    withRunner(runtime, traced, (run) => {
      const state = started(traced);
      const { next, told } = stepInRounds(traced, traced, alone(run), batch, state);
      const lossesIn = (as: string): number[] => lossesOf(summedFigures(traced, told.get(as) ?? []));
      const [before, again, after] = ["losses before", "grad", "losses after"].map(lossesIn);
      expect(relativeDistance(again, Float64Array.from(before!))).toBeLessThan(rounding(runtime));
      expect(relativeDistance(after, Float64Array.from(before!))).toBeGreaterThan(MICRO_BATCHES);
      for (const [name, wanted] of movedState(state, before!, after!, ["b"]))
        expect(relativeDistance(tensorOf(next, name).data, Float64Array.from(wanted)), name).toBeLessThan(
          rounding(runtime),
        );
      // Statistics have moved once for each micro-batch, in the round of gradients alone.
      const [statistic] = traced.bundle.manifest.state.filter(({ group }) => group === "statistic");
      const last = told.get("grad")?.at(-1) ?? new Map();
      expect(tensorOf(next, statistic!.name)).toEqual(tensorOf(last, `next/${statistic!.name}`));
    });
  });
});

/** The figures of several micro-batches. */
function summedFigures({ bundle }: TracedBundle, told: readonly Tensors[]): Tensors {
  const figures = withRole(bundle.manifest.graphs.losses?.outputs ?? [], "figure");
  return new Map(
    figures.map(({ name }) => {
      const parts = told.map((each) => tensorOf(each, name));
      return [name, { ...parts[0]!, data: sumOfArrays(parts) }];
    }),
  );
}

describe("over several processes a step is that of one, on the float64 reference", () => {
  const norms = { ...SHARED, batchnorm: true };

  test.each<[number, number, string[], string]>([
    [2, 1, [], "1-built"],
    [4, 1, ["b"], "5-final"],
    [8, 1, ["a", "c"], "5-final"],
    [2, 2, [], "5-final"],
    [2, 4, ["b"], "1-built"],
    [4, 2, NAMES, "5-final"],
  ])("%i of them, in %i micro-batches, without labels of %j", (ranks, accumulate, hidden, stage) => {
    // Norms of a micro-batch are none of the whole batch.
    const spec = { ...(accumulate > 1 ? SHARED : norms), accumulate };
    const single = compileExperiment(spec, TASKS);
    const ranked = compileExperiment(spec, TASKS, undefined, "cpu", { ranks });
    const batch = hiding(randomBatch(single.bundle, "famo together"), hidden);
    const state = started(single);
    const [wanted, outputs] = wholeStep(single, batch, state);
    const { next, told } = stepInRounds(ranked, single, together(ranked, stage), batch, state);
    expect(distances(next, wanted)).toBeLessThan(SUM_ORDER_FLOAT64);
    for (const each of told.get("grad") ?? [])
      expect(
        relativeDistance(tensorOf(each, "gradient_weights").data, tensorOf(outputs, "gradient_weights").data),
      ).toBeLessThan(SUM_ORDER_FLOAT64);
    expect(stepRounds(ranked.bundle.manifest).first).toBe(accumulate > 1 ? "losses" : "grad");
  });

  test("batch norms of micro-batches over processes are those of one process", () => {
    const spec = { ...norms, accumulate: 2 };
    const single = compileExperiment(spec, TASKS);
    const ranked = compileExperiment(spec, TASKS, undefined, "cpu", { ranks: 2 });
    const batch = randomBatch(single.bundle, "norms together");
    const state = started(single);
    const wanted = withRunner("the float64 reference", single, (run) =>
      stepInRounds(single, single, alone(run), batch, state),
    );
    const { next } = stepInRounds(ranked, single, together(ranked, "5-final"), batch, state);
    expect(distances(next, wanted.next)).toBeLessThan(SUM_ORDER_FLOAT64);
  });
});

describe("in float16 with a scaled loss, in micro-batches", () => {
  const mixed = compileExperiment({ ...SHARED, precision: "fp16", accumulate: 2 }, TASKS, undefined, "cuda");
  const batch = randomBatch(mixed.bundle, "overflow in parts");
  const from = (scale: number): Map<string, NDArray> =>
    started(mixed).set(LOSS_SCALE, { dtype: "float32", shape: [], data: Float64Array.of(scale) });

  test("a step that overflows moves neither parameters nor factors", () => {
    withRunner("ONNX Runtime", mixed, (run) => {
      const state = from(2 ** 120);
      const { next } = stepInRounds(mixed, mixed, alone(run), batch, state);
      for (const [name, before] of state)
        if (name === "optimizer.step" || !name.startsWith("optimizer."))
          expect(sameBits(tensorOf(next, name), before), name).toBe(true);
      expect(tensorOf(next, LOSS_SCALE).data[0]).toBe(2 ** 119);
    });
  });

  test("looks at losses as the gradients do: in float16", () => {
    const castsIn = (graph: string): number =>
      mixed.stages.get(`${graph}/5-final`)!.nodes.filter(({ outputs: [y] }) => y?.type.dtype === "float16")
        .length;
    expect(castsIn("losses")).toBeGreaterThan(0);
    expect(castsIn("factors")).toBe(0);
    withRunner("ONNX Runtime", mixed, (run) => {
      const { next } = stepInRounds(mixed, mixed, alone(run), batch, from(1));
      expect(tensorOf(next, "optimizer.step").data[0]).toBe(BEFORE + 1);
      for (const [name] of STARTED)
        expect(sameBits(tensorOf(next, name), tensorOf(from(1), name))).toBe(false);
    });
  });
});

describe("the graphs of a step in parts", () => {
  test("are losses, grad, apply and factors, by what they take", () => {
    const { manifest } = compileExperiment({ ...SHARED, accumulate: 2 }, TASKS).bundle;
    expect(stepGraphs(manifest, "image")).toEqual(["losses", "grad", "apply", "factors"]);
    const rolesIn = (graph: string): string[] =>
      [...new Set(manifest.graphs[graph]?.inputs.map(({ role }) => role))].toSorted();
    expect(rolesIn("losses")).toEqual(["image", "label", "losses", "mask", "scalar", "state"]);
    expect(rolesIn("grad")).toEqual(["accumulator", "image", "label", "losses", "mask", "scalar", "state"]);
    expect(rolesIn("apply")).toEqual(["accumulator", "scalar", "state"]);
    expect(rolesIn("factors")).toEqual(["accumulator", "losses", "scalar", "state"]);
    // A look needs no factors, and no rate.
    const takes = manifest.graphs.losses?.inputs.map(({ name }) => name) ?? [];
    expect(takes.filter((name) => /^combine|^optimizer|learning_rate/.test(name))).toEqual([]);
    const changed = ["apply", "factors"].map((graph) =>
      withRole(manifest.graphs[graph]?.outputs ?? [], "state").map(({ replaces }) => replaces),
    );
    expect(changed[1]).toEqual([LOGITS, M, V]);
    expect(changed[0]).not.toContain(LOGITS);
  });

  test("are on features, too", () => {
    const spec = { ...SHARED, accumulate: 2, train_fcn: false, cache_features: true } as const;
    const { manifest } = compileExperiment(spec, TASKS).bundle;
    expect(stepGraphs(manifest, "features")).toEqual([
      "losses_features",
      "grad_features",
      "apply",
      "factors",
    ]);
  });
});
