// Whole training runs against an independent implementation (PyTorch, test/fixtures/training): the float64
// interpreter to 1e-8, for nets with and without batch norm, both as built and as lowered.
import { describe, expect, test } from "vitest";
import { interpret } from "../../compiler/ir/interpret.ts";
import type { NDArray } from "../../compiler/ir/op.ts";
import type { Graph } from "../../compiler/ir/types.ts";
import { resolveSpec } from "../../compiler/spec/parseSpec.ts";
import type { Spec, SpecInput } from "../../compiler/spec/schema.ts";
import { learningRateAt, scheduleOf } from "../../compiler/step/schedules.ts";
import {
  fixtureClassWeights,
  readFixture,
  startOf,
  TRAINING_CASES,
  type TrainingFixture,
} from "../fixtures/training/readFixture.ts";
import { relativeDistance } from "../step/tensors.ts";
import { FLOAT64_RUN } from "../tolerances.ts";
import { compileTraced } from "./tracedGraphs.ts";

describe.each(TRAINING_CASES)("50 steps of %s", (name) => {
  const fixture = readFixture(name);
  const spec = resolveSpec(fixture.spec as SpecInput);
  const initialValues = new Map(
    [...fixture.init].map(([key, { values }]) => [key, Float32Array.from(values)]),
  );
  const { stages } = compileTraced(spec, fixture.tasks, { initialValues });

  test.each(["train/1-built", "train/5-final"])(
    "the interpreter on %s agrees with float64 PyTorch",
    (stage) => {
      const graph = stages.get(stage);
      if (!graph) throw new Error(`no stage ${stage}`);
      const { state, losses } = trainInFloat64(graph, fixture, spec);
      fixture.steps.forEach((step, i) => {
        for (const [task, loss] of step.losses)
          expect(Math.abs((losses[i]?.get(task) ?? Number.NaN) - loss)).toBeLessThan(FLOAT64_RUN);
      });
      expect(fixture.final.size).toBeGreaterThan(10);
      for (const [key, { values }] of fixture.final)
        expect(relativeDistance(state.get(key)?.data, values), key).toBeLessThan(FLOAT64_RUN);
    },
  );
});

/** Runs every step of the fixture and returns the last state and the masked mean loss of each step. */
function trainInFloat64(graph: Graph, fixture: TrainingFixture, spec: Spec) {
  const state = new Map<string, NDArray>();
  for (const { name, type, role } of graph.inputs) {
    const shape = type.shape.map(Number);
    const start = startOf(fixture, name, role?.role === "state" ? role.of : undefined)?.values;
    const count = shape.reduce((product, dim) => product * dim, 1);
    state.set(name, {
      dtype: type.dtype,
      shape,
      data: start ? Float64Array.from(start) : new Float64Array(count),
    });
  }
  const schedule = scheduleOf(spec);
  const losses = fixture.steps.map((step, place) => {
    const feed = (name: string, data: ArrayLike<number | bigint>) => {
      const old = state.get(name);
      if (old) state.set(name, { ...old, data: Float64Array.from(data, Number) });
    };
    feed("image", step.image);
    feed("learning_rate", [learningRateAt(schedule, place, fixture.steps.length)]);
    const weights = fixture.spec.task_weights;
    fixture.tasks.forEach(({ task }, i) => {
      feed(`label/${task}`, step.labels.get(task) ?? []);
      feed(`task_weight/${task}`, [Array.isArray(weights) ? Number(weights[i]) : 1]);
    });
    for (const [task, classWeights] of fixtureClassWeights(fixture))
      feed(`class_weight/${task}`, classWeights);
    for (const [mask, values] of step.masks) feed(mask, values);
    const outputs = interpret(graph, state);
    for (const [name, value] of outputs)
      if (name.startsWith("next/")) state.set(name.slice("next/".length), value);
    const scalar = (name: string) => outputs.get(name)?.data[0] ?? Number.NaN;
    return new Map(
      [...step.labels.keys()].map((task) => [
        task,
        scalar(`loss_sum/${task}`) / Math.max(scalar(`count/${task}`), 1),
      ]),
    );
  });
  return { state, losses };
}
