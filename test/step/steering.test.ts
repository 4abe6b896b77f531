// What steers the optimizer, as equalities between steps: bounded gradients, LARS, averages, factors by layer
// and bounded task weights, on the float64 reference and on ONNX Runtime, in whole batches and in parts.
import { describe, expect, test } from "vitest";
import { evaluatedState } from "../../compiler/bundle/manifest.ts";
import { GraphBuilder } from "../../compiler/ir/builder.ts";
import { interpret } from "../../compiler/ir/interpret.ts";
import type { NDArray } from "../../compiler/ir/op.ts";
import { OPS } from "../../compiler/ops/table.ts";
import { resolveSpec } from "../../compiler/spec/parseSpec.ts";
import type { SpecInput } from "../../compiler/spec/schema.ts";
import { averageName } from "../../compiler/step/averages.ts";
import { emitUpdate } from "../../compiler/step/update.ts";
import { BOUND_FLOAT32, GRAD_APPLY, MICRO_BATCHES, SUM_ORDER_FLOAT32 } from "../tolerances.ts";
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
import { RUNTIMES, type Tensors, withRunner } from "./graphRunner.ts";
import { relativeDistance, sameBits } from "./tensors.ts";

const RATE = 0.01;
const OPTIMIZERS = ["adam", "adamw", "momentum", "lars"] as const;
const ALL: Partial<SpecInput> = {
  ...{ task_weights: "adaptive", shared_layers: [4, "d", "r"], weight_decay: 0.01 },
  ...{ clip_norm: 0.05, ema: 0.9, max_task_weight: 0.37 },
  layer_lr: { fcn: 0.5, task_layers: 2 },
};
const CLASSES = { a: 3, b: 2 };

function expectNear(actual: Tensors, expected: Tensors, tolerance: number): void {
  for (const [name, { data }] of expected)
    expect(relativeDistance(actual.get(name)?.data, data), name).toBeLessThanOrEqual(tolerance);
}

/** Euclidean norm of all numbers of several tensors. */
function normOf(tensors: Iterable<NDArray | undefined>): number {
  let sum = 0;
  for (const tensor of tensors) for (const x of tensor?.data ?? []) sum += x * x;
  return Math.sqrt(sum);
}

/** The velocities of a state: after a first step with momentum, -rate times the gradients used. */
function velocities(state: Tensors): Map<string, NDArray> {
  return new Map([...state].filter(([name]) => name.endsWith("/velocity")));
}

