// Copies between the host and a CUDA device, by CUDA's own runtime library on a stream of their own, through
// pinned memory: ORT's CopyTensors does not know the built-in CUDA provider. Every copy here is waited for
// before the next run may use it, and every run before its outputs are copied.
import { MttcError } from "../../compiler/diagnostics.ts";
import { CUDA_RUNTIME } from "./cudaLibraries.ts";
import { deviceFault } from "./deviceFaults.ts";
import type { DeviceCopies, DeviceTensor } from "./deviceMemory.ts";
import {
  type Out,
  openSymbols,
  type Pointer,
  type SymbolFunctions,
  type SymbolRow,
  viewMemory,
} from "./ffi.ts";
import type { OrtLibrary } from "./library.ts";

/** CUDA's runtime functions; all but the last give a cudaError_t, 0 for success. */
const CUDART_FUNCTIONS = {
  cudaSetDevice: ["int", "int"],
  cudaStreamCreateWithFlags: ["int", "outPointer", "int"],
  cudaStreamSynchronize: ["int", "pointer"],
  cudaDeviceSynchronize: ["int"],
  cudaStreamDestroy: ["int", "pointer"],
  cudaHostAlloc: ["int", "outPointer", "size", "int"],
  cudaFreeHost: ["int", "pointer"],
  cudaMemcpyAsync: ["int", "pointer", "pointer", "size", "int", "pointer"],
  cudaGetErrorString: ["text", "int"],
} as const satisfies Record<string, SymbolRow>;

/** CUDA's runtime library, loaded for as long as `handle` is held. */
export interface CudaRuntime {
  readonly handle: object;
  readonly functions: SymbolFunctions<typeof CUDART_FUNCTIONS>;
}

/** Opens the library, which cudaLibraries.ts has loaded from wherever it lies; throws the loader's error. */
export function openCudaRuntime(): CudaRuntime {
  return openSymbols(CUDA_RUNTIME, CUDART_FUNCTIONS);
}

/** cudaStreamNonBlocking: copies do not wait for the legacy default stream. */
const NON_BLOCKING = 1;
const HOST_TO_DEVICE = 1;
const DEVICE_TO_HOST = 2;
/** Pinned memory that copies go through: a batch of 200 images of 224 pixels in one piece. */
const STAGING_BYTES = 32 * 2 ** 20;

/** Copied at once: one piece goes to the device while the next is put into pinned memory. */
const PIECE_BYTES = 4 * 2 ** 20;

/** Copies to and from one device; made after its provider, on the thread that runs the graphs. */
export class CudaCopies implements DeviceCopies {
  readonly #library: OrtLibrary;
  readonly #device: number;
  readonly #runtime: CudaRuntime;
  readonly #stream: Pointer;
  readonly #staging: Pointer;
  readonly #memory: Uint8Array;
  readonly #stagingBytes: number;
  #filledBytes = 0;
  /** Take out of the pinned memory what has been copied there, once it has arrived. */
  readonly #arriving: (() => void)[] = [];

  /** E_CUDA_DEVICE or E_DEVICE_MEMORY where stream or pinned memory cannot be had. */
  constructor(
    library: OrtLibrary,
    device: number,
    runtime: CudaRuntime = openCudaRuntime(),
    stagingBytes = STAGING_BYTES,
  ) {
    this.#library = library;
    this.#device = device;
    this.#runtime = runtime;
    this.#stagingBytes = stagingBytes;
    const { functions } = runtime;
    this.#check(functions.cudaSetDevice(device));
    this.#stream = this.#make((out) => functions.cudaStreamCreateWithFlags(out, NON_BLOCKING));
    this.#staging = this.#make((out) => functions.cudaHostAlloc(out, stagingBytes, 0));
    this.#memory = new Uint8Array(viewMemory(this.#staging, stagingBytes));
  }

  begin(writes: readonly (readonly [DeviceTensor, Uint8Array])[]): void {
    this.#check(this.#runtime.functions.cudaSetDevice(this.#device));
    for (const [tensor, bytes] of writes)
      this.#inPieces(tensor, (device, pinned, start, size) => {
        this.#memory.set(bytes.subarray(start, start + size), this.#filledBytes);
        this.#check(
          this.#runtime.functions.cudaMemcpyAsync(device, pinned, size, HOST_TO_DEVICE, this.#stream),
        );
      });
  }

  finish(): void {
    const arrived = this.#arriving.splice(0);
    this.#check(this.#runtime.functions.cudaStreamSynchronize(this.#stream));
    for (const take of arrived) take();
    this.#filledBytes = 0;
  }

  settle(): void {
    const { functions } = this.#runtime;
    this.#check(functions.cudaSetDevice(this.#device), "computing on");
    this.#check(functions.cudaDeviceSynchronize(), "computing on");
    this.finish();
  }

  download(reads: readonly (readonly [DeviceTensor, Uint8Array])[]): void {
    this.#check(this.#runtime.functions.cudaSetDevice(this.#device));
    for (const [tensor, target] of reads)
      this.#inPieces(tensor, (device, pinned, start, size) => {
        const from = this.#filledBytes;
        this.#check(
          this.#runtime.functions.cudaMemcpyAsync(pinned, device, size, DEVICE_TO_HOST, this.#stream),
        );
        this.#arriving.push(() => target.set(this.#memory.subarray(from, from + size), start));
      });
    this.finish();
  }

  /** Goes through a tensor in pieces that fit what is free of the pinned memory, waiting where none is. */
  #inPieces(
    tensor: DeviceTensor,
    copy: (device: Pointer, pinned: Pointer, start: number, size: number) => void,
  ): void {
    if (tensor.sizeBytes === 0) return;
    const library = this.#library;
    const address = library.make(`tensor "${tensor.name}"`, (out) =>
      library.functions.GetTensorMutableData(tensor.value, out),
    );
    for (let start = 0; start < tensor.sizeBytes; ) {
      if (this.#filledBytes === this.#stagingBytes) this.finish();
      const size = Math.min(PIECE_BYTES, this.#stagingBytes - this.#filledBytes, tensor.sizeBytes - start);
      copy(address + BigInt(start), this.#staging + BigInt(this.#filledBytes), start, size);
      this.#filledBytes += size;
      start += size;
    }
  }

  #make(call: (out: Out<Pointer | null>) => number): Pointer {
    const out: Out<Pointer | null> = [null];
    this.#check(call(out));
    if (out[0] === null) throw this.#fault(0);
    return out[0];
  }

  #check(code: number, doing?: string): void {
    if (code !== 0) throw this.#fault(code, doing);
  }

  #fault(code: number, what = "copying to or from"): MttcError {
    const message = `CUDA error ${code}: ${this.#runtime.functions.cudaGetErrorString(code)}`;
    const doing = `${what} CUDA device ${this.#device}`;
    const known = deviceFault(doing, message);
    return new MttcError(known ?? { code: "E_CUDA_DEVICE", message: `${doing}: ${message}` });
  }

  /** Errors are not looked at: a device that has failed told so to the call that met it. */
  [Symbol.dispose](): void {
    const { functions } = this.#runtime;
    functions.cudaStreamSynchronize(this.#stream);
    functions.cudaStreamDestroy(this.#stream);
    functions.cudaFreeHost(this.#staging);
  }
}
