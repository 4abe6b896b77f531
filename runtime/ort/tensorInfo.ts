// What ORT says about types: of a session's inputs and outputs, and of the values that a run makes.
import { ONNX_DTYPES } from "../../compiler/codec/tensorBytes.ts";
import { MttcError } from "../../compiler/diagnostics.ts";
import type { DType } from "../../compiler/ir/types.ts";
import { type Pointer, readText } from "./ffi.ts";
import type { OrtLibrary } from "./library.ts";

/**
 * An input or output of a graph. A dimension that is known only at run time is its symbol, or "" without one.
 */
export interface TensorInfo {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly (number | string)[];
}

/** Reads an OrtTensorTypeAndShapeInfo; E_MODEL_OP when the element type is not one that mttc uses. */
export function readTensorInfo(library: OrtLibrary, name: string, info: Pointer): TensorInfo {
  const { functions } = library;
  const doing = `reading the type of "${name}"`;
  const code = library.count(doing, (out) => functions.GetTensorElementType(info, out));
  const rank = library.count(doing, (out) => functions.GetDimensionsCount(info, out));
  const sizes = new BigInt64Array(rank);
  const symbols: (Pointer | null)[] = new Array(rank).fill(null);
  if (rank > 0) {
    library.check(doing, functions.GetDimensions(info, sizes, rank));
    library.check(doing, functions.GetSymbolicDimensions(info, symbols, rank));
  }
  const shape = Array.from(sizes, (size, axis) => {
    const symbol = symbols[axis];
    if (size >= 0n) return Number(size);
    return symbol == null ? "" : readText(symbol);
  });
  return { name, dtype: dtypeOfOnnx(code, name), shape };
}

function dtypeOfOnnx(code: number, name: string): DType {
  for (const [dtype, onnxCode] of Object.entries(ONNX_DTYPES)) if (onnxCode === code) return dtype as DType;
  throw new MttcError({
    code: "E_MODEL_OP",
    message: `"${name}" has ONNX element type ${code}; mttc uses ${Object.keys(ONNX_DTYPES).join(", ")}`,
  });
}

/** All inputs or all outputs of a session, in the order of the model. E_MODEL_OP for what is not a tensor. */
export function listTensors(library: OrtLibrary, session: Pointer, side: "input" | "output"): TensorInfo[] {
  const { functions } = library;
  const doing = `listing the ${side}s`;
  const [countOf, nameOf, typeOf] =
    side === "input"
      ? [functions.SessionGetInputCount, functions.SessionGetInputName, functions.SessionGetInputTypeInfo]
      : [functions.SessionGetOutputCount, functions.SessionGetOutputName, functions.SessionGetOutputTypeInfo];
  const count = library.count(doing, (out) => countOf(session, out));
  return Array.from({ length: count }, (_, index) => {
    const name = takeText(
      library,
      library.make(doing, (out) => nameOf(session, index, library.allocator, out)),
    );
    const type = library.make(doing, (out) => typeOf(session, index, out));
    try {
      const cast: [Pointer | null] = [null];
      library.check(doing, functions.CastTypeInfoToTensorInfo(type, cast));
      if (cast[0] === null)
        throw new MttcError({ code: "E_MODEL_OP", message: `the ${side} "${name}" is not a tensor` });
      return readTensorInfo(library, name, cast[0]);
    } finally {
      functions.ReleaseTypeInfo(type);
    }
  });
}

/** A text that ORT allocated for us, which is released. */
export function takeText(library: OrtLibrary, address: Pointer): string {
  const text = readText(address);
  library.check("releasing a text", library.functions.AllocatorFree(library.allocator, address));
  return text;
}
