// An order of rows -> batches of features, as the loader makes batches of images: the same rows in
// the same places. Reading takes next to nothing, so nothing is read ahead but what the consumer asks for.
import { NO_ROW } from "../tables/rowOrder.ts";
import type { PathList } from "../tables/stringTable.ts";
import type { FeatureStore } from "./featureStore.ts";

export interface FeatureBatchesOptions {
  /** Image of each row. */
  readonly paths: PathList;
  /** Row numbers, batchSize per batch, and NO_ROW where a batch is padded. */
  readonly order: Int32Array;
  readonly batchSize: number;
  readonly store: FeatureStore;
  /** The form of the images that is read. */
  readonly form: number;
  readonly startBatch?: number | undefined;
}

/** One batch; `features` is valid until its buffer is released. */
export interface FeatureBatch {
  /** Number within the epoch. */
  readonly index: number;
  /** [batchSize, ...] float32, row-major; zeros where `rows` is NO_ROW. */
  readonly features: Float32Array<ArrayBuffer>;
  /** Row number of each image, NO_ROW where there is none. */
  readonly rows: Int32Array;
  /** Images that are not padding; they come first. */
  readonly filled: number;
}

/** Delivers the batches of one epoch in order; buffers that are released are filled again. */
export class FeatureBatches implements AsyncDisposable {
  readonly #options: FeatureBatchesOptions;
  readonly #free: ArrayBuffer[] = [];
  #following: number;

  constructor(options: FeatureBatchesOptions) {
    this.#options = options;
    this.#following = options.startBatch ?? 0;
  }

  /** The next batch, undefined after the last one. E_FILE, E_SHARD_META. */
  async next(): Promise<FeatureBatch | undefined> {
    const { paths, order, batchSize, store, form } = this.#options;
    const index = this.#following++;
    const rows = order.slice(index * batchSize, (index + 1) * batchSize);
    if (rows.length === 0) return undefined;
    const features = new Float32Array(this.#free.pop() ?? new ArrayBuffer(4 * batchSize * store.width));
    const reads: (Promise<void> | undefined)[] = [];
    for (const [place, row] of rows.entries()) {
      const target = features.subarray(place * store.width, (place + 1) * store.width);
      if (row === NO_ROW) {
        target.fill(0);
        continue;
      }
      reads.push(store.read(paths.at(row) ?? "", form, target));
    }
    await Promise.all(reads);
    return { index, features, rows, filled: rows.filter((row) => row !== NO_ROW).length };
  }

  /** Gives a batch's buffer back. */
  release(buffer: ArrayBuffer): void {
    this.#free.push(buffer);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#free.length = 0;
  }
}
