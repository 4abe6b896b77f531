// What comes after gradients are combined, the bound on the gradient, averages, rates by norm, written down
// once more in float64: weights by the method alone, from gradients that grad.onnx summed.
import { describe, expect, test } from "vitest";
import { need } from "../../compiler/diagnostics.ts";
import type { SpecInput } from "../../compiler/spec/schema.ts";
import { averageName } from "../../compiler/step/averages.ts";
import { hiding, methodWeights, RATE, rounding, SPEC, sharedRows, TASKS, weighed } from "./combinedSteps.ts";
import {
  compileExperiment,
  gradAndApply,
  gradientsOf,
  initialState,
  nextState,
  randomBatch,
  tensorOf,
  train,
} from "./experiment.ts";
import { RUNTIMES, type Tensors, withRunner } from "./graphRunner.ts";
import { relativeDistance } from "./tensors.ts";

const METHOD = "upgrad";
const HIDDEN = ["b"];
/** Of LARS: the part of a kernel's norm that it moves by. */
const TRUST = 0.001;

const lengthOf = (data: Float64Array): number =>
  Math.sqrt(data.reduce((sum, value) => sum + value * value, 0));

/** The gradient of each trained parameter, of what is shared combined. */
function combinedGradients(gradients: Tensors, state: Tensors): Map<string, Float64Array> {
  const weights = methodWeights(METHOD, gradients, HIDDEN, state);
  const own = [...gradients].filter(([name]) => !name.endsWith("/tasks"));
  return new Map([
    ...[...sharedRows(gradients)].map(([name, rows]) => [name, weighed(rows, weights)] as const),
    ...own.map(([name, { data }]) => [name, data] as const),
  ]);
}

interface Update {
  readonly name: string;
  readonly spec: Partial<SpecInput>;
  /** The parameters after the first step. */
  readonly expected: (
    state: Tensors,
    gradients: ReadonlyMap<string, Float64Array>,
  ) => Map<string, Float64Array>;
}

function moved(state: Tensors, gradients: ReadonlyMap<string, Float64Array>, rateOf: RateOf) {
  return new Map(
    [...gradients].map(([name, gradient]) => {
      const before = tensorOf(state, name).data;
      const rate = rateOf(name, before, gradient);
      return [name, before.map((value, i) => value - rate * gradient[i]!)];
    }),
  );
}

type RateOf = (name: string, before: Float64Array, gradient: Float64Array) => number;

const CLIP = 0.05;
const UPDATES: readonly Update[] = [
  {
    name: "in tf32 the weighed sum is made of single products",
    spec: { ...SPEC, precision: "tf32" },
    expected: (state, gradients) => moved(state, gradients, () => RATE),
  },
  {
    name: "clip_norm bounds the combined gradient, the heads' with it",
    spec: { ...SPEC, clip_norm: CLIP },
    expected: (state, gradients) => {
      const norm = Math.hypot(...[...gradients.values()].map(lengthOf));
      expect(norm).toBeGreaterThan(2 * CLIP);
      return moved(state, gradients, () => (RATE * CLIP) / (norm + 1e-6));
    },
  },
  {
    name: "lars takes the norm of the combined gradient of a kernel",
    spec: { ...SPEC, optimizer: "lars" },
    expected: (state, gradients) =>
      moved(state, gradients, (name, before, gradient) => {
        const isScaled = name.endsWith("kernel") && lengthOf(gradient) > 0;
        return isScaled ? (RATE * TRUST * lengthOf(before)) / lengthOf(gradient) : RATE;
      }),
  },
  {
    name: "ema averages what the combined gradient has moved",
    spec: { ...SPEC, ema: 0.9 },
    expected: (state, gradients) => {
      const next = moved(state, gradients, () => RATE);
      // 1 - min(0.9, 2 / 11) of the first step
      const averages = [...next].map(([name, value]) => {
        const before = tensorOf(state, averageName(name)).data;
        return [averageName(name), before.map((old, i) => old + (9 / 11) * (value[i]! - old))] as const;
      });
      return new Map([...next, ...averages]);
    },
  },
];

describe.each(RUNTIMES)("on %s", (runtime) => {
  test.each(UPDATES)("$name", ({ spec, expected }) => {
    const traced = compileExperiment({ ...spec, combine: METHOD }, TASKS);
    const { bundle } = traced;
    withRunner(runtime, traced, (run) => {
      const state = initialState(bundle);
      const batch = hiding(randomBatch(bundle, "update"), HIDDEN);
      const wanted = expected(state, combinedGradients(gradientsOf(run, bundle, state, batch), state));
      expect(wanted.size).toBeGreaterThan(10);
      for (const outputs of [
        train(run, bundle, state, batch, RATE),
        gradAndApply(run, bundle, state, batch, RATE),
      ]) {
        const after = nextState(state, outputs);
        for (const [name, data] of wanted)
          expect(relativeDistance(after.get(name)?.data, data), name).toBeLessThan(rounding(runtime));
      }
    });
  });
});

test.each(["fp32", "tf32", "fp16"] as const)(
  "in %s the gradients that are multiplied as matrices are float64, or nothing rounds them",
  (precision) => {
    const traced = compileExperiment({ ...SPEC, precision, combine: METHOD }, TASKS, undefined, "cuda");
    const nodes = need(traced.stages.get("apply/1-built"), "apply").nodes;
    const products = nodes.filter(({ op }) => ["Gemm", "MatMul"].includes(op.name));
    expect(products.length).toBeGreaterThan(2);
    const rounded = products.filter(({ inputs }) => inputs[0]?.type.dtype !== "float64");
    expect(rounded.length > 0).toBe(precision === "fp32");
  },
);
