// Bundles, tables and images that a trainer must refuse in one line, each one change away from sound ones.
import { readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { decodeSafetensors, encodeSafetensors } from "../../../compiler/codec/safetensors.ts";
import type { ErrorCode } from "../../../compiler/diagnostics.ts";

/** A fault in the folder of a case: `bundle/`, `train.csv`, `images/`. */
export interface TrainerFault {
  readonly name: string;
  /** Codes under which it may be told. */
  readonly codes: readonly ErrorCode[];
  /** What the message must name. */
  readonly names: RegExp;
  readonly plant: (folder: string) => void;
}

/** The experiment that the faults are planted in. */
export const FAULTY_SPEC = {
  ...{ batchnorm: "true", shared_layers: "[6, d]", accumulate: "2", class_weights: "balanced" },
  ...{ augment: "{flip_left_right: true, mask: 0.5}", lr_decay: "3", epochs: "1" },
  // Orders are drawn of three tasks and more.
  ...{ combine: "pcgrad", task_weights: "[1, 0.5, 2]" },
  tasks: '[colour, "its shape", {name: size, kind: number}]',
};

type Json = Record<string, unknown>;

const BUNDLE_FAULTS: readonly TrainerFault[] = [
  manifestFault("a bundle of another version", /99/, (manifest) => ({ ...manifest, version: 99 })),
  manifestFault("what is no bundle", /zip/, (manifest) => ({ ...manifest, format: "zip" })),
  manifestFault("an unknown kind of tasks", /ordinal/, (manifest) => {
    const [task, ...tasks] = manifest.tasks as readonly Json[];
    return { ...manifest, tasks: [{ ...task, kind: "ordinal" }, ...tasks] };
  }),
  manifestFault("a batch of no rows", /batchSize/, (manifest) => ({ ...manifest, batchSize: 0 })),
  manifestFault("micro-batches that do not divide the batch", /accumulate/, (manifest) => {
    return { ...manifest, accumulate: 5 };
  }),
  manifestFault("images too large for any memory", /preprocessing/, (manifest) => {
    const preprocessing = { ...(manifest.preprocessing as Json), height: 2 ** 40, width: 2 ** 40 };
    return { ...manifest, preprocessing };
  }),
  manifestFault("a seed that is no whole number", /seed/, (manifest) => {
    return { ...manifest, spec: { ...(manifest.spec as Json), seed: "seven" } };
  }),
  inputFault("an unknown role", /oracle/, "mask", (input) => ({ ...input, role: "oracle" })),
  inputFault("an unknown draw", /gaussian/, "mask", (input) => ({ ...input, draw: "gaussian" })),
  inputFault("an unknown encoding", /one_hot/, "label", (input) => ({ ...input, encoding: "one_hot" })),
  inputFault("an unknown formula of a rate", /magic/, "scalar", (input) => {
    return input.scalar === "learning_rate" ? { ...input, value: { formula: "magic", value: 1 } } : input;
  }),
  inputFault("an unknown draw of a step", /class_orders/, "draw", (input) => {
    return { ...input, draw: "class_orders" };
  }),
  inputFault("orders of other tasks", /shape/, "draw", (input) => ({ ...input, shape: [2, 1] })),
  inputFault("orders of no stream", /stream/, "draw", (input) => ({ ...input, stream: 7 })),
  weightFault("an unknown formula of a task's weight", /magic/, { formula: "magic", value: 1 }),
  weightFault("a task's weight by a schedule", /cosine/, { formula: "cosine", value: 1, steps: 3, least: 0 }),
  weightFault("a temperature of nothing", /temperature/, {
    ...{ formula: "dynamic_average", value: 1, temperature: 0 },
  }),
  weightFault("a factor of no stream", /stream/, { formula: "random_softmax", value: 1 }),
  weightFault("a factor of no number", /value/, { formula: "random_softmax", value: "a", stream: "rlw" }),
  inputFault("an unknown formula of a count", /magic/, "scalar", (input) => {
    return input.scalar === "inverse_count" ? { ...input, value: { formula: "magic" } } : input;
  }),
  inputFault("an unknown operation of augmentation", /swirl/, "augment", (input) => {
    const [operation, ...others] = input.operations as readonly Json[];
    return { ...input, operations: [{ ...operation, name: "swirl" }, ...others] };
  }),
  inputFault("a state that is not there", /nowhere/, "state", (input) => ({ ...input, name: "nowhere" })),
  outputFault("an output of an unknown role", /oracle/, "figure", (output) => ({
    ...output,
    role: "oracle",
  })),
  outputFault("a next state of nothing", /nowhere/, "state", (output) => ({
    ...output,
    replaces: "nowhere",
  })),
  outputFault("an output that the graph has not", /lost/, "figure", (output) => ({
    ...output,
    name: "lost",
  })),
  inputFault("a sum that no graph makes", /nowhere/, "accumulator", (input) => ({
    ...input,
    name: "nowhere",
  })),
  inputFault("a label of no task", /nobody/, "label", (input) => ({ ...input, task: "nobody" })),
  lossesFault("sums of losses that no graph gives", /losses/, "factors"),
  lossesFault("sums of losses that no graph makes factors of", /factors/, "losses"),
  manifestFault("a graph outside its folder", /\.\.\/grad\.onnx/, (manifest) =>
    changeGraphs(manifest, (graph) => ({ ...graph, file: `../${graph.file}` })),
  ),
  bundleFault("a manifest that is cut", ["E_BUNDLE"], /manifest\.json/, (bundle) => {
    truncateSync(join(bundle, "manifest.json"), 1000);
  }),
  bundleFault("a manifest of brackets", ["E_BUNDLE"], /manifest\.json/, (bundle) => {
    writeFileSync(join(bundle, "manifest.json"), "[".repeat(1e5));
  }),
  bundleFault("a manifest that is not there", ["E_FILE", "E_BUNDLE"], /manifest\.json/, (bundle) => {
    rmSync(join(bundle, "manifest.json"));
  }),
  bundleFault("a graph that is not there", ["E_FILE", "E_BUNDLE"], /grad\.onnx/, (bundle) => {
    rmSync(join(bundle, "grad.onnx"));
  }),
  bundleFault("a graph that is none", ["E_MODEL_PARSE", "E_BUNDLE", "E_ORT"], /grad\.onnx/, (bundle) => {
    writeFileSync(join(bundle, "grad.onnx"), "no graph");
  }),
  stateFault("a state that is cut", (bytes) => bytes.subarray(0, bytes.length - 5)),
  stateFault("a state with a header of any length", (bytes) => {
    const changed = Buffer.from(bytes);
    changed.writeBigUInt64LE(2n ** 62n);
    return changed;
  }),
  stateFault("a state that lacks a tensor", (bytes) => {
    return encodeSafetensors([...decodeSafetensors(bytes, "state").tensors.values()].slice(1));
  }),
  stateFault("a state of other shapes", (bytes) => {
    const tensors = [...decodeSafetensors(bytes, "state").tensors.values()];
    return encodeSafetensors(tensors.map((each) => ({ ...each, shape: [...each.shape, 1] })));
  }),
];

const TABLE_FAULTS: readonly TrainerFault[] = [
  tableFault("a table that is not there", ["E_FILE"], /train\.csv/, () => undefined),
  tableFault("a table without rows", ["E_CSV_SHAPE"], /train\.csv/, ([head]) => [head ?? ""]),
  tableFault("a table without a task's column", ["E_CSV_HEADER"], /its shape/, ([head = "", ...rows]) => {
    return [head.replace("its shape", "form"), ...rows];
  }),
  tableFault("a table without paths", ["E_CSV_HEADER"], /file/, ([head = "", ...rows]) => {
    return [head.replace("file", "picture"), ...rows];
  }),
  tableFault("a row that is too short", ["E_CSV_SHAPE"], /train\.csv/, (lines) => [...lines, "images/a.png"]),
  tableFault("a label that is no class", ["E_LABEL"], /mauve/, (lines) =>
    lines.map((line) => line.replace("red", "mauve")),
  ),
  tableFault("an image that is not there", ["E_FILE"], /missing\.png/, (lines) =>
    lines.map((line) => line.replace("train-3.png", "missing.png")),
  ),
  imageFault("an image that is cut", (bytes) => bytes.subarray(0, 60)),
  imageFault("an image that is none", () => Buffer.from("no image")),
];

/** All faults. */
export const TRAINER_FAULTS: readonly TrainerFault[] = [...BUNDLE_FAULTS, ...TABLE_FAULTS];

function bundleFault(
  name: string,
  codes: readonly ErrorCode[],
  names: RegExp,
  plant: (bundle: string) => void,
): TrainerFault {
  return { name, codes, names, plant: (folder) => plant(join(folder, "bundle")) };
}

function manifestFault(name: string, names: RegExp, change: (manifest: Json) => Json): TrainerFault {
  return bundleFault(name, ["E_BUNDLE"], names, (bundle) => {
    const path = join(bundle, "manifest.json");
    writeFileSync(path, JSON.stringify(change(JSON.parse(readFileSync(path, "utf8")) as Json)));
  });
}

/** Changes every input of a role. */
function inputFault(name: string, names: RegExp, role: string, change: (input: Json) => Json): TrainerFault {
  return manifestFault(name, names, (manifest) => changePorts(manifest, "inputs", role, change));
}

/** Changes every output of a role. */
function outputFault(
  name: string,
  names: RegExp,
  role: string,
  change: (output: Json) => Json,
): TrainerFault {
  return manifestFault(name, names, (manifest) => changePorts(manifest, "outputs", role, change));
}

function changePorts(
  manifest: Json,
  side: "inputs" | "outputs",
  role: string,
  change: (port: Json) => Json,
): Json {
  return changeGraphs(manifest, (graph) => {
    const ports = graph[side] as readonly Json[];
    return { ...graph, [side]: ports.map((port) => (port.role === role ? change(port) : port)) };
  });
}

function weightFault(name: string, names: RegExp, value: Json): TrainerFault {
  return inputFault(name, names, "scalar", (input) =>
    input.scalar === "task_weight" ? { ...input, value } : input,
  );
}

/** `grad` takes sums of losses; of the two graphs that go with them there is that of `purpose` alone. */
function lossesFault(name: string, names: RegExp, purpose: "losses" | "factors"): TrainerFault {
  return manifestFault(name, names, (manifest) => {
    const tasks = (manifest.tasks as readonly Json[]).map((task) => task.name);
    const sums = { name: "sums", dtype: "float32", shape: [tasks.length], role: "losses", tasks };
    const next = { ...sums, name: "next sums", replaces: "sums" };
    const graphs = Object.entries(manifest.graphs as Record<string, Json>).flatMap(
      ([key, graph]): [string, Json][] => {
        if (graph.purpose !== "grad") return [[key, graph]];
        const grad = { ...graph, inputs: [...(graph.inputs as readonly Json[]), sums] };
        const outputs = [...(graph.outputs as readonly Json[]), ...(purpose === "losses" ? [next] : [])];
        return [
          [key, grad],
          [purpose, { ...grad, purpose, outputs }],
        ];
      },
    );
    return { ...manifest, graphs: Object.fromEntries(graphs) };
  });
}

function changeGraphs(manifest: Json, change: (graph: Json) => Json): Json {
  const graphs = Object.entries(manifest.graphs as Record<string, Json>);
  return { ...manifest, graphs: Object.fromEntries(graphs.map(([name, graph]) => [name, change(graph)])) };
}

function stateFault(name: string, change: (bytes: Buffer) => Uint8Array): TrainerFault {
  return bundleFault(name, ["E_ST_HEADER", "E_ST_LAYOUT", "E_BUNDLE"], /state\.safetensors/, (bundle) => {
    const path = join(bundle, "state.safetensors");
    writeFileSync(path, change(readFileSync(path)));
  });
}

/** Changes the table's lines; without any the file is removed. */
function tableFault(
  name: string,
  codes: readonly ErrorCode[],
  names: RegExp,
  change: (lines: readonly string[]) => readonly string[] | undefined,
): TrainerFault {
  const plant = (folder: string): void => {
    const path = join(folder, "train.csv");
    const lines = change(readFileSync(path, "utf8").trimEnd().split("\n"));
    if (lines) writeFileSync(path, `${lines.join("\n")}\n`);
    else rmSync(path);
  };
  return { name, codes, names, plant };
}

function imageFault(name: string, change: (bytes: Buffer) => Buffer): TrainerFault {
  const plant = (folder: string): void => {
    const path = join(folder, "images", "train-3.png");
    writeFileSync(path, change(readFileSync(path)));
  };
  return { name, codes: ["E_IMG_TRUNCATED", "E_IMG_FORMAT"], names: /train-3\.png/, plant };
}
