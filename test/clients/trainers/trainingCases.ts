// The experiments of the shared test of trainers. Each is compiled to a bundle and trained by mttc once, for
// all trainers; what they train of the bundle is compared with it.

import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import sharp from "sharp";
import { expect } from "vitest";
import { decodeSafetensors, type StoredTensor } from "../../../compiler/codec/safetensors.ts";
import { AUGMENT_NAMES } from "../../../compiler/spec/augmentKeys.ts";
import { runCli } from "../../cli/runCli.ts";
import { makeTinyData, type TinyData } from "../../cli/tinyData.ts";
import type { TrainerPart } from "./trainer.ts";

/** Operations that are the same to the bit on bytes and in the graph, before the first that is not. */
const EXACT = ["flip_left_right", "flip_up_down", "rot90"];
/** Every operation; with `shear` among them a run's own loader does nothing but flips and quarter turns. */
const ALL_OPERATIONS = `{${AUGMENT_NAMES.map((name) => `${name}: true`).join(", ")}}`;
const THREE_TASKS =
  "[colour, {name: marks, kind: tags}, {name: place, kind: number, columns: [x, y], loss: huber}]";
/** Of three steps each: more than ten steps. */
const EPOCHS = 4;

/** An experiment: lines of the tiny spec, and flags of `mttc compile`. */
export interface TrainingCase {
  readonly name: string;
  /** What a trainer must know for it; one that refuses any of it must refuse the bundle. */
  readonly parts: readonly TrainerPart[];
  readonly spec: Readonly<Record<string, string>>;
  readonly flags?: readonly string[];
}

