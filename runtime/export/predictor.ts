// An exported model at work: images in, one row per image and task out. What size the images must have and
// what the classes are called is read from the file itself, which is not trusted: it is looked at before it
// is opened, run in a process of its own under limits, and what it gives is compared with what it promised.
import { decodeModelProto, type ModelProto } from "../../compiler/codec/protobuf.ts";
import { type Fault, MttcError, suggestName } from "../../compiler/diagnostics.ts";
import {
  type Heatmap,
  type ModelMetadata,
  readMetadata,
  taskOfServed,
} from "../../compiler/export/modelMetadata.ts";
import { fixedBatch, servableFaults } from "../../compiler/export/servableModel.ts";
import type { Answer } from "../../compiler/tasks/answer.ts";
import type { Task } from "../../compiler/tasks/task.ts";
import { selfContainedBytes } from "../models/externalTensors.ts";
import { readModelFile } from "../models/modelFile.ts";
import { arrayOver } from "../ort/hostTensor.ts";
import type { HostTensor } from "../ort/ortHost.ts";
import { ortOptions, type RuntimeOptions } from "../ort/runtimeOptions.ts";
import { exportedModel } from "./exportedModel.ts";
import { type ModelLimits, ModelProcess } from "./modelProcess.ts";
import { type ImageFault, type ImageInput, InputReader, type ReadBatch } from "./predictInputs.ts";

export type { ModelLimits } from "./modelProcess.ts";
export type { ImageFault, ImageInput } from "./predictInputs.ts";

/** The largest of a map is 1, up to rounding. */
const MAP_SLACK = 1e-3;
const BATCH_IMAGES = 32;
/** Larger images go in smaller batches: numbers of all its images, at least one image. */
const BATCH_NUMBERS = 2 ** 24;

/**
 * What the model says about one image in one task: beside these what the task's kind reads of its numbers
 * (ClassAnswer of classes).
 */
export interface Prediction extends Answer {
  /** The image's path or name; bytes without a name are "image 0" and so on, by their place. */
  readonly file: string;
  readonly task: string;
}

/** Where in an image a task's answer comes from. */
export interface ImageHeatmap {
  /** Row-major [height, width], from 0 to 1. */
  readonly data: Float32Array;
  readonly height: number;
  readonly width: number;
  /** The layer that it was taken at. */
  readonly layer: string;
}

/** An image with what the model says of it, and why. */
export interface Explanation {
  readonly file: string;
  /** Bytes of the image as the model takes it: [height, width, channels]. */
  readonly pixels: Uint8Array;
  readonly height: number;
  readonly width: number;
  /** In the order of the tasks. */
  readonly answers: readonly { readonly prediction: Prediction; readonly heatmap: ImageHeatmap }[];
}

/** An image as the model was given it, and the bare numbers of its answers. */
export interface SeenImage {
  readonly file: string;
  /** Bytes of the image as the model takes it: [height, width, channels]. */
  readonly pixels: Uint8Array;
  readonly height: number;
  readonly width: number;
  /** By task what the model serves: probabilities of classes and tags, values of numbers. */
  readonly numbers: ReadonlyMap<string, readonly number[]>;
}

export interface PredictorOptions extends RuntimeOptions {
  /** What the model may cost before it is ended. */
  readonly limits?: ModelLimits | undefined;
}

export interface PredictOptions {
  /** Takes images that cannot be read, which are then left out; without it the first one is thrown. */
  readonly onFault?: ((fault: ImageFault) => void) | undefined;
  /** Stops at once, and rejects with E_INTERRUPTED. */
  readonly signal?: AbortSignal | undefined;
}

/** An opened model; close it after use (`await using`). */
export class Predictor implements AsyncDisposable {
  readonly metadata: ModelMetadata;
  /** The tasks that the model serves, in the order of the metadata. */
  readonly tasks: readonly Task[];
  /** The file that was opened. */
  readonly file: string;
  readonly #process: ModelProcess;
  readonly #reader: InputReader;
  readonly #fixedBatch: number | undefined;

