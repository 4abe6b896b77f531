// Numbers of a foreign file -> TensorData of the IR. Payloads lie in the file (views of its bytes) or
// outside it, where only a callback of the caller reads them, after its own checks of the place. Half
// precision becomes float32.
import { halfToNumber } from "../../codec/halfPrecision.ts";
import { DATA_LOCATION, ONNX_ELEMENT_BYTES, type TensorProto } from "../../codec/onnxSchema.ts";
import { type ErrorCode, MttcError } from "../../diagnostics.ts";
import type { DType, TensorData } from "../../ir/types.ts";

/** Gives the bytes of external data; it checks the place against the file system before it reads. */
export type ExternalData = (location: string, offset: number, length: number) => Uint8Array;

/** Name of the in-memory marker of ONNX Runtime: addresses of another process. */
const MEMORY_MARKER = "*/_ORT_MEM_ADDR_/*";
/** Largest number of elements of one constant: 8 GiB of float32. */
const MAX_ELEMENTS = 2 ** 31;

/** Our dtype by TensorProto.DataType code; half and bfloat16 are computed in float32. */
const DTYPES: ReadonlyMap<number, DType> = new Map([
  [1, "float32"],
  [2, "uint8"],
  [6, "int32"],
  [7, "int64"],
  [9, "bool"],
  [10, "float32"],
  [11, "float64"],
  [16, "float32"],
]);

const DTYPE_NAMES: readonly string[] = [
  ...[
    "undefined",
    "float",
    "uint8",
    "int8",
    "uint16",
    "int16",
    "int32",
    "int64",
    "string",
    "bool",
    "float16",
  ],
  ...["double", "uint32", "uint64", "complex64", "complex128", "bfloat16", "float8e4m3fn", "float8e4m3fnuz"],
  ...["float8e5m2", "float8e5m2fnuz", "uint4", "int4", "float4e2m1"],
];

/** The dtype that an ONNX element type is held in; undefined for one that is not read. */
export function importedDType(code: number): DType | undefined {
  return DTYPES.get(code);
}

/** ONNX's own name of an element type. */
export function elementTypeName(code: number): string {
  return DTYPE_NAMES[code] ?? `element type ${code}`;
}

/**
 * The numbers of a tensor. E_MODEL_SHAPE (impossible dims), E_MODEL_DATA (type not read; payload missing,
 * of a wrong size or at an impossible place), E_MODEL_PATH (external data where none can be read, or a
 * location that is not a plain relative name). int64 beyond 2^53 saturates: such numbers mean "to the end".
 */
export function readTensorData(tensor: TensorProto, external: ExternalData | undefined): TensorData {
  const dtype = importedDType(tensor.dataType);
  if (dtype === undefined)
    return refuse(tensor, "E_MODEL_DATA", `is of ${elementTypeName(tensor.dataType)}, which is not read`);
  const bytes = readTensorBytes(tensor, external);
  return { dtype, shape: [...tensor.dims], data: readNumbers(tensor.dataType, bytes) };
}

/** The bytes of a tensor of any element type, wherever they lie. Errors as readTensorData. */
export function readTensorBytes(tensor: TensorProto, external: ExternalData | undefined): Uint8Array {
  const count = countElements(tensor);
  const elementBytes = ONNX_ELEMENT_BYTES.get(tensor.dataType);
  if (elementBytes === undefined)
    return refuse(tensor, "E_MODEL_DATA", `is of ${elementTypeName(tensor.dataType)}, which is not read`);
  const length = count * elementBytes;
  const bytes =
    tensor.dataLocation === DATA_LOCATION.external
      ? readExternal(tensor, length, external)
      : (tensor.rawData ?? refuse(tensor, "E_MODEL_DATA", "has no payload"));
  if (bytes.length !== length)
    refuse(tensor, "E_MODEL_DATA", `has ${bytes.length} bytes, its shape needs ${length}`);
  return bytes;
}

function countElements(tensor: TensorProto): number {
  let count = 1;
  for (const dim of tensor.dims) {
    if (!(dim >= 0)) refuse(tensor, "E_MODEL_SHAPE", `has the dimension ${dim}`);
    count *= dim;
  }
  if (count > MAX_ELEMENTS) refuse(tensor, "E_MODEL_SHAPE", `of shape [${tensor.dims}] is beyond any memory`);
  return count;
}

