// Every tensor of every graph says in the manifest what it is for, and the roles are all that a host needs to
// know: pairs, owners, and what goes into each input.
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { type Bundle, type GraphEntry, type TensorEntry, withRole } from "../../compiler/bundle/manifest.ts";
import { type OlderManifest, upgradeManifest } from "../../compiler/bundle/olderManifest.ts";
import { writeBundle } from "../../compiler/bundle/writeBundle.ts";
import { compile } from "../../compiler/compile.ts";
import { InternalError } from "../../compiler/diagnostics.ts";
import type { Graph } from "../../compiler/ir/types.ts";
import type { Parameter } from "../../compiler/model/parameters.ts";
import { OPS } from "../../compiler/ops/table.ts";
import { resolveSpec } from "../../compiler/spec/parseSpec.ts";
import type { SpecInput } from "../../compiler/spec/schema.ts";
import { buildGradientGraph } from "../../compiler/step/gradientGraph.ts";
import { buildEvaluateGraph } from "../../compiler/step/inferenceGraphs.ts";
import { openTasks } from "../../compiler/tasks/openTask.ts";
import { readBundleDirectory } from "../../runtime/runs/bundleDirectory.ts";
import { compileGoldenCase, GOLDEN_CASES } from "../golden/goldenCases.ts";

const CLASSES = [
  { task: "a.b", classes: ["x", "y", "z"] },
  { task: "next c", classes: ["x", "y"] },
];

function compiled(changes: Partial<SpecInput> = {}, target: "cpu" | "cuda" = "cpu"): Bundle {
  const spec = resolveSpec({
    tasks: CLASSES.map(({ task }) => task),
    ...{ fcn: { layers: [4, "p"] }, train_fcn: true, shared_layers: [6, "d"], task_layers: [] },
    ...{ imshape: [8, 8], batch_size: 4 },
    ...changes,
  });
  return compile(spec, CLASSES, { target });
}

const BUNDLES: readonly (readonly [string, () => Bundle])[] = [
  ...GOLDEN_CASES.map((name) => [`golden ${name}`, () => compileGoldenCase(name).bundle] as const),
  ["names with dots and blanks, dropout, micro-batches", () => compiled({ accumulate: 2 })],
  ["fixed weights", () => compiled({ task_weights: [2, 0.5] })],
  ["adaptive weights, momentum", () => compiled({ task_weights: "adaptive", optimizer: "momentum" })],
  ["balanced classes", () => compiled({ class_weights: "balanced" })],
  ["weights of some classes", () => compiled({ class_weights: { "a.b": { y: 3 } }, accumulate: 4 })],
  ["batch norm, mixed precision", () => compiled({ batchnorm: true, precision: "fp16" }, "cuda")],
  ["augmentation", () => compiled({ augment: true })],
  ["augmentation in the graph", () => compiled({ augment: true }, "cuda")],
  [
    "features of augmented images",
    () => compiled({ augment: true, train_fcn: false, cache_features: { draws: 2 } }),
  ],
];

function borders({ manifest }: Bundle): [string, GraphEntry][] {
  return Object.entries(manifest.graphs);
}

/** Whether a bundle has nothing that none of version 1 had: averages, schedules, kinds of task. */
function couldBeOlder({ manifest }: Bundle): boolean {
  const { spec, state, tasks } = manifest;
  const steers = spec.warmup !== null || spec.lr_decay > 0 || spec.one_cycle !== false;
  const averages = state.some(({ group }) => group === "average");
  return !steers && !averages && tasks.every(({ kind }) => kind === "classes");
}

