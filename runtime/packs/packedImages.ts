// The packed cache of a data set: a folder of shards per recipe, brought up to date with the sources and
// checked before the first step; later epochs and runs read records and never a source. A source that is not
// what was packed is refused, never replaced silently.
import { close, open, read } from "node:fs";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { InternalError, MttcError } from "../../compiler/diagnostics.ts";
import { fileError } from "../files/fileSystem.ts";
import { removeLeftovers } from "../files/leftovers.ts";
import { acquireRunLock, PACKING } from "../files/runLock.ts";
import { tidyFolder } from "../files/tidyFolder.ts";
import { restrictImageLibrary } from "../images/imageLibrary.ts";
import { decodeRecord, type PackFormat } from "../images/imageRecord.ts";
import type { ImageFormat, PixelSource } from "../images/images.ts";
import type { ListedImage } from "../images/listedImage.ts";
import { imageKind } from "./packKind.ts";
import { reclaimShards } from "./packReclaim.ts";
import { type RecordKind, readShards, recordOffsets, verifyShard } from "./packShard.ts";
import { changedItems, entriesOf, type PackEntry, pendingItems, shardsOf } from "./packSources.ts";
import { writeShards } from "./packWriter.ts";

const openFile = promisify(open);
const closeFile = promisify(close);
const RECIPE_DIGITS = 16;

export interface PackOptions {
  /** Folder of packs; each recipe has its own folder in it. */
  readonly folder: string;
  readonly format: ImageFormat;
  /** How a record holds an image; default: its raw pixels. */
  readonly packFormat?: PackFormat;
  /** Packs changed sources anew instead of refusing them, and removes the records that they replace. */
  readonly refresh?: boolean;
  /** Ends packing early with E_INTERRUPTED; what was packed is kept. */
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: (done: number, total: number) => void;
}

/** What a pack holds and what had to be done for it. */
export interface PackSummary {
  /** Folder of the shards. */
  readonly folder: string;
  readonly packFormat: PackFormat;
  readonly images: number;
  /** Images that were decoded now. */
  readonly packed: number;
  readonly sizeBytes: number;
  /** Bytes of replaced records that were removed now. */
  readonly reclaimedBytes: number;
  /** SHA-256 of each source's content in hex, by path. */
  readonly hashes: ReadonlyMap<string, string>;
}

/** What a thread needs to open a pack that another has prepared: plain data. */
export interface PackHandle {
  /** Folder of the shards (PackSummary's). */
  readonly folder: string;
  readonly format: ImageFormat;
  readonly packFormat: PackFormat;
}

interface Place {
  readonly file: number;
  readonly position: number;
  readonly length: number;
}

/** Reads the records of a pack; close it in the end. */
export class PackedImages implements PixelSource, AsyncDisposable {
  readonly handle: PackHandle;
  readonly #places: ReadonlyMap<string, Place>;
  readonly #files: readonly number[];

  private constructor(handle: PackHandle, places: ReadonlyMap<string, Place>, files: readonly number[]) {
    this.handle = handle;
    this.#places = places;
    this.#files = files;
  }

  /** Opens a pack that `preparePack` has prepared, in any thread, for these paths. E_SHARD_META, E_FILE. */
  static async open(handle: PackHandle, paths: Iterable<string>): Promise<PackedImages> {
    const { folder, format, packFormat } = handle;
    const kind = imageKind(format, packFormat);
    const entries = entriesOf(await readShards(folder, kind));
    const files = new Map<string, { readonly number: number; readonly offsets: Float64Array }>();
    const places = new Map<string, Place>();
    try {
      for (const path of paths) {
        const { shard, record } = entries.get(path) ?? {};
        if (shard === undefined || record === undefined) throw new InternalError(`${path} was not packed`);
        let file = files.get(shard.file);
        if (file === undefined) {
          file = { number: await openShard(shard.file), offsets: recordOffsets(kind, shard.index) };
          files.set(shard.file, file);
        }
        const [position = 0, end = 0] = file.offsets.subarray(record, record + 2);
        places.set(path, { file: file.number, position, length: end - position });
      }
    } catch (error) {
      await Promise.all([...files.values()].map(({ number }) => closeFile(number)));
      throw error;
    }
    return new PackedImages(
      { folder, format, packFormat },
      places,
      [...files.values()].map(({ number }) => number),
    );
  }

  has(path: string): boolean {
    return this.#places.has(path);
  }

