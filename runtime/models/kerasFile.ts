// Reads the files that Keras writes: whole models in HDF5 (.h5, Keras 2 and 3) and the .keras archive
// (config.json, metadata.json, model.weights.h5). In: a path; out: the model's JSON and arrays, or the
// graph made of them. Files are foreign: sizes are capped, nothing is extracted to disk, no code in them is
// run.
import { readFile, stat } from "node:fs/promises";
import { unzipSync } from "fflate";
import { MttcError } from "../../compiler/diagnostics.ts";
import {
  type ImportedKeras,
  importKeras,
  type KerasImportOptions,
  type KerasSource,
} from "../../compiler/read/keras/importKeras.ts";
import { fileError } from "../files/fileSystem.ts";
import { readHdf5 } from "./hdf5File.ts";

/** What one file may have: the arrays must fit into the memory of the HDF5 library. */
const MAX_FILE_BYTES = 2 ** 31;
/** Members of a .keras archive, with the bytes that each may have, unpacked. */
const MEMBERS: Readonly<Record<string, number>> = {
  "config.json": 64 << 20,
  "metadata.json": 1 << 20,
  "model.weights.h5": MAX_FILE_BYTES,
};
/** Keras does not compress: unpacked bytes for each byte of the archive, above a free allowance. */
const MAX_EXPANSION = 8;
const FREE_BYTES = 64 << 20;

/** Whether a path is that of a Keras model, by its ending. */
export function isKerasPath(path: string): boolean {
  return /\.(h5|hdf5|keras)$/i.test(path);
}

/**
 * The graph of a Keras model (compiler/read/keras/importKeras.ts). E_FILE, E_PATH_TYPE; E_MODEL_PARSE and
 * E_MODEL_ALLOC for files that are damaged or hostile; E_MODEL_OP and E_SHAPE as importKeras.
 */
export async function importKerasFile(path: string, options: KerasImportOptions): Promise<ImportedKeras> {
  return importKeras(await readKerasFile(path), options);
}

/** Reads a .h5 or .keras file, which of them its first bytes say. Errors as importKerasFile. */
export async function readKerasFile(path: string): Promise<KerasSource> {
  const bytes = await readWhole(path);
  if (startsWith(bytes, [0x89, 0x48, 0x44, 0x46])) return await readWholeModel(bytes, path);
  if (startsWith(bytes, [0x50, 0x4b, 0x03, 0x04])) return await readArchive(bytes, path);
  return refuse(path, "the file is neither HDF5 nor a .keras archive");
}

async function readWholeModel(bytes: Uint8Array, file: string): Promise<KerasSource> {
  const { texts, layers } = await readHdf5(bytes, "whole-model", file);
  const config = texts.get("model_config");
  if (config === undefined)
    return refuse(
      file,
      "the file holds weights without the model",
      "save the whole model: model.save(...), not model.save_weights(...)",
    );
  return {
    file,
    model: parseJson(config, "model_config", file),
    version: majorVersion(texts.get("keras_version")),
    weights: { kind: "by-name", layers },
  };
}

async function readArchive(bytes: Uint8Array, file: string): Promise<KerasSource> {
  const members = unpack(bytes, file);
  const member = (name: string): Uint8Array =>
    members.get(name) ?? refuse(file, `the archive has no ${name}`);
  const metadata = parseJson(decode(member("metadata.json")), "metadata.json", file);
  const model = parseJson(decode(member("config.json")), "config.json", file);
  const { arrays } = await readHdf5(member("model.weights.h5"), "weights", file);
  // The first versions of the format called the folder of a model's layers differently.
  const named = [...arrays].map(
    ([path, array]) => [path.replaceAll("_layer_checkpoint_dependencies", "layers"), array] as const,
  );
  const version =
    typeof metadata === "object" && metadata !== null && "keras_version" in metadata
      ? metadata.keras_version
      : undefined;
  return {
    file,
    model,
    version: majorVersion(version),
    weights: { kind: "by-path", arrays: new Map(named) },
  };
}

/**
 * The members that are needed; sizes are checked as declared, and unpacking never exceeds what was
 * declared.
 */
function unpack(bytes: Uint8Array, file: string): Map<string, Uint8Array> {
  try {
    const found = unzipSync(bytes, {
      filter: ({ name, originalSize }) => {
        const most = Object.hasOwn(MEMBERS, name) ? (MEMBERS[name] ?? 0) : undefined;
        if (most === undefined) return false;
        if (originalSize > Math.min(most, Math.max(FREE_BYTES, bytes.length * MAX_EXPANSION)))
          throw new MttcError({
            code: "E_MODEL_ALLOC",
            message: `${name} would unpack to ${originalSize} bytes`,
            at: { file },
          });
        return true;
      },
    });
    return new Map(Object.entries(found));
  } catch (error) {
    if (error instanceof MttcError) throw error;
    const reason = error instanceof Error ? error.message : String(error);
    return refuse(file, `the archive is damaged or cut short (${reason})`);
  }
}

async function readWhole(path: string): Promise<Uint8Array> {
  try {
    const facts = await stat(path);
    if (!facts.isFile())
      throw new MttcError({
        code: "E_PATH_TYPE",
        message: facts.isDirectory() ? "expected a model file, found a folder" : "expected a regular file",
        at: { file: path },
        hint: "a SavedModel folder cannot be read: save the model as .keras or .h5, or export it to ONNX",
      });
    if (facts.size > MAX_FILE_BYTES)
      throw new MttcError({
        code: "E_MODEL_ALLOC",
        message: `the file has ${facts.size} bytes; at most ${MAX_FILE_BYTES} can be read`,
        at: { file: path },
      });
    return await readFile(path);
  } catch (error) {
    throw fileError(error, path, "read the model");
  }
}

function parseJson(text: string, what: string, file: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch (error) {
    // Python writes Infinity and NaN, which JSON does not have; very deep nesting ends here too.
    return refuse(file, `${what} is not JSON (${error instanceof Error ? error.message : String(error)})`);
  }
}

/** 3 for Keras 3; 2 for all before it, also where nothing is said. */
function majorVersion(version: unknown): 2 | 3 {
  return typeof version === "string" && Number.parseInt(version, 10) >= 3 ? 3 : 2;
}

function decode(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes);
}

function startsWith(bytes: Uint8Array, magic: readonly number[]): boolean {
  return magic.every((byte, i) => bytes[i] === byte);
}

function refuse(file: string, message: string, hint?: string): never {
  throw new MttcError({
    code: "E_MODEL_PARSE",
    message,
    at: { file },
    ...(hint === undefined ? {} : { hint }),
  });
}
