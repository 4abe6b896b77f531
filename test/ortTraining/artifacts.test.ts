// Artifacts of ONNX Runtime Training without that runtime: names, order and types of what it looks for, and
// the numbers of the graphs against mttc's own in float64. ortTrainingRuntime.test.ts runs them.
import { describe, expect, test } from "vitest";
import type { ModelProto, ValueInfoProto } from "../../compiler/codec/onnxSchema.ts";
import { decodeModelProto } from "../../compiler/codec/protobuf.ts";
import { readTrainingCheckpoint } from "../../compiler/codec/readTrainingCheckpoint.ts";
import { interpret } from "../../compiler/ir/interpret.ts";
import type { NDArray } from "../../compiler/ir/op.ts";
import type { Schedule } from "../../compiler/ir/roles.ts";
import { ARTIFACT_FILES } from "../../compiler/ortTraining/artifactNames.ts";
import { buildRateGraph, DEFAULT_RATE } from "../../compiler/ortTraining/rateGraph.ts";
import { resolveSpec } from "../../compiler/spec/parseSpec.ts";
import type { Spec, SpecInput } from "../../compiler/spec/schema.ts";
import { learningRateAt, scheduleOf } from "../../compiler/step/schedules.ts";
import {
  gradientsOf,
  initialState,
  microBatches,
  randomBatch,
  tensorOf,
  train,
  withoutLabels,
} from "../step/experiment.ts";
import { type Tensors, withRunner } from "../step/graphRunner.ts";
import { relativeDistance } from "../step/tensors.ts";
import { ORT_RATE, SUM_ORDER_FLOAT64 } from "../tolerances.ts";
import { compileArtifacts, type TracedArtifacts } from "./tracedArtifacts.ts";

const LAYERS: Partial<SpecInput> = {
  ...{ shared_layers: [4, "d", "r"], batchnorm: true, task_layers: [3] },
};
const CLASSES = { a: 3, b: 2 };

function modelOf({ artifacts }: TracedArtifacts, file: keyof typeof ARTIFACT_FILES): ModelProto {
  return decodeModelProto(artifacts.files.get(ARTIFACT_FILES[file]) ?? new Uint8Array());
}

const namesOf = (infos: readonly ValueInfoProto[]): string[] => infos.map(({ name }) => name);

function shapesOf(infos: readonly ValueInfoProto[]): Record<string, (number | string | undefined)[]> {
  return Object.fromEntries(
    infos.map(({ name, type }) => [
      name,
      (type?.tensorType?.shape?.dim ?? []).map(({ dimValue, dimParam }) => dimValue ?? dimParam),
    ]),
  );
}

