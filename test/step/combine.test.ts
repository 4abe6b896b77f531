// Gradients by task, combined: against central differences and formulas in float64, with missing labels, in
// parts, with adaptive weights; on the float64 reference and on ONNX Runtime.
import { describe, expect, test } from "vitest";
import type { Combination } from "../../compiler/combine/combiners.ts";
import type { NDArray } from "../../compiler/ir/op.ts";
import type { SpecInput } from "../../compiler/spec/schema.ts";
import { stepDraws } from "../../runtime/train/microBatch.ts";
import { GRAD_APPLY, GRADIENT_CHECK, MICRO_BATCHES, SUM_ORDER_FLOAT32 } from "../tolerances.ts";
import type { TracedBundle } from "../training/tracedGraphs.ts";
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
import { type GraphRunner, RUNTIMES, type RuntimeName, type Tensors, withRunner } from "./graphRunner.ts";
import { relativeDistance, sameBits } from "./tensors.ts";
import {
  CORRELATED,
  CORRELATED_FEATURES,
  correlatedWeights,
  FAULTY,
  ONES,
  ONES_FEATURES,
  ORDERED,
} from "./testCombiners.ts";

const TASKS = { a: 3, b: 2, c: 4 };
const NAMES = Object.keys(TASKS);
const SPEC: Partial<SpecInput> = { shared_layers: [4, "r"], task_layers: [3], optimizer: "momentum" };
const ADAPTIVE: Partial<SpecInput> = { ...SPEC, task_weights: "adaptive", weight_decay: 0.01 };
const RATE = 0.1;

function compiled(spec: Partial<SpecInput>, combination: Combination | undefined): TracedBundle {
  return compileExperiment(spec, TASKS, undefined, "cpu", { combination });
}

/** The rows of a tensor stacked over tasks. */
function rowsOf({ shape, data }: NDArray): Float64Array[] {
  const [count = 1] = shape;
  const size = data.length / count;
  return Array.from({ length: count }, (_, i) => data.slice(i * size, (i + 1) * size));
}

/** Gradients of the shared parameters by name, a row for each task. */
function sharedRows(gradients: Tensors): Map<string, Float64Array[]> {
  const byTask = [...gradients].filter(([name]) => name.endsWith("/tasks"));
  return new Map(byTask.map(([name, tensor]) => [name.replace(/\/tasks$/, ""), rowsOf(tensor)]));
}

function gramOf(shared: ReadonlyMap<string, readonly Float64Array[]>): number[][] {
  const dot = (x: Float64Array, y: Float64Array) =>
    x.reduce((sum, number, i) => sum + number * (y[i] ?? 0), 0);
  return NAMES.map((_, i) =>
    NAMES.map((_, j) => [...shared.values()].reduce((sum, rows) => sum + dot(rows[i]!, rows[j]!), 0)),
  );
}

function weighed(rows: readonly Float64Array[], weights: readonly number[]): Float64Array {
  return Float64Array.from(rows[0]!, (_, i) => rows.reduce((sum, row, t) => sum + weights[t]! * row[i]!, 0));
}

/** What plain gradient descent makes of the shared parameters, from their gradients by task. */
function expectedStep(state: Tensors, gradients: Tensors, weights: readonly number[], decay = 0): Tensors {
  return new Map(
    [...sharedRows(gradients)].map(([name, rows]) => {
      const before = tensorOf(state, name);
      const combined = weighed(rows, weights);
      const rate = (value: number) => (name.endsWith("kernel") ? decay * value : 0);
      const data = before.data.map((value, i) => value - RATE * (combined[i]! + rate(value)));
      return [name, { ...before, data }];
    }),
  );
}

function distances(actual: Tensors, expected: Tensors): number {
  return Math.max(...[...expected].map(([name, { data }]) => relativeDistance(actual.get(name)?.data, data)));
}

function rounding(runtime: RuntimeName): number {
  return runtime === "ONNX Runtime" ? MICRO_BATCHES : SUM_ORDER_FLOAT32;
}

function hiding(batch: Tensors, tasks: readonly string[]): Tensors {
  return tasks.reduce((left, task) => withoutLabels(left, task), batch);
}

/** The mean of the labelled rows' losses of a task, in float64, with the state as given. */
function lossOf(
  run: GraphRunner,
  traced: TracedBundle,
  state: Tensors,
  batch: Tensors,
  task: string,
): number {
  const outputs = train(run, traced.bundle, state, batch, 0);
  const [sum, count] = ["loss_sum", "count"].map((figure) => tensorOf(outputs, `${figure}/${task}`).data[0]);
  return (sum ?? Number.NaN) / (count ?? 1);
}

