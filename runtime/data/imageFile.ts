// Opens image files with care: what a label table names is not trusted to be a file at all. A FIFO would hang
// a reader for ever and a device never ends, so only regular files below a size cap are read, into memory,
// and only their bytes ever reach the image library.
import { constants } from "node:fs";
import { type FileHandle, lstat, open } from "node:fs/promises";
import { type Fault, type Location, MttcError } from "../../compiler/diagnostics.ts";
import { FaultList } from "./faultList.ts";
import type { PathList } from "./stringTable.ts";

/** Largest image file that is read, in bytes. */
export const MAX_IMAGE_FILE_BYTES = 64 * 2 ** 20;
const FILES_AT_ONCE = 16;

/** Where the path of an image was given: the row of a label table. */
export type RowPlace = Location | undefined;

/** "listed in labels.csv:12" as part of a fault, where it is known. */
export function listedIn(place: RowPlace): { hint?: string } {
  const parts = [place?.file, place?.line].filter((part) => part !== undefined);
  const where = parts.length > 0 ? parts.join(":") : place?.path;
  return where === undefined ? {} : { hint: `listed in ${where}` };
}

/** Makes the error of a faulty image. */
export type Refuse = (code: Fault["code"], message: string, cause?: unknown) => MttcError;

/** Errors that name the file, and the row that lists it. */
export function refusalOf(path: string, place: RowPlace): Refuse {
  return (code, message, cause) =>
    new MttcError({ code, message, at: { file: path }, ...listedIn(place) }, { cause });
}

/**
 * The bytes of an image file. Symbolic links are not followed. Throws E_FILE (cannot be read), E_PATH_TYPE
 * (not a regular file), E_IMG_LIMIT (over 64 MiB).
 */
export async function readImageFile(path: string, place?: RowPlace): Promise<Buffer> {
  const refuse = refusalOf(path, place);
  try {
    const type = fileTypeFault(await lstat(path));
    if (type !== undefined) throw refuse("E_PATH_TYPE", type);
    // Between lstat and open the file may be swapped: O_NOFOLLOW, O_NONBLOCK and the handle's own stat
    // decide.
    const flags = constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0);
    const handle = await open(path, flags);
    try {
      const stat = await handle.stat();
      if (!stat.isFile()) throw refuse("E_PATH_TYPE", "expected a regular file");
      if (stat.size > MAX_IMAGE_FILE_BYTES) {
        throw refuse("E_IMG_LIMIT", `the file has ${stat.size} bytes, the limit is ${MAX_IMAGE_FILE_BYTES}`);
      }
      return await readWhole(handle, stat.size);
    } finally {
      await handle.close();
    }
  } catch (error) {
    if (error instanceof MttcError) throw error;
    throw refuse("E_FILE", `cannot read the image: ${error instanceof Error ? error.message : error}`, error);
  }
}

/** The file in one read where it is a plain one: FileHandle.readFile takes two calls more. */
async function readWhole(handle: FileHandle, sizeBytes: number): Promise<Buffer> {
  const bytes = Buffer.allocUnsafeSlow(sizeBytes);
  let length = 0;
  while (length < sizeBytes) {
    const { bytesRead } = await handle.read(bytes, length, sizeBytes - length, length);
    if (bytesRead === 0) break;
    length += bytesRead;
  }
  return bytes.subarray(0, length);
}

interface FileType {
  isFile(): boolean;
  isDirectory(): boolean;
  isSymbolicLink(): boolean;
}

function fileTypeFault(stat: FileType): string | undefined {
  if (stat.isFile()) return undefined;
  if (stat.isSymbolicLink()) return "expected a regular file, found a symbolic link (links are not followed)";
  return `expected a regular file, found ${stat.isDirectory() ? "a folder" : "a pipe, socket or device"}`;
}

/**
 * Looks at every file of a list once, before any training, so that all missing ones are reported together.
 * Throws E_FILE and E_PATH_TYPE. Reads no content.
 */
export async function checkImageFiles(paths: PathList, locate: (row: number) => Location): Promise<void> {
  const found = new Map<number, Fault>();
  let next = 0;
  const work = async (): Promise<void> => {
    for (let row = next++; row < paths.length; row = next++) {
      const fault = await imageFileFault(paths.at(row) ?? "", locate(row));
      if (fault !== undefined) found.set(row, fault);
    }
  };
  await Promise.all(Array.from({ length: FILES_AT_ONCE }, work));
  const faults = new FaultList();
  for (const [, fault] of [...found].sort(([a], [b]) => a - b)) faults.add(fault);
  faults.throwIfAny();
}

async function imageFileFault(path: string, place: Location): Promise<Fault | undefined> {
  const at = { file: path };
  try {
    const message = fileTypeFault(await lstat(path));
    return message === undefined ? undefined : { code: "E_PATH_TYPE", message, at, ...listedIn(place) };
  } catch (error) {
    const message = `cannot read the image: ${error instanceof Error ? error.message : error}`;
    return { code: "E_FILE", message, at, ...listedIn(place) };
  }
}