describe.each(RUNTIMES)("on %s", (runtime) => {
  test.each(OPTIMIZERS)("with all of it, train is grad and apply, with %s, over three steps", (optimizer) => {
    const traced = compileExperiment({ ...ALL, optimizer }, CLASSES);
    const { bundle } = traced;
    withRunner(runtime, traced, (run) => {
      let state: Tensors = initialState(bundle);
      for (let step = 0; step < 3; step++) {
        const batch = randomBatch(bundle, `steered ${step}`);
        const whole = nextState(state, train(run, bundle, state, batch, RATE));
        expectNear(nextState(state, gradAndApply(run, bundle, state, batch, RATE)), whole, GRAD_APPLY);
        state = whole;
      }
      expect([...state.keys()].filter((name) => name.startsWith("average/")).length).toBeGreaterThan(8);
    });
  });

  test.each([2, 4])("with all of it, %i micro-batches are one batch", (parts) => {
    for (const optimizer of ["adam", "lars"] as const) {
      const traced = compileExperiment({ ...ALL, optimizer, batch_size: 8, accumulate: parts }, CLASSES);
      const { bundle } = traced;
      withRunner(runtime, traced, (run) => {
        const state = initialState(bundle);
        const batch = randomBatch(bundle, "micro");
        const whole = nextState(state, train(run, bundle, state, batch, RATE));
        const parted = nextState(state, gradAndApply(run, bundle, state, batch, RATE, parts));
        expectNear(parted, whole, MICRO_BATCHES);
      });
    }
  });

  test("averages of batch norm's statistics are those of train in grad and apply, too", () => {
    const traced = compileExperiment({ batchnorm: true, ema: 0.5 }, { a: 3 });
    const { bundle } = traced;
    withRunner(runtime, traced, (run) => {
      const state = initialState(bundle);
      const batch = randomBatch(bundle, "batch norm");
      const whole = nextState(state, train(run, bundle, state, batch, RATE));
      const counted = tensorOf(batch, "label/a").data.filter((label) => label >= 0).length;
      const zeros = accumulatorsOf(bundle).map(({ name, shape }): [string, NDArray] => [
        name,
        { dtype: "float32", shape, data: new Float64Array(shape.reduce((product, dim) => product * dim, 1)) },
      ]);
      const scalars = new Map(
        Object.entries({ "inv_count/a": 1 / counted, "task_weight/a": 1, learning_rate: RATE }).map(
          ([name, value]) => [name, { dtype: "float32", shape: [], data: Float64Array.of(value) } as const],
        ),
      );
      const grad = run("grad", new Map([...state, ...batch, ...scalars, ...zeros]));
      const sums = new Map(accumulatorsOf(bundle).map(({ name }) => [name, tensorOf(grad, `next/${name}`)]));
      const between = nextState(state, grad);
      const parted = nextState(between, run("apply", new Map([...between, ...sums, ...scalars])));
      const statistics = bundle.manifest.state.filter(({ group }) => group === "statistic");
      expect(statistics.length).toBe(2);
      for (const { name } of statistics)
        expect(sameBits(parted.get(averageName(name)), whole.get(name)), name).toBe(false);
      expectNear(parted, whole, GRAD_APPLY);
    });
  });

  test("clip_norm scales the gradient of the whole batch to that norm, all parameters by one factor", () => {
    const spec: Partial<SpecInput> = { task_weights: "adaptive", optimizer: "momentum", weight_decay: 0.1 };
    const usedIn = (clip: number | null, parts: number): Map<string, NDArray> => {
      const traced = compileExperiment(
        { ...spec, clip_norm: clip, batch_size: 8, accumulate: parts },
        CLASSES,
      );
      const { bundle } = traced;
      return withRunner(runtime, traced, (run) => {
        const state = initialState(bundle);
        const batch = randomBatch(bundle, "clipped");
        return velocities(nextState(state, gradAndApply(run, bundle, state, batch, 1, parts)));
      });
    };
    const plain = usedIn(null, 1);
    const norm = normOf(plain.values());
    for (const parts of [1, 4]) {
      const clipped = usedIn(norm / 3, parts);
      expect(Math.abs(normOf(clipped.values()) / (norm / 3) - 1)).toBeLessThan(MICRO_BATCHES);
      for (const [name, { data }] of plain)
        expect(
          relativeDistance(
            clipped.get(name)?.data,
            data.map((x) => x / 3),
          ),
          name,
        ).toBeLessThan(MICRO_BATCHES);
      // A gradient that is not longer is left as it is.
      expectNear(usedIn(1.01 * norm, parts), plain, MICRO_BATCHES);
    }
  });

  test.each([
    ["infinite", Number.POSITIVE_INFINITY],
    ["not a number", Number.NaN],
    ["too large for its square", 1e30],
  ])("a gradient that is %s spoils the state, where a factor of 0 would hide it", (_, bad) => {
    // In float64 1e30 has a square.
    if (runtime !== "ONNX Runtime" && bad === 1e30) return;
    for (const more of [{ clip_norm: 1 }, { optimizer: "lars", lr: 1 }] as const) {
      const traced = compileExperiment(more, { a: 3 });
      const { bundle } = traced;
      withRunner(runtime, traced, (run) => {
        const state = initialState(bundle);
        const sums = [...gradientsOf(run, bundle, state, randomBatch(bundle, "spoiled"))].map(
          ([name, tensor]): [string, NDArray] => [
            `accumulated/${name}`,
            { ...tensor, data: tensor.data.slice() },
          ],
        );
        const spoiled = new Map(sums);
        tensorOf(spoiled, "accumulated/fcn.layers[0].kernel").data[5] = bad;
        const scalars = new Map([
          ["learning_rate", { dtype: "float32", shape: [], data: Float64Array.of(RATE) } as const],
        ]);
        const next = run("apply", new Map([...state, ...spoiled, ...scalars]));
        const kernel = tensorOf(next, "next/fcn.layers[0].kernel");
        expect(kernel.data.some((x) => !Number.isFinite(x))).toBe(true);
      });
    }
  });

  test("lars moves every kernel by the same share of its norm, whatever its gradient's size", () => {
    const traced = compileExperiment({ optimizer: "lars", shared_layers: [4], task_layers: [3] }, CLASSES);
    const { bundle } = traced;
    withRunner(runtime, traced, (run) => {
      const state = initialState(bundle);
      const gradients = gradientsOf(run, bundle, state, randomBatch(bundle, "lars"));
      const next = velocities(
        nextState(state, gradAndApply(run, bundle, state, randomBatch(bundle, "lars"), 2)),
      );
      const kernels = bundle.manifest.parameters.filter(({ role }) => role === "kernel");
      expect(kernels.length).toBe(6);
      for (const { name } of kernels) {
        const share = normOf([next.get(`${name}/velocity`)]) / normOf([state.get(name)]);
        expect(Math.abs(share / 0.002 - 1), name).toBeLessThan(MICRO_BATCHES);
      }
      const bias = "tasks.a.dense.bias";
      expect(
        relativeDistance(
          next.get(`${bias}/velocity`)?.data,
          tensorOf(gradients, bias).data.map((x) => -2 * x),
        ),
      ).toBeLessThan(SUM_ORDER_FLOAT32);
    });
  });

  test("layer_lr scales the steps of its part alone", () => {
    const stepsOf = (layer_lr: SpecInput["layer_lr"]): Map<string, NDArray> => {
      const traced = compileExperiment(
        { optimizer: "momentum", shared_layers: [4], task_weights: "adaptive", layer_lr },
        CLASSES,
      );
      return withRunner(runtime, traced, (run) => {
        const state = initialState(traced.bundle);
        return velocities(
          nextState(state, train(run, traced.bundle, state, randomBatch(traced.bundle, "layers"), 1)),
        );
      });
    };
    const plain = stepsOf(1);
    const factors = { fcn: 0.25, shared_layers: 4, task_layers: 0.5 };
    for (const [rates, factorOf] of [
      [0.25, (name: string) => (name.startsWith("fcn") ? 0.25 : 1)],
      [
        factors,
        (name: string) => {
          if (name.includes("log_variance")) return 1;
          return name.startsWith("fcn") ? 0.25 : name.startsWith("shared") ? 4 : 0.5;
        },
      ],
    ] as const)
      for (const [name, { data }] of stepsOf(rates))
        expect(
          relativeDistance(
            data,
            tensorOf(plain, name).data.map((x) => factorOf(name) * x),
          ),
          name,
        ).toBeLessThan(SUM_ORDER_FLOAT32);
  });

  test("evaluations read the averages, which are those of the weights so far", () => {
    const traced = compileExperiment({ ema: 0.3, batchnorm: true, shared_layers: [4] }, { a: 3 });
    const { bundle } = traced;
    const evaluated = evaluatedState(bundle.manifest);
    const trained = bundle.manifest.parameters.filter((parameter) => parameter.trained);
    expect([...evaluated.keys()].sort()).toEqual(trained.map(({ name }) => name).sort());
    for (const [parameter, name] of evaluated) expect(name).toBe(averageName(parameter));
    withRunner(runtime, traced, (run) => {
      let state: Tensors = initialState(bundle);
      const expected = new Map(trained.map(({ name }) => [name, tensorOf(state, name).data.slice()]));
      for (let t = 1; t <= 5; t++) {
        state = nextState(state, train(run, bundle, state, randomBatch(bundle, `average ${t}`), RATE));
        const decay = Math.min(0.3, (1 + t) / (10 + t));
        for (const [name, average] of expected)
          tensorOf(state, name).data.forEach((x, i) => {
            average[i] = decay * (average[i] ?? Number.NaN) + (1 - decay) * x;
          });
      }
      for (const [name, average] of expected)
        expect(relativeDistance(state.get(averageName(name))?.data, average), name).toBeLessThan(
          SUM_ORDER_FLOAT32,
        );
      const batch = randomBatch(bundle, "evaluated");
      const logits = (from: Tensors) =>
        tensorOf(run("evaluate", new Map([...from, ...batch])), "logits/a").data;
      // Weights that nobody evaluates may be anything.
      const scrambled = new Map(state);
      for (const { name } of trained) {
        const tensor = tensorOf(state, name);
        scrambled.set(name, { ...tensor, data: tensor.data.map(() => 7) });
      }
      expect(logits(scrambled)).toEqual(logits(state));
      const other = tensorOf(state, averageName("tasks.a.dense.kernel"));
      const changed = new Map(state).set(averageName("tasks.a.dense.kernel"), {
        ...other,
        data: other.data.map((x) => 2 * x),
      });
      expect(logits(changed)).not.toEqual(logits(state));
    });
  });

  test("a frozen fcn has no average, no rate and no part in the norm", () => {
    const traced = compileExperiment({ ...ALL, train_fcn: false, batchnorm: true, layer_lr: 1 }, CLASSES);
    const { bundle } = traced;
    expect(bundle.manifest.state.filter(({ part }) => part === "fcn")).toEqual([]);
    withRunner(runtime, traced, (run) => {
      const state = initialState(bundle);
      const next = nextState(state, train(run, bundle, state, randomBatch(bundle, "frozen"), RATE));
      for (const [name, tensor] of next) expect(tensor.data.every(Number.isFinite), name).toBe(true);
      expect(
        sameBits(
          next.get(averageName("shared_layers[0].kernel")),
          state.get(averageName("shared_layers[0].kernel")),
        ),
      ).toBe(false);
    });
  });

  test("max_task_weight holds a learned weight from the first step on, and a task without labels rests", () => {
    const traced = compileExperiment(
      { task_weights: "adaptive", optimizer: "momentum", max_task_weight: 0.4 },
      CLASSES,
    );
    const { bundle } = traced;
    const least = -Math.log(0.4);
    withRunner(runtime, traced, (run) => {
      let state: Tensors = initialState(bundle);
      const s = (task: string): number => tensorOf(state, `tasks.${task}.log_variance`).data[0] ?? Number.NaN;
      // A solved task: nothing holds its s, which falls by 1/2 a step and more.
      const gone = (task: string) => tensorOf(state, `tasks.${task}.dense.kernel`);
      expect([s("a"), s("b")]).toEqual([1, 1]);
      for (let step = 0; step < 4; step++) {
        const batch = withoutLabels(randomBatch(bundle, `bounded ${step}`), "b");
        const before = [s("b"), gone("b")];
        state = nextState(state, train(run, bundle, state, batch, 1));
        expect(s("a")).toBeGreaterThanOrEqual(least - BOUND_FLOAT32);
        expect([s("b"), gone("b")]).toEqual(before);
      }
    });
    const low = compileExperiment({ task_weights: "adaptive", max_task_weight: 0.1 }, CLASSES);
    const start = initialState(low.bundle).get("tasks.a.log_variance")?.data[0];
    expect(Math.abs(Math.exp(-(start ?? 0)) - 0.1)).toBeLessThan(BOUND_FLOAT32);
  });
});

