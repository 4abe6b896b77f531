// Folders and files that are on the disk whole or not at all, whatever kills the process: everything is
// written to a temporary sibling and synced, and one rename makes it visible. (contents, path) -> path. Under
// `ulimit -f` Node ignores SIGXFSZ itself, so the limit arrives here as EFBIG.
import { randomBytes } from "node:crypto";
import { basename, dirname, isAbsolute, join, normalize, sep } from "node:path";
import { InternalError, MttcError } from "../../compiler/diagnostics.ts";
import { type FileSystem, fileError, nodeFileSystem, systemCode } from "./fileSystem.ts";

/** One write call takes at most this (the system's own limit is just below 2 GiB). */
const PIECE_BYTES = 256 * 1024 * 1024;

const LEFTOVER = /^\.(?:tmp|trash)-(\d+)-/;

/** How writers behave where the default does not do. */
export interface WriteOptions {
  /** Let the new folder take the place of an existing one (kept until the new one stands). Default false. */
  readonly replace?: boolean;
  /** Looks at the written folder before it takes its place; what it throws leaves everything as it was. */
  readonly check?: (folder: string) => Promise<void>;
  readonly fileSystem?: FileSystem;
}

/**
 * A name beside `path` that no other writer uses; `removeLeftovers` finds it should this process be killed.
 */
export function siblingName(path: string, purpose: "tmp" | "trash"): string {
  return join(
    dirname(path),
    `.${purpose}-${process.pid}-${randomBytes(4).toString("hex")}-${basename(path)}`,
  );
}

/**
 * Writes a folder with the given files (relative name, "/" between folders -> content), atomically, and in
 * the map's order. E_FILE if `path` exists and `replace` is not set, or the system refuses; E_DISK if the
 * disk is full. After an error the temporary folder is gone and what stood at `path` still stands.
 */
export async function writeDirectoryAtomically(
  path: string,
  files: ReadonlyMap<string, Uint8Array>,
  options: WriteOptions = {},
): Promise<void> {
  const fileSystem = options.fileSystem ?? nodeFileSystem;
  const temporary = siblingName(path, "tmp");
  await guarded(fileSystem, temporary, path, async () => {
    await fileSystem.mkdir(temporary);
    const folders = new Set([temporary]);
    for (const [name, bytes] of files) {
      const file = join(temporary, checkedName(name));
      for (let folder = dirname(file); !folders.has(folder); folder = dirname(folder)) folders.add(folder);
      await fileSystem.mkdir(dirname(file));
      await writeSynced(fileSystem, file, bytes);
    }
    for (const folder of folders) await syncDirectory(fileSystem, folder);
    await options.check?.(temporary);
    await moveIntoPlace(fileSystem, temporary, path, options.replace ?? false);
    await syncDirectory(fileSystem, dirname(path));
  });
}

/** Writes one file atomically, over an existing one if there is one. Errors as writeDirectoryAtomically. */
export async function writeFileAtomically(
  path: string,
  content: Uint8Array | string,
  fileSystem: FileSystem = nodeFileSystem,
): Promise<void> {
  const temporary = siblingName(path, "tmp");
  const bytes = typeof content === "string" ? new TextEncoder().encode(content) : content;
  await guarded(fileSystem, temporary, path, async () => {
    await fileSystem.mkdir(dirname(path));
    await writeSynced(fileSystem, temporary, bytes);
    await fileSystem.rename(temporary, path);
    await syncDirectory(fileSystem, dirname(path));
  });
}

/**
 * Removes what killed processes left half-written or half-deleted in `folder`; live processes' are left
 * alone.
 */
export async function removeLeftovers(
  folder: string,
  fileSystem: FileSystem = nodeFileSystem,
): Promise<void> {
  for (const name of await fileSystem.readdir(folder)) {
    const pid = LEFTOVER.exec(name)?.[1];
    if (pid !== undefined && !isProcessAlive(Number(pid))) await fileSystem.remove(join(folder, name));
  }
}

/** Whether a process of this machine runs under `pid`, whoever owns it. */
export function isProcessAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return systemCode(error) === "EPERM";
  }
}

async function guarded(
  fileSystem: FileSystem,
  temporary: string,
  path: string,
  work: () => Promise<void>,
): Promise<void> {
  try {
    await work();
  } catch (error) {
    try {
      await fileSystem.remove(temporary);
    } catch (cause) {
      const message = `cannot write it, nor remove the temporary ${basename(temporary)}: ${String(error)}`;
      throw new MttcError({ code: "E_FILE", message, at: { file: path } }, { cause });
    }
    throw fileError(error, path, "write");
  }
}

async function writeSynced(fileSystem: FileSystem, path: string, bytes: Uint8Array): Promise<void> {
  const handle = await fileSystem.open(path, "wx");
  try {
    let position = 0;
    while (position < bytes.length) {
      const piece = bytes.subarray(position, position + PIECE_BYTES);
      position += await fileSystem.write(handle, piece); // short near a limit: then the next call fails
    }
    await fileSystem.sync(handle);
  } finally {
    await handle.close();
  }
}

async function syncDirectory(fileSystem: FileSystem, path: string): Promise<void> {
  if (process.platform === "win32") return; // folders cannot be opened there; NTFS journals its renames
  const handle = await fileSystem.open(path, "r");
  try {
    await fileSystem.sync(handle);
  } finally {
    await handle.close();
  }
}

async function moveIntoPlace(
  fileSystem: FileSystem,
  from: string,
  to: string,
  replace: boolean,
): Promise<void> {
  if (!(await fileSystem.exists(to))) return fileSystem.rename(from, to);
  if (!replace)
    throw new MttcError({ code: "E_FILE", message: "exists already and is not replaced", at: { file: to } });
  const old = siblingName(to, "trash");
  await fileSystem.rename(to, old);
  try {
    await fileSystem.rename(from, to);
  } catch (error) {
    await fileSystem.rename(old, to);
    throw error;
  }
  await fileSystem.remove(old);
}

function checkedName(name: string): string {
  const clean = normalize(name);
  if (name === "" || clean === "." || isAbsolute(clean) || clean.split(sep).includes(".."))
    throw new InternalError(`"${name}" is not a name inside a folder`);
  return clean;
}
