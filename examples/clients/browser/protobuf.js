// @ts-check
// An ONNX file is a protobuf message (ModelProto). Only its metadata_props are read here: onnxruntime-web
// does not show them. Everything is bounded by the bytes that are there; nothing is copied but the texts.
import { ClientError } from "./errors.js";

/** Numbers of fields, as onnx.proto has them. */
const MODEL_GRAPH = 7;
const MODEL_METADATA_PROPS = 14;
const ENTRY_KEY = 1;
const ENTRY_VALUE = 2;
/** How a field's value is stored. */
const VARINT = 0;
const FIXED64 = 1;
const BYTES = 2;
const FIXED32 = 5;
/** Bits of a varint that a number holds exactly; no length is longer. */
const MAX_VARINT_BYTES = 10;
/** A text longer than this is no metadata. */
const MAX_TEXT_BYTES = 2 ** 26;
const MAX_ENTRIES = 10_000;

/**
 * The metadata_props of an ONNX file, in order. E_MODEL_PARSE where the bytes are no such file or are cut.
 * @param {Uint8Array} bytes
 * @returns {{ key: string, value: string }[]}
 */
export function metadataProps(bytes) {
  let hasGraph = false;
  const entries = [];
  for (const { field, body } of fieldsOf(bytes)) {
    if (field === MODEL_GRAPH && body) hasGraph = true;
    if (field !== MODEL_METADATA_PROPS || !body) continue;
    if (entries.length === MAX_ENTRIES) throw damaged(`more than ${MAX_ENTRIES} entries of metadata`);
    let [key, value] = ["", ""];
    for (const inner of fieldsOf(body)) {
      if (inner.field === ENTRY_KEY && inner.body) key = textOf(inner.body);
      if (inner.field === ENTRY_VALUE && inner.body) value = textOf(inner.body);
    }
    entries.push({ key, value });
  }
  if (!hasGraph) throw damaged("it holds no graph");
  return entries;
}

/**
 * The fields of a message, one after the other; `body` of those that are bytes, texts or messages.
 * @param {Uint8Array} bytes
 * @returns {Generator<{ field: number, body?: Uint8Array }, void>}
 */
function* fieldsOf(bytes) {
  let at = 0;
  /** The next varint; those beyond 2^53 lose their low bits, and are no length of anything. */
  const varint = () => {
    let value = 0;
    for (let i = 0; i < MAX_VARINT_BYTES; i++) {
      const byte = bytes[at++];
      if (byte === undefined) throw damaged("it is cut short");
      value += (byte & 127) * 2 ** (7 * i);
      if (byte < 128) return value;
    }
    throw damaged("a number in it is too long");
  };
  while (at < bytes.length) {
    const tag = varint();
    const [field, kind] = [Math.floor(tag / 8), tag % 8];
    if (field === 0) throw damaged("a field in it has no number");
    const length = kind === BYTES ? varint() : kind === FIXED64 ? 8 : kind === FIXED32 ? 4 : 0;
    if (kind === VARINT) varint();
    else if (kind !== BYTES && kind !== FIXED64 && kind !== FIXED32)
      throw damaged("a field in it has an unknown form");
    if (length > bytes.length - at) throw damaged("it is cut short");
    yield kind === BYTES ? { field, body: bytes.subarray(at, at + length) } : { field };
    at += length;
  }
}

/** @param {Uint8Array} bytes */
function textOf(bytes) {
  if (bytes.length > MAX_TEXT_BYTES) throw damaged(`a text of ${bytes.length} bytes in its metadata`);
  return new TextDecoder().decode(bytes);
}

/** @param {string} what */
function damaged(what) {
  return new ClientError("E_MODEL_PARSE", `not an ONNX file: ${what}`);
}
