// What a Keras model keeps in HDF5, read with h5wasm. Runs in the thread of hdf5Worker.ts only. Sizes are
// checked before anything is allocated: arrays may hold no more than a multiple of the file's size. In: a
// file that lies in the library's memory; out: texts and arrays as plain data.
import { Dataset, type File, Group } from "h5wasm";
import { MttcError } from "../../compiler/diagnostics.ts";
import type { NamedArray, StoredArray } from "../../compiler/read/keras/kerasWeights.ts";

/**
 * Arrays may be compressed, but not absurdly: bytes of arrays for each byte of the file, above a free
 * allowance.
 */
const MAX_EXPANSION = 8;
const FREE_BYTES = 64 << 20;
const MAX_TEXT_BYTES = 64 << 20;
/** Groups inside groups, and entries in all of them. */
const MAX_DEPTH = 64;
const MAX_ENTRIES = 200_000;

/** A whole-model .h5, or the weights inside a .keras file. */
export type Hdf5Kind = "whole-model" | "weights";

/** Content of a file: what it has of these. */
export interface Hdf5Content {
  /** Text attributes of the root: model_config, keras_version. */
  readonly texts: ReadonlyMap<string, string>;
  /** "whole-model": variables of each layer, in order. */
  readonly layers: ReadonlyMap<string, readonly NamedArray[]>;
  /** "weights": arrays by path. */
  readonly arrays: ReadonlyMap<string, StoredArray>;
}

/** Is told of each group and array before it is looked at: the bytes that come next. */
export type Progress = (nextBytes: number) => void;

/**
 * Reads what `kind` asks for, and says how it goes on; E_MODEL_PARSE where it is not there, E_MODEL_ALLOC
 * where it is too much.
 */
export function readContent(file: File, fileBytes: number, kind: Hdf5Kind, progress: Progress): Hdf5Content {
  const reader = new ArrayReader(Math.max(FREE_BYTES, fileBytes * MAX_EXPANSION), progress);
  const arrays = new Map<string, StoredArray>();
  if (kind === "weights") reader.readAll(file, "", 0, arrays);
  return {
    texts: new Map(
      ["model_config", "keras_version"].flatMap((name) => {
        const text = attribute(file, name);
        return typeof text === "string" ? [[name, text] as const] : [];
      }),
    ),
    layers: kind === "whole-model" ? readLayers(file, reader, progress) : new Map(),
    arrays,
  };
}

/**
 * The group model_weights: a group for each layer, whose attribute weight_names lists its arrays in order.
 */
function readLayers(file: File, reader: ArrayReader, progress: Progress): Map<string, readonly NamedArray[]> {
  const group = file.get("model_weights");
  if (!(group instanceof Group)) return refuse("the file has no group model_weights", WHOLE_MODEL);
  const layers = new Map<string, readonly NamedArray[]>();
  for (const layer of nameList(group, "layer_names")) {
    progress(0);
    const own = group.get(layer);
    if (!(own instanceof Group)) return refuse(`layer ${layer} has no group of weights`);
    const names = nameList(own, "weight_names");
    layers.set(
      layer,
      names.map((name) => ({ name, array: reader.read(own.get(name), `weight ${name} of layer ${layer}`) })),
    );
  }
  return layers;
}

const WHOLE_MODEL = "save the whole model: model.save(...), not model.save_weights(...)";

/**
 * A list of names in one attribute, or, where it would not fit, in several: layer_names0, layer_names1, ...
 */
function nameList(group: Group, name: string): string[] {
  const whole = attribute(group, name);
  const parts: unknown[] = [];
  if (whole !== undefined) parts.push(whole);
  else
    for (let i = 0; i < MAX_ENTRIES; i++) {
      const part = attribute(group, `${name}${i}`);
      if (part === undefined) break;
      parts.push(part);
    }
  if (parts.length === 0) return refuse(`group ${group.path} has no attribute ${name}`);
  const names: unknown[] = parts.flat();
  // An empty list has the type of numbers.
  return names.map((entry) => (typeof entry === "string" ? entry : refuse(`${name} is not a list of names`)));
}

/** The value of an attribute, typed arrays as lists; undefined if there is none. */
function attribute(group: Group, name: string): unknown {
  const found = Object.hasOwn(group.attrs, name) ? group.attrs[name] : undefined;
  if (!found) return undefined;
  const { size, total_size: count } = found.metadata;
  if (size * count > MAX_TEXT_BYTES) throw tooLarge(`the attribute ${name}`);
  const { value } = found;
  return ArrayBuffer.isView(value) ? Array.from(value as Float64Array) : value;
}

/** Reads arrays while their bytes fit into an allowance for all of them. */
class ArrayReader {
  #bytesLeft: number;
  #entriesLeft = MAX_ENTRIES;
  readonly #progress: Progress;

  constructor(bytes: number, progress: Progress) {
    this.#bytesLeft = bytes;
    this.#progress = progress;
  }

  /** Every array below `group`, by path. */
  readAll(group: Group, path: string, depth: number, into: Map<string, StoredArray>): void {
    if (depth > MAX_DEPTH) refuse(`groups are nested more than ${MAX_DEPTH} deep`);
    for (const name of group.keys()) {
      if (this.#entriesLeft-- === 0) throw tooLarge("the list of its arrays");
      this.#progress(0);
      const here = path === "" ? name : `${path}/${name}`;
      const entity = group.get(name);
      if (entity instanceof Group) this.readAll(entity, here, depth + 1, into);
      else into.set(here, this.read(entity, here));
    }
  }

  read(entity: unknown, name: string): StoredArray {
    if (!(entity instanceof Dataset)) return refuse(`${name} is missing, or a link out of the file`);
    const { type, size, shape, total_size: count, littleEndian } = entity.metadata;
    const isNumber = (type === 1 && (size === 4 || size === 8)) || (type === 0 && size <= 8 && count <= 64);
    if (!isNumber || !littleEndian || shape === null)
      return refuse(`${name} does not hold float32 or float64 numbers`);
    // Read as twice its size: the library keeps a copy of its own.
    this.#bytesLeft -= count * size;
    if (this.#bytesLeft < 0) throw tooLarge(name);
    this.#progress(count * size);
    const { value } = entity;
    const data = numbersOf(value) ?? refuse(`${name} cannot be read`);
    const wanted = shape.reduce((product, dim) => product * dim, 1);
    if (data.length !== wanted) return refuse(`${name} has ${data.length} numbers for the shape [${shape}]`);
    return { shape: [...shape], data };
  }
}

function numbersOf(value: unknown): Float32Array | Float64Array | undefined {
  if (value instanceof Float32Array || value instanceof Float64Array) return value;
  if (typeof value === "number" || typeof value === "bigint") return Float64Array.of(Number(value));
  if (value instanceof BigInt64Array || value instanceof BigUint64Array)
    return Float64Array.from(value, Number);
  return ArrayBuffer.isView(value) ? Float64Array.from(value as Int32Array) : undefined;
}

function tooLarge(what: string): MttcError {
  return new MttcError({
    code: "E_MODEL_ALLOC",
    message: `${what} asks for more memory than the file warrants`,
  });
}

function refuse(message: string, hint?: string): never {
  throw new MttcError({ code: "E_MODEL_PARSE", message, ...(hint === undefined ? {} : { hint }) });
}
