// Numbers of the IR -> bytes as ONNX raw_data and safetensors store them (little-endian, row-major).
import type { DType, TensorData } from "../ir/types.ts";
import { numberToHalf } from "./halfPrecision.ts";

/** ONNX's numbers for the element types (TensorProto.DataType). */
export const ONNX_DTYPES: Readonly<Record<DType, number>> = {
  float32: 1,
  uint8: 2,
  uint16: 4,
  int32: 6,
  int64: 7,
  bool: 9,
  float16: 10,
  float64: 11,
};

/** Little-endian bytes of a constant; float64 numbers are rounded to the dtype. */
export function tensorBytes({ dtype, data }: TensorData): Uint8Array {
  const array = typedArray(dtype, data);
  return new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
}

function typedArray(dtype: DType, data: Float32Array | Float64Array): ArrayBufferView {
  if (dtype === "float32") return data instanceof Float32Array ? data : Float32Array.from(data);
  if (dtype === "float64") return data instanceof Float64Array ? data : Float64Array.from(data);
  if (dtype === "int64") return BigInt64Array.from(Array.from(data, BigInt));
  if (dtype === "int32") return Int32Array.from(data);
  if (dtype === "uint8" || dtype === "bool") return Uint8Array.from(data);
  return dtype === "uint16" ? Uint16Array.from(data) : Uint16Array.from(data, numberToHalf);
}
