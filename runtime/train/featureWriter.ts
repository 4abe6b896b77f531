// Images -> shards of features: the frozen trunk runs once over all of them, batch by batch, while the next
// batch is read and the one before is written. Shards appear whole or not at all, and what is there when the
// work is interrupted is kept. Features are kept under the hash of the file that they were computed of: it
// has one stamp before its pixels are read and after its bytes are hashed.
import { createHash } from "node:crypto";
import { lstat } from "node:fs/promises";
import { MttcError } from "../../compiler/diagnostics.ts";
import type { ImageStreams } from "../batches/imageStreams.ts";
import { evaluationBatches } from "../batches/loader.ts";
import { checkImageFiles } from "../checks/sourceCheck.ts";
import { readImageFile, refuseOtherStamp } from "../images/imageFile.ts";
import type { ListedImage } from "../images/listedImage.ts";
import type { RecordKind } from "../packs/packShard.ts";
import { ShardSequence } from "../packs/shardSequence.ts";
import type { ImageRows } from "../tables/imageRows.ts";

/** A shard ends when it holds this much, or this much work. */
const SHARD_BYTES = 2 ** 28;
const SHARD_MS = 300_000;

export interface FeatureJob {
  readonly folder: string;
  readonly kind: RecordKind;
  /** Number of the first new shard. */
  readonly firstNumber: number;
  readonly items: readonly ListedImage[];
  readonly batchSize: number;
  readonly reader: ImageStreams;
  readonly parallel: number;
  /**
   * Features of a batch of images, [batchSize, ...] for each form; of the rest of the last batch, which is
   * padded, nothing is kept.
   */
  readonly compute: (
    images: Uint8Array<ArrayBuffer>,
    items: readonly ListedImage[],
  ) => Promise<readonly Float32Array[]>;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress: (done: number) => void;
}

/**
 * Computes and writes the features of all items. Throws what reading images throws, E_DATA_CHANGED for a file
 * that is replaced meanwhile, E_DISK, E_FILE, and E_INTERRUPTED when the signal aborts; what was computed
 * until then is kept.
 */
export async function writeFeatures(job: FeatureJob): Promise<void> {
  const { batchSize, reader, parallel, signal } = job;
  const items = await stamped(job.items);
  const { folder, kind, firstNumber } = job;
  const limits = { maxBytes: SHARD_BYTES, maxMs: SHARD_MS };
  await using shards = new ShardSequence({ folder, kind, firstNumber, ...limits });
  await using loader = evaluationBatches({
    ...{ rows: rowsOf(items), batchSize, reader, parallel },
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

type StampedItem = ListedImage & { readonly stamp: number };

/** The items with the stamps that they have, or that their files have now. E_FILE, E_PATH_TYPE. */
async function stamped(items: readonly ListedImage[]): Promise<StampedItem[]> {
  const bare = items.filter(({ stamp }) => stamp === undefined);
  const paths = bare.map(({ path }) => path);
  const stamps = await checkImageFiles(paths, (row) => bare[row]?.place ?? {});
  const found = new Map(paths.map((path, row) => [path, stamps[row]]));
  return items.map((item) => ({ ...item, stamp: item.stamp ?? found.get(item.path) ?? 0 }));
}

function rowsOf(items: readonly StampedItem[]): ImageRows {
  const paths = items.map(({ path }) => path);
  const stamps = Uint32Array.from(items, ({ stamp }) => stamp);
  return { paths, locate: (row) => items[row]?.place ?? {}, stamps };
}

/** Writes the records of a batch: all forms of an image after each other. */
async function writeBatch(
  shards: ShardSequence,
  items: readonly StampedItem[],
  forms: readonly Float32Array[],
  batchSize: number,
): Promise<void> {
  for (const [i, { path, place, stamp }] of items.entries()) {
    const record = Buffer.concat(forms.map((form) => rowBytes(form, i, batchSize)));
    // It was read a moment ago, so that the system still holds it. A file that changed while its pixels were
    // read has another stamp by now; one that changes while it is hashed, afterwards.
    const bytes = await readImageFile(path, place, stamp);
    const stat = await lstat(path);
    refuseOtherStamp(stat, stamp, path, place);
    const sha256 = createHash("sha256").update(bytes).digest("hex");
    await shards.write(record, [path, bytes.length, stat.mtimeMs, sha256]);
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
