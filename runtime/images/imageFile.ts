// Opens image files with care: what a label table names is not trusted to be a file at all. A FIFO would hang
// a reader for ever and a device never ends, so only regular files below a size cap are read, into memory,
// and only their bytes ever reach the image library.
import { constants } from "node:fs";
import { type FileHandle, lstat, open } from "node:fs/promises";
import { type Fault, type Location, MttcError } from "../../compiler/diagnostics.ts";
import { failureText } from "../files/fileSystem.ts";
import { stampOf } from "./sourceStamp.ts";

/** Largest image file that is read, in bytes. */
export const MAX_IMAGE_FILE_BYTES = 64 * 2 ** 20;

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

/** E_DATA_CHANGED where a file's stat is not that of its stamp (sourceStamp.ts). */
export function refuseOtherStamp(
  stat: { readonly size: number; readonly mtimeMs: number },
  stamp: number,
  path: string,
  place: RowPlace,
): void {
  if (stampOf(stat) !== stamp)
    throw refusalOf(path, place)("E_DATA_CHANGED", "the image is not what it was when training began");
}

/** The beginning and the end of an image file, and its size in bytes. */
export interface ImageEnds {
  readonly head: Buffer;
  readonly tail: Buffer;
  readonly sizeBytes: number;
}

/**
 * The bytes of an image file. Symbolic links are not followed. Throws E_FILE (cannot be read), E_PATH_TYPE
 * (not a regular file), E_IMG_LIMIT (over 64 MiB), E_DATA_CHANGED (not the file of `stamp`).
 */
export async function readImageFile(path: string, place?: RowPlace, stamp?: number): Promise<Buffer> {
  return await withImageFile(path, place, stamp, readWhole);
}

/**
 * The first and last bytes of an image file, as many as are asked for or there are. Throws as readImageFile.
 */
export async function readImageEnds(
  path: string,
  lengths: { readonly head: number; readonly tail: number },
  place?: RowPlace,
  stamp?: number,
): Promise<ImageEnds> {
  return await withImageFile(path, place, stamp, async (handle, sizeBytes) => {
    const head = await readWhole(handle, Math.min(lengths.head, sizeBytes));
    const length = Math.min(lengths.tail, sizeBytes);
    if (sizeBytes <= head.length) return { head, tail: head.subarray(head.length - length), sizeBytes };
    return { head, tail: await readWhole(handle, length, sizeBytes - length), sizeBytes };
  });
}

async function withImageFile<Result>(
  path: string,
  place: RowPlace,
  stamp: number | undefined,
  read: (handle: FileHandle, sizeBytes: number) => Promise<Result>,
): Promise<Result> {
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
      if (stamp !== undefined) refuseOtherStamp(stat, stamp, path, place);
      if (stat.size > MAX_IMAGE_FILE_BYTES) {
        throw refuse("E_IMG_LIMIT", `the file has ${stat.size} bytes, the limit is ${MAX_IMAGE_FILE_BYTES}`);
      }
      return await read(handle, stat.size);
    } finally {
      await handle.close();
    }
  } catch (error) {
    if (error instanceof MttcError) throw error;
    throw refuse("E_FILE", `cannot read the image: ${failureText(error)}`, error);
  }
}

/** Bytes from `start` on, in one read where the file is a plain one: FileHandle.readFile takes two more. */
async function readWhole(handle: FileHandle, sizeBytes: number, start = 0): Promise<Buffer> {
  const bytes = Buffer.allocUnsafeSlow(sizeBytes);
  let length = 0;
  while (length < sizeBytes) {
    const { bytesRead } = await handle.read(bytes, length, sizeBytes - length, start + length);
    if (bytesRead === 0) break;
    length += bytesRead;
  }
  return bytes.subarray(0, length);
}

/** The part of a stat that says what a file is. */
export interface FileType {
  isFile(): boolean;
  isDirectory(): boolean;
  isSymbolicLink(): boolean;
}

/** What is wrong with the type of a file; undefined for a regular one. */
export function fileTypeFault(stat: FileType): string | undefined {
  if (stat.isFile()) return undefined;
  if (stat.isSymbolicLink()) return "expected a regular file, found a symbolic link (links are not followed)";
  return `expected a regular file, found ${stat.isDirectory() ? "a folder" : "a pipe, socket or device"}`;
}
