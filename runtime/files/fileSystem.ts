// The file system calls of everything that writes atomically, as one object, so that a test can plant a full
// disk, and the translation of the system's errors into mttc's. Nothing here keeps state.
import { constants, readdirSync } from "node:fs";
import {
  chmod,
  chown,
  type FileHandle,
  lstat,
  mkdir,
  open,
  readdir,
  readFile,
  rename,
  rm,
  stat,
} from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { MttcError, nearestName } from "../../compiler/diagnostics.ts";

/** What a file or folder is and whose; a part of node:fs's Stats. */
export interface FileAttributes {
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly mtimeMs: number;
  isFile(): boolean;
  isDirectory(): boolean;
}

/** The calls that writers use; `nodeFileSystem` is the real one. */
export interface FileSystem {
  /** Creates a folder and the missing ones above it. */
  mkdir(path: string): Promise<unknown>;
  /**
   * Opens a file to be created ("wx"), a file or folder to be read or synced ("r"), or a device or pipe to be
   * written to ("w", which creates nothing). `mode` of what is created, less the umask.
   */
  open(path: string, flags: "wx" | "r" | "w", mode?: number): Promise<FileHandle>;
  /** Writes some of `bytes` and returns how many. */
  write(handle: FileHandle, bytes: Uint8Array): Promise<number>;
  /** Flushes a file or folder to the disk. */
  sync(handle: FileHandle): Promise<void>;
  rename(from: string, to: string): Promise<void>;
  /** What stands at `path`, links followed; undefined where there is nothing. */
  lookAt(path: string): Promise<FileAttributes | undefined>;
  /** Gives a new file or folder the mode of what it replaces, and its owner where that is allowed. */
  takeAttributes(path: string, from: FileAttributes): Promise<void>;
  /** Whether a file or folder stands at `path`. */
  exists(path: string): Promise<boolean>;
  readdir(path: string): Promise<string[]>;
  readFile(path: string): Promise<Uint8Array>;
  /** Removes a file or a folder with all in it; content if there is none. */
  remove(path: string): Promise<void>;
}

/** Node's own file system. */
export const nodeFileSystem: FileSystem = Object.freeze({
  mkdir: (path: string) => mkdir(path, { recursive: true }),
  open: (path: string, flags: "wx" | "r" | "w", mode?: number) =>
    open(path, flags === "w" ? constants.O_WRONLY : flags, mode),
  write: async (handle: FileHandle, bytes: Uint8Array) => (await handle.write(bytes)).bytesWritten,
  sync: (handle: FileHandle) => handle.sync(),
  rename,
  lookAt: async (path: string) => {
    try {
      return await stat(path);
    } catch (error) {
      if (systemCode(error) === "ENOENT") return undefined;
      throw error;
    }
  },
  takeAttributes: async (path: string, { mode, uid, gid }: FileAttributes) => {
    // Only root gives files away; whoever else replaces a file owns the new one.
    if (process.geteuid?.() === 0) await whereKept(chown(path, uid, gid));
    await whereKept(chmod(path, mode & 0o7777));
  },
  exists: async (path: string) => {
    try {
      await lstat(path);
      return true;
    } catch (error) {
      if (systemCode(error) === "ENOENT") return false;
      throw error;
    }
  },
  readdir: (path: string) => readdir(path),
  readFile: (path: string) => readFile(path),
  remove: (path: string) => rm(path, { recursive: true, force: true }),
});

/** Some file systems keep neither modes nor owners (FAT, shares), and refuse to be told of them. */
async function whereKept(change: Promise<void>): Promise<void> {
  await change.catch((error: unknown) => {
    if (!["EPERM", "EINVAL", "ENOTSUP", "EOPNOTSUPP"].includes(systemCode(error) ?? "")) throw error;
  });
}

/** The system's error code (ENOENT, ENOSPC, ...) of an error, if it has one. */
export function systemCode(error: unknown): string | undefined {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : undefined;
}

/** Whether something stands at `path` and may be looked at. */
export async function isThere(path: string): Promise<boolean> {
  return await stat(path).then(
    () => true,
    (error: unknown) => {
      if (systemCode(error) === undefined) throw error;
      return false;
    },
  );
}

/** The commonest codes in words. */
const PLAIN_REASONS: Readonly<Record<string, string>> = {
  EACCES: "you may not",
  EISDIR: "it is a folder",
  EMFILE: "too many files are open (`ulimit -n` allows more)",
  ENFILE: "too many files are open on this machine",
  ENOENT: "it does not exist",
  ENOTDIR: "a part of its path is no folder",
};
/** Begins what is done to a file that is there. */
const LOOKING = /^(?:read|look|list)\b/;
const DISK_CODES: readonly string[] = ["ENOSPC", "EFBIG", "EDQUOT"];

/**
 * What a failed file operation becomes: E_DISK for a full disk, quota or file size limit, E_FILE for any
 * other system error. Errors that the system did not raise (ours, or a bug) come back unchanged.
 */
export function fileError(error: unknown, path: string, action: string): unknown {
  const code = systemCode(error);
  if (code === "ERR_INVALID_ARG_VALUE" && path.includes("\0")) {
    const message = `cannot ${action}: no path holds a NUL character`;
    return new MttcError({ code: "E_FILE", message, at: { file: path } }, { cause: error });
  }
  if (error instanceof MttcError || code === undefined || !/^E[A-Z0-9]+$/.test(code)) return error;
  if (DISK_CODES.includes(code)) {
    const limit = code === "EFBIG" ? "the size limit of files is reached" : "the disk or quota is full";
    const message = `cannot ${action}: ${limit} (${code})`;
    const hint = "nothing was changed; make room and run the command again (train: with --resume)";
    return new MttcError({ code: "E_DISK", message, at: { file: path }, hint }, { cause: error });
  }
  // Whoever writes has meant the name as it is: a folder above it has gone.
  const hint = code === "ENOENT" && LOOKING.test(action) ? nearbyName(path) : undefined;
  const fault = {
    code: "E_FILE",
    message: `cannot ${action}: ${failureText(error)}`,
    at: { file: path },
  } as const;
  return new MttcError(hint === undefined ? fault : { ...fault, hint }, { cause: error });
}

/** Why a file operation failed, in words where the system's code is a common one: "it does not exist (ENOENT)". */
export function failureText(error: unknown): string {
  const code = systemCode(error);
  if (code === undefined) return error instanceof Error ? error.message : String(error);
  const plain = PLAIN_REASONS[code];
  return plain === undefined ? code : `${plain} (${code})`;
}

/** "did you mean "train.csv"?" where a file of nearly that name stands in the folder. */
export function nearbyName(path: string): string | undefined {
  try {
    const near = nearestName(basename(path), readdirSync(dirname(path)));
    return near === undefined ? undefined : `did you mean "${join(dirname(path), near)}"?`;
  } catch (error) {
    // A folder that cannot be listed has no names to offer.
    if (systemCode(error) === undefined) throw error;
    return undefined;
  }
}
