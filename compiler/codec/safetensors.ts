// The safetensors format, both ways: named tensors <-> bytes. The bundle's initial state, checkpoints and
// test fixtures are stored in it. Layout: u64 little-endian header length, JSON header, data. Reading treats
// the bytes as untrusted: every length is checked before it is used, and the tensors must tile the data part
// exactly. Writing is deterministic: same tensors in the same order, same bytes.
import { InternalError, MttcError } from "../diagnostics.ts";
import { type HeaderEntry, headerError, parseHeader } from "./safetensorsHeader.ts";

const DTYPE_WORDS = {
  float64: "F64",
  float32: "F32",
  float16: "F16",
  bfloat16: "BF16",
  int64: "I64",
  int32: "I32",
  int16: "I16",
  int8: "I8",
  uint64: "U64",
  uint32: "U32",
  uint16: "U16",
  uint8: "U8",
  bool: "BOOL",
} as const;

/** Element types that a file may hold, in the spelling of ONNX. */
export type StoredDtype = keyof typeof DTYPE_WORDS;

const DTYPE_SIZES: Readonly<Record<StoredDtype, number>> = {
  float64: 8,
  float32: 4,
  float16: 2,
  bfloat16: 2,
  int64: 8,
  int32: 4,
  int16: 2,
  int8: 1,
  uint64: 8,
  uint32: 4,
  uint16: 2,
  uint8: 1,
  bool: 1,
};

const DTYPE_OF_WORD: ReadonlyMap<string, StoredDtype> = new Map(
  Object.entries(DTYPE_WORDS).map(([dtype, word]) => [word, dtype as StoredDtype]),
);

/** One tensor: `data` holds product(shape) elements, row-major, little-endian. */
export interface StoredTensor {
  readonly name: string;
  readonly dtype: StoredDtype;
  readonly shape: readonly number[];
  readonly data: Uint8Array;
}

/** A file's content; tensors by name, in the order of their data. */
export interface StoredTensors {
  readonly tensors: ReadonlyMap<string, StoredTensor>;
  readonly metadata: Readonly<Record<string, string>>;
}

/** The data of tensors by name. */
export function dataByName(tensors: ReadonlyMap<string, StoredTensor>): Map<string, Uint8Array> {
  return new Map([...tensors].map(([name, { data }]) => [name, data]));
}

const LENGTH_BYTES = 8;
const ALIGNMENT = 8;
/** Headers above this are refused before they are read (the limit of huggingface.js). */
const MAX_HEADER_BYTES = 25_000_000;

/** The bytes of a safetensors file in one piece; else as safetensorsPieces. */
export function encodeSafetensors(
  tensors: readonly StoredTensor[],
  metadata?: Readonly<Record<string, string>>,
): Uint8Array {
  const pieces = safetensorsPieces(tensors, metadata);
  const bytes = new Uint8Array(pieces.reduce((sum, { length }) => sum + length, 0));
  let position = 0;
  for (const piece of pieces) {
    bytes.set(piece, position);
    position += piece.length;
  }
  return bytes;
}

/**
 * A safetensors file with the tensors in the given order: its header, and then the data of each as they lie.
 * The data part begins at a multiple of 8. InternalError if a name repeats or is reserved, or data and shape
 * disagree: those are faults of the caller.
 */
export function safetensorsPieces(
  tensors: readonly StoredTensor[],
  metadata?: Readonly<Record<string, string>>,
): Uint8Array[] {
  const fields: string[] = [];
  if (metadata && Object.keys(metadata).length > 0)
    fields.push(`"__metadata__":{${Object.entries(metadata).map(jsonField).join(",")}}`);
  const names = new Set(["__metadata__"]);
  let dataBytes = 0;
  for (const { name, dtype, shape, data } of tensors) {
    if (names.has(name)) throw new InternalError(`safetensors: the name "${name}" is taken`);
    names.add(name);
    if (data.length !== shape.reduce((count, size) => count * size, DTYPE_SIZES[dtype]))
      throw new InternalError(`safetensors: "${name}" has ${data.length} bytes, not [${shape}] of ${dtype}`);
    const entry = { dtype: DTYPE_WORDS[dtype], shape, data_offsets: [dataBytes, dataBytes + data.length] };
    fields.push(jsonField([name, entry]));
    dataBytes += data.length;
  }
  const header = new TextEncoder().encode(`{${fields.join(",")}}`);
  const headerBytes = Math.ceil(header.length / ALIGNMENT) * ALIGNMENT;
  const head = new Uint8Array(LENGTH_BYTES + headerBytes).fill(0x20);
  new DataView(head.buffer).setBigUint64(0, BigInt(headerBytes), true);
  head.set(header, LENGTH_BYTES);
  return [head, ...tensors.map(({ data }) => data)];
}

