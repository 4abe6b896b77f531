// What killed processes leave beside an output: files half-written, folders half-deleted, and the old folder
// of a replacement that was cut short between its two renames, which is put back. Names say whose they are,
// so that a live process's are left alone. (folder) -> a folder without them.
import { randomBytes } from "node:crypto";
import { basename, dirname, join, resolve } from "node:path";
import { type FileSystem, fileError, nodeFileSystem, systemCode } from "./fileSystem.ts";
import { isOwnerGone, isProcessAlive, ownerName, shortHash } from "./owners.ts";

/**
 * What a sibling is for: `tmp` is being written, `old` is what `path` was and stands in for it until the new
 * one is in place, `trash` is being removed.
 */
export type SiblingPurpose = "tmp" | "old" | "trash";

interface Leftover {
  readonly name: string;
  readonly purpose: SiblingPurpose;
  /** Last part of the path beside which it stands, or a hash of a long one. */
  readonly tag: string;
  readonly isDead: boolean;
}

/** .<purpose>-<owner>-<random>-<tag>; earlier versions named a process alone. */
const NAME = /^\.(tmp|old|trash)-(?:([0-9a-f]{8}-\d+-[0-9a-f]{8})|(\d+))-[0-9a-f]{8}-(.+)$/s;
const HASH = /^[0-9a-f]{8}$/;
/** File systems take names of 255 bytes. */
const MOST_TAG_BYTES = 180;
/** Nobody can be asked whether a process of another machine lives; none writes for so long. */
const FOREIGN_DAYS = 7;
const DAY_MS = 86_400_000;

/** A name beside `path` that no other writer uses; `removeLeftovers` finds it should this process be killed. */
export function siblingName(path: string, purpose: SiblingPurpose): string {
  return join(dirname(path), `.${purpose}-${ownerName()}-${randomBytes(4).toString("hex")}-${tagOf(path)}`);
}

/**
 * Removes what killed processes left in `folder`, of the output `of` alone where it is given (its name), and
 * gives a replaced folder its name back where nothing stands there. Nothing happens where there is no such
 * folder or it may not be listed. E_FILE.
 */
export async function removeLeftovers(
  folder: string,
  fileSystem: FileSystem = nodeFileSystem,
  of?: string,
): Promise<void> {
  const tag = of === undefined ? undefined : tagOf(of);
  for (const leftover of await listLeftovers(folder, fileSystem, tag)) {
    if (!leftover.isDead) continue;
    const path = join(folder, leftover.name);
    const place = join(folder, of ?? leftover.tag);
    // What stands in the place of a long name is not told by its hash.
    if (leftover.purpose === "old" && of === undefined && HASH.test(leftover.tag)) continue;
    if (leftover.purpose === "old" && !(await fileSystem.exists(place)))
      await renameIfThere(path, place, fileSystem);
    else await fileSystem.remove(path);
  }
}

/** Puts the folder at `path` back where a killed replacement left it aside; without one nothing happens. */
export async function restoreReplaced(path: string, fileSystem: FileSystem = nodeFileSystem): Promise<void> {
  const place = resolve(path);
  try {
    if (!(await fileSystem.exists(place))) await removeLeftovers(dirname(place), fileSystem, basename(place));
  } catch (error) {
    if (systemCode(error) === "ENOTDIR") return;
    throw fileError(error, place, "put back what was replaced");
  }
}

async function listLeftovers(
  folder: string,
  fileSystem: FileSystem,
  wanted: string | undefined,
): Promise<Leftover[]> {
  let names: string[];
  try {
    names = await fileSystem.readdir(folder);
  } catch (error) {
    if (["ENOENT", "EACCES", "EPERM"].includes(systemCode(error) ?? "")) return [];
    throw error;
  }
  const found: Leftover[] = [];
  for (const name of names) {
    const [, purpose = "", owner, pid, tag = ""] = NAME.exec(name) ?? [];
    if (purpose === "" || (wanted !== undefined && tag !== wanted)) continue;
    const isDead =
      owner === undefined
        ? !isProcessAlive(Number(pid))
        : (isOwnerGone(owner) ?? (await isOld(join(folder, name), fileSystem)));
    // Earlier versions called both a replaced folder and a checkpoint that goes "trash".
    const isReplaced = purpose === "old" || (owner === undefined && purpose === "trash" && !isEpoch(tag));
    found.push({ name, purpose: isReplaced ? "old" : (purpose as SiblingPurpose), tag, isDead });
  }
  return found;
}

async function isOld(path: string, fileSystem: FileSystem): Promise<boolean> {
  const stat = await fileSystem.lookAt(path);
  return stat !== undefined && Date.now() - stat.mtimeMs > FOREIGN_DAYS * DAY_MS;
}

/** Another process may have put it back meanwhile. */
async function renameIfThere(from: string, to: string, fileSystem: FileSystem): Promise<void> {
  try {
    await fileSystem.rename(from, to);
  } catch (error) {
    if (systemCode(error) !== "ENOENT") throw error;
  }
}

function isEpoch(tag: string): boolean {
  return /^epoch-\d/.test(tag);
}

function tagOf(path: string): string {
  const name = basename(path);
  return Buffer.byteLength(name) <= MOST_TAG_BYTES ? name : shortHash(name);
}
