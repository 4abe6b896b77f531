// The models that a spec names: its fcn (ONNX or Keras) and its teacher, read from disk and
// imported, as the compiler takes them.
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { dirname, resolve } from "node:path";
import { pipeline } from "node:stream/promises";
import { decodeModelProto } from "../../compiler/codec/protobuf.ts";
import { type Fault, MttcError } from "../../compiler/diagnostics.ts";
import { METADATA_KEY, readMetadata, taskOfServed } from "../../compiler/export/modelMetadata.ts";
import type { Teacher } from "../../compiler/model/distillation.ts";
import { foreignTrunk, refuseBytes } from "../../compiler/model/foreignTrunk.ts";
import { type ImportedTrunk, importedFcn } from "../../compiler/model/importedTrunk.ts";
import { outputName, type TaskClasses } from "../../compiler/model/network.ts";
import { expectsBytePixels } from "../../compiler/model/pixelArithmetic.ts";
import type { CutGraph } from "../../compiler/model/prepareTrunk.ts";
import { OPS } from "../../compiler/ops/table.ts";
import { cutTrunk } from "../../compiler/read/onnx/cutTrunk.ts";
import { type ImportedModel, type ImportOptions, importModel } from "../../compiler/read/onnx/importModel.ts";
import { importTrunk } from "../../compiler/read/onnx/importTrunk.ts";
import { classKey } from "../../compiler/spec/classKey.ts";
import { networkChannels } from "../../compiler/spec/pixelRange.ts";
import type { ImportedFcn, ModelSpec, StepSpec } from "../../compiler/spec/schema.ts";
import { openTasks } from "../../compiler/tasks/openTask.ts";
import type { Task } from "../../compiler/tasks/task.ts";
import { restoreReplaced } from "../files/leftovers.ts";
import { importKerasFile, isKerasPath } from "./kerasFile.ts";
import { type ModelFile, readModelFile } from "./modelFile.ts";

/** Imported models of an experiment; notes are for the log. */
export interface ForeignModels {
  readonly trunk: ImportedTrunk | undefined;
  readonly teacher: Teacher | undefined;
  readonly notes: readonly string[];
}

/**
 * Reads what the spec names; relative paths start from `baseDirectory`. E_FILE, E_PATH_TYPE, E_MODEL_* with
 * file and node; E_MODEL_SHAPE where a teacher's outputs are not the tasks' classes.
 */
export async function readForeignModels(
  spec: ForeignSpec,
  baseDirectory: string,
  classes: TaskClasses,
): Promise<ForeignModels> {
  const settings = importedFcn(spec);
  const read = async <T>(key: ModelKey, name: string, body: (path: string) => Promise<T>): Promise<T> => {
    const path = resolve(baseDirectory, name);
    // A part of an export may be a spec's fcn: one whose replacement was killed is put back.
    await restoreReplaced(dirname(path));
    return await placed({ key, path, spec }, () => body(path));
  };
  const trunk = settings && (await read("fcn", settings.path, (path) => readTrunk(spec, settings, path)));
  const teacher =
    spec.teacher === null
      ? undefined
      : await read("teacher", spec.teacher, (path) => readTeacher(spec, path, classes));
  const notes = (trunk?.notes ?? []).map((note) => `fcn: ${note}`);
  if (teacher && expectsBytePixels(teacher.graph))
    notes.push("teacher: it brings pixels of 0 to 255 to its own scale itself: they are not divided before");
  return { trunk, teacher, notes };
}

/** What models that a spec names are read by. */
export type ForeignSpec = ModelSpec & Pick<StepSpec, "teacher">;

/** Keys of a spec that name models. */
type ModelKey = "fcn" | "teacher";

interface ModelPlace {
  readonly key: ModelKey;
  readonly path: string;
  readonly spec: ForeignSpec;
}

