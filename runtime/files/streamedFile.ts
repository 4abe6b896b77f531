// A file that is written as results come: under `<name>.partial` until it is finished, then under its own
// name. What kills the process leaves the rows so far in the partial file, and the earlier file as it was;
// the next run of the same command begins it anew. Devices and pipes are written through.
import { write as writeBytes } from "node:fs";
import { type FileHandle, mkdir, open, realpath, rename, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { fileError, systemCode } from "./fileSystem.ts";

/** Suffix of a file that is not finished. */
export const PARTIAL_SUFFIX = ".partial";

/** Names of this process's own descriptors. */
const DESCRIPTOR = /^\/dev\/(?:(stdout|stderr)|fd\/(\d+))$/;
const DESCRIPTOR_NAMES: Readonly<Record<string, number>> = { stdout: 1, stderr: 2 };
const RETRY_MS = 5;
const writeDescriptor = promisify(writeBytes);

/** The bits of a file's mode that say who may do what. */
const PERMISSIONS = 0o7777;

/** Where a streamed file is while it is written. */
export interface StreamedFile {
  /** What holds the rows so far. */
  readonly partialPath: string;
  write(text: string): Promise<void>;
  /** Flushes it and gives it its name. */
  finish(): Promise<void>;
  /** Closes it as it is. */
  abandon(): Promise<void>;
}

/** Begins a file at `path`. E_FILE, E_DISK; so do its calls. */
export async function openStreamedFile(path: string): Promise<StreamedFile> {
  const guard = async <T>(body: () => Promise<T>): Promise<T> => {
    try {
      return await body();
    } catch (error) {
      throw fileError(error, path, "write");
    }
  };
  const file = await guard(async () => await openTarget(path));
  return {
    partialPath: file.partialPath,
    write: (text) => guard(() => file.write(text)),
    finish: () => guard(() => file.finish()),
    abandon: () => guard(() => file.abandon()),
  };
}

async function openTarget(path: string): Promise<StreamedFile> {
  const descriptor = DESCRIPTOR.exec(path);
  if (descriptor) return intoDescriptor(DESCRIPTOR_NAMES[descriptor[1] ?? ""] ?? Number(descriptor[2]), path);
  const before = await stat(path).catch(orNothing);
  if (before !== undefined && !before.isFile()) return through(await open(path, "w"), path);
  // Behind a link lies what is to be replaced.
  const target = before === undefined ? path : await realpath(path);
  const place = `${target}${PARTIAL_SUFFIX}`;
  await mkdir(dirname(place), { recursive: true });
  const handle = await open(place, "w");
  if (before !== undefined) await handle.chmod(before.mode & PERMISSIONS);
  return {
    ...through(handle, place),
    finish: async () => {
      await handle.sync();
      await handle.close();
      await rename(place, target);
    },
  };
}

function orNothing(error: unknown): undefined {
  if (systemCode(error) !== "ENOENT") throw error;
  return undefined;
}

/** A descriptor of this process is written to as it is: a socket behind it cannot be opened by its name. */
function intoDescriptor(number: number, path: string): StreamedFile {
  const write = async (text: string): Promise<void> => {
    for (let bytes = new TextEncoder().encode(text); bytes.length > 0; ) {
      try {
        bytes = bytes.subarray((await writeDescriptor(number, bytes)).bytesWritten);
      } catch (error) {
        // A pipe that is full for now.
        if (systemCode(error) !== "EAGAIN") throw error;
        await sleep(RETRY_MS);
      }
    }
  };
  return { partialPath: path, write, finish: async () => undefined, abandon: async () => undefined };
}

/** What goes through an open file and stays where it is. */
function through(handle: FileHandle, partialPath: string): StreamedFile {
  const close = () => handle.close();
  return { partialPath, write: async (text) => handle.writeFile(text), finish: close, abandon: close };
}

/** The first bytes of a regular file; undefined where there is none. */
export async function headOf(path: string, bytes: number): Promise<Uint8Array | undefined> {
  try {
    if (!(await stat(path)).isFile()) return undefined;
    await using handle = await open(path, "r");
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(bytes), 0, bytes, 0);
    return buffer.subarray(0, bytesRead);
  } catch (error) {
    if (systemCode(error) === "ENOENT") return undefined;
    throw fileError(error, path, "look at what is there");
  }
}
