// An exported model at work: image files in, one row per image and task out. What size the images must have
// and what the classes are called is read from the file itself.
import { readFile } from "node:fs/promises";
import { MttcError } from "../../compiler/diagnostics.ts";
import { type ModelMetadata, readMetadata } from "../../compiler/model/modelMetadata.ts";
import { decodeModelProto } from "../../compiler/onnx/protobuf.ts";
import { fileError } from "../checkpoint/fileSystem.ts";
import { ImageReader, imageBytes } from "../data/images.ts";
import { BatchLoader } from "../data/loader.ts";
import { evaluationOrder } from "../data/sampler.ts";
import { arrayOver } from "../ort/hostTensor.ts";
import { type HostTensor, OrtHost } from "../ort/ortHost.ts";
import { ortOptions, type RuntimeOptions } from "../ort/runtimeOptions.ts";

const BATCH_IMAGES = 32;
const GRAPH = "model";

/** What the model says about one image in one task. */
export interface Prediction {
  readonly file: string;
  readonly task: string;
  /** The most probable class (the first of equals) and its probability. */
  readonly class: string;
  readonly probability: number;
  /** Of all classes, by name, in their order. */
  readonly probabilities: Readonly<Record<string, number>>;
}

/** An opened model; close it after use (`await using`). */
export class Predictor implements AsyncDisposable {
  readonly metadata: ModelMetadata;
  readonly #host: OrtHost;
  readonly #reader: ImageReader;

  private constructor(metadata: ModelMetadata, host: OrtHost) {
    this.metadata = metadata;
    this.#host = host;
    const { height, width, channels, greyscale, dtype } = metadata.preprocessing;
    this.#reader = new ImageReader({ height, width, channels, greyscale, depth: dtype }, 0);
  }

  /**
   * Opens an ONNX file that `mttc export` wrote. E_FILE, E_MODEL_PARSE (no ONNX file), E_MODEL_META (not an
   * export, or a part that takes features), E_ORT, E_ORT_LOAD.
   */
  static async open(file: string, runtime: RuntimeOptions = {}): Promise<Predictor> {
    const bytes = await readModel(file);
    const metadata = readMetadata(decodeNamed(bytes, file).metadataProps ?? [], file);
    if (metadata.kind !== "model" && metadata.kind !== "task")
      throw new MttcError({
        code: "E_MODEL_META",
        message: `the part "${metadata.kind}" of a split export does not go from images to classes`,
        at: { file },
        hint: "use model.onnx or a task's own file",
      });
    const host = await OrtHost.start(ortOptions(runtime, false));
    try {
      await host.openGraph(GRAPH, { bytes });
    } catch (error) {
      await host.close();
      throw error;
    }
    return new Predictor(metadata, host);
  }

  /** Why "auto" came to the CPU, where that needs saying: a line for the user. */
  get note(): string | undefined {
    return this.#host.note;
  }

  /**
   * Predictions for image files, in their order, all tasks of an image together. Throws what reading images
   * throws.
   */
  async *predict(paths: readonly string[]): AsyncGenerator<Prediction> {
    if (paths.length === 0) return;
    await using loader = new BatchLoader({
      rows: { tasks: [], paths, labels: new Int32Array(), locate: () => ({}) },
      order: evaluationOrder(paths.length, BATCH_IMAGES),
      batchSize: BATCH_IMAGES,
      reader: this.#reader,
    });
    for (let batch = await loader.next(); batch; batch = await loader.next()) {
      const outputs = await this.#run(batch.images, batch.filled);
      loader.release(batch.images.buffer);
      for (let row = 0; row < batch.filled; row++)
        for (const task of this.metadata.tasks)
          yield toPrediction(paths[batch.rows[row] ?? 0] ?? "", task, outputs.get(task.output), row);
    }
  }

  async close(): Promise<void> {
    await this.#host.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #run(images: Uint8Array, count: number): Promise<Map<string, HostTensor>> {
    const { height, width, channels, dtype } = this.metadata.preprocessing;
    const { buffer } = images.slice(0, count * imageBytes(this.#reader.format));
    const data = arrayOver(dtype, buffer);
    const image: HostTensor = { dtype, shape: [count, height, width, channels], data };
    return await this.#host.run(GRAPH, { image });
  }
}

function toPrediction(
  file: string,
  { name, classes }: ModelMetadata["tasks"][number],
  output: HostTensor | undefined,
  row: number,
): Prediction {
  const values = classes.map((_, c) => Number(output?.data[row * classes.length + c] ?? Number.NaN));
  const best = values.reduce((top, value, c) => (value > (values[top] ?? Number.NaN) ? c : top), 0);
  return {
    file,
    task: name,
    class: classes[best] ?? "",
    probability: values[best] ?? Number.NaN,
    probabilities: Object.fromEntries(classes.map((label, c) => [label, values[c] ?? Number.NaN])),
  };
}

async function readModel(file: string): Promise<Uint8Array> {
  try {
    return await readFile(file);
  } catch (error) {
    throw fileError(error, file, "read the model");
  }
}

/** The model, with the file's name in the error of one that is none. */
function decodeNamed(bytes: Uint8Array, file: string): ReturnType<typeof decodeModelProto> {
  try {
    return decodeModelProto(bytes);
  } catch (error) {
    if (!(error instanceof MttcError)) throw error;
    throw new MttcError(
      error.faults.map((fault) => ({ ...fault, at: { ...fault.at, file } })),
      { cause: error },
    );
  }
}