describe("training_model.onnx", () => {
  const compiled = compileArtifacts({ ...LAYERS, task_weights: "adaptive" }, CLASSES);
  const { graph, irVersion, opsetImport } = modelOf(compiled, "training");
  const { parameters } = compiled.artifacts.manifest;
  const trained = parameters.filter((parameter) => parameter.trained).map(({ name }) => name);

  test("takes images and labels, parameters, a buffer for each gradient, and the flag, in this order", () => {
    expect(namesOf(graph.input)).toEqual([
      ...["image", "label/a", "label/b"],
      ...parameters.map(({ name }) => name),
      ...trained.map((name) => `${name}_grad.accumulation.buffer`),
      "lazy_reset_grad",
    ]);
    const shapes = shapesOf(graph.input);
    for (const { name, shape } of parameters) expect(shapes[name], name).toEqual(shape);
    for (const name of trained) expect(shapes[`${name}_grad.accumulation.buffer`]).toEqual(shapes[name]);
    expect(parameters.map((each) => each.trained)).toEqual(
      [...parameters].map((each) => each.trained).sort((a, b) => Number(b) - Number(a)),
    );
  });

  test("gives the loss first, then that of each task and what it serves, then that gradients are summed", () => {
    expect(namesOf(graph.output)).toEqual([
      ...["loss", "loss/a", "loss/b", "probabilities/a", "probabilities/b"],
      ...trained.map((name) => `${name}_grad.accumulation.out`),
    ]);
  });

  test("sums each gradient and writes each running statistic in place", () => {
    const sums = graph.node.filter(({ opType }) => opType === "InPlaceAccumulatorV2");
    expect(sums.every(({ domain }) => domain === "com.microsoft")).toBe(true);
    expect(sums.map(({ input }) => input)).toEqual([
      ...trained.map((name) => [`${name}_grad.accumulation.buffer`, `${name}_grad`, "lazy_reset_grad"]),
      ...parameters
        .filter((parameter) => !parameter.trained)
        .map(({ name }) => [name, `next/${name}`, "ort_training/true"]),
    ]);
    expect(parameters.some((parameter) => !parameter.trained)).toBe(true);
  });

  test("draws the masks of dropout itself, from what is no constant", () => {
    const drops = graph.node.filter(({ opType }) => opType === "Dropout");
    expect(drops.map(({ output }) => output)).toEqual([["mask/shared_layers[1]"]]);
    const constants = new Set(graph.initializer.map(({ name }) => name));
    expect(constants.has(drops[0]?.input[0] ?? "")).toBe(false);
    expect(constants.has(drops[0]?.input[1] ?? "")).toBe(true);
  });

  test("has parameters nowhere as constants, and versions that every release loads", () => {
    const constants = new Set(graph.initializer.map(({ name }) => name));
    expect(parameters.filter(({ name }) => constants.has(name))).toEqual([]);
    expect([irVersion, opsetImport]).toEqual([
      8,
      [
        { domain: "", version: 18 },
        { domain: "com.microsoft", version: 1 },
      ],
    ]);
    const defined = new Set([...namesOf(graph.input), ...constants]);
    for (const { input, output } of graph.node) {
      for (const name of input) if (name !== "") expect(defined.has(name), name).toBe(true);
      for (const name of output) defined.add(name);
    }
    for (const name of namesOf(graph.output)) expect(defined.has(name), name).toBe(true);
  });

  test("and eval_model.onnx takes the same parameters in the same order, any number of images, and gives the same", () => {
    const evaluation = modelOf(compiled, "evaluation").graph;
    const inputs = namesOf(evaluation.input);
    expect(inputs).toEqual(["image", "label/a", "label/b", ...parameters.map(({ name }) => name)]);
    expect(namesOf(evaluation.output)).toEqual(namesOf(graph.output).slice(0, 5));
    expect(shapesOf(evaluation.input).image).toEqual(["N", 6, 6, 3]);
  });

  test.each<[string, Partial<SpecInput>]>([
    ["with batch norm and dropout", LAYERS],
    ["without either", { task_layers: [3] }],
  ])("holds no constant that nothing reads, %s", (_, spec) => {
    const model = modelOf(compileArtifacts(spec, CLASSES), "training").graph;
    const read = new Set(model.node.flatMap(({ input }) => input));
    expect(model.initializer.map(({ name }) => name).filter((name) => !read.has(name))).toEqual([]);
  });

  test("of a frozen extractor holds it as constants; the checkpoint holds the rest alone", () => {
    const frozen = compileArtifacts({ train_fcn: false }, CLASSES);
    const names = frozen.artifacts.manifest.parameters.map(({ name }) => name);
    expect(names.filter((name) => name.startsWith("fcn"))).toEqual([]);
    const constants = modelOf(frozen, "training").graph.initializer.map(({ name }) => name);
    expect(constants).toContain("fcn.layers[0].kernel");
  });
});

