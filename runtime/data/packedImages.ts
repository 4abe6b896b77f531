// The packed cache of a data set: a folder of shards per recipe, brought up to date with the sources and
// checked before the first step; later epochs and runs read records and decode nothing. A source that is not
// what was packed is refused, never replaced silently.
import { createHash } from "node:crypto";
import { close, open, read } from "node:fs";
import { lstat, mkdir } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { type Fault, InternalError, MttcError } from "../../compiler/diagnostics.ts";
import { removeLeftovers } from "../checkpoint/atomicDirectory.ts";
import { fileError } from "../checkpoint/fileSystem.ts";
import { acquireRunLock } from "../checkpoint/runLock.ts";
import { FaultList } from "./faultList.ts";
import { listedIn, readImageFile } from "./imageFile.ts";
import { type ImageFormat, imageBytes, type PixelSource, restrictImageLibrary } from "./images.ts";
import {
  HEADER_BYTES,
  type PackSource,
  packRecipe,
  readShards,
  type Shard,
  verifyShard,
} from "./packShard.ts";
import { type PackItem, writeShards } from "./packWriter.ts";

const openFile = promisify(open);
const closeFile = promisify(close);
const FILES_AT_ONCE = 16;
const RECIPE_DIGITS = 16;

export interface PackOptions {
  /** Folder of packs; each recipe has its own folder in it. */
  readonly folder: string;
  readonly format: ImageFormat;
  /** Packs changed sources anew instead of refusing them. */
  readonly refresh?: boolean;
  readonly onProgress?: (done: number, total: number) => void;
}

/** What a pack holds and what had to be done for it. */
export interface PackSummary {
  readonly folder: string;
  readonly images: number;
  /** Images that were decoded now. */
  readonly packed: number;
  readonly sizeBytes: number;
}

interface Entry {
  readonly shard: Shard;
  readonly record: number;
}

interface Place {
  readonly file: number;
  readonly position: number;
}

/** Reads the records of a pack; close it in the end. */
export class PackedImages implements PixelSource, AsyncDisposable {
  readonly summary: PackSummary;
  private readonly places: ReadonlyMap<string, Place>;
  private readonly files: readonly number[];

  private constructor(summary: PackSummary, places: ReadonlyMap<string, Place>, files: readonly number[]) {
    this.summary = summary;
    this.places = places;
    this.files = files;
  }

  /**
   * Packs what is not packed yet, verifies what is, and opens it. E_DATA_CHANGED (all changed sources, unless
   * `refresh`), E_SHARD_META, E_SHARD_CRC, E_RUN_LOCKED (another process packs), E_DISK, E_FILE and the
   * faults of images.
   */
  static async open(items: readonly PackItem[], options: PackOptions): Promise<PackedImages> {
    const { format } = options;
    const folder = join(options.folder, packRecipe(format).slice(0, RECIPE_DIGITS));
    const distinct = [...new Map(items.map((item) => [item.path, item])).values()];
    const before = await readShards(folder, format);
    const missing = await itemsToPack(distinct, entriesOf(before), options.refresh ?? false);
    const used = shardsOf(distinct, entriesOf(before));
    for (const shard of used) await verifyShard(shard, format);
    if (missing.length > 0) await packMissing(missing, folder, before, options);
    const entries = entriesOf(missing.length > 0 ? await readShards(folder, format) : before);
    const shards = shardsOf(distinct, entries);
    const sizeBytes = shards.reduce((sum, { index }) => sum + index.sizeBytes, 0);
    const summary = { folder, images: distinct.length, packed: missing.length, sizeBytes };
    return await PackedImages.openShards(summary, distinct, entries, shards, format);
  }

  has(path: string): boolean {
    return this.places.has(path);
  }

