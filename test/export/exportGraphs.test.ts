// The graphs of an export on the float64 reference: whole, single and split ones agree, and with the graph
// that training evaluates with; file names are safe; metadata survives.
import { expect, test } from "vitest";
import { buildExportGraphs, type ExportGraph, safeFileNames } from "../../compiler/export/exportGraphs.ts";
import { encodeMetadata, METADATA_KEY, readMetadata } from "../../compiler/export/modelMetadata.ts";
import { interpret } from "../../compiler/ir/interpret.ts";
import type { NDArray } from "../../compiler/ir/op.ts";
import type { Graph } from "../../compiler/ir/types.ts";
import { initialValue } from "../../compiler/model/initialValues.ts";
import { OPS } from "../../compiler/ops/table.ts";
import { batchNormFolding } from "../../compiler/passes/batchNormFolding.ts";
import { deadValues } from "../../compiler/passes/deadValues.ts";
import { runPasses } from "../../compiler/passes/pass.ts";
import { resolveSpec } from "../../compiler/spec/parseSpec.ts";
import { buildGradientGraph } from "../../compiler/step/gradientGraph.ts";
import { buildEvaluateGraph } from "../../compiler/step/inferenceGraphs.ts";
import { openTasks } from "../../compiler/tasks/openTask.ts";
import { faultsOf } from "../spec/faultsOf.ts";
import { FOLDED_FLOAT32 } from "../tolerances.ts";

const SPEC = resolveSpec({
  tasks: ["leaf shape", "species"],
  fcn: { layers: [4, "p"] },
  train_fcn: true,
  shared_layers: [4, "d", "r"],
  task_layers: [3],
  imshape: [8, 8],
  batch_size: 2,
  batchnorm: true,
  single_channel: true,
});
const CLASSES = [
  { task: "leaf shape", classes: ["oval", "round", "star"] },
  { task: "species", classes: ["a", "b"] },
];

/** Initial values, and statistics that are not those of a fresh norm. */
function parameterValues(): Map<string, Float32Array> {
  const model = { spec: SPEC, tasks: openTasks(CLASSES), ops: OPS, frozenValue: () => new Float32Array() };
  return new Map(
    buildGradientGraph(model, 2).parameters.map((parameter, i) => {
      const values = initialValue(parameter, 7);
      const isKernel = parameter.role === "kernel";
      return [parameter.name, isKernel ? values : values.map((_, c) => 0.5 + ((c + i) % 3) / 4)];
    }),
  );
}

const VALUES = parameterValues();
const IMAGE: NDArray = {
  dtype: "uint8",
  shape: [2, 8, 8, 3],
  data: Float64Array.from({ length: 2 * 8 * 8 * 3 }, (_, i) => (i * 37) % 256),
};

function exportGraphs(split: boolean): Map<string, ExportGraph> {
  const model = { spec: SPEC, tasks: openTasks(CLASSES), ops: OPS, values: VALUES, producer: "mttc" };
  return new Map(buildExportGraphs(model, split).map((entry) => [entry.name, entry]));
}

function run(graph: Graph | undefined, feeds: Record<string, NDArray | undefined>): Map<string, NDArray> {
  if (!graph) throw new Error("no such graph");
  const defined = Object.entries(feeds).flatMap(([name, value]) => (value ? [[name, value] as const] : []));
  return interpret(graph, new Map(defined));
}

function largestDifference(a: NDArray | undefined, b: NDArray | undefined): number {
  expect(a?.shape).toEqual(b?.shape);
  return Math.max(...(a?.data ?? []).map((value, i) => Math.abs(value - (b?.data[i] ?? Number.NaN))));
}

test("the whole model gives what the evaluation graph of training gives, for any batch size", () => {
  const { graph } = exportGraphs(false).get("model") ?? {};
  const evaluate = buildEvaluateGraph(
    { spec: SPEC, tasks: openTasks(CLASSES), ops: OPS, frozenValue: () => new Float32Array() },
    2,
  );
  const parameters = Object.fromEntries(
    evaluate.inputs.flatMap(({ name, type }) => {
      const data = VALUES.get(name);
      return data
        ? [[name, { dtype: "float32", shape: type.shape.map(Number), data: Float64Array.from(data) }]]
        : [];
    }),
  ) as Record<string, NDArray>;
  const expected = run(evaluate, { image: IMAGE, ...parameters });
  const actual = run(graph, { image: IMAGE });
  for (const { task } of CLASSES)
    expect(
      largestDifference(actual.get(`probabilities/${task}`), expected.get(`probabilities/${task}`)),
    ).toBe(0);
  const one = { ...IMAGE, shape: [1, 8, 8, 3], data: IMAGE.data.slice(0, 8 * 8 * 3) };
  expect(run(graph, { image: one }).get("probabilities/species")?.shape).toEqual([1, 2]);
});

