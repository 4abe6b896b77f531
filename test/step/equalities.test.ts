// What a training step owes, as equalities between runs: on the float64 reference and on ONNX Runtime.
import { describe, expect, test } from "vitest";
import type { SpecInput } from "../../compiler/spec/schema.ts";
import { masksOf } from "../../runtime/train/microBatch.ts";
import {
  FLOAT32_STEP_LOSS,
  GRAD_APPLY,
  MICRO_BATCHES,
  SUM_ORDER_FLOAT32,
  SUM_ORDER_FLOAT64,
} from "../tolerances.ts";
import {
  accumulatorsOf,
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
import { RUNTIMES, type RuntimeName, type Tensors, withRunner } from "./graphRunner.ts";
import { relativeDistance, sameBits } from "./tensors.ts";

const ADAPTIVE: Partial<SpecInput> = {
  task_weights: "adaptive",
  shared_layers: [4, "d", "r"],
  weight_decay: 0.01,
};
const OPTIMIZERS = ["adam", "adamw", "momentum"] as const;
const RATE = 0.01;

/** Names of the tensors that belong to a task's head. */
function ofTask(tensors: Tensors, task: string): string[] {
  const names = [...tensors.keys()].filter((name) => name.startsWith(`tasks.${task}.`));
  expect(names.length).toBeGreaterThan(1);
  return names;
}

function expectNear(actual: Tensors, expected: Tensors, tolerance: number): void {
  for (const [name, { data }] of expected)
    expect(relativeDistance(actual.get(name)?.data, data), name).toBeLessThanOrEqual(tolerance);
}

function sumOrder(runtime: RuntimeName): number {
  return runtime === "ONNX Runtime" ? SUM_ORDER_FLOAT32 : SUM_ORDER_FLOAT64;
}

describe.each(RUNTIMES)("on %s", (runtime) => {
  test.each(OPTIMIZERS)("train is grad and apply, with %s, over three steps", (optimizer) => {
    const traced = compileExperiment({ ...ADAPTIVE, optimizer }, { a: 3, b: 2 });
    const { bundle } = traced;
    withRunner(runtime, traced, (run) => {
      let state: Tensors = initialState(bundle);
      for (let step = 0; step < 3; step++) {
        const batch = randomBatch(bundle, `step ${step}`);
        const whole = nextState(state, train(run, bundle, state, batch, RATE));
        const halves = nextState(state, gradAndApply(run, bundle, state, batch, RATE));
        expectNear(halves, whole, GRAD_APPLY);
        for (const [name, tensor] of whole) expect(sameBits(tensor, state.get(name)), name).toBe(false);
        state = whole;
      }
    });
  });

  test("train is grad and apply with batch norm in training form too, running statistics included", () => {
    const traced = compileExperiment({ batchnorm: true }, { a: 3 });
    const { bundle } = traced;
    withRunner(runtime, traced, (run) => {
      const state = initialState(bundle);
      const batch = randomBatch(bundle, "batch norm");
      const whole = train(run, bundle, state, batch, RATE);
      const counts = new Map([["inv_count/a", inverseCount(batch, "a")]]);
      const zeros = accumulatorsOf(bundle).map(({ name, shape }) => zeroEntry(name, shape));
      const weights = new Map([["task_weight/a", scalar(1)]]);
      const halves = run("grad", new Map([...state, ...batch, ...counts, ...zeros, ...weights]));
      const statistics = bundle.manifest.state.filter(({ group }) => group === "statistic");
      expect(statistics.length).toBe(2);
      for (const { name } of statistics)
        expect(relativeDistance(halves.get(`next/${name}`)?.data, tensorOf(whole, `next/${name}`).data)).toBe(
          0,
        );
      expectNear(gradAndApply(run, bundle, state, batch, RATE), withoutStatistics(whole), GRAD_APPLY);
    });
  });

  test.each([2, 4])("%i micro-batches are one batch", (parts) => {
    const traced = compileExperiment({ ...ADAPTIVE, batch_size: 8, accumulate: parts }, { a: 3, b: 2 });
    const { bundle } = traced;
    withRunner(runtime, traced, (run) => {
      const state = initialState(bundle);
      const batch = randomBatch(bundle, "micro");
      const whole = nextState(state, train(run, bundle, state, batch, RATE));
      expectNear(
        nextState(state, gradAndApply(run, bundle, state, batch, RATE, parts)),
        whole,
        MICRO_BATCHES,
      );
    });
  });

  test("hiding a task's labels changes no other head's gradient in the same step, to the bit", () => {
    const traced = compileExperiment(ADAPTIVE, { a: 3, b: 2, c: 4 });
    const { bundle } = traced;
    withRunner(runtime, traced, (run) => {
      const state = initialState(bundle);
      const batch = randomBatch(bundle, "hiding");
      const all = gradientsOf(run, bundle, state, batch);
      const hidden = gradientsOf(run, bundle, state, withoutLabels(batch, "a"));
      for (const task of ["b", "c"])
        for (const name of ofTask(all, task)) {
          expect(sameBits(hidden.get(name), tensorOf(all, name)), name).toBe(true);
          expect(
            tensorOf(all, name).data.some((x) => x !== 0),
            name,
          ).toBe(true);
        }
      expect(sameBits(hidden.get("fcn.layers[0].kernel"), tensorOf(all, "fcn.layers[0].kernel"))).toBe(false);
    });
  });

  test("with a frozen trunk and nothing shared, a task's labels never change another head", () => {
    const spec = { train_fcn: false, task_layers: [3], task_weights: [1, 2], weight_decay: 0.01 };
    const traced = compileExperiment(spec, { a: 3, b: 2 });
    const { bundle } = traced;
    withRunner(runtime, traced, (run) => {
      const start = initialState(bundle);
      let [seen, hidden]: Tensors[] = [start, start] as [Tensors, Tensors];
      for (let step = 0; step < 5; step++) {
        const batch = randomBatch(bundle, `frozen ${step}`);
        seen = nextState(seen!, train(run, bundle, seen!, batch, RATE));
        hidden = nextState(hidden!, train(run, bundle, hidden!, withoutLabels(batch, "a"), RATE));
      }
      for (const name of ofTask(start, "b")) {
        expect(sameBits(hidden!.get(name), seen!.get(name)), name).toBe(true);
        expect(sameBits(hidden!.get(name), start.get(name)), name).toBe(false);
      }
      expect(sameBits(hidden!.get("tasks.a.dense.bias"), seen!.get("tasks.a.dense.bias"))).toBe(false);
    });
  });

  test.each(OPTIMIZERS)(
    "a batch without a task's labels gives it no gradient and leaves its s alone (%s)",
    (optimizer) => {
      const traced = compileExperiment({ ...ADAPTIVE, optimizer }, { a: 3, b: 2 });
      const { bundle } = traced;
      withRunner(runtime, traced, (run) => {
        // A first step with labels, so that the slots of s are not zero.
        const first = randomBatch(bundle, "present");
        const state = nextState(initialState(bundle), train(run, bundle, initialState(bundle), first, RATE));
        const batch = withoutLabels(randomBatch(bundle, "absent"), "a");
        for (const [name, { data }] of gradientsOf(run, bundle, state, batch))
          expect(
            data.every((x) => x === 0),
            name,
          ).toBe(name.startsWith("tasks.a."));
        for (const outputs of [
          train(run, bundle, state, batch, RATE),
          gradAndApply(run, bundle, state, batch, RATE),
        ]) {
          const kept = [...state.keys()].filter((name) => name.includes(".log_variance"));
          expect(kept.length).toBe(optimizer === "momentum" ? 4 : 6);
          for (const name of kept) {
            const isOfA = name.startsWith("tasks.a.");
            expect(tensorOf(state, name).data[0], name).not.toBe(0);
            expect(sameBits(outputs.get(`next/${name}`), state.get(name)), name).toBe(isOfA);
          }
        }
        const outputs = train(run, bundle, state, batch, RATE);
        for (const what of ["loss_sum", "count", "correct"])
          expect(Math.abs(tensorOf(outputs, `${what}/a`).data[0] ?? Number.NaN), what).toBe(0);
      });
    },
  );

  test("permuting the tasks permutes the results", () => {
    const classes = { a: 3, b: 2, c: 4 };
    const forward = compileExperiment(ADAPTIVE, classes);
    const backward = compileExperiment({ ...ADAPTIVE, tasks: ["c", "b", "a"] }, { c: 4, b: 2, a: 3 });
    const batch = randomBatch(forward.bundle, "permuted");
    const step = (traced: typeof forward) =>
      withRunner(runtime, traced, (run) => {
        const state = initialState(traced.bundle);
        return train(run, traced.bundle, state, batch, RATE);
      });
    const [expected, actual] = [step(forward), step(backward)];
    expect([...actual.keys()].sort()).toEqual([...expected.keys()].sort());
    expectNear(actual, expected, sumOrder(runtime));
  });

  test("a frozen FCN gives the same features to the bit all through, and training uses them", () => {
    const spec: Partial<SpecInput> = { train_fcn: false, fcn: { layers: [4, "d", "p"] }, batchnorm: true };
    const traced = compileExperiment(spec, { a: 3 });
    const { bundle } = traced;
    expect(bundle.manifest.state.filter(({ part }) => part === "fcn")).toEqual([]);
    expect(masksOf(bundle.manifest, "image")).toEqual([]);
    withRunner(runtime, traced, (run) => {
      const batch = randomBatch(bundle, "features");
      const before = tensorOf(run("trunk", batch), "features");
      expect(before.data.some((x) => x !== 0)).toBe(true);
      let state: Tensors = initialState(bundle);
      for (let step = 0; step < 3; step++) {
        // Evaluation norms by running statistics and drops nothing: so must the frozen part in training.
        const logits = tensorOf(run("evaluate", new Map([...state, ...batch])), "logits/a");
        const outputs = train(run, bundle, state, batch, 0.1);
        const expected = crossEntropySum(logits.data, tensorOf(batch, "label/a").data);
        expect(Math.abs((outputs.get("loss_sum/a")?.data[0] ?? 0) / expected - 1)).toBeLessThan(
          FLOAT32_STEP_LOSS,
        );
        state = nextState(state, outputs);
      }
      expect(sameBits(run("trunk", batch).get("features"), before)).toBe(true);
    });
  });

  test("evaluation takes every image for itself, with batch norm too", () => {
    const traced = compileExperiment({ batchnorm: true, shared_layers: [4] }, { a: 3 });
    const { bundle } = traced;
    withRunner(runtime, traced, (run) => {
      const [batch, other] = [randomBatch(bundle, "first"), randomBatch(bundle, "second")];
      const state = nextState(initialState(bundle), train(run, bundle, initialState(bundle), batch, RATE));
      const image = tensorOf(batch, "image");
      const firstBytes = image.data.length / 4;
      const mixed = tensorOf(other, "image").data.slice();
      mixed.set(image.data.slice(0, firstBytes));
      const logits = (data: Float64Array) =>
        tensorOf(run("evaluate", new Map([...state, ["image", { ...image, data }]])), "logits/a").data;
      const [alone, among] = [logits(image.data), logits(mixed)];
      expect(among.slice(0, 3)).toEqual(alone.slice(0, 3));
      expect(among.slice(3)).not.toEqual(alone.slice(3));
    });
  });

  test("K heads with equal start values and labels give the trunk K times the gradient", () => {
    const gradients = (classes: Record<string, number>) => {
      const traced = compileExperiment({ shared_layers: [4] }, classes, headValues(Object.keys(classes)));
      return withRunner(runtime, traced, (run) => {
        const batch = new Map(randomBatch(traced.bundle, "K heads"));
        const labels = tensorOf(batch, "label/a");
        for (const task of Object.keys(classes)) batch.set(`label/${task}`, labels);
        return gradientsOf(run, traced.bundle, initialState(traced.bundle), batch);
      });
    };
    const [one, three] = [gradients({ a: 3 }), gradients({ a: 3, b: 3, c: 3 })];
    const trunk = [...one].filter(([name]) => !name.startsWith("tasks."));
    expect(trunk.length).toBe(4);
    for (const [name, { data }] of trunk)
      expect(
        relativeDistance(
          three.get(name)?.data,
          data.map((x) => 3 * x),
        ),
        name,
      ).toBeLessThanOrEqual(sumOrder(runtime));
    for (const task of ["b", "c"])
      expect(sameBits(three.get(`tasks.${task}.dense.kernel`), one.get("tasks.a.dense.kernel"))).toBe(true);
  });
});

/** Summed cross-entropy of the labelled rows. */
function crossEntropySum(logits: Float64Array, labels: Float64Array): number {
  const classes = logits.length / labels.length;
  return labels.reduce((sum, label, row) => {
    if (label < 0) return sum;
    const ofRow = logits.slice(row * classes, (row + 1) * classes);
    return sum + Math.log(ofRow.reduce((total, x) => total + Math.exp(x), 0)) - (ofRow[label] ?? Number.NaN);
  }, 0);
}

function scalar(value: number) {
  return { dtype: "float32", shape: [], data: Float64Array.of(value) } as const;
}

function inverseCount(batch: Tensors, task: string) {
  return scalar(1 / tensorOf(batch, `label/${task}`).data.filter((label) => label >= 0).length);
}

function zeroEntry(name: string, shape: readonly number[]) {
  const data = new Float64Array(shape.reduce((product, dim) => product * dim, 1));
  return [name, { dtype: "float32", shape, data }] as const;
}

function withoutStatistics(outputs: Tensors): Tensors {
  return new Map([...outputs].filter(([name]) => name.startsWith("next/") && !name.includes(".running_")));
}

/** The same values for the dense layer of every task: four channels, three classes. */
function headValues(tasks: readonly string[]): Map<string, Float32Array> {
  const kernel = Float32Array.from({ length: 12 }, (_, i) => Math.fround(Math.sin(i + 1) / 2));
  return new Map(tasks.map((task) => [`tasks.${task}.dense.kernel`, kernel]));
}
