// Class weights in the loss: PyTorch's numbers, and what a weighted step owes on both runtimes.
import { describe, expect, test } from "vitest";
import { appendGradients } from "../../compiler/autodiff/reverse.ts";
import { GraphBuilder } from "../../compiler/ir/builder.ts";
import { interpret } from "../../compiler/ir/interpret.ts";
import type { NDArray } from "../../compiler/ir/op.ts";
import { buildTaskLoss } from "../../compiler/model/objective.ts";
import { OPS } from "../../compiler/ops/table.ts";
import { openTask } from "../../compiler/tasks/openTask.ts";
import { OrtLibrary } from "../../runtime/ort/library.ts";
import { runOnOrt } from "../ops/runOnOrt.ts";
import { GRAD_APPLY, MICRO_BATCHES, REFERENCE_DIGITS, REFERENCE_FLOAT32 } from "../tolerances.ts";
import {
  compileExperiment,
  gradAndApply,
  gradientsOf,
  initialState,
  nextState,
  randomBatch,
  tensorOf,
  train,
  withoutLabels,
} from "./experiment.ts";
import { RUNTIMES, withRunner } from "./graphRunner.ts";
import { relativeDistance } from "./tensors.ts";

const RATE = 0.01;
const WEIGHTS = [0.5, 1.5, 2.5];

function array(dtype: NDArray["dtype"], shape: readonly number[], numbers: readonly number[]): NDArray {
  return { dtype, shape, data: Float64Array.from(numbers) };
}

/** weightedSum, lossSum, and the gradient of weightedSum * inverse, on both runtimes. */
function runLoss(logits: readonly number[], labels: readonly number[], inverse: number) {
  const b = new GraphBuilder("loss", OPS);
  const x = b.input("logits", "float32", [labels.length, 3]);
  const task = openTask({ task: "t", classes: ["a", "b", "c"] });
  const { objective, figures } = buildTaskLoss(b, task, x, labels.length, { formula: "balanced" });
  const mean = b.mul(objective, b.input("inverse", "float32", []));
  b.output("weighted", objective);
  b.output("plain", figures.loss_sum ?? objective);
  b.output("gradient", appendGradients(b, mean, [x]).get(x) ?? x);
  const graph = b.build();
  const feeds = new Map([
    ["logits", array("float32", [labels.length, 3], logits)],
    ["label/t", array("int64", [labels.length], labels)],
    ["class_weight/t", array("float32", [3], WEIGHTS)],
    ["inverse", array("float32", [], [inverse])],
  ]);
  return [
    { outputs: interpret(graph, feeds), tolerance: REFERENCE_DIGITS },
    { outputs: runOnOrt(OrtLibrary.open(), graph, feeds, OPS), tolerance: REFERENCE_FLOAT32 },
  ].map(({ outputs, tolerance }) => ({
    numbers: (name: string) => Array.from(tensorOf(outputs, name).data),
    tolerance,
  }));
}

describe("the weighted loss", () => {
  const LOGITS = [2, 1, 0, 0, 0, 0, 1, -1, 3, 0.5, 0.2, -0.1];
  const LABELS = [0, -1, 2, 1];

  // torch 2.13: CrossEntropyLoss(weight=WEIGHTS, ignore_index=-1) in float64
  const PYTORCH_LOSS = 0.5008260685;
  const PYTORCH_GRADIENT = [
    -0.0371954494, 0.0271920523, 0.010003397, 0, 0, 0, 0.0651724599, 0.0088201333, -0.0739925932, 0.145583939,
    -0.2254820987, 0.0798981597,
  ];

  test("is PyTorch's, value and gradient, beside the plain one", () => {
    for (const { numbers, tolerance } of runLoss(LOGITS, LABELS, 1 / 4.5)) {
      expect(Math.abs((numbers("weighted")[0] ?? 0) / 4.5 - PYTORCH_LOSS)).toBeLessThan(tolerance);
      expect(Math.abs((numbers("plain")[0] ?? 0) / 3 - 0.559642588)).toBeLessThan(tolerance);
      numbers("gradient").forEach((value, i) => {
        expect(Math.abs(value - (PYTORCH_GRADIENT[i] ?? Number.NaN)), `number ${i}`).toBeLessThan(tolerance);
      });
    }
  });

  test("leaves rows without label out, whatever they hold: gradient exactly 0", () => {
    const wild = [...LOGITS];
    wild.splice(3, 3, 1e30, Number.POSITIVE_INFINITY, Number.NaN);
    for (const { numbers, tolerance } of runLoss(wild, LABELS, 1 / 4.5)) {
      expect(Math.abs((numbers("weighted")[0] ?? 0) / 4.5 - PYTORCH_LOSS)).toBeLessThan(tolerance);
      expect(
        numbers("gradient")
          .slice(3, 6)
          .every((value) => value === 0),
      ).toBe(true);
    }
    for (const { numbers } of runLoss(wild, [-1, -1, -1, -1], 0)) {
      expect(Math.abs(numbers("weighted")[0] ?? Number.NaN)).toBe(0);
      expect(numbers("gradient").every((value) => value === 0)).toBe(true);
    }
  });
});

describe.each(RUNTIMES)("a step with class weights on %s", (runtime) => {
  const tracedWith = (accumulate: number) =>
    compileExperiment(
      { task_weights: "adaptive", class_weights: { a: { "0": 2 } }, batch_size: 8, accumulate },
      { a: 3, b: 2 },
    );

  test.each([
    [1, GRAD_APPLY],
    [4, MICRO_BATCHES],
  ])("is grad in %i micro-batches and apply", (parts, tolerance) => {
    const traced = tracedWith(parts);
    const { bundle } = traced;
    const inputs = (bundle.manifest.graphs.grad?.inputs ?? []).map(({ name }) => name);
    expect(inputs.filter((name) => name.startsWith("class_weight/"))).toEqual(["class_weight/a"]);
    withRunner(runtime, traced, (run) => {
      const state = initialState(bundle);
      const batch = randomBatch(bundle, "class weights");
      const whole = nextState(state, train(run, bundle, state, batch, RATE));
      const halves = nextState(state, gradAndApply(run, bundle, state, batch, RATE, parts));
      for (const [name, { data }] of whole)
        expect(relativeDistance(halves.get(name)?.data, data), name).toBeLessThanOrEqual(tolerance);
    });
  });

  test("leaves a task without labels as it is, its adaptive weight too", () => {
    const traced = tracedWith(1);
    const { bundle } = traced;
    withRunner(runtime, traced, (run) => {
      const state = initialState(bundle);
      const batch = withoutLabels(randomBatch(bundle, "class weights"), "a");
      for (const [name, { data }] of gradientsOf(run, bundle, state, batch))
        if (name.startsWith("tasks.a."))
          expect(
            data.every((value) => value === 0),
            name,
          ).toBe(true);
      const next = nextState(state, train(run, bundle, state, batch, RATE));
      const [before, after] = [state, next].map((each) => tensorOf(each, "tasks.a.log_variance").data[0]);
      expect(after).toBe(before);
    });
  });
});