export const TRAINING_CASES: readonly TrainingCase[] = [
  {
    name: "with batch norm, dropout, every augmentation, adaptive weights and Adam",
    parts: ["images", "augment"],
    spec: {
      ...{ batchnorm: "true", task_layers: "[6, d, 4]", shared_layers: "[6, d, r]" },
      augment: ALL_OPERATIONS,
      ...{ one_cycle: "true", clip_norm: "0.5", ema: "0.8", layer_lr: "0.5" },
    },
  },
  {
    name: "of grey images in micro-batches, with class weights, momentum and a permutation",
    parts: ["images", "augment", "accumulate"],
    spec: {
      ...{ accumulate: "3", class_weights: "balanced", optimizer: "momentum", balance_probs: "false" },
      ...{ batchnorm: "true", task_layers: "[d, 4]", weight_decay: "0.001", seed: "8589934597" },
      ...{ single_channel: "true", ema: "0.8", warmup: "3", lr_decay: "3", decay_type: "cosine" },
      augment: "{flip_left_right: true, rot90: true, zoom_scale: 0.4, shear: 0, gaussian_noise: 0.5}",
    },
  },
  {
    name: "by classes, with fixed weights and a frozen part, for CUDA",
    parts: ["images"],
    spec: {
      ...{ balance_classes: "true", task_weights: "[1, 0.25]", class_weights: "{colour: {red: 3}}" },
      ...{ train_fcn: "false", optimizer: "adamw", weight_decay: "0.01", task_layers: "[d, 4]" },
      ...{ lr_decay: "5", decay_type: "warmupcosine", warmup: "2" },
    },
    flags: ["--target", "cuda"],
  },
  {
    name: "of tags in a cell and in columns, of numbers and a class, with other losses and weights",
    parts: ["images", "tags", "number"],
    spec: {
      tasks:
        "[colour, {name: marks, kind: tags, loss: focal}, {name: flags, kind: tags, columns: [p, q]}, " +
        "{name: place, kind: number, columns: [x, y], loss: huber}, {name: size, kind: number}]",
      ...{ class_weights: "balanced", label_smoothing: "0.1", balance_classes: "true" },
    },
  },
  {
    name: "of all kinds in micro-batches, a weight for each tag",
    parts: ["images", "tags", "number", "accumulate"],
    spec: {
      tasks: "[{name: place, kind: number, columns: [x, y]}, {name: marks, kind: tags}, colour]",
      ...{ class_weights: "{marks: {a: 3}}", accumulate: "3", balance_probs: "false" },
      ...{ task_weights: "[1, 2, 0.5]", optimizer: "momentum" },
    },
  },
  {
    name: "of heads on a frozen trunk's features, which mttc computes once",
    parts: ["features"],
    spec: {
      ...{ fcn: "{layers: [5, p, 7]}", train_fcn: "false", cache_features: "true" },
      ...{ shared_layers: "[6, d]", task_layers: "[d, 4]", batchnorm: "true", ema: "0.7" },
      ...{ clip_norm: "1", lr_decay: "2", decay_type: "staircase", weight_decay: "0.001" },
    },
  },
  {
    name: "of heads of all kinds on a frozen trunk's features, in micro-batches",
    parts: ["features", "tags", "number", "accumulate"],
    spec: {
      tasks: "[{name: place, kind: number, columns: [x, y]}, {name: marks, kind: tags}, colour]",
      ...{ train_fcn: "false", cache_features: "true", accumulate: "2", class_weights: "balanced" },
      ...{ balance_classes: "true", shared_layers: "[6, d]", lr_decay: "2", decay_type: "exponential" },
    },
  },
  {
    name: "of three tasks' gradients in drawn orders, in micro-batches",
    parts: ["images", "tags", "number", "accumulate", "combine"],
    spec: {
      tasks: THREE_TASKS,
      ...{ combine: "pcgrad", accumulate: "3", class_weights: "balanced", task_weights: "[1, 2, 0.5]" },
      ...{ weight_decay: "0.001", clip_norm: "1", ema: "0.8", optimizer: "momentum" },
    },
  },
  {
    name: "of three tasks' gradients at the features, beside adaptive weights",
    parts: ["images", "tags", "number", "combine"],
    spec: { tasks: THREE_TASKS, combine: "{method: pcgrad, features: true}", optimizer: "momentum" },
  },
  {
    name: "by losses of earlier epochs, whatever loss is trained",
    parts: ["images", "tags", "number", "combine"],
    spec: {
      tasks:
        "[{name: colour, kind: classes, loss: focal}, {name: marks, kind: tags}, " +
        "{name: place, kind: number, columns: [x, y]}]",
      ...{ combine: "{method: dwa, temperature: 0.2}", task_weights: "[1, 2, 0]", label_smoothing: "0.1" },
    },
  },
  {
    name: "by chance in each step, on a frozen trunk's features, in micro-batches",
    parts: ["features", "tags", "number", "accumulate", "combine"],
    spec: {
      tasks: THREE_TASKS,
      ...{ combine: "rlw", task_weights: "[1, 0, 0.5]", accumulate: "3", seed: "8589934597" },
      ...{ train_fcn: "false", cache_features: "true", class_weights: "{colour: {red: 3}}" },
    },
  },
  {
    name: "by losses that fall alike, looked at once more after each step",
    parts: ["tags", "combine"],
    spec: { tasks: "[colour, {name: marks, kind: tags}]", combine: "famo", task_weights: "null" },
  },
  // Rates at which losses fall by much: the less two of them differ, the more of it is rounding.
  {
    name: "by losses that fall alike, looked at in micro-batches before each step and after it",
    parts: ["images", "augment", "tags", "accumulate", "combine"],
    spec: {
      tasks: "[colour, {name: marks, kind: tags}]",
      ...{ combine: "famo", task_weights: "null", accumulate: "3", batchnorm: "true", lr: "0.003" },
      ...{ shared_layers: "[6, d]", task_layers: "[4]", class_weights: "balanced" },
      augment: "{flip_left_right: true, mask: 0.5}",
    },
  },
  {
    name: "by losses that fall alike on a frozen trunk's features, looked at in micro-batches",
    parts: ["features", "tags", "accumulate", "combine"],
    spec: {
      tasks: "[colour, {name: marks, kind: tags}]",
      ...{ combine: "famo", task_weights: "null", accumulate: "2", lr: "0.01" },
      ...{ train_fcn: "false", cache_features: "true", shared_layers: "[6]" },
    },
  },
];

/** A case that mttc has compiled and trained. */
export interface PreparedCase extends AsyncDisposable {
  /** With `bundle/` and `train.csv`. */
  readonly folder: string;
  /** The state that training starts from, and that mttc ends with. */
  readonly before: ReadonlyMap<string, StoredTensor>;
  readonly wanted: ReadonlyMap<string, StoredTensor>;
}