  private constructor(file: string, metadata: ModelMetadata, opened: ModelProcess, batch?: number) {
    this.file = file;
    this.metadata = metadata;
    this.tasks = metadata.tasks.map(taskOfServed);
    this.#process = opened;
    this.#fixedBatch = batch;
    const { height, width, channels, greyscale, dtype, resize } = metadata.preprocessing;
    const format = { height, width, channels, greyscale, depth: dtype };
    this.#reader = new InputReader(format, resize === "graph");
  }

  /**
   * Opens an ONNX file that `mttc export` wrote, or the export in a run's folder. E_FILE, E_PATH_TYPE,
   * E_MODEL_PARSE (no ONNX file), E_MODEL_META (not an export, a part that takes features, or not what its
   * metadata says), E_MODEL_OP, E_MODEL_OUTPUT, E_MODEL_ALLOC, E_MODEL_PATH, E_MODEL_DATA (external data),
   * E_ORT, E_ORT_LOAD.
   */
  static async open(path: string, { limits, ...runtime }: PredictorOptions = {}): Promise<Predictor> {
    const file = await exportedModel(path);
    const source = readModelFile(file);
    const model = inFile(file, () => decodeModelProto(source.bytes));
    return await Predictor.#open(file, model, () => selfContainedBytes(source, model), {
      limits,
      ...runtime,
    });
  }

  /** Opens the bytes of such a file; `name` is what messages call it. Errors as `open`. */
  static async openBytes(
    name: string,
    bytes: Uint8Array,
    options: PredictorOptions = {},
  ): Promise<Predictor> {
    const model = inFile(name, () => decodeModelProto(bytes));
    return await Predictor.#open(name, model, () => bytes, options);
  }

  static async #open(
    file: string,
    model: ModelProto,
    bytesOf: () => Uint8Array,
    { limits, ...runtime }: PredictorOptions,
  ): Promise<Predictor> {
    const metadata = readMetadata(model.metadataProps ?? [], file);
    refuseUnservable(file, model, metadata);
    const bytes = inFile(file, bytesOf);
    const opened = await ModelProcess.open(bytes, ortOptions(runtime, false), limits);
    return new Predictor(file, metadata, opened, fixedBatch(model.graph));
  }

  /** Why "auto" came to the CPU, where that needs saying: a line for the user. */
  get note(): string | undefined {
    return this.#process.note;
  }

  /**
   * Predictions for images (paths, or bytes of encoded images), in their order, all tasks of an image
   * together, as they are made. Throws what reading images throws, and E_MODEL_META for numbers that are not
   * what the metadata promise; E_MODEL_ALLOC and E_ORT as `open`.
   */
  async *predict(images: readonly ImageInput[], options: PredictOptions = {}): AsyncGenerator<Prediction> {
    const outputs = this.metadata.tasks.map(({ output }) => output);
    for await (const { batch, tensors } of this.#batches(images, outputs, options))
      for (const [row, name] of batch.names.entries())
        for (const [t, { output }] of this.metadata.tasks.entries()) {
          const task = this.tasks[t];
          if (task) yield toPrediction(name, task, { output, tensor: tensors.get(output) }, row, this.file);
        }
  }

  /** The same as bare numbers, with what the model was given. Throws as `predict`. */
  async *see(images: readonly ImageInput[], options: PredictOptions = {}): AsyncGenerator<SeenImage> {
    const outputs = this.metadata.tasks.map(({ output }) => output);
    for await (const { batch, tensors } of this.#batches(images, outputs, options)) {
      const { height, width } = batch;
      const size = batch.pixels.length / batch.names.length;
      for (const [row, file] of batch.names.entries()) {
        const numbers = this.metadata.tasks.flatMap(({ output }, t) => {
          const task = this.tasks[t];
          const served = { output, tensor: tensors.get(output) };
          return task ? [[task.name, servedNumbers(file, task, served, row, this.file)] as const] : [];
        });
        const pixels = batch.pixels.slice(row * size, (row + 1) * size);
        yield { file, pixels, height, width, numbers: new Map(numbers) };
      }
    }
  }

  /**
   * The same with heat maps, an image at a time, of the tasks that `tasks` names (default: all). E_MODEL_META
   * where the file draws none of a task; else as `predict`.
   */
  async *explain(
    images: readonly ImageInput[],
    { tasks, ...options }: PredictOptions & { readonly tasks?: readonly string[] | undefined } = {},
  ): AsyncGenerator<Explanation> {
    const drawn = this.#drawnTasks(tasks);
    const outputs = drawn.flatMap(({ output, heatmap }) => [output, heatmap.output]);
    for await (const { batch, tensors } of this.#batches(images, outputs, options)) {
      const size = batch.pixels.length / batch.names.length;
      for (const [row, file] of batch.names.entries())
        yield {
          file,
          pixels: batch.pixels.slice(row * size, (row + 1) * size),
          ...{ height: batch.height, width: batch.width },
          answers: drawn.map(({ task, output, heatmap }) => ({
            prediction: toPrediction(file, task, { output, tensor: tensors.get(output) }, row, this.file),
            heatmap: toHeatmap(file, heatmap, tensors.get(heatmap.output), row, this.file),
          })),
        };
    }
  }

  /** The tasks of those names, each with its outputs. E_USAGE for others; E_MODEL_META without a heat map. */
  #drawnTasks(names: readonly string[] | undefined) {
    const known = this.tasks.map(({ name }) => name);
    const unknown = names?.find((name) => !known.includes(name));
    if (unknown !== undefined)
      throw new MttcError({
        code: "E_USAGE",
        message: `the model has no task "${unknown}"`,
        hint: suggestName(unknown, known),
      });
    return this.tasks.flatMap((task, t) => {
      if (names && !names.includes(task.name)) return [];
      const { output = "", heatmap } = this.metadata.tasks[t] ?? {};
      if (heatmap) return [{ task, output, heatmap }];
      throw new MttcError({
        code: "E_MODEL_META",
        message: `the model draws no heat map of task "${task.name}"`,
        at: { file: this.file },
        hint: "mttc export RUN --heatmap writes one that does; or explain the run itself",
      });
    });
  }

  /** Reads and runs the images in batches, the next one being read meanwhile. */
  async *#batches(
    images: readonly ImageInput[],
    outputs: readonly string[],
    { onFault, signal }: PredictOptions,
  ): AsyncGenerator<{ batch: ReadBatch; tensors: ReadonlyMap<string, HostTensor> }> {
    const size = this.#batchImages();
    const read = (first: number) => this.#reader.read(images.slice(first, first + size), first);
    const interrupt = interruptOf(signal);
    let coming = read(0);
    for (let first = 0; first < images.length; first += size) {
      const batch = await Promise.race([coming, interrupt]);
      coming = read(first + size);
      // What is read ahead may fail while nobody waits for it.
      coming.catch(() => undefined);
      for (const fault of batch.faults) {
        if (onFault === undefined) throw fault.error;
        onFault(fault);
      }
      if (batch.names.length === 0) continue;
      const run = this.#run(batch, outputs);
      yield { batch, tensors: await Promise.race([run, interrupt]) };
    }
  }

  async close(): Promise<void> {
    await this.#process.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #batchImages(): number {
    const { height, width, channels } = this.metadata.preprocessing;
    const most = Math.max(1, Math.floor(BATCH_NUMBERS / (height * width * channels)));
    return this.#fixedBatch ?? Math.min(BATCH_IMAGES, most);
  }

  /** A batch of a fixed size is filled up with black images. */
  async #run(
    { pixels, names: { length: count }, height, width }: ReadBatch,
    outputs: readonly string[],
  ): Promise<Map<string, HostTensor>> {
    const { channels, dtype } = this.metadata.preprocessing;
    const images = this.#fixedBatch ?? count;
    const filled = new Uint8Array((pixels.length / count) * images);
    filled.set(pixels);
    const shape = [images, height, width, channels];
    const image: HostTensor = { dtype, shape, data: arrayOver(dtype, filled.buffer) };
    return await this.#process.run(image, outputs);
  }
}

