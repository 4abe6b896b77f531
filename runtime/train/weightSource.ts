// What the spec's `init_from` names -> weights by name: the best checkpoint of a run, the initial state of a
// compiled bundle, or a model that mttc exported. Reads alone; the compiler takes of it what fits.
import { createHash } from "node:crypto";
import { readFile, stat } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { evaluatedState, MANIFEST_FILE, type Manifest, STATE_FILE } from "../../compiler/bundle/manifest.ts";
import { tasksOf } from "../../compiler/bundle/manifestTasks.ts";
import type { GraphProto } from "../../compiler/codec/onnxSchema.ts";
import { decodeModelProto } from "../../compiler/codec/protobuf.ts";
import { decodeSafetensors } from "../../compiler/codec/safetensors.ts";
import { type Fault, MttcError } from "../../compiler/diagnostics.ts";
import { readMetadata, taskOfServed } from "../../compiler/export/modelMetadata.ts";
import type { SourceTensor, WeightSource } from "../../compiler/model/adoptedWeights.ts";
import { readTensorData } from "../../compiler/read/onnx/tensorValues.ts";
import { fileError, isThere } from "../files/fileSystem.ts";
import { readModelFile } from "../models/modelFile.ts";
import { readBundleDirectory } from "../runs/bundleDirectory.ts";
import { type CheckpointWanted, choiceText, readCheckpoint } from "../runs/checkpointChoice.ts";
import { CHECKPOINT_NAME, type LoadedCheckpoint } from "../runs/checkpoints.ts";
import { refuseDivergedCheckpoint } from "../runs/finiteTensors.ts";
import { readFrozen } from "../runs/frozenWeights.ts";
import { storedParameters } from "../runs/parameterTensors.ts";
import { RUN_FILE } from "../runs/runFile.ts";
import { CHECKPOINT_FOLDER, RunFolder } from "../runs/runFolder.ts";
import type { RunInit } from "../runs/runOrigin.ts";

const EXPORT_LIST = "export.json";
const EXPORTED_MODEL = "model.onnx";

/** Weights that are read, and where they are from. */
export interface ReadWeights extends WeightSource {
  readonly kind: RunInit["kind"];
  /** "runs/first, epoch 6, the best". */
  readonly title: string;
  readonly epoch: number | undefined;
  readonly sha256: string;
  /** How images become the network's input there. */
  readonly preprocessing: Pick<Manifest["preprocessing"], "norm" | "greyscale">;
  /** What is to be said of the reading: damaged checkpoints that were skipped. */
  readonly notes: readonly string[];
}

/** Reads the weights behind `path`, called `named` in messages. E_CONFIG at `init_from` for what is none. */
export async function readWeightSource(path: string, named: string): Promise<ReadWeights> {
  try {
    return await readAny(path, named);
  } catch (error) {
    if (!(error instanceof MttcError)) throw error;
    const faults = error.faults.map(
      (fault): Fault => ({ ...fault, at: { file: path, path: "init_from", ...fault.at } }),
    );
    throw new MttcError(faults, { cause: error });
  }
}

async function readAny(path: string, named: string): Promise<ReadWeights> {
  if (!(await isFolder(path))) return readModel(path, named);
  const holder = dirname(path);
  if (CHECKPOINT_NAME.test(basename(path)) && basename(holder) === CHECKPOINT_FOLDER)
    return await readRun(dirname(holder), named, basename(path));
  if (await isThere(join(path, RUN_FILE))) return await readRun(path, named);
  if (await isThere(join(path, EXPORT_LIST))) return readModel(join(path, EXPORTED_MODEL), named);
  if (await isThere(join(path, MANIFEST_FILE))) return await readBundle(path, named);
  throw new MttcError({
    code: "E_CONFIG",
    message: "the folder is no run, no export and no compiled bundle",
    hint: "give the folder of a run (its logdir), a folder that `mttc export` or `mttc compile` wrote, or model.onnx",
  });
}

async function readRun(directory: string, named: string, asked?: CheckpointWanted): Promise<ReadWeights> {
  const run = await RunFolder.open(directory);
  const manifest = await readBundleDirectory(run.bundle, []);
  const wanted = asked ?? (run.spec.keep === "newest" ? "newest" : undefined);
  const checkpoint = await readCheckpoint(directory, wanted);
  refuseDivergedCheckpoint(weightsOf(checkpoint, manifest));
  const values = storedParameters({
    ...{ manifest, checkpoint, seed: run.spec.seed },
    frozen: await readFrozen(directory),
  });
  const { choice, warnings } = checkpoint;
  return {
    ...{ kind: "run", title: `${named}, ${choiceText(choice)}`, epoch: choice.epoch, notes: warnings },
    ...withHash(ofParameters(manifest, values)),
    tasks: tasksOf(manifest),
    preprocessing: manifest.preprocessing,
    lacks: (name) =>
      manifest.parameters.some((parameter) => parameter.name === name)
        ? "frozen there: as in the model file"
        : undefined,
  };
}