/** The tiny data with a spec's tables and images. */
export async function caseData(spec: TrainingCase["spec"]): Promise<TinyData> {
  const data = await makeTinyData(spec);
  if (spec.single_channel) await makeGrey(join(data.folder, "images"));
  if (spec.tasks) addColumns(data.folder);
  return data;
}

/** Compiles a case to `bundle/` and trains it. */
export async function prepareCase({ spec, flags = [] }: TrainingCase): Promise<PreparedCase> {
  const data = await caseData({ ...spec, epochs: `${EPOCHS}` });
  const { folder } = data;
  for (const args of [
    ["compile", "spec.yml", "-o", "bundle", ...flags],
    ["train", "spec.yml"],
  ]) {
    const { code, stderr } = await runCli(folder, args);
    expect(code, stderr).toBe(0);
  }
  const [compiled, trained] = [["bundle"], ["run", "bundle"]].map((path) =>
    loaderOperations(folder, ...path),
  );
  // What mttc's own loader does to bytes is left to the graph in what `mttc compile` writes.
  expect([compiled, trained]).toEqual(
    spec.augment ? [[], EXACT.filter((name) => spec.augment?.includes(name))] : [undefined, undefined],
  );
  const last = join(folder, "run", "checkpoints", `epoch-${`${EPOCHS}`.padStart(4, "0")}`);
  return {
    folder,
    before: readState(join(folder, "bundle", "state.safetensors")),
    wanted: readState(join(last, "state.safetensors")),
    [Symbol.asyncDispose]: () => data[Symbol.asyncDispose](),
  };
}

/** The tensors of a safetensors file. */
export function readState(file: string): ReadonlyMap<string, StoredTensor> {
  return decodeSafetensors(readFileSync(file), file).tensors;
}

/** |a - b| / |b| of two tensors; 0 where both are zero. */
export function distance(a: StoredTensor | undefined, b: StoredTensor): number {
  const [found, wanted] = [numbersOf(a), numbersOf(b)];
  expect(found.length).toBe(wanted.length);
  const norm = (values: readonly number[]): number => Math.hypot(...values);
  const difference = norm(found.map((value, i) => value - (wanted[i] ?? Number.NaN)));
  return difference === 0 ? 0 : difference / norm(wanted);
}

function numbersOf(tensor: StoredTensor | undefined): number[] {
  const bytes = new Uint8Array(tensor?.data ?? []);
  if (tensor?.dtype === "int64") return Array.from(new BigInt64Array(bytes.buffer), Number);
  return [...new Float32Array(bytes.buffer)];
}

/** What a bundle expects to have been done to the images that it is given; undefined without augmentation. */
function loaderOperations(...path: readonly string[]): readonly string[] | undefined {
  return JSON.parse(readFileSync(join(...path, "manifest.json"), "utf8")).augment?.loader;
}

/** Puts columns of tags and numbers behind those of the tables, each with holes of its own. */
function addColumns(folder: string): void {
  const marks = ["a|b", "[]", "b", "", "a", '"[""b"", ""a""]"', "NA"];
  for (const name of ["train", "val"]) {
    const file = join(folder, `${name}.csv`);
    const [head, ...lines] = readFileSync(file, "utf8").trimEnd().split("\n");
    const cells = lines.map((line, row) => {
      const flags = [["0", "1", ""][row % 3], ["true", "False", "1.0", "", "0"][row % 5]];
      const numbers = [row % 4 === 3 ? "" : 1e3 - 7 * row, row % 3 === 2 ? "nan" : row / 64, -row];
      return [line, marks[row % 7], ...flags, ...numbers].join(",");
    });
    writeFileSync(file, [`${head},marks,p,q,x,y,size`, ...cells, ""].join("\n"));
  }
}

/** Replaces the images of a folder by their grey. */
async function makeGrey(folder: string): Promise<void> {
  for (const name of readdirSync(folder)) {
    const grey = sharp(readFileSync(join(folder, name)))
      .greyscale()
      .toColourspace("b-w");
    writeFileSync(join(folder, name), await grey.png().toBuffer());
  }
}
