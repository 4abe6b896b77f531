// Gradients by task, combined: against central differences and formulas in float64, with missing labels, in
// parts, with adaptive weights; on the float64 reference and on ONNX Runtime.
import { describe, expect, test } from "vitest";
import type { Combination } from "../../compiler/combine/combiners.ts";
import { GRADIENT_METHODS } from "../../compiler/combine/gradientMethods.ts";
import { GraphBuilder } from "../../compiler/ir/builder.ts";
import type { NDArray } from "../../compiler/ir/op.ts";
import type { Teacher } from "../../compiler/model/distillation.ts";
import { OPS } from "../../compiler/ops/table.ts";
import type { SpecInput } from "../../compiler/spec/schema.ts";
import { LOSS_SCALE } from "../../compiler/step/lossScaling.ts";
import { stepDraws } from "../../runtime/train/microBatch.ts";
import { randomFrom } from "../ops/sampleGraph.ts";
import { GRAD_APPLY, GRADIENT_CHECK, MICRO_BATCHES, PASS_FLOAT64, SUM_ORDER_FLOAT32 } from "../tolerances.ts";
import type { TracedBundle } from "../training/tracedGraphs.ts";
import {
  ADAPTIVE,
  compiled,
  distances,
  expectedStep,
  gramOf,
  hiding,
  methodWeights,
  NAMES,
  RATE,
  rounding,
  SPEC,
  sharedRows,
  TASKS,
} from "./combinedSteps.ts";
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
import { type GraphRunner, RUNTIMES, type Tensors, withRunner } from "./graphRunner.ts";
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

describe.each(RUNTIMES)("with a teacher, on %s", (runtime) => {
  test("distillation is no task's gradient, and is added to the combined one", () => {
    const spec: Partial<SpecInput> = { ...SPEC, teacher: "teacher.onnx", distill_weight: 2 };
    const byTask = compiledWith(spec, CORRELATED);
    const state = initialState(byTask.bundle);
    const batch = withoutLabels(randomBatch(byTask.bundle, "taught"), "c");
    withRunner(runtime, byTask, (run) => {
      const gradients = gradientsOf(run, byTask.bundle, state, batch);
      const outputs = train(run, byTask.bundle, state, batch, RATE);
      const shared = sharedRows(gradients);
      const weights = correlatedWeights(gramOf(shared), [true, true, false]);
      expect(tensorOf(outputs, "gradient_weights").data[2]).toBe(0);
      const without = expectedStep(state, gradients, weights);
      const expected = new Map(
        [...without].map(([name, tensor]) => {
          const rest = tensorOf(gradients, name).data;
          expect(rest.some((value) => value !== 0)).toBe(true);
          return [name, { ...tensor, data: tensor.data.map((value, i) => value - RATE * rest[i]!) }];
        }),
      );
      expect(expected.size).toBe(shared.size);
      expect(distances(nextState(state, outputs), expected)).toBeLessThan(rounding(runtime));
    });
    const steps = [undefined, ONES, ONES_FEATURES].map((combination) => {
      const traced = compiledWith(spec, combination);
      return withRunner(runtime, traced, (run) =>
        nextState(state, train(run, traced.bundle, state, batch, RATE)),
      );
    });
    for (const step of steps.slice(1)) expect(distances(step, steps[0]!)).toBeLessThan(rounding(runtime));
  });
});

/** With a teacher of one dense layer on the first pixel, which knows tasks a and b. */
function compiledWith(spec: Partial<SpecInput>, combination: Combination | undefined): TracedBundle {
  return compileExperiment(spec, TASKS, undefined, "cpu", { combination, teacher: teacher() });
}

function teacher(): Teacher {
  const b = new GraphBuilder("teacher", OPS);
  const image = b.input("image", "float32", ["N", 3, 6, 6]);
  const pixels = b.emit("ReduceMean", [image, b.ints([2, 3])], { keepdims: 0 });
  const outputs = (["a", "b"] as const).map((task) => {
    const random = randomFrom(`teacher ${task}`);
    const data = Float64Array.from({ length: 3 * TASKS[task] }, () => 4 * random() - 2);
    const kernel = b.constant({ dtype: "float32", shape: [3, TASKS[task]], data });
    b.output(task, b.emit("Softmax", [b.emit("MatMul", [pixels, kernel])], { axis: 1 }));
    return [task, task] as const;
  });
  return { graph: b.build(), layout: "NCHW", outputs: new Map(outputs), hash: "" };
}

