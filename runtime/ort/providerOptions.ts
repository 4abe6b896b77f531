// Gives a provider to the options of ORT's sessions, each in its own way.
import { MttcError } from "../../compiler/diagnostics.ts";
import type { Pointer } from "./ffi.ts";
import type { OrtLibrary } from "./library.ts";
import {
  type CudaProvider,
  type Provider,
  type ProviderOf,
  providerTraits,
  type WebGpuProvider,
} from "./provider.ts";

/** The options of sessions that a provider is given to. */
interface Goal {
  readonly library: OrtLibrary;
  readonly settings: Pointer;
  /** For messages. */
  readonly doing: string;
  readonly capturable: boolean;
}

type Append<P extends Provider> = (goal: Goal, provider: P) => void;

const APPEND: { readonly [Kind in Provider["kind"]]: Append<ProviderOf<Kind>> } = {
  // Every session has it.
  cpu: () => {},
  cuda: appendCuda,
  webgpu: appendWebGpu,
};

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
  const { canCapture, title } = providerTraits(provider);
  if (capturable && !canCapture)
    throw new MttcError({ code: "E_ORT", message: `${doing}: ${title} has no graphs to capture runs as` });
  const append = APPEND[provider.kind] as Append<Provider>;
  append({ library, settings, doing, capturable }, provider);
}

function appendWebGpu({ library, settings, doing, capturable }: Goal, provider: WebGpuProvider): void {
  // NCHW as on CUDA; in NHWC form ORT 1.29 does not record placements.
  const { cpuNodes = [] } = provider;
  const forced = cpuNodes.length === 0 ? {} : { forceCpuNodeNames: cpuNodes.join("\n") };
  const capture = capturable ? { enableGraphCapture: "1" } : {};
  const settled = { preferredLayout: "NCHW", ...forced, ...capture };
  const [keys, values] = [Object.keys(settled), Object.values(settled)];
  library.check(
    doing,
    library.functions.SessionOptionsAppendExecutionProvider(settings, "WebGPU", keys, values, keys.length),
  );
}

function appendCuda({ library, settings, doing, capturable }: Goal, provider: CudaProvider): void {
  const { functions } = library;
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