describe("optimizer_model.onnx", () => {
  test("has one node that updates, and the inputs that the runtime asks for in its order", () => {
    const { graph } = modelOf(compileArtifacts({ clip_norm: 0.5, lr_decay: 10 }, CLASSES), "optimizer");
    expect(namesOf(graph.input)).toEqual([
      ...["learning_rate", "step", "params", "gradients", "first_order_moments", "second_order_moments"],
    ]);
    const [clip, update] = graph.node.slice(-2);
    expect([clip?.opType, clip?.input, clip?.attribute]).toEqual([
      "InplaceClipGradNorm",
      ["gradients"],
      [{ name: "max_norm", type: 1, f: 0.5 }],
    ]);
    expect([update?.opType, update?.input, update?.output]).toEqual([
      "AdamWOptimizer",
      ["rate", "step", "params", clip?.output[0], "first_order_moments", "second_order_moments"],
      ["updated"],
    ]);
    expect(shapesOf(graph.output)).toEqual({ updated: [1] });
  });

  const schedules: readonly Partial<SpecInput>[] = [
    { lr: 0.3 },
    { lr: 0.3, warmup: 7 },
    { lr: 0.3, lr_decay: 6, warmup: 2 },
    { lr: 0.3, lr_decay: 6, decay_type: "staircase" },
    { lr: 0.3, lr_decay: 20, decay_type: "warmupcosine", warmup: 5 },
    { lr: 0.3, lr_decay: 5, decay_type: "cosine", warmup: 1 },
    { lr: 0.3, lr_decay: 1, decay_type: "cosine" },
    { lr: 0.3, one_cycle: 31 },
    { lr: 0.3, one_cycle: 2 },
  ];
  test.each(schedules)("has the spec's rate at every step: %j", (keys) => {
    const spec = resolveSpec({ tasks: ["a"], fcn: { layers: [1] }, ...keys });
    const schedule: Schedule = scheduleOf(spec);
    const graph = buildRateGraph(spec, "rate");
    const rate = (step: number, given = DEFAULT_RATE): number => {
      const feeds = new Map<string, NDArray>([
        ["learning_rate", { dtype: "float32", shape: [1], data: Float64Array.of(given) }],
        ["step", { dtype: "int64", shape: [1], data: Float64Array.of(step) }],
      ]);
      return interpret(graph, feeds).get("rate")?.data[0] ?? Number.NaN;
    };
    for (let step = 0; step < 200; step++)
      expect(Math.abs(rate(step + 1) - learningRateAt(schedule, step, 0)), `${step}`).toBeLessThan(ORT_RATE);
    expect(rate(5, 0.25)).toBe(0.25);
  });
});

describe("the checkpoint", () => {
  test.each([
    ["1.17", 1],
    ["1.18", 2],
    ["1.19", 2],
  ] as const)("of %s has version %i, and holds what training starts from", (release, version) => {
    const compiled = compileArtifacts(LAYERS, CLASSES, release);
    const { artifacts, traced } = compiled;
    expect(artifacts.manifest.ortVersions).toContain(release);
    const bytes = artifacts.files.get(ARTIFACT_FILES.checkpoint) ?? new Uint8Array();
    const found = readTrainingCheckpoint(bytes, "checkpoint");
    expect(found.version).toBe(version);
    const state = initialState(traced.bundle);
    const { parameters } = artifacts.manifest;
    for (const [group, isTrained] of [
      [found.trained, true],
      [found.frozen, false],
    ] as const) {
      expect(group.map(({ name }) => name)).toEqual(
        parameters.filter(({ trained }) => trained === isTrained).map(({ name }) => name),
      );
      for (const { name, shape, data } of group) {
        expect(shape).toEqual(tensorOf(state, name).shape);
        expect([...data]).toEqual([...tensorOf(state, name).data]);
      }
    }
  });
});

