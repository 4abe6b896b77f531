// Tensors in JavaScript memory: what goes into ORT and comes out of it, on either side of the worker thread.
import { MttcError } from "../../compiler/diagnostics.ts";
import type { DType } from "../../compiler/ir/types.ts";

/** Typed arrays by element type; float16 as its bits, bool as 0 and 1. */
const ARRAYS = {
  float32: Float32Array,
  float64: Float64Array,
  float16: Uint16Array,
  uint8: Uint8Array,
  uint16: Uint16Array,
  int32: Int32Array,
  int64: BigInt64Array,
  bool: Uint8Array,
} as const satisfies Record<DType, unknown>;

/** The typed array of an element type. */
export type TensorArray<D extends DType = DType> = InstanceType<(typeof ARRAYS)[D]>;

/** A tensor in JavaScript memory, row-major. */
export interface HostTensor {
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly data: TensorArray;
}

/** Bytes of one element. */
export function elementBytes(dtype: DType): number {
  return ARRAYS[dtype].BYTES_PER_ELEMENT;
}

/**
 * Bytes of a tensor; E_SHAPE when a dimension is not a size or all of them together are more than can be
 * counted.
 */
export function tensorSizeBytes(dtype: DType, shape: readonly number[]): number {
  const sizeBytes = shape.reduce((size, dim) => size * dim, elementBytes(dtype));
  const areSizes = shape.every((dim) => Number.isSafeInteger(dim) && dim >= 0);
  if (areSizes && Number.isSafeInteger(sizeBytes)) return sizeBytes;
  throw new MttcError({ code: "E_SHAPE", message: `[${shape}] is not the shape of a tensor` });
}

/** The typed array of `dtype` over a whole buffer. */
export function arrayOver(dtype: DType, buffer: ArrayBuffer): TensorArray {
  return new ARRAYS[dtype](buffer);
}

/**
 * The bytes behind `data`, which must be the typed array of `dtype` (or a Uint8Array of its raw bytes) and
 * have exactly `sizeBytes` bytes; E_SHAPE otherwise. `name` is for the message.
 */
export function bytesOf(name: string, dtype: DType, sizeBytes: number, data: ArrayBufferView): Uint8Array {
  const fits = data instanceof ARRAYS[dtype] || data instanceof Uint8Array;
  if (!fits || data.byteLength !== sizeBytes)
    throw new MttcError({
      code: "E_SHAPE",
      message:
        `data for "${name}" is a ${data.constructor.name} of ${data.byteLength} bytes, ` +
        `expected a ${ARRAYS[dtype].name} of ${sizeBytes} bytes`,
    });
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}