/** Faults that `body` throws, with the file, the key that names it, and what the user can do about them. */
async function placed<T>(place: ModelPlace, body: () => Promise<T>): Promise<T> {
  try {
    return await body();
  } catch (error) {
    if (!(error instanceof MttcError)) throw error;
    const faults = error.faults.map((fault): Fault => {
      const { code, at } = fault;
      const key = code === "E_MODEL_OUTPUT" && place.key === "fcn" ? "fcn.output" : place.key;
      const where = at?.node === undefined && at?.path === undefined ? { path: key } : {};
      const hint = fault.hint ?? hintFor(fault, place);
      return { ...fault, at: { file: place.path, ...where, ...at }, ...(hint !== undefined && { hint }) };
    });
    throw new MttcError(faults, { cause: error });
  }
}

function hintFor({ code, at }: Fault, { key, path, spec }: ModelPlace): string | undefined {
  if (code === "E_FILE") return "relative paths start from the spec's folder";
  if (code === "E_PATH_TYPE")
    return "a TensorFlow SavedModel, which is a folder, cannot be read: save it as .keras, or export it to ONNX";
  const isShape = code === "E_SHAPE" || code === "E_MODEL_SHAPE";
  const isInside = at?.node !== undefined || (at?.path !== undefined && !at.path.startsWith(key));
  if (isShape && isInside) {
    const { imshape, num_channels: channels } = spec;
    const images = `the images are ${imshape.join("x")} (imshape) with ${channels} channels (num_channels)`;
    return `${images}: take the model's own size as imshape, or name a value before this node as \`output\``;
  }
  if (code !== "E_MODEL_PARSE") return undefined;
  if (/\.(onnx|h5|hdf5|keras)$/i.test(path)) return undefined;
  return "files named .h5, .hdf5 or .keras are read as Keras models, all others as ONNX";
}

async function readTrunk(spec: ForeignSpec, settings: ImportedFcn, path: string): Promise<ImportedTrunk> {
  const model = isKerasPath(path)
    ? await readKeras(spec, settings, path)
    : readOnnxTrunk(spec, settings, path);
  return foreignTrunk(model, spec, settings, path);
}

function readOnnxTrunk(spec: ForeignSpec, settings: ImportedFcn, path: string): CutGraph {
  const file = readModelFile(path);
  const output = settings.output ?? undefined;
  const { graph, layout, notes, sources } = ofOneSize(file, path, () =>
    importTrunk(file.bytes, importOptions(spec, file, output)),
  );
  return { graph, layout, notes, sources, hash: file.hash() };
}

/** Cuts at the layer, or value, that the spec names. */
async function readKeras(spec: ForeignSpec, settings: ImportedFcn, path: string): Promise<CutGraph> {
  const asked = settings.output ?? undefined;
  const until = asked === undefined ? "features" : { layer: asked };
  const model = await importKerasFile(path, { ops: OPS, imshape: spec.imshape, batch: "N", until });
  const channels = model.graph.inputs[0]?.type.shape[1];
  if (channels !== networkChannels(spec))
    throw new MttcError({
      code: "E_MODEL_SHAPE",
      message: `the model takes images of ${channels} channels, they have ${networkChannels(spec)} (num_channels)`,
      at: { file: path, path: "fcn" },
    });
  const layer = asked === undefined ? undefined : model.layers.get(asked)?.name;
  const { graph, notes } = cutTrunk(model.graph, layer ?? asked);
  const { layout, sources } = model;
  return { graph, layout, sources, notes: [...model.notes, ...notes], hash: await hashFile(path) };
}

/** What importing an ONNX file takes: the file and what the spec says of its images. */
function importOptions(spec: ForeignSpec, { file, externalData }: ModelFile, output?: string): ImportOptions {
  const { imshape } = spec;
  return { file, imshape, channels: networkChannels(spec), batch: "N", externalData, output };
}

/** The output that would do, for messages: of the first task that can be distilled. */
function expectedOutput([task]: readonly Task[]): string {
  return task ? `"${outputName(task, task.served.name)}"` : "for a task that can be distilled";
}

/**
 * A teacher gives, for at least one task, what its metadata say of the task, where mttc exported it; of any
 * other file, an output named as whole exports name it (`probabilities/<task>` of classes) or as the task.
 */