function readExternal(tensor: TensorProto, length: number, external: ExternalData | undefined): Uint8Array {
  const fields = new Map((tensor.externalData ?? []).map(({ key, value }) => [key, value]));
  const location = fields.get("location") ?? "";
  if (location.startsWith(MEMORY_MARKER))
    refuse(tensor, "E_MODEL_DATA", "points into the memory of another process");
  const fault = locationFault(location);
  if (fault !== undefined)
    refuse(tensor, "E_MODEL_PATH", `names the data file ${JSON.stringify(location)}: ${fault}`);
  const offset = readSize(tensor, "offset", fields.get("offset") ?? "0");
  const given = fields.get("length");
  if (given !== undefined && readSize(tensor, "length", given) !== length)
    refuse(tensor, "E_MODEL_DATA", `has ${given} bytes in ${location}, its shape needs ${length}`);
  if (!external)
    return refuse(
      tensor,
      "E_MODEL_PATH",
      `has its numbers in the file ${location}, but the model was given as bytes`,
      "give the path of the .onnx file, or save it in one file",
    );
  return external(location, offset, length);
}

/**
 * Why a location is not the plain name of a file in the model's folder or below it; undefined if it is one.
 */
export function locationFault(location: string): string | undefined {
  if (location === "") return "it is empty";
  if (location.length > 1024) return "it is too long";
  if ([...location].some((c) => c < " " || c === "\u007f")) return "it has control characters";
  if (/[\\:]/.test(location)) return "backslashes and colons are not allowed";
  if (location.startsWith("/")) return "it is not relative";
  const parts = location.split("/");
  if (parts.some((part) => part === "" || part === "..")) return "it leaves the model's folder";
  return undefined;
}

function readSize(tensor: TensorProto, field: string, text: string): number {
  const size = /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN;
  if (!Number.isSafeInteger(size))
    refuse(tensor, "E_MODEL_DATA", `has the ${field} ${JSON.stringify(text.slice(0, 40))}`);
  return size;
}

function readNumbers(code: number, bytes: Uint8Array): Float32Array | Float64Array {
  // Typed arrays need alignment, which a view of a protobuf has only by chance.
  const size = ONNX_ELEMENT_BYTES.get(code) ?? 1;
  const { buffer, byteOffset, byteLength } = byteViewAligned(bytes, size);
  const count = byteLength / size;
  if (code === 1) return new Float32Array(buffer, byteOffset, count);
  if (code === 11) return new Float64Array(buffer, byteOffset, count);
  if (code === 6) return Float64Array.from(new Int32Array(buffer, byteOffset, count));
  if (code === 7) return Float64Array.from(new BigInt64Array(buffer, byteOffset, count), saturate);
  if (code === 10) return Float32Array.from(new Uint16Array(buffer, byteOffset, count), halfToNumber);
  if (code === 16) return bfloatToFloat32(new Uint16Array(buffer, byteOffset, count));
  return Float64Array.from(bytes);
}

function byteViewAligned(bytes: Uint8Array, size: number): Uint8Array<ArrayBuffer> {
  const isAligned = bytes.byteOffset % size === 0 && bytes.buffer instanceof ArrayBuffer;
  return isAligned ? (bytes as Uint8Array<ArrayBuffer>) : new Uint8Array(bytes);
}

function saturate(value: bigint): number {
  return Math.min(Math.max(Number(value), Number.MIN_SAFE_INTEGER), Number.MAX_SAFE_INTEGER);
}

/** bfloat16 is the upper half of a float32. */
function bfloatToFloat32(values: Uint16Array): Float32Array {
  return new Float32Array(Uint32Array.from(values, (bits) => bits * 2 ** 16).buffer);
}

function refuse(tensor: TensorProto, code: ErrorCode, message: string, hint?: string): never {
  const fault = { code, message: `tensor "${tensor.name}" ${message}`, at: { node: tensor.name } };
  throw new MttcError(hint === undefined ? fault : { ...fault, hint });
}
