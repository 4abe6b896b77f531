// What an output may replace: only what mttc wrote itself and says so, so that a mistyped `-o .` costs nobody
// their files. One rule for every command: anything else in the way is E_RUN_EXISTS before work begins; files
// that the user named may be replaced by --overwrite, folders never.
import { open, readdir, readFile } from "node:fs/promises";
import { join, relative, resolve, sep } from "node:path";
import { z } from "zod";
import { MttcError } from "../../compiler/diagnostics.ts";
import { fileError, nodeFileSystem, systemCode } from "./fileSystem.ts";
import { restoreReplaced } from "./leftovers.ts";
import { outputTarget } from "./outputTarget.ts";

/**
 * How a folder of ours is known: a JSON file in it with `format` and `files` (a list of names, or a map by
 * name).
 */
export interface FolderMark {
  readonly listFile: string;
  readonly format: string;
  /** Whether a file of this name is ours although the list, which may be damaged, does not name it. */
  readonly isOurs?: (name: string) => boolean;
}

/** How a file of ours is known: by its first bytes (at most HEAD_BYTES of them). */
export interface FileMark {
  /** For messages: "a picture", "predictions". */
  readonly what: string;
  readonly isOurs: (head: Uint8Array) => boolean;
}

const OVERWRITE_HINT = "choose another name, or replace it with --overwrite";
/** Bytes of a file that a mark lies in. */
const HEAD_BYTES = 4096;

const listSchema = z.object({
  format: z.string(),
  files: z.union([z.array(z.string()), z.record(z.string(), z.unknown())]),
});

/** Files of text that begins like this. */
export function textMark(what: string, beginning: string): FileMark {
  const bytes = new TextEncoder().encode(beginning).subarray(0, HEAD_BYTES);
  return { what, isOurs: (head) => Buffer.compare(head.subarray(0, bytes.length), bytes) === 0 };
}

/**
 * E_RUN_EXISTS where a file stands at `path` that is neither empty nor of ours (without a mark none is),
 * unless `overwrite`; E_FILE where it is a folder or cannot be looked at. Devices and pipes are written
 * through and never in the way.
 */
export async function refuseForeignFile(
  path: string,
  mark: FileMark | undefined,
  overwrite = false,
): Promise<void> {
  try {
    const target = await outputTarget(path, nodeFileSystem);
    if (target.kind !== "file" || target.before === undefined || overwrite) return;
    const head = await readHead(target.path);
    if (head.length === 0 || mark?.isOurs(head)) return;
  } catch (error) {
    throw fileError(error, path, "write");
  }
  throw inTheWay(path, `exists already${mark ? `, and is not ${mark.what} by mttc` : ""}`);
}

/** The error of what stands in the way of an output and is not ours to replace. */
export function inTheWay(file: string, message: string, hint = OVERWRITE_HINT, cause?: unknown): MttcError {
  return new MttcError({ code: "E_RUN_EXISTS", message, at: { file }, hint }, { cause });
}

/**
 * E_RUN_EXISTS unless `directory` is absent, empty, or holds what its list names (files in folders as
 * "folder/name") and nothing else. Where a replacement was killed, what it replaced is put back first.
 */
export async function refuseForeignFolder(directory: string, mark: FolderMark): Promise<void> {
  await restoreReplaced(directory);
  const refuse = (message: string, cause?: unknown): never => {
    const hint = "choose another folder; only what mttc itself wrote there is replaced";
    throw inTheWay(directory, message, hint, cause);
  };
  let names: string[];
  try {
    names = await readdir(directory);
  } catch (error) {
    if (systemCode(error) === "ENOENT") return;
    if (systemCode(error) === "ENOTDIR") return refuse("is not a folder", error);
    throw fileError(error, directory, "read the folder");
  }
  if (names.length === 0) return;
  const isOurs = mark.isOurs ?? (() => false);
  if (!names.includes(mark.listFile) && !names.every(isOurs))
    return refuse("the folder holds files that mttc did not write");
  const known = names.includes(mark.listFile)
    ? await listedFiles(join(directory, mark.listFile), mark)
    : new Set<string>();
  const isFolder = (name: string): boolean => [...known].some((file) => file.startsWith(`${name}/`));
  const found = await Promise.all(
    names.map((name) => (isFolder(name) ? filesBelow(directory, name) : [name])),
  );
  const foreign = found.flat().filter((name) => name !== mark.listFile && !known.has(name) && !isOurs(name));
  if (foreign.length > 0)
    refuse(`the folder holds files that mttc did not write: ${foreign.slice(0, 5).join(", ")}`);
}

/** What lies in a folder of `directory`, by names with "/" between folders; the name alone where it is none. */
async function filesBelow(directory: string, folder: string): Promise<string[]> {
  try {
    const entries = await readdir(join(directory, folder), { recursive: true, withFileTypes: true });
    return entries.flatMap((entry) => {
      const path = relative(directory, join(entry.parentPath, entry.name));
      return entry.isDirectory() ? [] : [path.split(sep).join("/")];
    });
  } catch (error) {
    if (systemCode(error) === "ENOTDIR") return [folder];
    throw fileError(error, join(directory, folder), "read the folder");
  }
}

/** The first bytes of a file; fewer where it is shorter. */
export async function readHead(path: string): Promise<Uint8Array> {
  await using handle = await open(resolve(path), "r");
  const { buffer, bytesRead } = await handle.read(Buffer.alloc(HEAD_BYTES), 0, HEAD_BYTES, 0);
  return buffer.subarray(0, bytesRead);
}

/** The files that the list names; none where it is not one of ours, so that the caller refuses the folder. */
async function listedFiles(path: string, { format }: FolderMark): Promise<Set<string>> {
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (error) {
    throw fileError(error, path, "read");
  }
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    return new Set();
  }
  const list = listSchema.safeParse(json).data;
  if (list?.format !== format) return new Set();
  return new Set(Array.isArray(list.files) ? list.files : Object.keys(list.files));
}