function jsonField([name, value]: readonly [string, unknown]): string {
  return `${JSON.stringify(name)}:${JSON.stringify(value)}`;
}

/**
 * The tensors and metadata of `bytes`; `file` names them in errors. The tensors' data are views of `bytes`.
 * E_ST_HEADER: length or header unusable; E_ST_LAYOUT: the tensors do not tile the data part exactly.
 */
export function decodeSafetensors(bytes: Uint8Array, file: string): StoredTensors {
  const dataStart = readDataStart(bytes, file);
  let text: string;
  try {
    const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
    text = decoder.decode(bytes.subarray(LENGTH_BYTES, dataStart));
  } catch (cause) {
    throw headerError(file, "the header is not UTF-8", cause);
  }
  const { entries, metadata } = parseHeader(text, file);
  const inOrder = entries.toSorted((a, b) => a.begin - b.begin || a.end - b.end);
  const tensors = new Map<string, StoredTensor>();
  const data = bytes.subarray(dataStart);
  let position = 0;
  for (const entry of inOrder) {
    const dtype = DTYPE_OF_WORD.get(entry.dtype);
    if (dtype === undefined)
      throw headerError(file, `tensor "${entry.name}" has the unknown dtype ${entry.dtype.slice(0, 40)}`);
    checkPlace(entry, dtype, position, data.length, file);
    position = entry.end;
    const { name, shape, begin, end } = entry;
    tensors.set(name, { name, dtype, shape, data: data.subarray(begin, end) });
  }
  if (position !== data.length)
    throw layoutError(file, `${data.length - position} bytes after the last tensor belong to none`);
  return { tensors, metadata };
}

function readDataStart(bytes: Uint8Array, file: string): number {
  if (bytes.length < LENGTH_BYTES)
    throw headerError(file, `only ${bytes.length} bytes, not a safetensors file`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const headerBytes = view.getBigUint64(0, true);
  if (headerBytes === 0n || headerBytes > BigInt(MAX_HEADER_BYTES))
    throw headerError(file, `the header's length is ${headerBytes}, not 1 to ${MAX_HEADER_BYTES}`);
  const dataStart = LENGTH_BYTES + Number(headerBytes);
  if (dataStart > bytes.length)
    throw headerError(file, `the header ends at byte ${dataStart}, the file at ${bytes.length}`);
  return dataStart;
}

function checkPlace(
  { name, shape, begin, end }: HeaderEntry,
  dtype: StoredDtype,
  position: number,
  dataBytes: number,
  file: string,
): void {
  if (end < begin) throw layoutError(file, `tensor "${name}" ends at ${end}, before its begin ${begin}`);
  if (begin !== position)
    throw layoutError(file, `tensor "${name}" begins at ${begin}, the one before it ends at ${position}`);
  if (end > dataBytes) throw layoutError(file, `tensor "${name}" ends at ${end}, the data at ${dataBytes}`);
  let size = DTYPE_SIZES[dtype];
  for (const dim of shape) {
    size *= dim;
    if (!Number.isSafeInteger(size)) throw layoutError(file, `tensor "${name}": the shape is too large`);
  }
  if (size !== end - begin)
    throw layoutError(file, `tensor "${name}" takes ${end - begin} bytes, its shape needs ${size}`);
}

function layoutError(file: string, message: string): MttcError {
  return new MttcError({ code: "E_ST_LAYOUT", message, at: { file } });
}
