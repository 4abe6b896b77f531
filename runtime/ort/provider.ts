// The execution providers: where a session's operators run. One provider per process of ORT, chosen when the
// thread starts; every session is given it, and the CPU takes what it has no kernel for.

import { MttcError } from "../../compiler/diagnostics.ts";
import type { Pointer } from "./ffi.ts";
import type { OrtLibrary } from "./library.ts";

/** Where graphs run. */
export type Provider = { readonly kind: "cpu" } | CudaProvider | WebGpuProvider;

/** Stands in, in tests, for a device whose memory is not the host's (on a software driver). No product. */
export interface WebGpuProvider {
  readonly kind: "webgpu";
  /** Names of nodes that it must leave to the CPU: it takes some that it then cannot run. */
  readonly cpuNodes?: readonly string[] | undefined;
}

/** A CUDA device. */
export interface CudaProvider {
  readonly kind: "cuda";
  /** Ordinal among the devices that CUDA_VISIBLE_DEVICES leaves. */
  readonly device: number;
  /**
   * Whether float32 products may round their factors to TF32's 10 bits; needed for tensor cores in float16,
   * too.
   */
  readonly tf32: boolean;
  /** Limit of ORT's arena for each graph, in bytes; none by default. */
  readonly memoryLimitBytes?: number | undefined;
}

/** What ORT calls a provider, in placements. */
export const PROVIDER_NAMES = {
  cpu: "CPUExecutionProvider",
  cuda: "CUDAExecutionProvider",
  webgpu: "WebGpuExecutionProvider",
} as const satisfies Record<Provider["kind"], string>;

/** ORT's name of the provider's memory, and the device's number in it; null where it is the host's. */
export function memoryOf(provider: Provider): { readonly name: string; readonly device: number } | null {
  switch (provider.kind) {
    case "cpu":
      return null;
    case "cuda":
      return { name: "Cuda", device: provider.device };
    case "webgpu":
      return { name: "WebGPU_Buf", device: 0 };
  }
}

/** For people: "CUDA device 0". */
export function describeProvider(provider: Provider): string {
  if (provider.kind === "cuda") return `CUDA device ${provider.device}`;
  return provider.kind === "cpu" ? "the CPU" : "WebGPU";
}

/**
 * Gives a provider to the sessions made with these options; `capturable` lets it capture runs as graphs of
 * its device. Throws what library.check throws; E_ORT for a provider that cannot capture.
 */
export function appendProvider(
  library: OrtLibrary,
  settings: Pointer,
  provider: Provider,
  doing: string,
  capturable = false,
): void {
  const { functions } = library;
  if (provider.kind === "cpu" && capturable)
    throw new MttcError({ code: "E_ORT", message: `${doing}: the CPU has no graphs to capture runs as` });
  if (provider.kind === "webgpu") {
    // NCHW as on CUDA; in NHWC form ORT 1.29 does not record placements.
    const { cpuNodes = [] } = provider;
    const forced = cpuNodes.length === 0 ? {} : { forceCpuNodeNames: cpuNodes.join("\n") };
    const capture = capturable ? { enableGraphCapture: "1" } : {};
    const settled = { preferredLayout: "NCHW", ...forced, ...capture };
    const [keys, values] = [Object.keys(settled), Object.values(settled)];
    library.check(
      doing,
      functions.SessionOptionsAppendExecutionProvider(settings, "WebGPU", keys, values, keys.length),
    );
  }
  if (provider.kind !== "cuda") return;
  const options = library.make(doing, (out) => functions.CreateCUDAProviderOptions(out));
  try {
    const settled = Object.entries(cudaOptions(provider, capturable));
    const keys = settled.map(([key]) => key);
    const values = settled.map(([, value]) => value);
    library.check(doing, functions.UpdateCUDAProviderOptions(options, keys, values, keys.length));
    library.check(doing, functions.SessionOptionsAppendExecutionProvider_CUDA_V2(settings, options));
  } finally {
    functions.ReleaseCUDAProviderOptions(options);
  }
}

/** The provider's options by ORT's own keys. */
export function cudaOptions(
  { device, tf32, memoryLimitBytes }: CudaProvider,
  capturable = false,
): Record<string, string> {
  return {
    device_id: String(device),
    // With cuDNN 9 nothing is benchmarked: EXHAUSTIVE asks the heuristic of mode B.
    cudnn_conv_algo_search: "EXHAUSTIVE",
    use_tf32: tf32 ? "1" : "0",
    // Shapes are static: what a step needs is known after the first one, and doubling would waste half.
    arena_extend_strategy: "kSameAsRequested",
    // Weights are inputs of the graphs, which NHWC kernels do not take.
    prefer_nhwc: "0",
    do_copy_in_default_stream: "1",
    enable_cuda_graph: capturable ? "1" : "0",
    ...(memoryLimitBytes === undefined ? {} : { gpu_mem_limit: String(memoryLimitBytes) }),
  };
}