test("every task's own file gives what the whole model gives", () => {
  const graphs = exportGraphs(false);
  const whole = run(graphs.get("model")?.graph, { image: IMAGE });
  expect([...graphs.keys()]).toEqual(["model", "leaf_shape", "species"]);
  for (const [file, task] of [
    ["leaf_shape", "leaf shape"],
    ["species", "species"],
  ] as const) {
    const own = run(graphs.get(file)?.graph, { image: IMAGE });
    expect([...own.keys()]).toEqual(["probabilities"]);
    expect(largestDifference(own.get("probabilities"), whole.get(`probabilities/${task}`))).toBe(0);
  }
});

test("trunk, shared layers and heads compose to the whole model", () => {
  const graphs = exportGraphs(true);
  const whole = run(graphs.get("model")?.graph, { image: IMAGE });
  const { features } = Object.fromEntries(run(graphs.get("trunk")?.graph, { image: IMAGE }));
  const { shared_features } = Object.fromEntries(run(graphs.get("shared")?.graph, { features }));
  const head = run(graphs.get("head-leaf_shape")?.graph, { shared_features });
  expect(largestDifference(head.get("probabilities"), whole.get("probabilities/leaf shape"))).toBe(0);
});

test("without shared layers there is no shared part and the heads take the features", () => {
  const spec = { ...SPEC, shared_layers: [] };
  const model = { spec, tasks: openTasks(CLASSES), ops: OPS, values: VALUES, producer: "mttc" };
  const graphs = buildExportGraphs(model, true);
  expect(graphs.map(({ name }) => name)).toEqual([
    "model",
    "leaf_shape",
    "species",
    "trunk",
    "head-leaf_shape",
    "head-species",
  ]);
  expect(graphs.at(-1)?.graph.inputs.map(({ name }) => name)).toEqual(["features"]);
});

test("batch norms that follow a convolution are folded, and the probabilities stay", () => {
  const { graph } = exportGraphs(false).get("model") ?? {};
  if (!graph) throw new Error("no model");
  const options = { ops: OPS, allowOwnOps: false, stage: "test" };
  const folded = runPasses(graph, [batchNormFolding, deadValues], options);
  const norms = (g: Graph) => g.nodes.filter(({ op }) => op === OPS.get("BatchNormalization"));
  // Only the first norm of the residual block is left: no convolution stands before it.
  expect(norms(folded).map(({ outputs }) => outputs[0]?.origin)).toEqual(["shared_layers[2]"]);
  expect(norms(graph).length).toBe(6);
  const [before, after] = [graph, folded].map((g) => run(g, { image: IMAGE }).get("probabilities/species"));
  expect(largestDifference(after, before)).toBeLessThanOrEqual(FOLDED_FLOAT32);
  expect(largestDifference(after, before)).toBeGreaterThan(0);
});

test("file names are safe everywhere and distinct, whatever the tasks are called", () => {
  expect(
    safeFileNames(["leaf shape", "a?b", "a*b", "A?B", "model", "x", "head-x", "con", "-o", "été"]),
  ).toEqual(["leaf_shape", "a_b", "a_b-2", "A_B-3", "model-2", "x", "head-x-2", "_con", "_o", "été"]);
  const long = safeFileNames(["𝒳".repeat(100), `${"𝒳".repeat(99)}y`]);
  expect(new Set(long).size).toBe(2);
  for (const name of long) expect(Buffer.byteLength(`head-${name}.onnx`)).toBeLessThan(256);
});

test("metadata survives, and anything else is refused", () => {
  const { metadata } = exportGraphs(false).get("model") ?? {};
  if (!metadata) throw new Error("no model");
  const [[key = "", value = ""] = []] = Object.entries(encodeMetadata(metadata));
  expect(key).toBe(METADATA_KEY);
  const read = readMetadata([{ key, value }], "m.onnx");
  expect(read).toMatchObject(metadata);
  expect(read.tasks[0]).toEqual({
    name: "leaf shape",
    output: "probabilities/leaf shape",
    classes: ["oval", "round", "star"],
  });
  expect(read.preprocessing).toEqual({
    height: 8,
    width: 8,
    channels: 3,
    greyscale: true,
    norm: 255,
    layout: "NHWC",
    dtype: "uint8",
  });
  for (const props of [
    [],
    [{ key, value: "{" }],
    [{ key, value: "{}" }],
    [{ key, value: value.replace('"height":8', '"height":-8') }],
  ])
    expect(faultsOf(() => readMetadata(props, "m.onnx"))[0]).toMatchObject({
      code: "E_MODEL_META",
      at: { file: "m.onnx" },
    });
});