test("what is shared is what two tasks reach, and each gradient by task is that of its loss, by central differences", () => {
  const traced = compiled({ ...SPEC, batchnorm: true, task_weights: [1, 2, 0.5] }, CORRELATED);
  const shared = accumulatorsOf(traced.bundle).filter(({ name }) => name.endsWith("/tasks"));
  expect(shared.length).toBeGreaterThan(5);
  for (const { of, shape } of shared) {
    expect(of).toMatch(/^(fcn|shared_layers)/);
    expect(shape[0]).toBe(3);
  }
  const others = accumulatorsOf(traced.bundle).filter(({ name }) => !name.endsWith("/tasks"));
  for (const { of } of others) expect(of).toMatch(/^tasks\./);
  withRunner("the float64 reference", traced, (run) => {
    const state = initialState(traced.bundle);
    const batch = randomBatch(traced.bundle, "differences");
    const gradients = sharedRows(gradientsOf(run, traced.bundle, state, batch));
    const h = 1e-5;
    for (const [name, rows] of gradients) {
      const before = tensorOf(state, name);
      const place = Math.floor(before.data.length / 2);
      const moved = (by: number): Tensors =>
        new Map(state).set(name, { ...before, data: before.data.with(place, before.data[place]! + by) });
      NAMES.forEach((task, t) => {
        const weight = [1, 2, 0.5][t]!;
        const [up, down] = [h, -h].map((by) => lossOf(run, traced, moved(by), batch, task));
        const slope = (weight * (up! - down!)) / (2 * h);
        expect(Math.abs(rows[t]![place]! - slope), `${name} of ${task}`).toBeLessThan(GRADIENT_CHECK);
      });
    }
  });
});

describe.each(RUNTIMES)("on %s", (runtime) => {
  test("the sum by task is the sum", () => {
    for (const combination of [ONES, ONES_FEATURES]) {
      const [plain, byTask] = [compiled(ADAPTIVE, undefined), compiled(ADAPTIVE, combination)];
      const state = initialState(plain.bundle);
      const batch = withoutLabels(randomBatch(plain.bundle, "sum"), "b");
      const step = (traced: TracedBundle) =>
        withRunner(runtime, traced, (run) => nextState(state, train(run, traced.bundle, state, batch, RATE)));
      expect(distances(step(byTask), step(plain))).toBeLessThan(rounding(runtime));
    }
  });

  test.each<[string, Partial<SpecInput>, readonly string[], number]>([
    ["all labels", SPEC, [], 1],
    ["a task without labels", SPEC, ["b"], 1],
    ["micro-batches", { ...SPEC, batch_size: 8, accumulate: 4 }, ["a"], 4],
    ["adaptive weights, decay", ADAPTIVE, ["c"], 1],
    ["no labels at all", SPEC, NAMES, 1],
  ])("the Gram matrix, the weights and the step are those of the gradients: %s", (_, spec, hidden, parts) => {
    const traced = compiled(spec, CORRELATED);
    const { bundle } = traced;
    withRunner(runtime, traced, (run) => {
      const state = initialState(bundle);
      const batch = hiding(randomBatch(bundle, "step"), hidden);
      const gradients = gradientsOf(run, bundle, state, batch, parts);
      const gram = gramOf(sharedRows(gradients));
      const present = NAMES.map((task) => !hidden.includes(task));
      const weights = correlatedWeights(gram, present);
      const outputs = gradAndApply(run, bundle, state, batch, RATE, parts);
      const near = (name: string, expected: readonly number[]) =>
        expect(relativeDistance(outputs.get(name)?.data, Float64Array.from(expected)), name).toBeLessThan(
          rounding(runtime),
        );
      near("gram", gram.flat());
      near("gradient_weights", weights);
      const decay = spec.weight_decay ?? 0;
      const expected = expectedStep(state, gradients, weights, decay);
      expect(distances(nextState(state, outputs), expected)).toBeLessThan(rounding(runtime));
      if (parts === 1) {
        const whole = train(run, bundle, state, batch, RATE);
        expect(distances(outputs, new Map([...whole].filter(([name]) => outputs.has(name))))).toBeLessThan(
          GRAD_APPLY,
        );
      }
    });
  });

  test("with one task present every method is the sum, to the bit", () => {
    const [plain, byTask] = [compiled(ADAPTIVE, undefined), compiled(ADAPTIVE, CORRELATED)];
    const state = initialState(plain.bundle);
    const batch = hiding(randomBatch(plain.bundle, "alone"), ["a", "c"]);
    const step = (traced: TracedBundle) =>
      withRunner(runtime, traced, (run) => nextState(state, train(run, traced.bundle, state, batch, RATE)));
    const [expected, actual] = [step(plain), step(byTask)];
    for (const [name, tensor] of expected) expect(sameBits(actual.get(name), tensor), name).toBe(true);
  });

  test("a task of weight 0 is never present", () => {
    const traced = compiled({ ...SPEC, task_weights: [1, 0, 1] }, ONES);
    withRunner(runtime, traced, (run) => {
      const state = initialState(traced.bundle);
      const outputs = train(run, traced.bundle, state, randomBatch(traced.bundle, "zero"), RATE);
      expect([...tensorOf(outputs, "gradient_weights").data]).toEqual([1, 0, 1]);
    });
  });

  test("at the features: the Gram matrix of their gradients, and one backward pass of the weighed sum", () => {
    const spec: Partial<SpecInput> = { ...SPEC, task_layers: [], global_pooling: "average" };
    const traced = compiled(spec, CORRELATED_FEATURES);
    const byTask = compiled(spec, CORRELATED);
    const state = initialState(traced.bundle);
    const batch = withoutLabels(randomBatch(traced.bundle, "features"), "b");
    const rows = withRunner(runtime, byTask, (run) => gradientsOf(run, byTask.bundle, state, batch));
    withRunner(runtime, traced, (run) => {
      const outputs = train(run, traced.bundle, state, batch, RATE);
      const gram = featureGram(run, state, batch);
      const weights = correlatedWeights(gram, [true, false, true]);
      const near = (name: string, expected: readonly number[]) =>
        expect(relativeDistance(outputs.get(name)?.data, Float64Array.from(expected)), name).toBeLessThan(
          rounding(runtime),
        );
      near("gram", gram.flat());
      near("gradient_weights", weights);
      expect(distances(nextState(state, outputs), expectedStep(state, rows, weights))).toBeLessThan(
        rounding(runtime),
      );
    });
  });
});

