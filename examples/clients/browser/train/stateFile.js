// @ts-check
// States as safetensors files, both ways (CONTRACT.md, State and checkpoints). What is read is not trusted:
// no length of it is believed before it is compared with the bytes that are there.
import { ClientError } from "../errors.js";

/**
 * @typedef {Float32Array | BigInt64Array} Numbers
 * @typedef {object} StateTensor
 * @property {"float32" | "int64"} dtype
 * @property {readonly number[]} shape
 * @property {Numbers} data
 */

const MAX_HEADER_BYTES = 25_000_000;
const WORDS = /** @type {const} */ ({ float32: "F32", int64: "I64" });
const BYTES = { float32: 4, int64: 8 };
const MIN_BYTES = 8;

/** @param {Uint8Array} bytes */
export const viewOf = (bytes) => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/**
 * The tensors of a file, in the order of its header, and its metadata. E_ST_HEADER, E_ST_LAYOUT.
 * @param {Uint8Array} bytes
 * @param {string} file for messages
 * @returns {{ tensors: Map<string, StateTensor>, metadata: Record<string, string> }}
 */
export function readState(bytes, file) {
  const { header, start } = readHeader(bytes, file);
  const body = bytes.subarray(start);
  const { __metadata__: metadata = {}, ...entries } = header;
  /** @type {Map<string, StateTensor>} */
  const tensors = new Map();
  let position = 0;
  for (const [name, entry] of Object.entries(entries)) {
    const { dtype: word, shape, data_offsets: offsets } = /** @type {any} */ (entry ?? {});
    const dtype = word === "F32" ? "float32" : word === "I64" ? "int64" : undefined;
    if (!dtype || !isSizes(shape) || !isSizes(offsets) || offsets.length !== 2)
      throw fault("E_ST_HEADER", file, `the tensor ${name} is not described as this program knows it`);
    const [begin = 0, end = 0] = offsets;
    const length = shape.reduce((product, size) => product * size, 1);
    if (begin !== position || end - begin !== length * BYTES[dtype] || end > body.length)
      throw fault("E_ST_LAYOUT", file, `the tensor ${name} does not lie where its shape needs it`);
    position = end;
    // A copy: numbers must begin at a multiple of their size.
    const { buffer } = body.slice(begin, end);
    const data = dtype === "float32" ? new Float32Array(buffer) : new BigInt64Array(buffer);
    tensors.set(name, { dtype, shape, data });
  }
  if (position !== body.length)
    throw fault("E_ST_LAYOUT", file, `${body.length - position} bytes after the last tensor belong to none`);
  return { tensors, metadata: /** @type {Record<string, string>} */ (metadata) };
}

/** @param {Uint8Array} bytes @param {string} file */
function readHeader(bytes, file) {
  const length = bytes.length < MIN_BYTES ? 0n : viewOf(bytes).getBigUint64(0, true);
  if (length === 0n || length > BigInt(Math.min(MAX_HEADER_BYTES, bytes.length - MIN_BYTES)))
    throw fault("E_ST_HEADER", file, "not a safetensors file, or cut short");
  const start = MIN_BYTES + Number(length);
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(bytes.subarray(MIN_BYTES, start));
    const header = JSON.parse(text);
    if (typeof header !== "object" || header === null || Array.isArray(header)) throw new Error("no object");
    return { header: /** @type {Record<string, unknown>} */ (header), start };
  } catch (cause) {
    throw fault("E_ST_HEADER", file, "its header is not one", cause);
  }
}

/** @param {unknown} value @returns {value is number[]} */
function isSizes(value) {
  return Array.isArray(value) && value.every((size) => Number.isSafeInteger(size) && size >= 0);
}

/** @param {string} code @param {string} file @param {string} what @param {unknown} [cause] */
function fault(code, file, what, cause) {
  return new ClientError(code, `${file}: ${what}`, cause);
}

/**
 * A file of tensors in their order, with strings about them.
 * @param {ReadonlyMap<string, StateTensor>} tensors
 * @param {Readonly<Record<string, string>>} metadata
 */
export function writeState(tensors, metadata) {
  /** @type {Record<string, unknown>} */
  const header = Object.assign(Object.create(null), { __metadata__: metadata });
  let position = 0;
  for (const [name, { dtype, shape, data }] of tensors) {
    const end = position + data.byteLength;
    header[name] = { dtype: WORDS[dtype], shape, data_offsets: [position, end] };
    position = end;
  }
  const text = new TextEncoder().encode(JSON.stringify(header));
  const start = MIN_BYTES + Math.ceil(text.length / MIN_BYTES) * MIN_BYTES;
  const bytes = new Uint8Array(start + position).fill(0x20, MIN_BYTES, start);
  viewOf(bytes).setBigUint64(0, BigInt(start - MIN_BYTES), true);
  bytes.set(text, MIN_BYTES);
  let at = start;
  for (const { data } of tensors.values()) {
    bytes.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), at);
    at += data.byteLength;
  }
  return bytes;
}
