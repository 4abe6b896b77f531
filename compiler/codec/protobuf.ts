// ONNX files: model <-> bytes, with protobufjs on the descriptor of onnxSchema.ts. Encoding is deterministic:
// fields in the order of their numbers, lists in theirs. Decoding takes hostile bytes: size, number of
// fields, depth (protobufjs's own limit) and expanded payloads are bounded, integers must be exact, and every
// payload must have the size that its dims and data type give.
import protobuf from "protobufjs/light.js";
import { MttcError } from "../diagnostics.ts";
import { describeOnnx, type ModelProto } from "./onnxSchema.ts";
import { type RawModel, readModel } from "./plainProto.ts";

export type * from "./onnxSchema.ts";

/** Bounds on what `decodeModelProto` takes. */
export interface DecodeLimits {
  /** Size of the file; protobuf itself ends at 2 GiB. */
  readonly maxBytes: number;
  /** Fields in the whole file, over all messages: bounds the objects that decoding creates. */
  readonly maxFields: number;
  /** Integers in packed lists and in typed payloads that must be expanded, over the whole file. */
  readonly maxListedIntegers: number;
}

/** What a file may have unless the caller says otherwise: far above any model that mttc runs. */
export const DEFAULT_DECODE_LIMITS: DecodeLimits = {
  maxBytes: 2 ** 31 - 1,
  maxFields: 8_000_000,
  maxListedIntegers: 16_000_000,
};

type Int64 = ReturnType<protobuf.Reader["int64"]>;

/** protobufjs's writer, refusing integers that a JavaScript number does not hold exactly. */
class ExactWriter extends protobuf.Writer {
  override int64(value: number | Int64 | string): protobuf.Writer {
    if (!Number.isSafeInteger(value)) throw parseError(`an int64 field holds ${value}, which is not exact`);
    return super.int64(value);
  }
}

/** protobufjs's reader, counting what it creates and giving int64 fields as exact numbers. */
class BoundedReader extends protobuf.Reader {
  readonly #limits: DecodeLimits;
  #fields = 0;
  #integers = 0;
  constructor(bytes: Uint8Array, limits: DecodeLimits) {
    super(bytes);
    this.#limits = limits;
  }
  override tag(): number {
    this.#fields += 1;
    if (this.#fields > this.#limits.maxFields) throw parseError(`more than ${this.#limits.maxFields} fields`);
    return super.tag();
  }
  override int64(): Int64 {
    this.#integers += 1;
    if (this.#integers > this.#limits.maxListedIntegers)
      throw parseError(`more than ${this.#limits.maxListedIntegers} integers in lists`);
    const value = Number(super.int64());
    // The ends of the int64 range stand for "up to the end" in slices; 2^53 - 1 says the same.
    if (Math.abs(value) >= 2 ** 63) return (Math.sign(value) * Number.MAX_SAFE_INTEGER) as unknown as Int64;
    if (!Number.isSafeInteger(value)) throw parseError(`an int64 field holds ${value}, which is not exact`);
    // protobufjs types int64 as Long; the message is read by plainProto.ts, which expects numbers.
    return value as unknown as Int64;
  }
}

const MODEL = protobuf.Root.fromJSON(describeOnnx()).lookupType("ModelProto");

function parseError(message: string, cause?: unknown): MttcError {
  return new MttcError({ code: "E_MODEL_PARSE", message }, cause === undefined ? {} : { cause });
}

/**
 * The bytes of an ONNX file; the same model gives the same bytes. E_MODEL_PARSE for an int64 field that is
 * not a safe integer and for a file over 2 GiB (large constants belong into external data).
 */
export function encodeModelProto(model: ModelProto): Uint8Array {
  try {
    return MODEL.encode(model, new ExactWriter()).finish();
  } catch (error) {
    if (error instanceof MttcError) throw error;
    throw parseError(`the model cannot be encoded: ${String(error)}`, error);
  }
}

/**
 * The model in an ONNX file; payloads are views of `bytes`. E_MODEL_PARSE for anything that is not one,
 * E_MODEL_SHAPE for tensors with impossible dims. The ends of the int64 range are read as those of the
 * exact integers.
 */
export function decodeModelProto(bytes: Uint8Array, limits: Partial<DecodeLimits> = {}): ModelProto {
  const bounds = { ...DEFAULT_DECODE_LIMITS, ...limits };
  if (bytes.length > bounds.maxBytes)
    throw parseError(`the file has ${bytes.length} bytes, at most ${bounds.maxBytes} are read`);
  let raw: protobuf.Message;
  try {
    raw = MODEL.decode(new BoundedReader(bytes, bounds));
  } catch (error) {
    if (error instanceof MttcError) throw error;
    const reason = error instanceof Error ? error.message : String(error);
    throw parseError(`not an ONNX file, or cut short (${reason})`, error);
  }
  return readModel(raw as unknown as RawModel, bounds.maxListedIntegers);
}