/** Never resolves; rejects when the signal aborts. */
function interruptOf(signal: AbortSignal | undefined): Promise<never> {
  const error = (): MttcError => new MttcError({ code: "E_INTERRUPTED", message: "interrupted" });
  const interrupt = new Promise<never>((_, reject) => {
    if (signal?.aborted) reject(error());
    signal?.addEventListener("abort", () => reject(error()), { once: true });
  });
  interrupt.catch(() => undefined);
  return interrupt;
}

function refuseUnservable(file: string, model: ModelProto, metadata: ModelMetadata): void {
  if (metadata.kind !== "model" && metadata.kind !== "task")
    throw new MttcError({
      code: "E_MODEL_META",
      message: `the part "${metadata.kind}" of a split export does not go from images to classes`,
      at: { file },
      hint: "use model.onnx or a task's own file",
    });
  const faults = servableFaults(model, metadata);
  if (faults.length > 0) throw new MttcError(faults.map((fault) => placed(fault, file)));
}

/** An output of the model by its name, as far as it gave one. */
interface Served {
  readonly output: string;
  readonly tensor: HostTensor | undefined;
}

function toPrediction(file: string, task: Task, served: Served, row: number, model: string): Prediction {
  return { file, task: task.name, ...task.answers.read(servedNumbers(file, task, served, row, model)) };
}