test("what the host draws is an input of the step that combines, and drawn by seed and step alone", () => {
  const traced = compiled(SPEC, ORDERED);
  const { bundle } = traced;
  const { manifest } = bundle;
  const takers = Object.entries(manifest.graphs).filter(([, { inputs }]) =>
    inputs.some(({ role }) => role === "draw"),
  );
  expect(takers.map(([name]) => name)).toEqual(["train", "apply"]);
  const draws = stepDraws(manifest, 7, 3);
  expect(draws).toEqual(stepDraws(manifest, 7, 3));
  expect([...draws.values()].map(({ length }) => length)).toEqual([6]);
  const all = [...Array(40).keys()].map((step) => [...stepDraws(manifest, 7, step).values()].join());
  expect(new Set(all).size).toBe(8);
  for (const [name, order] of draws) {
    const data = Float64Array.from(order, Number);
    withRunner("ONNX Runtime", traced, (run) => {
      const feeds = new Map(initialState(bundle)).set(name, { dtype: "int64", shape: [3, 2], data });
      const outputs = train(run, bundle, feeds, randomBatch(bundle, "order"), RATE);
      expect([...tensorOf(outputs, "gradient_weights").data]).toEqual([data[0], data[2], data[4]]);
    });
  }
});

/**
 * <dL_i/dh, dL_j/dh> of features h [N,C,H,W] whose mean over the pixels goes into dense layers: with
 * d_t = (softmax - label) / labelled rows, sum over rows of (d_i K_i^T) . (d_j K_j^T) / pixels.
 */
function featureGram(run: GraphRunner, state: Tensors, batch: Tensors): number[][] {
  const predictions = run("evaluate", new Map([...state, ...batch]));
  const slopes = NAMES.map((task) => {
    const { data, shape } = tensorOf(predictions, `probabilities/${task}`);
    const labels = tensorOf(batch, `label/${task}`).data;
    const count = labels.filter((label) => label >= 0).length;
    const kernel = tensorOf(state, `tasks.${task}.dense.kernel`);
    const [width = 0, classes = 0] = kernel.shape;
    return Array.from({ length: shape[0] ?? 0 }, (_, row) =>
      Array.from({ length: width }, (_, channel) =>
        Array.from({ length: classes }, (_, k) => k).reduce((sum, k) => {
          const label = labels[row] ?? -1;
          const slope = label < 0 ? 0 : (data[row * classes + k]! - Number(label === k)) / count;
          return sum + slope * kernel.data[channel * classes + k]!;
        }, 0),
      ),
    ).flat();
  });
  const pixels = 3 * 3;
  return slopes.map((x) => slopes.map((y) => x.reduce((sum, value, i) => sum + value * y[i]!, 0) / pixels));
}

test("a planted fault is seen: other weights, a task's gradient in another's place", () => {
  const traced = compiled(SPEC, FAULTY);
  withRunner("the float64 reference", traced, (run) => {
    const state = initialState(traced.bundle);
    const batch = randomBatch(traced.bundle, "fault");
    const gradients = gradientsOf(run, traced.bundle, state, batch);
    const after = nextState(state, train(run, traced.bundle, state, batch, RATE));
    expect(distances(after, expectedStep(state, gradients, [2, 1, 1]))).toBeLessThan(SUM_ORDER_FLOAT32);
    for (const wrong of [
      [1, 1, 1],
      [1, 2, 1],
      [2, 1, 0],
    ])
      expect(distances(after, expectedStep(state, gradients, wrong))).toBeGreaterThan(MICRO_BATCHES);
  });
});
