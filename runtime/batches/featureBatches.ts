// An order of rows -> batches of features and labels, as the loader makes batches of images: the same rows in
// the same places. Reading takes next to nothing, so nothing is read ahead but what the consumer asks for.
import type { LabelledRows } from "../labels/classes.ts";
import type { FeatureStore } from "./featureStore.ts";

export interface FeatureBatchesOptions {
  readonly rows: LabelledRows;
  /** Row numbers, batchSize per batch, -1 = padding (see sampler.ts). */
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
  /** [batchSize, ...] float32, row-major; zeros where `rows` is -1. */
  readonly features: Float32Array<ArrayBuffer>;
  /** Class numbers [batchSize, tasks], row-major; -1 = missing or padding. */
  readonly labels: Int32Array;
  /** Row number of each image, -1 = padding. */
  readonly rows: Int32Array;
  /** Images that are not padding; they come first. */
  readonly filled: number;
}

/** Delivers the batches of one epoch in order; buffers that are released are filled again. */
export class FeatureBatches implements AsyncDisposable {
  private readonly options: FeatureBatchesOptions;
  private readonly free: ArrayBuffer[] = [];
  private following: number;

  constructor(options: FeatureBatchesOptions) {
    this.options = options;
    this.following = options.startBatch ?? 0;
  }

  /** The next batch, undefined after the last one. E_FILE, E_SHARD_META. */
  async next(): Promise<FeatureBatch | undefined> {
    const { rows: table, order, batchSize, store, form } = this.options;
    const index = this.following++;
    const rows = order.slice(index * batchSize, (index + 1) * batchSize);
    if (rows.length === 0) return undefined;
    const taskCount = table.tasks.length;
    const features = new Float32Array(this.free.pop() ?? new ArrayBuffer(4 * batchSize * store.width));
    const labels = new Int32Array(batchSize * taskCount).fill(-1);
    const reads: (Promise<void> | undefined)[] = [];
    for (const [place, row] of rows.entries()) {
      const target = features.subarray(place * store.width, (place + 1) * store.width);
      if (row === -1) {
        target.fill(0);
        continue;
      }
      labels.set(table.labels.subarray(row * taskCount, (row + 1) * taskCount), place * taskCount);
      reads.push(store.read(table.paths.at(row) ?? "", form, target));
    }
    await Promise.all(reads);
    return { index, features, labels, rows, filled: rows.filter((row) => row !== -1).length };
  }

  /** Gives a batch's buffer back. */
  release(buffer: ArrayBuffer): void {
    this.free.push(buffer);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.free.length = 0;
  }
}