/** What a task serves of an image. E_MODEL_META where that is not what its kind promises. */
function servedNumbers(
  file: string,
  { numbers, answers }: Task,
  { output, tensor }: Served,
  row: number,
  model: string,
): number[] {
  const [, width = 0] = tensor?.shape ?? [];
  const values = numbers.map((_, i) => Number(tensor?.data[row * width + i] ?? Number.NaN));
  if (tensor?.shape.length !== 2 || width !== numbers.length || !answers.accepts(values)) {
    const found = `[${tensor?.shape}]: ${values.slice(0, 4).join(", ")}${values.length > 4 ? ", ..." : ""}`;
    throw new MttcError({
      code: "E_MODEL_META",
      message: `output ${JSON.stringify(output)} gives no ${answers.promise} for ${file}, but ${found}`,
      at: { file: model },
      hint: `${answers.rule}; was the file changed after \`mttc export\`?`,
    });
  }
  return values;
}

function toHeatmap(
  file: string,
  { output, height, width, layer }: Heatmap,
  tensor: HostTensor | undefined,
  row: number,
  model: string,
): ImageHeatmap {
  const data = Float32Array.from(
    tensor?.data.slice(row * height * width, (row + 1) * height * width) ?? [],
    Number,
  );
  if (data.length === height * width && data.every((value) => value >= 0 && value <= 1 + MAP_SLACK))
    return { data, height, width, layer };
  throw new MttcError({
    code: "E_MODEL_META",
    message: `output ${JSON.stringify(output)} gives no heat map of ${height}x${width} from 0 to 1 for ${file}`,
    at: { file: model },
    hint: "was the file changed after `mttc export`?",
  });
}

function placed(fault: Fault, file: string): Fault {
  return { ...fault, at: { ...fault.at, file } };
}

/** What `body` gives, with the file's name in its errors. */
function inFile<T>(file: string, body: () => T): T {
  try {
    return body();
  } catch (error) {
    if (!(error instanceof MttcError)) throw error;
    throw new MttcError(
      error.faults.map((fault) => placed(fault, file)),
      { cause: error },
    );
  }
}
