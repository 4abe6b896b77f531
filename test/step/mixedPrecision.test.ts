// Training in float16 with scaled losses: without rounding it is the float32 step to the last digits, with
// rounding it is near, and a step that overflows leaves everything but the scale as it was.
import { describe, expect, test } from "vitest";
import type { Graph } from "../../compiler/ir/types.ts";
import type { SpecInput } from "../../compiler/spec/schema.ts";
import { LOSS_SCALE, LOSS_SCALING, SCALED_STEPS } from "../../compiler/step/lossScaling.ts";
import { FLOAT16_LEAST, FLOAT16_STEP, GRAD_APPLY, MICRO_BATCHES, PASS_FLOAT64 } from "../tolerances.ts";
import type { TracedBundle } from "../training/tracedGraphs.ts";
import {
  compileExperiment,
  gradAndApply,
  initialState,
  nextState,
  randomBatch,
  tensorOf,
  train,
} from "./experiment.ts";
import { RUNTIMES, type RuntimeName, type Tensors, withRunner } from "./graphRunner.ts";
import { relativeDistance, sameBits } from "./tensors.ts";

const RATE = 0.01;
const SCALING: readonly string[] = [LOSS_SCALE, SCALED_STEPS];
const NETS: Readonly<Record<string, Partial<SpecInput>>> = {
  "pooling, dropout, a residual block, adaptive weights": {
    fcn: { layers: [4, "p", "r"] },
    shared_layers: [4, "d", "r"],
    task_weights: "adaptive",
    weight_decay: 0.01,
  },
  "batch norm in training form": { fcn: { layers: [4, "p", 4] }, batchnorm: true },
};

function compiled(spec: Partial<SpecInput>, precision: "fp32" | "fp16"): TracedBundle {
  return compileExperiment({ ...spec, precision }, { a: 3, b: 2 }, undefined, "cuda");
}

/** The state after one step on the same batch. */
function stepOf(runtime: RuntimeName, traced: TracedBundle, change: (state: Tensors) => Tensors = (s) => s) {
  const { bundle } = traced;
  return withRunner(runtime, traced, (run) => {
    const before = change(initialState(bundle));
    const outputs = train(run, bundle, before, randomBatch(bundle, "mixed"), RATE);
    return { before, outputs, after: nextState(before, outputs) };
  });
}

/** The state with numbers of the scaling replaced. */
function withScaling(scale: number, steps: number): (state: Tensors) => Tensors {
  return (state) => {
    const set = (name: string, value: number) =>
      [name, { ...tensorOf(state, name), data: Float64Array.of(value) }] as const;
    return new Map([...state, set(LOSS_SCALE, scale), set(SCALED_STEPS, steps)]);
  };
}

const numberOf = (tensors: Tensors, name: string): number => tensorOf(tensors, name).data[0] ?? Number.NaN;

function opsInHalf(graph: Graph | undefined): Set<string> {
  const nodes = graph?.nodes ?? [];
  return new Set(
    nodes.filter(({ outputs }) => outputs[0]?.type.dtype === "float16").map(({ op }) => op.name),
  );
}

describe.each(Object.entries(NETS))("%s", (_name, spec) => {
  test("products are computed in float16; state, losses and updates are not", () => {
    const { stages, bundle } = compiled(spec, "fp16");
    const halves = opsInHalf(stages.get("train/5-final"));
    expect([...halves]).toEqual(expect.arrayContaining(["Conv", "Relu"]));
    for (const name of ["Log", "LogSoftmax", "Softmax", "Exp", "Sqrt", "Div"])
      expect(halves).not.toContain(name);
    const { nodes = [] } = stages.get("train/5-final") ?? {};
    const updates = nodes.filter(({ outputs }) => /^optimizer\b/.test(outputs[0]?.origin ?? ""));
    expect(updates.length).toBeGreaterThan(20);
    expect(updates.filter(({ outputs }) => outputs[0]?.type.dtype === "float16")).toEqual([]);
    expect(opsInHalf(stages.get("evaluate/5-final"))).toEqual(new Set());
    expect(opsInHalf(stages.get("apply/5-final"))).toEqual(new Set());
    for (const { dtype, name } of bundle.manifest.state) expect(dtype, name).not.toBe("float16");
  });

  test("nothing that is float16 is widened only to be rounded again", () => {
    const { nodes = [] } = compiled(spec, "fp16").stages.get("train/5-final") ?? {};
    const casts = nodes.filter(({ op }) => op.name === "Cast");
    const widened = new Set(
      casts.filter(({ inputs }) => inputs[0]?.type.dtype === "float16").flatMap(({ outputs }) => outputs),
    );
    const rounded = casts.filter(({ outputs }) => outputs[0]?.type.dtype === "float16");
    expect(rounded.length).toBeGreaterThan(0);
    expect(rounded.filter(({ inputs }) => inputs[0] && widened.has(inputs[0]))).toEqual([]);
  });

  test("without rounding, the step is that of float32: scales cancel exactly", () => {
    const runtime = "the float64 reference";
    const whole = stepOf(runtime, compiled(spec, "fp32"));
    const half = stepOf(runtime, compiled(spec, "fp16"));
    for (const [name, { data }] of whole.outputs)
      expect(relativeDistance(half.outputs.get(name)?.data, data), name).toBeLessThan(PASS_FLOAT64);
  });

  test("on ONNX Runtime, the gradients are those of float32 but for rounding, which is there", () => {
    const gradients = (precision: "fp32" | "fp16"): Tensors => {
      const traced = compiled({ ...spec, optimizer: "momentum" }, precision);
      // At the initial scale these gradients may overflow.
      const change = precision === "fp16" ? withScaling(1024, 0) : undefined;
      return stepOf("ONNX Runtime", traced, change).after;
    };
    const [whole, half] = [gradients("fp32"), gradients("fp16")];
    // After one step of momentum, the velocity is the gradient but for a factor.
    const names = [...whole.keys()].filter((name) => name.endsWith("/velocity"));
    const distances = names.map((name) => {
      const distance = relativeDistance(half.get(name)?.data, tensorOf(whole, name).data);
      expect(distance, name).toBeLessThan(FLOAT16_STEP);
      return distance;
    });
    expect(Math.max(...distances)).toBeGreaterThan(FLOAT16_LEAST);
  });
});