  /**
   * Pixels of an image into `target` (imageBytes long); false where it is not in the pack. E_SHARD_META where
   * the file ends, E_SHARD_CRC where a JPEG cannot be decoded.
   */
  async read(path: string, target: Uint8Array): Promise<boolean> {
    const place = this.#places.get(path);
    if (place === undefined) return false;
    if (this.handle.packFormat === "raw") {
      await readRecord(place, path, target);
      return true;
    }
    const record = new Uint8Array(place.length);
    await readRecord(place, path, record);
    await decodeRecord(record, this.handle.format, target, path);
    return true;
  }

  /** As `read`, without promises, for raw records: false, and nothing is done, where it is not one. */
  readPlain(path: string, target: Uint8Array, done: (error?: unknown) => void): boolean {
    const place = this.handle.packFormat === "raw" ? this.#places.get(path) : undefined;
    if (place === undefined) return false;
    readBytes(place, path, target, done);
    return true;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#files.map((file) => closeFile(file)));
  }
}

/**
 * Packs what is not packed yet and verifies what is. E_DATA_CHANGED (all changed sources, unless `refresh`),
 * E_SHARD_META, E_SHARD_CRC, E_RUN_LOCKED (another process packs), E_INTERRUPTED, E_DISK, E_FILE, E_CONFIG
 * (a format that JPEG cannot hold) and the faults of images.
 */
export async function preparePack(items: readonly ListedImage[], options: PackOptions): Promise<PackSummary> {
  const { format, packFormat = "raw", refresh = false } = options;
  const kind = imageKind(format, packFormat);
  const folder = join(options.folder, kind.recipe.slice(0, RECIPE_DIGITS));
  const distinct = [...new Map(items.map((item) => [item.path, item])).values()];
  let shards = await readShards(folder, kind);
  const before = entriesOf(shards);
  const missing = await changedItems(distinct, before, refresh);
  for (const shard of shardsOf(distinct, before)) await verifyShard(shard, kind);
  let [packed, reclaimedBytes] = [0, 0];
  if (missing.length > 0 || refresh) {
    ({ packed, reclaimedBytes } = await packMissing(missing, before, folder, kind, options));
    shards = await readShards(folder, kind);
  } else await tidyFolder(folder, PACKING);
  const entries = entriesOf(shards);
  const sizeBytes = shardsOf(distinct, entries).reduce((sum, { index }) => sum + index.sizeBytes, 0);
  const counts = { images: distinct.length, packed, sizeBytes, reclaimedBytes };
  return { folder, packFormat, ...counts, hashes: hashesOf(distinct, entries) };
}

/** Returns how many images were packed, and the bytes that were given back to the disk. */
async function packMissing(
  missing: readonly ListedImage[],
  before: ReadonlyMap<string, PackEntry>,
  folder: string,
  kind: RecordKind,
  { format, packFormat = "raw", signal, onProgress }: PackOptions,
): Promise<Pick<PackSummary, "packed" | "reclaimedBytes">> {
  restrictImageLibrary();
  await mkdir(folder, { recursive: true }).catch((error: unknown) => {
    throw fileError(error, folder, "write");
  });
  await using _lock = await acquireRunLock(folder, PACKING);
  await removeLeftovers(folder);
  const { items, firstNumber } = await pendingItems(missing, before, folder, kind);
  await writeShards(items, {
    folder,
    format,
    packFormat,
    firstNumber,
    signal,
    onProgress: (done) => onProgress?.(done, items.length),
  });
  return { packed: items.length, reclaimedBytes: await reclaimShards(folder, kind) };
}

function hashesOf(
  items: readonly ListedImage[],
  entries: ReadonlyMap<string, PackEntry>,
): ReadonlyMap<string, string> {
  return new Map(
    items.map(({ path }) => {
      const { shard, record = -1 } = entries.get(path) ?? {};
      return [path, shard?.index.sources[record]?.[3] ?? ""];
    }),
  );
}

async function openShard(file: string): Promise<number> {
  try {
    return await openFile(file, "r");
  } catch (error) {
    throw fileError(error, file, "read the packed images");
  }
}

/** Fills `target` with the record. */
function readRecord(place: Place, path: string, target: Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => {
    readBytes(place, path, target, (error) => (error === undefined ? resolve() : reject(error)));
  });
}

function readBytes(
  { file, position }: Place,
  path: string,
  target: Uint8Array,
  done: (error?: unknown) => void,
): void {
  read(file, target, 0, target.length, position, (error, count) => {
    if (error) done(fileError(error, path, "read its packed image"));
    else if (count === target.length) done();
    else done(cutShort(path));
  });
}

function cutShort(path: string): MttcError {
  const message = "its packed image is cut short: the pack changed while it was read";
  return new MttcError({ code: "E_SHARD_META", message, at: { file: path } });
}