async function readTeacher(spec: ForeignSpec, path: string, classes: TaskClasses): Promise<Teacher> {
  const { graph, layout, listed, hash } = isKerasPath(path)
    ? await readKerasTeacher(spec, path)
    : readOnnxTeacher(spec, path);
  refuseBytes(graph, { file: path, path: "teacher" }, undefined, spec);
  const named = new Map(graph.outputs.map(({ name, value }) => [name, value]));
  const outputs = new Map<string, string>();
  const tasks = openTasks(classes).filter(({ distil }) => distil !== undefined);
  for (const task of tasks) {
    const { name, numbers, width } = task;
    const said = listed.get(name);
    const candidates = [...(said ? [said.output] : []), outputName(task, task.served.name), name];
    const output = candidates.find((candidate) => named.has(candidate));
    if (output === undefined) continue;
    const shape = named.get(output)?.type.shape ?? [];
    const theirs = said?.numbers ?? numbers;
    if (shape.length !== 2 || shape[1] !== width || !areSameNumbers(theirs, numbers))
      throw new MttcError({
        code: "E_MODEL_SHAPE",
        message: `output "${output}" is [${shape}] of ${theirs}; expected [N,${width}] of ${numbers}`,
        at: { file: path, path: "teacher" },
      });
    outputs.set(name, output);
  }
  if (outputs.size === 0)
    throw new MttcError({
      code: "E_MODEL_OUTPUT",
      message: `expected an output ${expectedOutput(tasks)}, found ${[...named.keys()].join(", ")}`,
      at: { file: path, path: "teacher" },
    });
  return { graph, layout, outputs, hash };
}

/** A task's output in a file that says it, and names of its numbers. */
interface ListedTask {
  readonly output: string;
  readonly numbers: readonly string[];
}

/** A teacher's model; `listed` are the tasks that the file itself lists. */
type TeacherModel = Omit<Teacher, "outputs"> & { readonly listed: ReadonlyMap<string, ListedTask> };

async function readKerasTeacher(spec: ForeignSpec, path: string): Promise<TeacherModel> {
  const { graph, layout } = await importKerasFile(path, { ops: OPS, imshape: spec.imshape, batch: "N" });
  return { graph, layout, listed: new Map(), hash: await hashFile(path) };
}

function readOnnxTeacher(spec: ForeignSpec, path: string): TeacherModel {
  const file = readModelFile(path);
  const { graph, layout, metadata } = ofOneSize(file, path, () =>
    importModel(file.bytes, importOptions(spec, file)),
  );
  return { graph, layout, listed: exportedTasks(metadata, path), hash: file.hash() };
}

/** What `read` gives; where it cannot, E_MODEL_OP says so of a file that mttc exported for any size. */
function ofOneSize<T>({ bytes }: ModelFile, path: string, read: () => T): T {
  try {
    return read();
  } catch (cause) {
    if (!isForAnySize(bytes)) throw cause;
    throw new MttcError(
      {
        code: "E_MODEL_OP",
        message:
          "the file was exported with --any-size: its graph resizes by itself, which is not taken over",
        at: { file: path },
        hint: "export the run again without --any-size",
      },
      { cause },
    );
  }
}

function isForAnySize(bytes: Uint8Array): boolean {
  try {
    const { metadataProps = [] } = decodeModelProto(bytes);
    return readMetadata(metadataProps, "").preprocessing.resize !== undefined;
  } catch (error) {
    if (error instanceof MttcError) return false;
    throw error;
  }
}

/** The tasks of a file that mttc exported; other files do not list any. */
function exportedTasks(metadata: ImportedModel["metadata"], path: string): ReadonlyMap<string, ListedTask> {
  if (!metadata.some(({ key }) => key === METADATA_KEY)) return new Map();
  const { tasks } = readMetadata(metadata, path);
  return new Map(
    tasks.map((task) => [task.name, { output: task.output, numbers: taskOfServed(task).numbers }]),
  );
}

/** Whether names are the same in the same order; a number is one however it is written. */
function areSameNumbers(theirs: readonly string[], ours: readonly string[]): boolean {
  return (
    theirs.length === ours.length && theirs.every((name, i) => classKey(name) === classKey(ours[i] ?? ""))
  );
}

async function hashFile(path: string): Promise<string> {
  const hash = createHash("sha256");
  await pipeline(createReadStream(path), hash);
  return hash.digest("hex");
}
