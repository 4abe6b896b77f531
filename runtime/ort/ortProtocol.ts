// What the main thread and the ONNX Runtime thread say to each other: the calls of OrtService, carried out in
// the order in which they are made.
import type { DType } from "../../compiler/ir/types.ts";
import type { JoinedPlace, JoinOptions } from "../ranks/rankEngine.ts";
import type { MemoryPlace } from "./deviceMemory.ts";
import type { HostTensor } from "./hostTensor.ts";
import type { Placement } from "./placement.ts";
import type { Provider } from "./provider.ts";
import type { ProviderRequest } from "./providerName.ts";
import type { ModelSource, SessionOptions } from "./session.ts";
import type { TensorInfo } from "./tensorInfo.ts";

/** How ONNX Runtime is loaded, and what holds for every graph unless `openGraph` says otherwise. */
export interface OrtOptions {
  /** A libonnxruntime or its folder; by default MTTC_ORT_DIR, else the one of onnxruntime-node. */
  readonly libraryPath?: string | undefined;
  readonly intraOpThreads?: number | undefined;
  readonly allowSpinning?: boolean | undefined;
  /** Where graphs run; the CPU by default. */
  readonly provider?: ProviderRequest | undefined;
}

/** What was started. */
export interface StartedOrt {
  readonly version: string;
  /** The library's file. */
  readonly libraryPath: string;
  readonly provider: Provider;
  /** Why `auto` came to the CPU, where that needs saying. */
  readonly note: string | undefined;
}

/** A tensor to allocate, known by its id from then on. */
export interface BufferSpec {
  readonly id: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
  /** Where it lies, the host's memory by default; "device" is the host's, too, on the CPU. */
  readonly place?: MemoryPlace | undefined;
}

/** What a graph takes and gives. */
export interface GraphTensors {
  readonly inputs: readonly TensorInfo[];
  readonly outputs: readonly TensorInfo[];
}

/** Tensor ids by the names of a graph's inputs and outputs. */
export interface BindingSpec {
  readonly inputs: Readonly<Record<string, string>>;
  readonly outputs: Readonly<Record<string, string>>;
  /**
   * Have the device record what the first runs ask of it, and replay that from then on; the graph must have
   * been opened with `capturable`.
   */
  readonly captures?: boolean | undefined;
}

/** Data by tensor id: the dtype's typed array, or its raw bytes. */
export type Writes = Readonly<Record<string, ArrayBufferView>>;

/** What goes along with a step. */
export interface StepIo {
  /** Copied into tensors before the run; their buffers are TRANSFERRED and come back in the result. */
  readonly writes?: Writes;
  /**
   * Copied while the graph runs, where the device can (CUDA), else after it, into tensors that this binding
   * does not use: those of the next step. TRANSFERRED and returned likewise, after the buffers of `writes`.
   */
  readonly staged?: Writes;
  /** Tensors that are summed over all ranks after the run, in place: float32, the same on every rank. */
  readonly sums?: readonly string[] | undefined;
  /** Tensors to read after the run. */
  readonly reads?: readonly string[];
}

/** What a step gives back. */
export interface StepResult {
  readonly outputs: ReadonlyMap<string, HostTensor>;
  /** Milliseconds of the run, the copies of `staged` included. */
  readonly runMs: number;
  /** The buffers of `writes` and `staged`, in order, each once: free to be filled again. */
  readonly returned: readonly ArrayBuffer[];
}

/** What the ONNX Runtime thread does when asked; OrtHost is the same for the main thread, with promises. */
export interface OrtService {
  /** Loads the library and opens the provider's device. */
  start(options: OrtOptions): StartedOrt;
  openGraph(graph: string, model: ModelSource, options: SessionOptions): GraphTensors;
  closeGraph(graph: string): string | undefined;
  placements(graph: string): readonly Placement[];
  allocate(buffers: readonly BufferSpec[]): void;
  free(ids: readonly string[]): void;
  write(data: Writes): void;
  read(ids: readonly string[]): Map<string, HostTensor>;
  bind(binding: string, graph: string, io: BindingSpec): void;
  unbind(binding: string): void;
  step(binding: string, io: StepIo): StepResult;
  run(
    graph: string,
    feeds: Readonly<Record<string, HostTensor>>,
    wanted?: readonly string[],
  ): Map<string, HostTensor>;
  joinRanks(options: JoinOptions): JoinedPlace;
  allReduce(ids: readonly string[]): void;
  broadcastTensors(ids: readonly string[]): void;
  broadcastBytes(bytes: Uint8Array): Uint8Array;
  leaveRanks(): void;
  /** Releases everything native; no call may follow. */
  close(): void;
}
