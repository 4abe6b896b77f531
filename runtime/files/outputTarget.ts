// Where the bytes of an output go, whatever its path names: a link is followed to the file behind it, and a
// device, pipe or descriptor of this process is written to as it is, never replaced. path -> OutputTarget.
import { write } from "node:fs";
import { type FileHandle, readlink } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { type FileAttributes, type FileSystem, systemCode } from "./fileSystem.ts";

/** A file to be made or replaced, with what is there; or what is written through. */
export type OutputTarget =
  | { readonly kind: "file"; readonly path: string; readonly before: FileAttributes | undefined }
  | { readonly kind: "stream"; readonly path: string }
  | { readonly kind: "descriptor"; readonly number: number };

/** Linux follows as many. */
const MOST_LINKS = 40;
const RETRY_MS = 5;
/** /dev/stdout and the like lead here. */
const DESCRIPTOR = /^\/(?:dev|proc\/(self|\d+))\/fd\/(\d+)$/;

const writeDescriptor = promisify(write);

/** Finds out what `path` names; what does not exist is a file to be made. Throws what the system throws. */
export async function outputTarget(path: string, fileSystem: FileSystem): Promise<OutputTarget> {
  const place = await behindLinks(resolve(path));
  if (typeof place === "number") return { kind: "descriptor", number: place };
  const before = await fileSystem.lookAt(place);
  if (before === undefined || before.isFile()) return { kind: "file", path: place, before };
  if (before.isDirectory())
    throw Object.assign(new Error("a folder is in the way"), { code: "EISDIR", path: place });
  return { kind: "stream", path: place };
}

/** `path` without the links that end it, dangling ones too; or the number of an own descriptor. */
export async function behindLinks(path: string): Promise<string | number> {
  let place = path;
  for (let links = 0; links < MOST_LINKS; links++) {
    const [, owner, number] = DESCRIPTOR.exec(place) ?? [];
    const isOwn = owner === undefined || owner === "self" || Number(owner) === process.pid;
    if (number !== undefined && isOwn) return Number(number);
    try {
      place = resolve(dirname(place), await readlink(place));
    } catch (error) {
      // No link, or nothing there.
      if (["EINVAL", "ENOENT", "UNKNOWN"].includes(systemCode(error) ?? "")) return place;
      throw error;
    }
  }
  throw Object.assign(new Error("links lead in a circle"), { code: "ELOOP", path });
}

/** Writes all of `bytes` where nothing can be replaced. Throws what the system throws. */
export async function writeThrough(
  target: Exclude<OutputTarget, { kind: "file" }>,
  bytes: Uint8Array,
  fileSystem: FileSystem,
): Promise<void> {
  if (target.kind === "descriptor")
    return await writeAll(bytes, async (piece) => {
      const { bytesWritten } = await writeDescriptor(target.number, piece);
      return bytesWritten;
    });
  const handle: FileHandle = await fileSystem.open(target.path, "w");
  try {
    await writeAll(bytes, (piece) => fileSystem.write(handle, piece));
  } finally {
    await handle.close();
  }
}

/** Writes until nothing is left; a pipe that is full for now is asked again. */
async function writeAll(bytes: Uint8Array, put: (piece: Uint8Array) => Promise<number>): Promise<void> {
  for (let position = 0; position < bytes.length; ) {
    try {
      position += await put(bytes.subarray(position));
    } catch (error) {
      if (systemCode(error) !== "EAGAIN") throw error;
      await sleep(RETRY_MS);
    }
  }
}
