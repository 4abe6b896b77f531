// Sources -> shards of the packed cache. Images are decoded once, as the loader would, in child processes
// under the watchdog of `mttc data check`, since nobody has looked at them before; in bounded memory, in the
// order of the items, and every shard appears whole or not at all. All faults of all images are reported
// together, after what is sound was packed.
import { availableParallelism } from "node:os";
import { MttcError } from "../../compiler/diagnostics.ts";
import type { Inspection } from "../checks/inspection.ts";
import { InspectionPool } from "../checks/inspectionPool.ts";
import type { PackFormat } from "../images/imageRecord.ts";
import type { ImageFormat } from "../images/images.ts";
import type { ListedImage } from "../images/listedImage.ts";
import { FaultList } from "../tables/faultList.ts";
import { imageKind } from "./packKind.ts";
import { ShardSequence } from "./shardSequence.ts";

/** A shard ends before it grows over this, unless by its first record. */
const MAX_RAW_SHARD_BYTES = 2 ** 30;
/** A shard of JPEGs holds as much work in less. */
const MAX_JPEG_SHARD_BYTES = 2 ** 27;
/** For less than this a further process does not pay for its start. */
const IMAGES_PER_PROCESS = 50;
/** Answers that wait to be written, per process. */
const IMAGES_AHEAD = 4;

export interface PackWriterOptions {
  readonly folder: string;
  readonly format: ImageFormat;
  readonly packFormat: PackFormat;
  /** Number of the first new shard. */
  readonly firstNumber: number;
  /** Ends the work early: what was decoded is kept, and E_INTERRUPTED thrown. */
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((done: number) => void) | undefined;
}

/**
 * Packs `items` into new shards. Throws the faults of all unusable images (see InspectionPool.inspect),
 * E_INTERRUPTED, E_DISK, E_FILE; what was packed before stays and is used the next time.
 */
export async function writeShards(items: readonly ListedImage[], options: PackWriterOptions): Promise<void> {
  const { format, packFormat, signal, onProgress } = options;
  const faults = new FaultList();
  await using shards = new ShardSequence({
    folder: options.folder,
    kind: imageKind(format, packFormat),
    firstNumber: options.firstNumber,
    maxBytes: packFormat === "jpeg" ? MAX_JPEG_SHARD_BYTES : MAX_RAW_SHARD_BYTES,
  });
  // One process more than there are cores: each is idle while its answer travels. Few images need few.
  const cores = Math.min(availableParallelism(), 8);
  const processes = Math.min(cores + 1, Math.ceil(items.length / IMAGES_PER_PROCESS));
  await using pool = new InspectionPool({ format, processes, record: packFormat });
  const ahead: Promise<Inspection>[] = [];
  let [next, done] = [0, 0];
  for (;;) {
    while (ahead.length < IMAGES_AHEAD * processes && next < items.length && !signal?.aborted) {
      const { path, place } = items[next++] as ListedImage;
      const inspection = pool.inspect(path, place);
      // Awaited in its turn; a failure before that is not to end the process.
      inspection.catch(() => undefined);
      ahead.push(inspection);
    }
    const inspection = await ahead.shift();
    if (inspection === undefined) break;
    const { path } = items[done++] as ListedImage;
    const { record, sizeBytes, mtimeMs, sha256 } = inspection;
    for (const fault of inspection.faults) faults.add(fault);
    if (record !== undefined) await shards.write(record, [path, sizeBytes, mtimeMs, sha256]);
    onProgress?.(done);
  }
  await shards.finish();
  faults.throwIfAny();
  if (done < items.length) throw interrupted(done, items.length);
}

function interrupted(done: number, total: number): MttcError {
  return new MttcError({
    code: "E_INTERRUPTED",
    message: `after ${done} of ${total} images were packed`,
    hint: "these are kept: the same command goes on from there",
  });
}
