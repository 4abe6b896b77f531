// Folders and files that are on the disk whole or not at all, whatever kills the process: everything is
// written to a temporary sibling and synced, and one rename makes it visible. (contents, path) -> path. Under
// `ulimit -f` Node ignores SIGXFSZ itself, so the limit arrives here as EFBIG.
import { basename, dirname, isAbsolute, join, normalize, resolve, sep } from "node:path";
import { InternalError, MttcError } from "../../compiler/diagnostics.ts";
import { type FileContent, writablePieces } from "./fileContent.ts";
import { type FileAttributes, type FileSystem, fileError, nodeFileSystem } from "./fileSystem.ts";
import { removeLeftovers, siblingName } from "./leftovers.ts";
import { behindLinks, outputTarget, writeThrough } from "./outputTarget.ts";

/** One write call takes at most this (the system's own limit is just below 2 GiB). */
const PIECE_BYTES = 256 * 1024 * 1024;

/** Of programs, less what the user's umask takes. */
const PROGRAM_MODE = 0o777;

/** How writers behave where the default does not do. */
export interface WriteOptions {
  /** Let the new folder take the place of an existing one (kept until the new one stands). Default false. */
  readonly replace?: boolean;
  /** Looks at the written folder before it takes its place; what it throws leaves everything as it was. */
  readonly check?: (folder: string) => Promise<void>;
  /** Files that may be run, whatever those that they replace were. */
  readonly programs?: ReadonlySet<string>;
  readonly fileSystem?: FileSystem;
}

/**
 * Writes a folder with the given files (relative name, "/" between folders -> content), atomically, and in
 * the map's order; a link at `path` is followed, and what killed writers left beside it is removed. E_FILE if
 * something stands there and `replace` is not set, or the system refuses; E_DISK if the disk is full. After
 * an error the temporary folder is gone and what stood at `path` still stands. Files keep the mode of those
 * that they replace.
 */
export async function writeDirectoryAtomically(
  path: string,
  files: ReadonlyMap<string, FileContent>,
  options: WriteOptions = {},
): Promise<void> {
  const fileSystem = options.fileSystem ?? nodeFileSystem;
  const place = await folderBehindLinks(path);
  const temporary = siblingName(place, "tmp");
  await guarded(fileSystem, temporary, path, async () => {
    await removeLeftovers(dirname(place), fileSystem, basename(place));
    const before = await fileSystem.lookAt(place);
    if (before && !before.isDirectory())
      throw new MttcError({ code: "E_RUN_EXISTS", message: "is not a folder", at: { file: path } });
    await fileSystem.mkdir(temporary);
    const folders = new Set([temporary]);
    for (const [name, content] of files) {
      const file = join(temporary, checkedName(name));
      for (let folder = dirname(file); !folders.has(folder); folder = dirname(folder)) folders.add(folder);
      await fileSystem.mkdir(dirname(file));
      const isProgram = options.programs?.has(name) === true;
      const replaced = before && !isProgram ? await fileSystem.lookAt(join(place, name)) : undefined;
      await writeSynced(fileSystem, file, content, replaced, isProgram ? PROGRAM_MODE : undefined);
    }
    for (const folder of folders) await syncDirectory(fileSystem, folder);
    await options.check?.(temporary);
    if (before) await fileSystem.takeAttributes(temporary, before);
    await moveIntoPlace(fileSystem, temporary, place, options.replace ?? false);
    await syncDirectory(fileSystem, dirname(place));
  });
}

/**
 * Writes one file atomically, over an existing one if there is one, whose mode it keeps; what killed writers
 * left beside it is removed. Links are followed; a device, a pipe or /dev/stdout is written to, not replaced.
 * Errors as writeDirectoryAtomically.
 */
export async function writeFileAtomically(
  path: string,
  content: Uint8Array | string,
  fileSystem: FileSystem = nodeFileSystem,
): Promise<void> {
  const bytes = typeof content === "string" ? new TextEncoder().encode(content) : content;
  let target: Awaited<ReturnType<typeof outputTarget>>;
  try {
    target = await outputTarget(path, fileSystem);
    if (target.kind !== "file") return await writeThrough(target, bytes, fileSystem);
  } catch (error) {
    throw fileError(error, path, "write");
  }
  const { path: place, before } = target;
  const temporary = siblingName(place, "tmp");
  await guarded(fileSystem, temporary, path, async () => {
    await fileSystem.mkdir(dirname(place));
    await removeLeftovers(dirname(place), fileSystem, basename(place));
    await writeSynced(fileSystem, temporary, bytes, before);
    await fileSystem.rename(temporary, place);
    await syncDirectory(fileSystem, dirname(place));
  });
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

/** The place of a folder; a descriptor, which no folder can be, is left for the system to refuse. */
async function folderBehindLinks(path: string): Promise<string> {
  try {
    const place = await behindLinks(resolve(path));
    return typeof place === "string" ? place : resolve(path);
  } catch (error) {
    throw fileError(error, path, "write");
  }
}

/** `like`: what the file will replace, whose mode it takes before it holds anything; `mode` of a new one. */
async function writeSynced(
  fileSystem: FileSystem,
  path: string,
  content: FileContent,
  like: FileAttributes | undefined,
  mode?: number,
): Promise<void> {
  const handle = await fileSystem.open(path, "wx", mode);
  try {
    if (like?.isFile()) await fileSystem.takeAttributes(path, like);
    for (const piece of writablePieces(content, PIECE_BYTES)) {
      let position = 0;
      // Short near a limit: then the next call fails.
      while (position < piece.length) position += await fileSystem.write(handle, piece.subarray(position));
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
  // Killed between the two renames, the old folder is found by its name and put back (leftovers.ts).
  const old = siblingName(to, "old");
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
