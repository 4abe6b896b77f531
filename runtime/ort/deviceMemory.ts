// Memory that is not the host's: where it is allocated, and how bytes get there and back. ORT copies a bound
// host tensor once, when it is bound; so whatever a step reads on a device lies there, and every change of it
// is one of the explicit copies below.
import { ONNX_DTYPES } from "../../compiler/codec/tensorBytes.ts";
import type { DType } from "../../compiler/ir/types.ts";
import { type Pointer, viewMemory } from "./ffi.ts";
import type { OrtLibrary } from "./library.ts";

/** Where a tensor lies: in the host's memory, or in that of the provider's device. */
export type MemoryPlace = "host" | "device";

/** What a copy needs to know of a tensor on a device. */
export interface DeviceTensor {
  readonly name: string;
  readonly value: Pointer;
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly sizeBytes: number;
}

/** Copies between the host and one device. */
export interface DeviceCopies {
  /**
   * Begins to copy bytes, of exactly each tensor's size, to the device; they may be changed at once, and have
   * arrived after `finish`.
   */
  begin(writes: readonly (readonly [DeviceTensor, Uint8Array])[]): void;
  /** Waits for what `begin` began. */
  finish(): void;
  /** Waits for everything on the device, launched runs included, and throws what went wrong with one. */
  settle(): void;
  /** Copies tensors into targets, each of exactly its tensor's size. */
  download(reads: readonly (readonly [DeviceTensor, Uint8Array])[]): void;
  [Symbol.dispose](): void;
}

/**
 * Copies by ORT's own CopyTensors: for providers inside the core library (WebGPU). The CUDA provider's
 * transfer is not known to it.
 */
export class OrtCopies implements DeviceCopies {
  readonly #library: OrtLibrary;

  constructor(library: OrtLibrary) {
    this.#library = library;
  }

  begin(writes: readonly (readonly [DeviceTensor, Uint8Array])[]): void {
    for (const [tensor, bytes] of writes)
      this.#withHostTwin(tensor, (twin, memory) => {
        memory.set(bytes);
        this.#copy(`writing tensor "${tensor.name}"`, twin, tensor.value);
      });
  }

  /** Nothing is under way: ORT's copies end before they return. */
  finish(): void {}

  /** Nor are runs: these providers end theirs before they return. */
  settle(): void {}

  download(reads: readonly (readonly [DeviceTensor, Uint8Array])[]): void {
    for (const [tensor, target] of reads)
      this.#withHostTwin(tensor, (twin, memory) => {
        this.#copy(`reading tensor "${tensor.name}"`, tensor.value, twin);
        target.set(memory);
      });
  }

  [Symbol.dispose](): void {}

  #copy(doing: string, from: Pointer, to: Pointer): void {
    const library = this.#library;
    library.check(doing, library.functions.CopyTensors(library.env, [from], [to], null, 1));
  }

  /** A host tensor of the same type for the time of a copy, in ORT's memory, which does not move. */
  #withHostTwin(tensor: DeviceTensor, use: (twin: Pointer, memory: Uint8Array) => void): void {
    if (tensor.sizeBytes === 0) return;
    const library = this.#library;
    const { functions, allocator } = library;
    const doing = `copying tensor "${tensor.name}"`;
    const dims = BigInt64Array.from(tensor.shape, BigInt);
    const twin = library.make(doing, (out) =>
      functions.CreateTensorAsOrtValue(allocator, dims, dims.length, ONNX_DTYPES[tensor.dtype], out),
    );
    try {
      const address = library.make(doing, (out) => functions.GetTensorMutableData(twin, out));
      use(twin, new Uint8Array(viewMemory(address, tensor.sizeBytes)));
    } finally {
      functions.ReleaseValue(twin);
    }
  }
}

/** Memory of a device: what allocates in it, and what copies. */
export interface DeviceMemory {
  readonly allocator: Pointer;
  readonly copies: DeviceCopies;
}
