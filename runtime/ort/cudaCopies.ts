// Copies between the host and a CUDA device, by CUDA's own runtime library on a stream of their own, through
// pinned memory: ORT's CopyTensors does not know the built-in CUDA provider. ORT waits for its stream at the
// end of each run, and every copy here is waited for before the next run may use it.
import { MttcError } from "../../compiler/diagnostics.ts";
import { CUDA_RUNTIME } from "./cudaLibraries.ts";
import { deviceFault } from "./deviceFaults.ts";
import type { DeviceCopies, DeviceTensor } from "./deviceMemory.ts";
import { type Out, openSymbols, type Pointer, type SymbolFunctions, viewMemory } from "./ffi.ts";
import type { OrtLibrary } from "./library.ts";

/** CUDA's runtime functions; each gives a cudaError_t, 0 for success. */
const CUDART = {
  cudaSetDevice: ["int", "int"],
  cudaStreamCreateWithFlags: ["int", "outPointer", "int"],
  cudaStreamSynchronize: ["int", "pointer"],
  cudaStreamDestroy: ["int", "pointer"],
  cudaHostAlloc: ["int", "outPointer", "size", "int"],
  cudaFreeHost: ["int", "pointer"],
  cudaMemcpyAsync: ["int", "pointer", "pointer", "size", "int", "pointer"],
  cudaGetErrorString: ["text", "int"],
} as const;

/** cudaStreamNonBlocking: copies do not wait for the legacy default stream. */
const NON_BLOCKING = 1;
const HOST_TO_DEVICE = 1;
const DEVICE_TO_HOST = 2;
/** Pinned memory that copies go through: a batch of 200 images of 224 pixels in one piece. */
const STAGING_BYTES = 32 * 2 ** 20;

/** Copies to and from one device; made after its provider, on the thread that runs the graphs. */
export class CudaCopies implements DeviceCopies {
  private readonly library: OrtLibrary;
  private readonly device: number;
  /** Keeps CUDA's runtime library loaded. */
  readonly handle: object;
  private readonly cuda: SymbolFunctions<typeof CUDART>;
  private readonly stream: Pointer;
  private readonly staging: Pointer;
  private readonly memory: Uint8Array;
  private filledBytes = 0;

  /** E_CUDA_DEVICE or E_DEVICE_MEMORY where stream or pinned memory cannot be had. */
  constructor(library: OrtLibrary, device: number) {
    this.library = library;
    this.device = device;
    const { handle, functions } = openSymbols(CUDA_RUNTIME, CUDART);
    this.handle = handle;
    this.cuda = functions;
    this.check(functions.cudaSetDevice(device));
    this.stream = this.make((out) => functions.cudaStreamCreateWithFlags(out, NON_BLOCKING));
    this.staging = this.make((out) => functions.cudaHostAlloc(out, STAGING_BYTES, 0));
    this.memory = new Uint8Array(viewMemory(this.staging, STAGING_BYTES));
  }

  begin(writes: readonly (readonly [DeviceTensor, Uint8Array])[]): void {
    this.check(this.cuda.cudaSetDevice(this.device));
    for (const [tensor, bytes] of writes)
      this.inPieces(tensor, (device, pinned, start, size) => {
        this.memory.set(bytes.subarray(start, start + size), this.filledBytes);
        this.check(this.cuda.cudaMemcpyAsync(device, pinned, size, HOST_TO_DEVICE, this.stream));
      });
  }

  finish(): void {
    this.check(this.cuda.cudaStreamSynchronize(this.stream));
    this.filledBytes = 0;
  }

  download(tensor: DeviceTensor, target: Uint8Array): void {
    this.check(this.cuda.cudaSetDevice(this.device));
    this.inPieces(tensor, (device, pinned, start, size) => {
      const from = this.filledBytes;
      this.check(this.cuda.cudaMemcpyAsync(pinned, device, size, DEVICE_TO_HOST, this.stream));
      this.check(this.cuda.cudaStreamSynchronize(this.stream));
      target.set(this.memory.subarray(from, from + size), start);
    });
    this.finish();
  }

  /** Goes through a tensor in pieces that fit what is free of the pinned memory, waiting where none is. */
  private inPieces(
    tensor: DeviceTensor,
    copy: (device: Pointer, pinned: Pointer, start: number, size: number) => void,
  ): void {
    if (tensor.sizeBytes === 0) return;
    const { library } = this;
    const address = library.make(`tensor "${tensor.name}"`, (out) =>
      library.functions.GetTensorMutableData(tensor.value, out),
    );
    for (let start = 0; start < tensor.sizeBytes; ) {
      if (this.filledBytes === STAGING_BYTES) this.finish();
      const size = Math.min(STAGING_BYTES - this.filledBytes, tensor.sizeBytes - start);
      copy(address + BigInt(start), this.staging + BigInt(this.filledBytes), start, size);
      this.filledBytes += size;
      start += size;
    }
  }

  private make(call: (out: Out<Pointer | null>) => number): Pointer {
    const out: Out<Pointer | null> = [null];
    this.check(call(out));
    if (out[0] === null) throw this.fault(0);
    return out[0];
  }

  private check(code: number): void {
    if (code !== 0) throw this.fault(code);
  }

  private fault(code: number): MttcError {
    const message = `CUDA error ${code}: ${this.cuda.cudaGetErrorString(code)}`;
    const doing = `copying to or from CUDA device ${this.device}`;
    const known = deviceFault(doing, message);
    return new MttcError(known ?? { code: "E_CUDA_DEVICE", message: `${doing}: ${message}` });
  }

  [Symbol.dispose](): void {
    this.finish();
    this.check(this.cuda.cudaStreamDestroy(this.stream));
    this.check(this.cuda.cudaFreeHost(this.staging));
  }
}