/** A checkpoint without what the optimizer remembers. */
function weightsOf<Loaded extends LoadedCheckpoint>(
  checkpoint: Loaded,
  manifest: Pick<Manifest, "parameters" | "graphs">,
): Loaded {
  const own = manifest.parameters.map(({ name }) => name);
  const names = new Set([...own, ...evaluatedState(manifest).values()]);
  const tensors = new Map([...checkpoint.tensors].filter(([name]) => names.has(name)));
  return { ...checkpoint, tensors };
}

async function readBundle(directory: string, named: string): Promise<ReadWeights> {
  const manifest = await readBundleDirectory(directory, []);
  const file = join(directory, STATE_FILE);
  if (!manifest.files[STATE_FILE])
    throw new MttcError({
      code: "E_BUNDLE",
      message: "the bundle holds no weights: it is that of a run",
      at: { file: directory },
      hint: "give the run's folder, which holds the checkpoints",
    });
  let bytes: Uint8Array;
  try {
    bytes = await readFile(file);
  } catch (error) {
    throw fileError(error, file, "read the initial state");
  }
  const checkpoint = { tensors: decodeSafetensors(bytes, file).tensors };
  const values = storedParameters({ manifest, checkpoint, seed: manifest.spec.seed, frozen: new Map() });
  return {
    ...{ kind: "bundle", title: named, epoch: undefined, notes: [] },
    ...withHash(ofParameters(manifest, values)),
    tasks: tasksOf(manifest),
    preprocessing: manifest.preprocessing,
  };
}

/** Weights of tasks' losses are no weights of the network. */
function ofParameters(
  { parameters }: Pick<Manifest, "parameters">,
  values: ReadonlyMap<string, Float32Array>,
): Map<string, SourceTensor> {
  return new Map(
    parameters.flatMap(({ name, shape, role }) => {
      const data = role === "log_variance" ? undefined : values.get(name);
      return data ? [[name, { shape, data }] as const] : [];
    }),
  );
}

/** What the name of a tensor that was made of a convolution and its batch norm ends in. */
const FOLDED = ".folded";

function readModel(path: string, named: string): ReadWeights {
  const file = readModelFile(path);
  const model = decodeModelProto(file.bytes);
  const metadata = exportedMetadata(model.metadataProps ?? [], path);
  const tensors = initializers(model.graph, file.externalData);
  return {
    ...{ kind: "model", title: named, epoch: metadata.origin?.epoch, notes: [] },
    ...withHash(tensors),
    tasks: metadata.tasks.map(taskOfServed),
    preprocessing: networkReading(metadata),
    lacks: (name) =>
      tensors.has(name + FOLDED) ? "joined with its batch norm there: the run itself has both" : undefined,
  };
}

/** What the network takes: a file for any size takes RGB, of which its graph may make grey. */
function networkReading({ preprocessing, reading }: ReturnType<typeof readMetadata>) {
  return { ...preprocessing, greyscale: preprocessing.greyscale || reading?.rules?.grey !== undefined };
}

function exportedMetadata(props: Parameters<typeof readMetadata>[0], path: string) {
  try {
    return readMetadata(props, path);
  } catch (error) {
    if (!(error instanceof MttcError)) throw error;
    const hint = `the weights of other models are taken as a feature extractor: fcn: {path: ${basename(path)}}`;
    throw new MttcError(
      error.faults.map((fault) => ({ ...fault, hint })),
      { cause: error },
    );
  }
}

function initializers(
  { initializer }: GraphProto,
  external: Parameters<typeof readTensorData>[1],
): Map<string, SourceTensor> {
  const tensors = initializer.flatMap((tensor) => {
    const { dtype, shape, data } = readTensorData(tensor, external);
    if (dtype !== "float32") return [];
    const floats = data instanceof Float32Array ? data : Float32Array.from(data);
    return [[tensor.name, { shape: shape.map(Number), data: floats }] as const];
  });
  return new Map(tensors);
}

function withHash(tensors: ReadonlyMap<string, SourceTensor>): Pick<ReadWeights, "tensors" | "sha256"> {
  const hash = createHash("sha256");
  for (const [name, { shape, data }] of tensors)
    hash.update(`${name} ${shape}\n`).update(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  return { tensors, sha256: hash.digest("hex") };
}

async function isFolder(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isDirectory();
  } catch (error) {
    const missing = fileError(error, resolve(path), "read the weights to begin with");
    if (!(missing instanceof MttcError)) throw missing;
    const hint = "relative paths start from the spec's folder";
    throw new MttcError(
      missing.faults.map((fault) => ({ ...fault, hint })),
      { cause: error },
    );
  }
}
