// Images -> shards of features: the frozen trunk runs once over all of them, batch by batch, while the next
// batch is read and the one before is written. Shards appear whole or not at all, and what is there when the
// work is interrupted is kept.
import { createHash } from "node:crypto";
import { lstat } from "node:fs/promises";
import { MttcError } from "../../compiler/diagnostics.ts";
import type { LabelledRows } from "../data/classes.ts";
import { readImageFile } from "../data/imageFile.ts";
import type { ImageStreams } from "../data/imageStreams.ts";
import { BatchLoader } from "../data/loader.ts";
import type { RecordKind } from "../data/packShard.ts";
import type { PackItem } from "../data/packWriter.ts";
import { evaluationOrder } from "../data/sampler.ts";
import { ShardSequence } from "../data/shardSequence.ts";

/** A shard ends when it holds this much, or this much work. */
const SHARD_BYTES = 2 ** 28;
const SHARD_MS = 300_000;

export interface FeatureJob {
  readonly folder: string;
  readonly kind: RecordKind;
  /** Number of the first new shard. */
  readonly firstNumber: number;
  readonly items: readonly PackItem[];
  readonly batchSize: number;
  readonly reader: ImageStreams;
  readonly parallel: number;
  /**
   * Features of a batch of images, [batchSize, ...] for each form; of the rest of the last batch, which is
   * padded, nothing is kept.
   */
  readonly compute: (
    images: Uint8Array<ArrayBuffer>,
    items: readonly PackItem[],
  ) => Promise<readonly Float32Array[]>;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress: (done: number) => void;
}

/**
 * Computes and writes the features of all items. Throws what reading images throws, E_DISK, E_FILE, and
 * E_INTERRUPTED when the signal aborts; what was computed until then is kept.
 */
export async function writeFeatures(job: FeatureJob): Promise<void> {
  const { items, batchSize, reader, parallel, signal } = job;
  const { folder, kind, firstNumber } = job;
  const limits = { maxBytes: SHARD_BYTES, maxMs: SHARD_MS };
  await using shards = new ShardSequence({ folder, kind, firstNumber, ...limits });
  await using loader = new BatchLoader({
    ...{ rows: rowsOf(items), order: evaluationOrder(items.length, batchSize) },
    ...{ batchSize, reader, parallel },
  });
  let writing: Promise<void> = Promise.resolve();
  let done = 0;
  try {
    for (let batch = await loader.next(); batch && !signal?.aborted; batch = await loader.next()) {
      const own = items.slice(done, done + batch.filled);
      const [forms] = await Promise.all([job.compute(batch.images, own), writing]);
      loader.release(batch.images.buffer);
      done += own.length;
      job.onProgress(done);
      writing = writeBatch(shards, own, forms, batchSize);
      // Awaited above or below; an error in between is not to end the process.
      writing.catch(() => undefined);
    }
  } finally {
    await writing;
  }
  await shards.finish();
  if (signal?.aborted && done < items.length) throw interrupted(done, items.length);
}

function rowsOf(items: readonly PackItem[]): LabelledRows {
  const paths = items.map(({ path }) => path);
  return { tasks: [], paths, labels: new Int32Array(), locate: (row) => items[row]?.place ?? {} };
}

/** Writes the records of a batch: all forms of an image after each other. */
async function writeBatch(
  shards: ShardSequence,
  items: readonly PackItem[],
  forms: readonly Float32Array[],
  batchSize: number,
): Promise<void> {
  for (const [i, { path, place }] of items.entries()) {
    const record = Buffer.concat(forms.map((form) => rowBytes(form, i, batchSize)));
    // It was read a moment ago, so that the system still holds it.
    const bytes = await readImageFile(path, place);
    const { mtimeMs } = await lstat(path);
    const sha256 = createHash("sha256").update(bytes).digest("hex");
    await shards.write(record, [path, bytes.length, mtimeMs, sha256]);
  }
}

function rowBytes(form: Float32Array, row: number, rows: number): Uint8Array {
  const sizeBytes = form.byteLength / rows;
  return new Uint8Array(form.buffer, form.byteOffset + row * sizeBytes, sizeBytes);
}

function interrupted(done: number, total: number): MttcError {
  return new MttcError({
    code: "E_INTERRUPTED",
    message: `interrupted after the features of ${done} of ${total} images were computed`,
    hint: "these are kept: the same command goes on from there",
  });
}