describe.each(BUNDLES)("the roles of %s", (_, make) => {
  const bundle = make();
  const { manifest } = bundle;
  const parameters = new Set(manifest.parameters.map(({ name }) => name));
  const tasks = new Set(manifest.tasks.map(({ name }) => name));
  const state = new Map(manifest.state.map((entry) => [entry.name, entry]));

  test("name tasks and parameters that there are", () => {
    for (const [, { inputs, outputs }] of borders(bundle))
      for (const entry of [...inputs, ...outputs]) {
        if ("of" in entry && entry.of !== undefined) expect(parameters).toContain(entry.of);
        if ("task" in entry) expect(tasks).toContain(entry.task);
      }
    for (const { of } of manifest.state) if (of !== undefined) expect(parameters).toContain(of);
  });

  test("pair every next value with the tensor of its type that it replaces", () => {
    for (const [graph, { inputs, outputs }] of borders(bundle))
      for (const entry of outputs) {
        if (entry.role !== "state" && entry.role !== "accumulator") continue;
        const kind = (each: TensorEntry) => each.role === entry.role && each.name === entry.replaces;
        const replaced = entry.role === "state" ? state.get(entry.replaces ?? "") : inputs.find(kind);
        expect(replaced, `${graph} ${entry.name}`).toMatchObject({ dtype: entry.dtype, shape: entry.shape });
        expect(replaced?.name).toBe(entry.replaces);
      }
  });

  test("of state are those of the manifest, all of which a step replaces", () => {
    const { train, grad, apply } = manifest.graphs;
    const replacedBy = (...graphs: (GraphEntry | undefined)[]) =>
      new Set(
        graphs.flatMap((graph) => withRole(graph?.outputs ?? [], "state").map((each) => each.replaces)),
      );
    expect(replacedBy(train)).toEqual(new Set(state.keys()));
    expect(replacedBy(grad, apply)).toEqual(new Set(state.keys()));
    for (const [, { inputs }] of borders(bundle))
      for (const { name, of, dtype, shape } of withRole(inputs, "state"))
        expect(state.get(name)).toEqual(
          expect.objectContaining({ dtype, shape, ...(of === undefined ? {} : { of }) }),
        );
    for (const entry of manifest.state) expect(entry.group === "slot").toBe(entry.slot !== undefined);
  });

  test.runIf(couldBeOlder(bundle))("are those that version 1 told by names", () => {
    const plain = ({ name, dtype, shape }: TensorEntry) => ({ name, dtype, shape });
    const { accumulate: _accumulate, ...kept } = manifest;
    const older = {
      ...kept,
      version: 1,
      graphs: Object.fromEntries(
        borders(bundle).map(([name, { file, inputs, outputs }]) => [
          name,
          { file, inputs: inputs.map(plain), outputs: outputs.map(plain) },
        ]),
      ),
      state: manifest.state.map(({ of: _of, slot: _slot, ...entry }) => entry),
      tasks: manifest.tasks.map(({ name, classes }) => ({ name, classes: classes as string[] })),
      accumulators: [],
      masks: [],
    } as const satisfies OlderManifest;
    expect(upgradeManifest(older, "manifest.json")).toEqual(manifest);
  });
});

test("what goes into each input is said where it is declared", () => {
  const { manifest } = compiled({
    ...{ class_weights: { "a.b": { y: 3 } }, task_weights: [2, 0.5], lr: 0.25, dropout_rate: 0.75 },
    ...{ accumulate: 2, augment: { flip_left_right: true, zoom_scale: 0.3 } },
  });
  const inputs = manifest.graphs.train?.inputs ?? [];
  const grad = manifest.graphs.grad?.inputs ?? [];
  const rolesOf = (entries: readonly TensorEntry[], role: TensorEntry["role"]) =>
    withRole(entries, role).map(({ name: _name, dtype: _dtype, shape: _shape, ...rest }) => rest);
  expect(withRole(inputs, "label")).toEqual(
    CLASSES.map(({ task }) => ({
      ...{ name: `label/${task}`, dtype: "int64", shape: [4], role: "label", task },
      ...{ encoding: "class_index", missing: -1 },
    })),
  );
  expect(withRole(grad, "mask")).toEqual([
    {
      ...{ name: "mask/shared_layers[1]", dtype: "float32", shape: [2, 6, 1, 1], role: "mask" },
      ...{ layer: "shared_layers[1]", rate: 0.75, draw: "scaled_bernoulli" },
      stream: "dropout mask/shared_layers[1]",
    },
  ]);
  const scalar = { role: "scalar" };
  const constant = (value: unknown) => ({ formula: "constant", value });
  const weights = { ...scalar, scalar: "class_weights", task: "a.b", value: constant([1, 3, 1]) };
  const taskWeights = [2, 0.5].map((weight, i) => ({
    ...{ ...scalar, scalar: "task_weight", task: CLASSES[i]?.task, value: constant(weight) },
  }));
  const rate = { ...scalar, scalar: "learning_rate", value: constant(0.25) };
  // train counts labels itself.
  expect(rolesOf(inputs, "scalar")).toEqual([weights, ...taskWeights, rate]);
  const counts = [
    {
      ...scalar,
      scalar: "inverse_count",
      task: "a.b",
      value: { formula: "inverse_weight", weights: "class_weight/a.b" },
    },
    { ...scalar, scalar: "inverse_count", task: "next c", value: { formula: "inverse_labelled" } },
  ];
  expect(new Set(rolesOf(grad, "scalar"))).toEqual(new Set([weights, ...taskWeights, ...counts]));
  expect(rolesOf(manifest.graphs.augment?.inputs ?? [], "augment")).toMatchObject([
    {
      operations: [
        { name: "flip_left_right", strength: 1, stream: "augment flip_left_right" },
        { name: "zoom_scale", strength: 0.3, stream: "augment zoom_scale" },
      ],
    },
  ]);
});