test("a step that overflowed leaves averages, too, as they were", () => {
  const spec = resolveSpec({
    ...{ tasks: ["a"], fcn: { layers: [4] }, train_fcn: true },
    ...{ ema: 0.5, clip_norm: 1 },
  });
  const b = new GraphBuilder("update", OPS);
  const parameters = [
    {
      name: "k",
      role: "kernel",
      shape: [3],
      part: "fcn",
      initial: { kind: "constant", value: 0 },
      trained: true,
    },
  ] as const;
  emitUpdate(
    b,
    { spec, scalesLoss: true, joinsUpdates: "vectors" },
    {
      parameters,
      gradientOf: ({ name, shape }) =>
        b.findInput(`gradient/${name}`) ?? b.input(`gradient/${name}`, "float32", shape),
      inverseCount: () => b.scalar(1),
    },
  );
  const graph = b.build();
  const run = (gradient: number): ReadonlyMap<string, NDArray> => {
    const feeds = graph.inputs.map(({ name, type }): [string, NDArray] => {
      const shape = type.shape.map(Number);
      const value = { "gradient/k": gradient, "optimizer.loss_scale": 8, learning_rate: 0.1 }[name] ?? 2;
      const data = new Float64Array(shape.reduce((product, dim) => product * dim, 1)).fill(value);
      return [name, { dtype: type.dtype, shape, data }];
    });
    return interpret(graph, new Map(feeds));
  };
  const averageOf = (outputs: ReadonlyMap<string, NDArray>) => outputs.get(`next/${averageName("k")}`)?.data;
  expect(averageOf(run(Number.POSITIVE_INFINITY))).toEqual(new Float64Array(3).fill(2));
  expect(averageOf(run(16))).not.toEqual(new Float64Array(3).fill(2));
});
