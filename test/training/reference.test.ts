// Whole training runs against an independent implementation (PyTorch, test/fixtures/training): the float64
// interpreter to 1e-8, for nets with and without batch norm, both as built and as lowered.
import { describe, expect, test } from "vitest";
import type { LearnedFactors } from "../../compiler/combine/combiner.ts";
import { famo } from "../../compiler/combine/famo.ts";
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

/** Learned factors with a fault each. */
const { learned } = famo;
const FAULTS: readonly (readonly [string, Partial<LearnedFactors>])[] = [
  ["weights that leave the losses out", { weights: (_b, { present }) => present }],
  [
    "losses after the step taken for those before",
    {
      moved: (b, inputs) =>
        learned?.moved(b, { ...inputs, losses: inputs.after, after: inputs.losses }) ?? [],
    },
  ],
  [
    "absent tasks that move",
    {
      moved: (b, inputs) => {
        const present = b.add(b.mul(inputs.present, b.scalar(0, "float64")), b.scalar(1, "float64"));
        return learned?.moved(b, { ...inputs, present }) ?? [];
      },
    },
  ],
  [
    "a count of steps that begins at 2",
    {
      moved: (b, inputs) =>
        learned?.moved(b, { ...inputs, step: b.add(inputs.step, b.scalar(1, "int64")) }) ?? [],
    },
  ],
];

test.each(FAULTS)("the case famo-mixed sees %s", (_, fault) => {
  if (!learned) throw new Error("famo learns nothing");
  const fixture = readFixture("famo-mixed");
  const spec = resolveSpec(fixture.spec as SpecInput);
  const settings = { rate: 0.1, decay: 0.01 };
  const learning = { method: "famo", factors: { ...learned, ...fault }, settings };
  const { stages } = compileTraced(spec, fixture.tasks, { initialValues: startValues(fixture), learning });
  const graph = stages.get("train/5-final");
  if (!graph) throw new Error("no graph");
  const { state } = trainInFloat64(graph, fixture, spec);
  const wanted = fixture.final.get("combine.logits")?.values ?? new Float64Array();
  const distance = relativeDistance(state.get("combine.logits")?.data, wanted);
  expect(Number.isFinite(distance)).toBe(true);
  expect(distance).toBeGreaterThan(FLOAT64_RUN);
});

describe.each(TRAINING_CASES)("50 steps of %s", (name) => {
  const fixture = readFixture(name);
  const spec = resolveSpec(fixture.spec as SpecInput);
  const { stages } = compileTraced(spec, fixture.tasks, { initialValues: startValues(fixture) });

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

function startValues({ init }: TrainingFixture): Map<string, Float32Array> {
  return new Map([...init].map(([key, { values }]) => [key, Float32Array.from(values)]));
}

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
