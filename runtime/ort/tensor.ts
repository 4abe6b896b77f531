// A tensor in memory that ORT owns, the host's or a device's. Data goes in and out by explicit copies
// (`write`, `read`), so that it is the same wherever the tensor lies; bindings refer to it for as long as it
// lives, and its address never changes.
import { ONNX_DTYPES } from "../../compiler/codec/tensorBytes.ts";
import { InternalError } from "../../compiler/diagnostics.ts";
import type { DType } from "../../compiler/ir/types.ts";
import type { DeviceMemory, DeviceTensor, MemoryPlace } from "./deviceMemory.ts";
import { type Pointer, viewMemory } from "./ffi.ts";
import { arrayOver, bytesOf, type HostTensor, type TensorArray, tensorSizeBytes } from "./hostTensor.ts";
import type { OrtLibrary } from "./library.ts";
import { readTensorInfo } from "./tensorInfo.ts";

interface TensorType {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
}

/** A live OrtValue and its memory; every use after `Symbol.dispose` is an InternalError. */
export class OrtTensor implements DeviceTensor {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly sizeBytes: number;
  /** The device that it lies on; null for the host's memory. */
  readonly device: DeviceMemory | null;
  readonly #library: OrtLibrary;
  #alive: { readonly value: Pointer; readonly buffer: ArrayBuffer | null } | null;

  private constructor(library: OrtLibrary, value: Pointer, type: TensorType, device: DeviceMemory | null) {
    this.#library = library;
    this.name = type.name;
    this.dtype = type.dtype;
    this.shape = type.shape;
    this.device = device;
    this.sizeBytes = tensorSizeBytes(type.dtype, type.shape);
    this.#alive = { value, buffer: device === null ? this.#viewValue(value) : null };
  }

  #viewValue(value: Pointer): ArrayBuffer {
    if (this.sizeBytes === 0) return new ArrayBuffer(0);
    const address = this.#library.make(`tensor "${this.name}"`, (out) =>
      this.#library.functions.GetTensorMutableData(value, out),
    );
    return viewMemory(address, this.sizeBytes);
  }

  /**
   * A new tensor of zeros, on the host or on `device`; `name` is for messages. E_SHAPE for what is not a
   * shape, E_ORT or E_DEVICE_MEMORY when memory runs out.
   */
  static allocate(
    library: OrtLibrary,
    name: string,
    dtype: DType,
    shape: readonly number[],
    device: DeviceMemory | null = null,
  ): OrtTensor {
    tensorSizeBytes(dtype, shape);
    const dims = BigInt64Array.from(shape, BigInt);
    const { functions } = library;
    const { allocator } = device ?? library;
    const value = library.make(`allocating tensor "${name}" of shape [${shape}]`, (out) =>
      functions.CreateTensorAsOrtValue(allocator, dims, dims.length, ONNX_DTYPES[dtype], out),
    );
    const tensor = new OrtTensor(library, value, { name, dtype, shape: [...shape] }, device);
    tensor.fillZero();
    return tensor;
  }

  /** Takes over a value that ORT made, the output of a run. E_MODEL_OP when its type is not one of mttc's. */
  static adopt(library: OrtLibrary, value: Pointer, name: string): OrtTensor {
    const { functions } = library;
    const info = library.make(`output "${name}"`, (out) => functions.GetTensorTypeAndShape(value, out));
    try {
      const { dtype, shape } = readTensorInfo(library, name, info);
      return new OrtTensor(library, value, { name, dtype, shape: shape.map(Number) }, null);
    } finally {
      functions.ReleaseTensorTypeAndShapeInfo(info);
    }
  }

  /**
   * Begins to copy data into tensors, each the typed array of its dtype or raw bytes of its size; E_SHAPE
   * otherwise, and then nothing was copied. What lies on a device has arrived after `finish` of its copies.
   */
  static beginWrites(writes: readonly (readonly [OrtTensor, ArrayBufferView])[]): void {
    const checked = writes.map(
      ([tensor, data]) => [tensor, bytesOf(tensor.name, tensor.dtype, tensor.sizeBytes, data)] as const,
    );
    for (const [tensor, bytes] of checked)
      if (tensor.device === null) new Uint8Array(tensor.#hostBuffer).set(bytes);
      else tensor.device.copies.begin([[tensor, bytes]]);
  }

  /** Where it lies. */
  get place(): MemoryPlace {
    return this.device === null ? "host" : "device";
  }

  /** The OrtValue, for binding and running. */
  get value(): Pointer {
    return this.#living().value;
  }

  /** Where the elements lie, in the host's memory or in the device's; 0 where there are none. */
  get address(): Pointer {
    const { value } = this.#living();
    if (this.sizeBytes === 0) return 0n;
    return this.#library.make(`tensor "${this.name}"`, (out) =>
      this.#library.functions.GetTensorMutableData(value, out),
    );
  }

  /** The elements in place, without a copy, of a tensor on the host: do not keep it beyond its life. */
  get cpuView(): TensorArray {
    return arrayOver(this.dtype, this.#hostBuffer);
  }

  get #hostBuffer(): ArrayBuffer {
    const { buffer } = this.#living();
    if (buffer === null) throw new InternalError(`tensor "${this.name}" is not in the host's memory`);
    return buffer;
  }

  fillZero(): void {
    if (this.device === null) new Uint8Array(this.#hostBuffer).fill(0);
    else this.write(new Uint8Array(this.sizeBytes));
  }

  /**
   * Copies `data` in: the typed array of the dtype, or raw bytes, of exactly this size. E_SHAPE otherwise.
   */
  write(data: ArrayBufferView): void {
    OrtTensor.beginWrites([[this, data]]);
    this.device?.copies.finish();
  }

  /** A copy of the elements, in a buffer of its own. */
  read(): HostTensor {
    const [copy] = OrtTensor.readAll([[this.name, this]]).values();
    if (copy === undefined) throw new InternalError(`tensor "${this.name}" was not read`);
    return copy;
  }

  /** Copies of tensors by key, each in a buffer of its own; those on a device come back in one go. */
  static readAll<K>(tensors: readonly (readonly [K, OrtTensor])[]): Map<K, HostTensor> {
    const downloads = new Map<DeviceMemory, (readonly [OrtTensor, Uint8Array])[]>();
    const copies = tensors.map(([key, tensor]) => {
      const { dtype, shape, device } = tensor;
      const copy = device === null ? tensor.#hostBuffer.slice(0) : new ArrayBuffer(tensor.sizeBytes);
      if (device !== null)
        downloads.set(device, [...(downloads.get(device) ?? []), [tensor, new Uint8Array(copy)]]);
      return [key, { dtype, shape, data: arrayOver(dtype, copy) }] as const;
    });
    for (const [device, reads] of downloads) device.copies.download(reads);
    return new Map(copies);
  }

  #living(): { readonly value: Pointer; readonly buffer: ArrayBuffer | null } {
    if (this.#alive === null) throw new InternalError(`tensor "${this.name}" is used after it was disposed`);
    return this.#alive;
  }

  [Symbol.dispose](): void {
    if (this.#alive !== null) this.#library.functions.ReleaseValue(this.#alive.value);
    this.#alive = null;
  }
}