describe.each(RUNTIMES)("loss scaling on %s", (runtime) => {
  const overflow = runtime === "ONNX Runtime" ? 2 ** 40 : Number.POSITIVE_INFINITY;

  test.each(Object.keys(NETS))("an overflow halves the scale and leaves all else as it was: %s", (name) => {
    const traced = compiled(NETS[name] ?? {}, "fp16");
    const { before, after } = stepOf(runtime, traced, withScaling(overflow, 7));
    for (const [tensor, old] of before)
      if (!SCALING.includes(tensor)) expect(sameBits(after.get(tensor), old), tensor).toBe(true);
    expect(numberOf(after, LOSS_SCALE)).toBe(overflow / 2);
    expect(numberOf(after, SCALED_STEPS)).toBe(0);
  });

  test("applied steps are counted, and the scale doubles when enough of them have passed", () => {
    const traced = compiled({}, "fp16");
    const first = stepOf(runtime, traced);
    expect(numberOf(first.after, LOSS_SCALE)).toBe(LOSS_SCALING.initial);
    expect(numberOf(first.after, SCALED_STEPS)).toBe(1);
    expect(numberOf(first.after, "optimizer.step")).toBe(1);
    const due = stepOf(runtime, traced, withScaling(1024, LOSS_SCALING.interval - 1));
    expect(numberOf(due.after, LOSS_SCALE)).toBe(2048);
    expect(numberOf(due.after, SCALED_STEPS)).toBe(0);
  });

  test("train is grad and apply, also in micro-batches, and with an overflow in one of them", () => {
    const traced = compiled({ fcn: { layers: [4] }, batch_size: 8, accumulate: 2 }, "fp16");
    const { bundle } = traced;
    withRunner(runtime, traced, (run) => {
      const batch = randomBatch(bundle, "micro");
      for (const [change, tolerance] of [
        [
          withScaling(1024, 0),
          runtime === "ONNX Runtime" ? FLOAT16_STEP : Math.min(GRAD_APPLY, MICRO_BATCHES),
        ],
        [withScaling(overflow, 0), 0],
      ] as const) {
        const state = change(initialState(bundle));
        const whole = nextState(state, train(run, bundle, state, batch, RATE));
        const halves = nextState(state, gradAndApply(run, bundle, state, batch, RATE, 2));
        for (const [name, tensor] of whole) {
          if (sameBits(halves.get(name), tensor)) continue;
          expect(relativeDistance(halves.get(name)?.data, tensor.data), name).toBeLessThan(tolerance);
        }
      }
    });
  });
});

test("a scale that is at its limit stays there", () => {
  const full = withScaling(LOSS_SCALING.most, LOSS_SCALING.interval - 1);
  const { after } = stepOf("the float64 reference", compiled({}, "fp16"), full);
  expect(numberOf(after, LOSS_SCALE)).toBe(LOSS_SCALING.most);
  expect(numberOf(after, SCALED_STEPS)).toBe(0);
});

test("on the CPU the same spec trains in float32, to the same bytes", () => {
  const [half, whole] = (["fp16", "fp32"] as const).map((precision) =>
    compileExperiment({ precision }, { a: 3 }).bundle.files.get("train.onnx"),
  );
  expect(half).toEqual(whole);
});
