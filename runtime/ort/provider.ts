// The execution providers: where a session's operators run, and all that the rest of mttc asks of one, as
// traits in one table. One provider per process of ORT, chosen when the thread starts; every session is given
// it, and the CPU takes what it has no kernel for. Loads no native part: providerOptions.ts and device.ts do.
import type { Target } from "../../compiler/bundle/manifest.ts";

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

/** The provider of a kind. */
export type ProviderOf<Kind extends Provider["kind"]> = Extract<Provider, { readonly kind: Kind }>;

/** What ORT calls a provider, in placements. */
export const PROVIDER_NAMES = {
  cpu: "CPUExecutionProvider",
  cuda: "CUDAExecutionProvider",
  webgpu: "WebGpuExecutionProvider",
} as const satisfies Record<Provider["kind"], string>;

/** What a provider is and can do. Code asks these, not which provider it is. */
export interface ProviderTraits {
  /** For people: "CUDA device 0". */
  readonly title: string;
  /** What graphs are compiled for. */
  readonly target: Target;
  /**
   * Whose code it is: ORT's core has it, or a library beside the core, which `mttc setup-cuda` brings, with
   * NVIDIA's libraries.
   */
  readonly library: "core" | "cuda";
  /**
   * ORT's name of the provider's memory, and the device's number in it; null where it is the host's. Tensors
   * lie there, inputs are copied to it, the next ones while a step runs, and nodes may fall to the CPU.
   */
  readonly memory: { readonly name: string; readonly device: number } | null;
  /** ORT's name of the arena that graphs take their memory from. */
  readonly arena: string;
  /** Whether a run is only launched, and whoever reads what it wrote waits. */
  readonly launchesRuns: boolean;
  /** Whether runs can be captured as graphs of its device, and replayed. */
  readonly canCapture: boolean;
  /** Whether it computes in less than float32 where a spec's `precision` asks for that. */
  readonly reducesPrecision: boolean;
  /** Whether float32 products round their factors: its numbers are then others. */
  readonly roundsFactors: boolean;
  /** Whether it has convolutions on blocks of channels, as wide as the processor's vectors. */
  readonly hasChannelBlocks: boolean;
}

const TRAITS: { readonly [Kind in Provider["kind"]]: (provider: ProviderOf<Kind>) => ProviderTraits } = {
  cpu: () => ({
    title: "the CPU",
    target: "cpu",
    library: "core",
    memory: null,
    arena: "cpu:0",
    launchesRuns: false,
    canCapture: false,
    reducesPrecision: false,
    roundsFactors: false,
    hasChannelBlocks: true,
  }),
  cuda: ({ device, tf32 }) => ({
    title: `CUDA device ${device}`,
    target: "cuda",
    library: "cuda",
    memory: { name: "Cuda", device },
    arena: `gpu:${device}`,
    launchesRuns: true,
    canCapture: true,
    reducesPrecision: true,
    roundsFactors: tf32,
    hasChannelBlocks: false,
  }),
  webgpu: () => ({
    title: "WebGPU",
    target: "cpu",
    library: "core",
    memory: { name: "WebGPU_Buf", device: 0 },
    arena: "cpu:0",
    launchesRuns: false,
    canCapture: true,
    reducesPrecision: false,
    roundsFactors: false,
    hasChannelBlocks: false,
  }),
};

/** The traits of a provider. */
export function providerTraits(provider: Provider): ProviderTraits {
  const traits = TRAITS[provider.kind] as (provider: Provider) => ProviderTraits;
  return traits(provider);
}

/** The same device, rounding the factors of float32 products or not, where it can. */
export function roundingProvider(provider: Provider, tf32: boolean): Provider {
  return "tf32" in provider ? { ...provider, tf32 } : provider;
}

/** A line for the user where graphs run on a device; undefined where they run on the processor. */
export function deviceNote(provider: Provider): string | undefined {
  const { memory, title } = providerTraits(provider);
  return memory === null ? undefined : `running on ${title}`;
}