describe("in float16 with a scaled loss", () => {
  const spec: Partial<SpecInput> = { ...SPEC, precision: "fp16" };
  const scaled = (state: Tensors, scale: number): Tensors =>
    new Map(state).set(LOSS_SCALE, { dtype: "float32", shape: [], data: Float64Array.of(scale) });
  test.each([
    ["after the gradients", CORRELATED],
    ["at the features", CORRELATED_FEATURES],
  ])("the Gram matrix knows no scale: %s", (_, combination) => {
    const mixed = compileExperiment(spec, TASKS, undefined, "cuda", { combination });
    const plain = compileExperiment(SPEC, TASKS, undefined, "cuda", { combination });
    const state = initialState(mixed.bundle);
    const batch = randomBatch(mixed.bundle, "scaled");
    const expected = withRunner("the float64 reference", plain, (run) =>
      train(run, plain.bundle, state, batch, RATE),
    );
    const told = new Map(["gram", "gradient_weights"].map((name) => [name, tensorOf(expected, name)]));
    withRunner("the float64 reference", mixed, (run) => {
      for (const scale of [1, 2 ** 12, 2 ** 20]) {
        const outputs = train(run, mixed.bundle, scaled(state, scale), batch, RATE);
        expect(distances(outputs, told)).toBeLessThan(PASS_FLOAT64);
        expect(distances(nextState(state, outputs), nextStateOf(state, expected))).toBeLessThan(PASS_FLOAT64);
      }
    });
  });

  test("a step that overflows is not applied, and says that its Gram matrix is none", () => {
    const mixed = compileExperiment(spec, TASKS, undefined, "cuda", { combination: CORRELATED });
    withRunner("ONNX Runtime", mixed, (run) => {
      const state = scaled(initialState(mixed.bundle), 2 ** 120);
      const outputs = train(run, mixed.bundle, state, randomBatch(mixed.bundle, "overflow"), RATE);
      expect(tensorOf(outputs, "gram").data.every(Number.isFinite)).toBe(false);
      for (const [name, before] of state)
        if (!name.startsWith("optimizer."))
          expect(sameBits(outputs.get(`next/${name}`), before), name).toBe(true);
    });
  });
});

/** What a step changes beside the scaling. */
function nextStateOf(state: Tensors, outputs: Tensors): Tensors {
  return new Map([...nextState(state, outputs)].filter(([name]) => !name.startsWith("optimizer.")));
}

test.each(GRADIENT_METHODS.map(({ name }) => name))("a spec of %s is a step by its weights", (combine) => {
  const traced = compileExperiment({ ...SPEC, combine }, TASKS);
  withRunner("ONNX Runtime", traced, (run) => {
    const state: Tensors = new Map([...initialState(traced.bundle), ...ordersOf(traced)]);
    for (const hidden of [[], ["b"], ["a", "c"]]) {
      const batch = hiding(randomBatch(traced.bundle, "method"), hidden);
      const gradients = gradientsOf(run, traced.bundle, state, batch);
      const outputs = train(run, traced.bundle, state, batch, RATE);
      const told = [...tensorOf(outputs, "gradient_weights").data];
      expect(told.map((weight) => weight === 0)).toEqual(NAMES.map((task) => hidden.includes(task)));
      if (hidden.length === 2) expect(told).toEqual([0, 1, 0]);
      // the method alone, in float64, by gradients that another graph summed
      const weights = methodWeights(combine, gradients, hidden, state);
      expect(relativeDistance(Float64Array.from(told), Float64Array.from(weights))).toBeLessThan(
        MICRO_BATCHES,
      );
      expect(distances(nextState(state, outputs), expectedStep(state, gradients, weights))).toBeLessThan(
        MICRO_BATCHES,
      );
    }
  });
});

/** What the host would draw. */
function ordersOf({ bundle }: TracedBundle): [string, NDArray][] {
  return [...stepDraws(bundle.manifest, 7, 0)].map(([name, order]) => [
    name,
    { dtype: "int64", shape: [3, 2], data: Float64Array.from(order, Number) },
  ]);
}

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