  /** Pixels of an image into `target`; false where it is not in the pack. E_SHARD_META where the file ends. */
  read(path: string, target: Uint8Array): Promise<boolean> {
    const place = this.places.get(path);
    if (place === undefined) return Promise.resolve(false);
    return new Promise((resolve, reject) => {
      const { file, position } = place;
      read(file, target, 0, target.length, position, (error, count) => {
        if (error) reject(fileError(error, path, "read its packed image"));
        else if (count === target.length) resolve(true);
        else reject(cutShort(path));
      });
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.files.map((file) => closeFile(file)));
  }

  private static async openShards(
    summary: PackSummary,
    items: readonly PackItem[],
    entries: ReadonlyMap<string, Entry>,
    shards: readonly Shard[],
    format: ImageFormat,
  ): Promise<PackedImages> {
    const files = new Map<number, number>();
    for (const { number, file } of shards) files.set(number, await openFile(file, "r"));
    const sizeBytes = imageBytes(format);
    const places = new Map<string, Place>();
    for (const { path } of items) {
      const { shard, record } = entries.get(path) ?? {};
      const file = shard && files.get(shard.number);
      if (file === undefined || record === undefined) throw new InternalError(`${path} was not packed`);
      places.set(path, { file, position: HEADER_BYTES + record * sizeBytes });
    }
    return new PackedImages(summary, places, [...files.values()]);
  }
}

/** Where each path is packed; a later shard stands for an earlier one. */
function entriesOf(shards: readonly Shard[]): Map<string, Entry> {
  const entries = new Map<string, Entry>();
  for (const shard of shards)
    for (const [record, [path]] of shard.index.sources.entries()) entries.set(path, { shard, record });
  return entries;
}

/** The shards that hold any of the items. */
function shardsOf(items: readonly PackItem[], entries: ReadonlyMap<string, Entry>): Shard[] {
  const used = new Set(items.map(({ path }) => entries.get(path)?.shard));
  return [...used].filter((shard) => shard !== undefined);
}

async function packMissing(
  missing: readonly PackItem[],
  folder: string,
  before: readonly Shard[],
  { format, onProgress }: PackOptions,
): Promise<void> {
  restrictImageLibrary();
  await mkdir(folder, { recursive: true }).catch((error: unknown) => {
    throw fileError(error, folder, "write");
  });
  const lock = await acquireRunLock(folder);
  try {
    await removeLeftovers(folder);
    const firstNumber = (before.at(-1)?.number ?? -1) + 1;
    await writeShards(missing, {
      folder,
      format,
      firstNumber,
      onProgress: (done) => onProgress?.(done, missing.length),
    });
  } finally {
    await lock.release();
  }
}

/** Items that have no record, or, with `refresh`, one of another content. E_DATA_CHANGED otherwise. */
async function itemsToPack(
  items: readonly PackItem[],
  entries: ReadonlyMap<string, Entry>,
  refresh: boolean,
): Promise<PackItem[]> {
  const faults: (Fault | undefined)[] = [];
  let next = 0;
  const work = async (): Promise<void> => {
    for (let index = next++; index < items.length; index = next++) {
      const item = items[index];
      const { shard, record } = entries.get(item?.path ?? "") ?? {};
      const source = shard?.index.sources[record ?? 0];
      if (item && source) faults[index] = await changeFault(item, source);
    }
  };
  await Promise.all(Array.from({ length: FILES_AT_ONCE }, work));
  const list = new FaultList();
  if (!refresh) for (const fault of faults) if (fault) list.add(fault);
  list.throwIfAny();
  return items.filter(({ path }, index) => !entries.has(path) || faults[index] !== undefined);
}

/** Size and time are compared first; where they differ, the content decides: a copied file is the same. */
async function changeFault(
  { path, place }: PackItem,
  [, sizeBytes, mtimeMs, sha256]: PackSource,
): Promise<Fault | undefined> {
  const stat = await lstat(path).catch((error: unknown) => {
    throw fileError(error, path, "read the image");
  });
  if (stat.size === sizeBytes && stat.mtimeMs === mtimeMs) return undefined;
  const bytes = await readImageFile(path, place);
  if (createHash("sha256").update(bytes).digest("hex") === sha256) return undefined;
  const { hint } = listedIn(place);
  const advice = "if it was meant, run `mttc data pack SPEC --refresh`";
  return {
    code: "E_DATA_CHANGED",
    message: "the image is not what it was when it was packed",
    at: { file: path },
    hint: hint ? `${hint}; ${advice}` : advice,
  };
}

function cutShort(path: string): MttcError {
  const message = "its packed image is cut short: the pack changed while it was read";
  return new MttcError({ code: "E_SHARD_META", message, at: { file: path } });
}
