// A model's features at work: its trunk, compiled in memory with the weights as they are, in ONNX Runtime.
// Pixels or rows of images in, one vector an image out. Nothing is written, and what trains beside it is not
// touched: the graph holds copies of its own.
import { InternalError, MttcError, need } from "../../compiler/diagnostics.ts";
import {
  exportVectors,
  FEATURE_IMAGE,
  FEATURE_VECTORS,
  type FeatureLayer,
  type FeaturePooling,
} from "../../compiler/export/exportFeatures.ts";
import type { ImportedTrunk } from "../../compiler/model/importedTrunk.ts";
import type { ModelSpec } from "../../compiler/spec/schema.ts";
import type { ImageStreams } from "../batches/imageStreams.ts";
import { evaluationBatches } from "../batches/loader.ts";
import { imageDepth } from "../images/imageFormat.ts";
import { type ImageFormat, imageBytes, imageFormat } from "../images/images.ts";
import { arrayOver } from "../ort/hostTensor.ts";
import type { HostTensor, OrtHost } from "../ort/ortHost.ts";
import type { ImageRows } from "../tables/imageRows.ts";

/** What features are taken of: a trainer, a run that is read, or a model file. */
export interface FeatureSource {
  readonly spec: ModelSpec;
  /** At least those that its features need, by name, row-major float32. */
  parameters(): Promise<ReadonlyMap<string, Float32Array>>;
  /** The imported network behind the spec's fcn, where there is one. */
  trunk(): Promise<ImportedTrunk | undefined>;
}

export interface FeatureOptions {
  /** Default: the FCN's. */
  readonly layer?: FeatureLayer | undefined;
  /** Default: average. */
  readonly pooling?: FeaturePooling | undefined;
}

export interface VectorsOptions {
  readonly streams: ImageStreams;
  /** Images decoded at the same time; -1 chooses by the machine. */
  readonly parallel?: number | undefined;
  /** Changes an image in place before its features are taken. */
  readonly change?: ((image: Uint8Array, row: number) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
}

const GRAPH = "probe features";
const BATCH_IMAGES = 32;
/** Larger images go in smaller batches: numbers of all its images, at least one image. */
const BATCH_NUMBERS = 2 ** 24;

/** Close it after use; the host stays open. */
export class FeatureModel implements AsyncDisposable {
  /** Numbers of a vector. */
  readonly width: number;
  readonly format: ImageFormat;
  readonly #host: OrtHost;

  private constructor(host: OrtHost, format: ImageFormat, width: number) {
    this.#host = host;
    this.format = format;
    this.width = width;
  }

  /** Compiles the features of `source` as it is now and opens them. E_ORT, and what reading its files throws. */
  static async open(
    host: OrtHost,
    source: FeatureSource,
    { layer = "fcn", pooling = "average" }: FeatureOptions = {},
  ): Promise<FeatureModel> {
    const { spec } = source;
    const network = { spec, values: await source.parameters(), trunk: await source.trunk() };
    const { bytes, width } = exportVectors(network, layer, pooling);
    await host.openGraph(GRAPH, { bytes });
    return new FeatureModel(host, imageFormat(spec), width);
  }

  /** Images of a batch. */
  get batchImages(): number {
    const { height, width, channels } = this.format;
    return Math.max(1, Math.min(BATCH_IMAGES, Math.floor(BATCH_NUMBERS / (height * width * channels))));
  }

  /** Vectors, float32 [count, width], of the bytes of [count,H,W,C] numbers as images are read. */
  async run(pixels: Uint8Array<ArrayBuffer>): Promise<Float32Array> {
    const { height, width, channels } = this.format;
    const count = pixels.byteLength / imageBytes(this.format);
    if (!Number.isInteger(count)) throw new InternalError(`${pixels.byteLength} bytes are no images`);
    const own = pixels.byteLength === pixels.buffer.byteLength ? pixels : pixels.slice();
    const dtype = imageDepth(this.format);
    const image: HostTensor = {
      ...{ dtype, shape: [count, height, width, channels] },
      data: arrayOver(dtype, own.buffer),
    };
    const outputs = await this.#host.run(GRAPH, { [FEATURE_IMAGE]: image }, [FEATURE_VECTORS]);
    return need(outputs.get(FEATURE_VECTORS), FEATURE_VECTORS).data as Float32Array;
  }

  /**
   * Vectors, float32 [rows, width], of all rows. Errors of reading images, with their place in the table;
   * E_INTERRUPTED when the signal aborts.
   */
  async vectors(rows: ImageRows, options: VectorsOptions): Promise<Float32Array> {
    const { streams, parallel = -1, change, signal, onProgress } = options;
    const total = rows.paths.length;
    const found = new Float32Array(total * this.width);
    const size = imageBytes(this.format);
    await using loader = evaluationBatches({
      ...{ rows, batchSize: this.batchImages, reader: streams, parallel },
    });
    for (let batch = await loader.next(); batch; batch = await loader.next()) {
      if (signal?.aborted) throw new MttcError({ code: "E_INTERRUPTED", message: "interrupted in a probe" });
      const { images, filled } = batch;
      const first = batch.rows[0] ?? 0;
      for (let place = 0; change && place < filled; place++)
        change(images.subarray(place * size, (place + 1) * size), first + place);
      // The last batch is run whole, too: sums must not depend on how many images it has.
      const vectors = await this.run(images);
      loader.release(images.buffer);
      found.set(vectors.subarray(0, filled * this.width), first * this.width);
      onProgress?.(first + filled, total);
    }
    return found;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#host.closeGraph(GRAPH);
  }
}
