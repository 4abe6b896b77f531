// Reads ONNX files from disk with care, before anything else sees them: only regular files under a size
// cap, and external data only from plain files of the model's own folder, which no link leads out of. ONNX
// Runtime's own checks came late and have had holes (hard links, NUL in names), so ours stand first.
import { createHash } from "node:crypto";
import {
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  openSync,
  readSync,
  realpathSync,
  type Stats,
} from "node:fs";
import { dirname, join, sep } from "node:path";
import { type ErrorCode, MttcError } from "../../compiler/diagnostics.ts";
import { locationFault } from "../../compiler/read/onnx/tensorValues.ts";
import { fileError } from "../files/fileSystem.ts";

/** Largest model file: protobuf itself ends there. */
export const MAX_MODEL_BYTES = 2 ** 31 - 1;
/** Largest piece of external data that one tensor may take. */
export const MAX_TENSOR_BYTES = 2 ** 32;

/** A model in memory, with the means to read its external data; fits importModel's options. */
export interface ModelFile {
  readonly file: string;
  readonly bytes: Uint8Array;
  /** E_MODEL_PATH (not a plain file in the model's folder), E_MODEL_DATA (beyond its end), E_FILE. */
  readonly externalData: (location: string, offset: number, length: number) => Uint8Array;
  /** SHA-256 (hex) of the file and of the external data that was read so far, in the order of the reads. */
  readonly hash: () => string;
}

/**
 * Reads a model. E_FILE (cannot be read), E_PATH_TYPE (not a regular file), E_MODEL_ALLOC (over
 * `maxBytes`).
 */
export function readModelFile(path: string, maxBytes = MAX_MODEL_BYTES): ModelFile {
  const bytes = withFile(path, 0, path, (handle, stat) => {
    if (stat.isDirectory()) refuse("E_PATH_TYPE", path, "expected a model file, found a folder");
    if (!stat.isFile()) refuse("E_PATH_TYPE", path, "expected a regular file");
    if (stat.size > maxBytes)
      refuse("E_MODEL_ALLOC", path, `the file has ${stat.size} bytes, the limit is ${maxBytes}`);
    return readRange(handle, path, 0, stat.size);
  });
  const folder = dirname(realpathSync(path));
  const hash = createHash("sha256").update(bytes);
  return {
    file: path,
    bytes,
    externalData: (location, offset, length) => {
      const data = readExternal(path, folder, { location, offset, length });
      hash.update(data);
      return data;
    },
    hash: () => hash.copy().digest("hex"),
  };
}

interface DataPlace {
  readonly location: string;
  readonly offset: number;
  readonly length: number;
}

function readExternal(model: string, folder: string, { location, offset, length }: DataPlace): Uint8Array {
  const shown = JSON.stringify(location);
  const fault = locationFault(location);
  if (fault !== undefined) refuse("E_MODEL_PATH", model, `names the data file ${shown}: ${fault}`);
  if (!Number.isSafeInteger(offset) || !Number.isSafeInteger(length) || offset < 0 || length < 0)
    refuse("E_MODEL_DATA", model, `wants ${length} bytes at ${offset} of ${shown}`);
  if (length > MAX_TENSOR_BYTES)
    refuse("E_MODEL_ALLOC", model, `wants ${length} bytes of ${shown}, the limit is ${MAX_TENSOR_BYTES}`);
  const path = join(folder, location);
  checkPlace(model, folder, path, shown);
  return withFile(path, constants.O_NOFOLLOW ?? 0, model, (handle, stat) => {
    // What was looked at by name may have been swapped since: the open file decides.
    const fault = plainFileFault(stat);
    if (fault !== undefined) refuse("E_MODEL_PATH", model, `names the data file ${shown}: ${fault}`);
    if (offset + length > stat.size)
      refuse("E_MODEL_DATA", model, `wants ${length} bytes at ${offset} of ${shown}, which has ${stat.size}`);
    return readRange(handle, path, offset, length);
  });
}

function checkPlace(model: string, folder: string, path: string, shown: string): void {
  const stat = orRefuse(model, `read the data file ${shown}`, () => lstatSync(path));
  const fault = plainFileFault(stat);
  if (fault !== undefined) refuse("E_MODEL_PATH", model, `names the data file ${shown}: ${fault}`);
  const real = orRefuse(model, `read the data file ${shown}`, () => realpathSync(path));
  if (!real.startsWith(folder.endsWith(sep) ? folder : folder + sep) || real !== path)
    refuse("E_MODEL_PATH", model, `names the data file ${shown}: a link leads to it`);
}

/** Why a file is not one that belongs to the model alone. */
function plainFileFault(stat: Stats): string | undefined {
  if (stat.isSymbolicLink()) return "it is a symbolic link";
  if (!stat.isFile()) return "it is not a regular file";
  return stat.nlink === 1 ? undefined : "it is a hard link to a file that has other names too";
}

/** Opens without waiting for a writer, which a pipe would ask for, and closes whatever happens. */
function withFile<T>(path: string, flags: number, at: string, body: (handle: number, stat: Stats) => T): T {
  const mode = constants.O_RDONLY | (constants.O_NONBLOCK ?? 0) | flags;
  const handle = orRefuse(at, "read the model", () => openSync(path, mode));
  try {
    return body(
      handle,
      orRefuse(at, "read the model", () => fstatSync(handle)),
    );
  } finally {
    closeSync(handle);
  }
}

function readRange(handle: number, path: string, offset: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let at = 0; at < length; ) {
    const wanted = Math.min(length - at, 2 ** 30);
    const count = orRefuse(path, "read the model", () => readSync(handle, bytes, at, wanted, offset + at));
    if (count === 0) refuse("E_MODEL_DATA", path, "the file was cut short while it was read");
    at += count;
  }
  return bytes;
}

function orRefuse<T>(file: string, action: string, body: () => T): T {
  try {
    return body();
  } catch (error) {
    throw fileError(error, file, action);
  }
}

function refuse(code: ErrorCode, file: string, message: string): never {
  throw new MttcError({ code, message, at: { file } });
}
