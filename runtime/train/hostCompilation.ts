// A compilation for the provider that a host runs on: its target, and on a CUDA device the forms that are
// fastest there. Comes between ONNX Runtime's start and the bundle's folder.
import { availableParallelism, cpus } from "node:os";
import type { Bundle, Target } from "../../compiler/bundle/manifest.ts";
import type { CompileOptions } from "../../compiler/compile.ts";
import { type Fault, formatFault } from "../../compiler/diagnostics.ts";
import { TARGET_TRAITS } from "../../compiler/lower/targets.ts";
import { readCudaDriver } from "../ort/cudaDriver.ts";
import type { OrtHost, Provider } from "../ort/ortHost.ts";
import { providerTraits } from "../ort/provider.ts";
import { compileTuned } from "./autotune.ts";
import { readChannelBlock } from "./channelBlock.ts";
import { defaultFormCache } from "./formCache.ts";

/** Warnings of nodes without a kernel that are shown one by one; a whole network may have hundreds. */
const SHOWN_FAULTS = 5;

export interface HostCompilationOptions {
  /** Measure forms on the device: by default on CUDA only. */
  readonly autotune?: boolean | undefined;
  /** File of measurements; default: in the user's cache folder. */
  readonly cache?: string | undefined;
  /** The device's name, for tests. */
  readonly deviceName?: ((provider: Provider) => string) | undefined;
}

/** A bundle, and lines for the user: what was measured, and what the device leaves to the CPU. */
export interface HostBundle {
  readonly bundle: Bundle;
  readonly notes: readonly string[];
}

/** What a compilation for a host depends on beside spec, classes and models. */
export type HostFacts = Pick<CompileOptions, "target" | "channelBlock" | "loaderWarps"> & {
  readonly target: Target;
};

/**
 * What of the host decides the compilation; undefined where measurements do, or where nodes must be named
 * that the device leaves to the CPU: then it has to be done again to be known.
 */
export async function hostFacts(
  host: OrtHost,
  options: HostCompilationOptions = {},
): Promise<HostFacts | undefined> {
  const { target } = providerTraits(host.provider);
  const { kernelFaults, warpsInLoader } = TARGET_TRAITS[target];
  if (kernelFaults || autotunes(target, options)) return undefined;
  return { target, channelBlock: await readChannelBlock(host), loaderWarps: warpsInLoader };
}

function autotunes(target: Target, options: HostCompilationOptions): boolean {
  return options.autotune ?? TARGET_TRAITS[target].isMeasured;
}

/**
 * Compiles for the host's provider; `compileWith` adds these options to its own. Throws what the compiler
 * throws; E_DISK and E_FILE when measurements cannot be kept, E_CUDA_DEVICE where the device has no name.
 */
export async function compileForHost(
  host: OrtHost,
  compileWith: (
    options: Pick<CompileOptions, "target" | "channelBlock" | "loaderWarps" | "forms" | "trace" | "warn">,
  ) => Bundle,
  options: HostCompilationOptions = {},
): Promise<HostBundle> {
  const { target } = providerTraits(host.provider);
  const { warpsInLoader } = TARGET_TRAITS[target];
  const { cache = defaultFormCache(), deviceName = nameDevice } = options;
  const channelBlock = await readChannelBlock(host);
  const notes: string[] = [];
  const note = (line: string): void => void notes.push(line);
  let faults: Fault[] = [];
  const compileOnce: typeof compileWith = (more) => {
    faults = [];
    const warn = (fault: Fault): void => void faults.push(fault);
    return compileWith({ ...more, target, channelBlock, loaderWarps: warpsInLoader, warn });
  };
  const bundle = autotunes(target, options)
    ? await compileTuned(compileOnce, {
        host,
        target,
        channelBlock,
        device: deviceName(host.provider),
        cache,
        note,
      })
    : compileOnce({});
  notes.push(...faults.slice(0, SHOWN_FAULTS).map(formatFault));
  if (faults.length > SHOWN_FAULTS)
    notes.push(
      `${faults.length - SHOWN_FAULTS} more nodes have no kernel there: mttc compile --target ${target} lists them`,
    );
  return { bundle, notes };
}

/** "NVIDIA H100 PCIe, tf32", or the processor with its threads. */
function nameDevice(provider: Provider): string {
  const { library, memory, roundsFactors, title } = providerTraits(provider);
  if (library === "core") return `${cpus()[0]?.model ?? title}, ${availableParallelism()} threads`;
  const name = readCudaDriver().devices[memory?.device ?? 0]?.name ?? title;
  return roundsFactors ? `${name}, tf32` : name;
}