describe("the training graph in float64", () => {
  test.each<[string, Partial<SpecInput>]>([
    ["with fixed weights", { task_weights: [1, 0.25] }],
    ["with class weights", { class_weights: { a: { "0": 0.5, "1": 1.5, "2": 2.5 } } }],
    ["with a penalty on kernels and adaptive weights", { weight_decay: 0.01, task_weights: "adaptive" }],
    ["with another loss", { label_smoothing: 0.1, focal_gamma: 2 }],
    ["with augmentation", { augment: { flip_left_right: true, gaussian_noise: 0.5 } }],
  ])("has the gradients and statistics of mttc's own step %s", (_, spec) => {
    const { stages, traced } = compileArtifacts({ ...LAYERS, ...spec }, CLASSES);
    const { bundle } = traced;
    const graph = stages.get("training/5-final");
    if (!graph) throw new Error("no training graph");
    for (const labelled of [true, false]) {
      const drawn = randomBatch(bundle, `of ${String(labelled)}`);
      const batch = new Map(labelled ? drawn : withoutLabels(drawn, "b"));
      const rows = graph.inputs.find(({ name }) => name === "augment");
      if (rows) batch.set("augment", augmentRows(rows.type.shape.map(Number)));
      const state = initialState(bundle);
      const found = interpret(graph, new Map([...state, ...batch]));
      withRunner("the float64 reference", traced, (run) => {
        const wanted = gradientsOf(run, bundle, state, batch);
        for (const [name, { data }] of wanted) {
          const whole = completed(bundle.manifest.spec, {
            name,
            data,
            state,
            isPresent: labelled || !name.includes("tasks.b."),
          });
          expect(relativeDistance(found.get(`${name}_grad`)?.data, whole), name).toBeLessThan(
            SUM_ORDER_FLOAT64,
          );
        }
        expect(wanted.size).toBeGreaterThan(10);
        const next = train(run, bundle, state, batch, 0);
        const statistics = [...found.keys()].filter((name) => name.startsWith("next/"));
        expect(statistics.length).toBe(12);
        for (const name of statistics)
          expect(relativeDistance(found.get(name)?.data, tensorOf(next, name).data), name).toBeLessThan(
            SUM_ORDER_FLOAT64,
          );
      });
    }
  });

  test("of micro-batches sums up to the mean of their gradients", () => {
    const { stages, traced } = compileArtifacts(
      { task_weights: [1, 0.25], batch_size: 4, accumulate: 2 },
      CLASSES,
    );
    const single = compileArtifacts({ task_weights: [1, 0.25], batch_size: 2 }, CLASSES);
    const batch = randomBatch(traced.bundle, "halves");
    const state = initialState(traced.bundle);
    const run = (graphs: TracedArtifacts["stages"], part: Tensors) => {
      const graph = graphs.get("training/5-final");
      if (!graph) throw new Error("no training graph");
      return interpret(graph, new Map([...state, ...part]));
    };
    for (const part of microBatches(batch, 2)) {
      const [found, wanted] = [run(stages, part), run(single.stages, part)];
      for (const [name, { data }] of wanted)
        if (name.endsWith("_grad"))
          expect(
            relativeDistance(
              found.get(name)?.data,
              data.map((x) => x / 2),
            ),
            name,
          ).toBeLessThan(SUM_ORDER_FLOAT64);
      expect(found.get("loss")?.data).toEqual(wanted.get("loss")?.data);
    }
  });

  test("and the evaluation graph give the same losses and answers, where layers are the same in both", () => {
    const { stages, traced } = compileArtifacts(
      { shared_layers: [4, "r"], task_weights: "adaptive" },
      CLASSES,
    );
    const batch = randomBatch(traced.bundle, "both");
    const [training, evaluation] = ["training", "evaluation"].map((name) => {
      const graph = stages.get(`${name}/5-final`);
      if (!graph) throw new Error(`no graph ${name}`);
      return interpret(graph, new Map([...initialState(traced.bundle), ...batch]));
    });
    expect([...(evaluation?.keys() ?? [])].length).toBe(5);
    for (const [name, { data }] of evaluation ?? [])
      expect(relativeDistance(training?.get(name)?.data, data), name).toBeLessThan(SUM_ORDER_FLOAT64);
    const s = 1;
    const terms = ["a", "b"].map(
      (task) => Math.exp(-s) * (evaluation?.get(`loss/${task}`)?.data[0] ?? Number.NaN) + s / 2,
    );
    expect(
      relativeDistance(evaluation?.get("loss")?.data, Float64Array.of((terms[0] ?? 0) + (terms[1] ?? 0))),
    ).toBeLessThan(SUM_ORDER_FLOAT64);
  });
});

/** What the step adds to the gradient that grad.onnx gives. */
function completed(
  { weight_decay: decay }: Pick<Spec, "weight_decay">,
  { name, data, state, isPresent }: { name: string; data: Float64Array; state: Tensors; isPresent: boolean },
): Float64Array {
  if (name.endsWith("log_variance")) return data.map((x) => x + (isPresent ? 0.5 : 0));
  if (!decay || !name.endsWith("kernel")) return data;
  return data.map((x, i) => x + decay * (tensorOf(state, name).data[i] ?? Number.NaN));
}

/** Rows of flips and a little noise. */
function augmentRows(shape: readonly number[]): NDArray {
  const count = shape.reduce((product, size) => product * size, 1);
  return {
    dtype: "float32",
    shape,
    data: Float64Array.from({ length: count }, (_, i) => (i % 3 === 0 ? 1 : 0)),
  };
}
