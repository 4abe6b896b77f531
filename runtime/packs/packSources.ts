// What a pack holds beside what it should: which items have no record, and whose source is no longer what was
// packed. In: items and shards; out: the items to pack, or all changed sources as faults.
import { createHash } from "node:crypto";
import { lstat } from "node:fs/promises";
import type { Fault } from "../../compiler/diagnostics.ts";
import { fileError } from "../files/fileSystem.ts";
import { listedIn, readImageFile } from "../images/imageFile.ts";
import type { ListedImage } from "../images/listedImage.ts";
import { FaultList } from "../tables/faultList.ts";
import { type PackSource, type RecordKind, readShards, type Shard, shardNumbers } from "./packShard.ts";

const FILES_AT_ONCE = 16;

/** Where the record of a path is. */
export interface PackEntry {
  readonly shard: Shard;
  readonly record: number;
}

/** Where each path is packed; a later shard stands for an earlier one. */
export function entriesOf(shards: readonly Shard[]): Map<string, PackEntry> {
  const entries = new Map<string, PackEntry>();
  for (const shard of shards)
    for (const [record, [path]] of shard.index.sources.entries()) entries.set(path, { shard, record });
  return entries;
}

/** The shards that hold any of the items. */
export function shardsOf(items: readonly ListedImage[], entries: ReadonlyMap<string, PackEntry>): Shard[] {
  const used = new Set(items.map(({ path }) => entries.get(path)?.shard));
  return [...used].filter((shard) => shard !== undefined);
}

/**
 * Items that have no record, or, with `refresh`, one of another content. Otherwise E_DATA_CHANGED, with
 * `advice` for whoever meant it; E_FILE.
 */
export async function changedItems(
  items: readonly ListedImage[],
  entries: ReadonlyMap<string, PackEntry>,
  refresh: boolean,
  advice = "run `mttc data pack SPEC --refresh`",
): Promise<ListedImage[]> {
  const faults: (Fault | undefined)[] = [];
  let next = 0;
  const work = async (): Promise<void> => {
    for (let index = next++; index < items.length; index = next++) {
      const item = items[index];
      const { shard, record } = entries.get(item?.path ?? "") ?? {};
      const source = shard?.index.sources[record ?? 0];
      if (item && source) faults[index] = await changeFault(item, source, `if it was meant, ${advice}`);
    }
  };
  await Promise.all(Array.from({ length: FILES_AT_ONCE }, work));
  const list = new FaultList();
  if (!refresh) for (const fault of faults) if (fault) list.add(fault);
  list.throwIfAny();
  return items.filter(({ path }, index) => !entries.has(path) || faults[index] !== undefined);
}

/** What is to be written into a folder, and where. */
export interface PendingItems {
  readonly items: readonly ListedImage[];
  /** Number of the first new shard. */
  readonly firstNumber: number;
}

/**
 * Of the items that were missing when `before` was read, those that no other process has written since. The
 * caller holds the folder's lock, so that this does not change any more. E_SHARD_META, E_FILE.
 */
export async function pendingItems(
  missing: readonly ListedImage[],
  before: ReadonlyMap<string, PackEntry>,
  folder: string,
  kind: RecordKind,
): Promise<PendingItems> {
  const now = entriesOf(await readShards(folder, kind));
  const hashIn = (entries: ReadonlyMap<string, PackEntry>, path: string): string | undefined => {
    const { shard, record = 0 } = entries.get(path) ?? {};
    return shard?.index.sources[record]?.[3];
  };
  const items = missing.filter(({ path }) => {
    const hash = hashIn(now, path);
    return hash === undefined || hash === hashIn(before, path);
  });
  const last = (await shardNumbers(folder, "bin")).at(-1) ?? -1;
  return { items, firstNumber: last + 1 };
}

/** Size and time are compared first; where they differ, the content decides: a copied file is the same. */
async function changeFault(
  { path, place }: ListedImage,
  [, sizeBytes, mtimeMs, sha256]: PackSource,
  advice: string,
): Promise<Fault | undefined> {
  const stat = await lstat(path).catch((error: unknown) => {
    throw fileError(error, path, "read the image");
  });
  if (stat.size === sizeBytes && stat.mtimeMs === mtimeMs) return undefined;
  const bytes = await readImageFile(path, place);
  if (createHash("sha256").update(bytes).digest("hex") === sha256) return undefined;
  const { hint } = listedIn(place);
  return {
    code: "E_DATA_CHANGED",
    message: "the image is not what it was when it was packed",
    at: { file: path },
    hint: hint ? `${hint}; ${advice}` : advice,
  };
}