test("a graph with a tensor that nobody gave a role is not written", () => {
  const spec = resolveSpec({ tasks: ["a"], fcn: { layers: [2] }, imshape: [4, 4], task_layers: [] });
  const initialOf = ({ shape }: Parameter) =>
    new Float32Array(shape.reduce((product, dim) => product * dim, 1));
  const tasks = openTasks([{ task: "a", classes: ["x", "y"] }]);
  const model = { spec, tasks, ops: OPS, frozenValue: initialOf };
  const gradients = buildGradientGraph(model, 2);
  const evaluate = buildEvaluateGraph(model, 2);
  const write = (graph: Graph) =>
    writeBundle({ model, gradients, graphs: [graph], target: "cpu", initialOf });
  expect(Object.keys(write(evaluate).manifest.graphs)).toEqual(["evaluate"]);
  const bare = <T extends { readonly role?: unknown }>({ role: _, ...rest }: T) => rest;
  for (const [graph, what] of [
    [{ ...evaluate, inputs: evaluate.inputs.map(bare) }, "image of evaluate"],
    [{ ...evaluate, outputs: evaluate.outputs.map(bare) }, "logits/a of evaluate"],
    [{ ...evaluate, purpose: undefined }, "evaluate"],
  ] as const)
    expect(() => write(graph)).toThrow(new InternalError(`nobody said what ${what} is for`));
});

test("a manifest of version 1 with a name that none of that version has is refused", () => {
  const { manifest } = compiled();
  const graph = {
    file: "train.onnx",
    inputs: [{ name: "label/none", dtype: "int64", shape: [1] }],
    outputs: [],
  };
  const older = { ...manifest, version: 1, graphs: { train: graph }, accumulators: [], masks: [] } as const;
  expect(() => upgradeManifest(older as unknown as OlderManifest, "m.json")).toThrow(/m\.json.*label\/none/);
});

test.each(["layers", "imported", "version2", "roles"])(
  "the bundle of the older run %s has them",
  async (run) => {
    const folder = join("test/fixtures/olderRuns/out", run, "bundle");
    const { version, graphs, state, accumulate } = await readBundleDirectory(folder, ["evaluate"]);
    const [step, gradients] = accumulate > 1 ? ["grad", graphs.apply] : ["train", graphs.train];
    expect(version).toBe(2);
    expect(graphs[step]?.purpose).toBe(step);
    expect(withRole(graphs[step]?.inputs ?? [], "label").length).toBeGreaterThan(0);
    const replaced = withRole([...(graphs[step]?.outputs ?? []), ...(gradients?.outputs ?? [])], "state");
    expect(new Set(replaced.map((entry) => entry.replaces))).toEqual(new Set(state.map(({ name }) => name)));
  },
);
