// A tensor in memory that ORT owns. Data goes in and out by explicit copies (`write`, `read`), so that a
// tensor may one day lie on another device; bindings refer to it for as long as it lives, and its address
// never changes.
import { InternalError } from "../../compiler/diagnostics.ts";
import type { DType } from "../../compiler/ir/types.ts";
import { ONNX_DTYPES } from "../../compiler/onnx/tensorBytes.ts";
import { type Pointer, viewMemory } from "./ffi.ts";
import { arrayOver, bytesOf, type HostTensor, type TensorArray, tensorSizeBytes } from "./hostTensor.ts";
import type { OrtLibrary } from "./library.ts";
import { readTensorInfo } from "./tensorInfo.ts";

/** A live OrtValue and its memory; every use after `Symbol.dispose` is an InternalError. */
export class OrtTensor {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly sizeBytes: number;
  private readonly library: OrtLibrary;
  private alive: { readonly value: Pointer; readonly buffer: ArrayBuffer } | null;

  private constructor(
    library: OrtLibrary,
    value: Pointer,
    type: { name: string; dtype: DType; shape: readonly number[] },
  ) {
    this.library = library;
    this.name = type.name;
    this.dtype = type.dtype;
    this.shape = type.shape;
    this.sizeBytes = tensorSizeBytes(type.dtype, type.shape);
    this.alive = { value, buffer: this.viewValue(value) };
  }

  private viewValue(value: Pointer): ArrayBuffer {
    if (this.sizeBytes === 0) return new ArrayBuffer(0);
    const address = this.library.make(`tensor "${this.name}"`, (out) =>
      this.library.functions.GetTensorMutableData(value, out),
    );
    return viewMemory(address, this.sizeBytes);
  }

  /**
   * A new tensor of zeros; `name` is for messages. E_SHAPE for what is not a shape, E_ORT when memory runs
   * out.
   */
  static allocate(library: OrtLibrary, name: string, dtype: DType, shape: readonly number[]): OrtTensor {
    tensorSizeBytes(dtype, shape);
    const dims = BigInt64Array.from(shape, BigInt);
    const { functions, allocator } = library;
    const value = library.make(`allocating tensor "${name}" of shape [${shape}]`, (out) =>
      functions.CreateTensorAsOrtValue(allocator, dims, dims.length, ONNX_DTYPES[dtype], out),
    );
    const tensor = new OrtTensor(library, value, { name, dtype, shape: [...shape] });
    tensor.fillZero();
    return tensor;
  }

  /** Takes over a value that ORT made, the output of a run. E_MODEL_OP when its type is not one of mttc's. */
  static adopt(library: OrtLibrary, value: Pointer, name: string): OrtTensor {
    const { functions } = library;
    const info = library.make(`output "${name}"`, (out) => functions.GetTensorTypeAndShape(value, out));
    try {
      const { dtype, shape } = readTensorInfo(library, name, info);
      return new OrtTensor(library, value, { name, dtype, shape: shape.map(Number) });
    } finally {
      functions.ReleaseTensorTypeAndShapeInfo(info);
    }
  }

  /** The OrtValue, for binding and running. */
  get value(): Pointer {
    return this.living().value;
  }

  /** The elements in place, without a copy: do not keep it beyond the tensor's life. */
  get cpuView(): TensorArray {
    return arrayOver(this.dtype, this.living().buffer);
  }

  fillZero(): void {
    new Uint8Array(this.living().buffer).fill(0);
  }

  /**
   * Copies `data` in: the typed array of the dtype, or raw bytes, of exactly this size. E_SHAPE otherwise.
   */
  write(data: ArrayBufferView): void {
    const { buffer } = this.living();
    new Uint8Array(buffer).set(bytesOf(this.name, this.dtype, this.sizeBytes, data));
  }

  /** A copy of the elements, in a buffer of its own. */
  read(): HostTensor {
    const data = arrayOver(this.dtype, this.living().buffer.slice(0));
    return { dtype: this.dtype, shape: this.shape, data };
  }

  private living(): { readonly value: Pointer; readonly buffer: ArrayBuffer } {
    if (this.alive === null) throw new InternalError(`tensor "${this.name}" is used after it was disposed`);
    return this.alive;
  }

  [Symbol.dispose](): void {
    if (this.alive !== null) this.library.functions.ReleaseValue(this.alive.value);
    this.alive = null;
  }
}
