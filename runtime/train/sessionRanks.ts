// A training session among several processes: ONNX Runtime's thread that is joined with the others', and rank
// 0's word to them; of a process alone a thread of its own.
import { availableParallelism } from "node:os";
import type { StoredManifest } from "../../compiler/bundle/manifest.ts";
import { MttcError } from "../../compiler/diagnostics.ts";
import { augmentSettings } from "../../compiler/spec/augmentKeys.ts";
import type { Spec } from "../../compiler/spec/schema.ts";
import { OrtHost } from "../ort/ortHost.ts";
import { type Provider, providerTraits, roundingProvider } from "../ort/provider.ts";
import { ortOptions, type RuntimeOptions } from "../ort/runtimeOptions.ts";
import { readKernels } from "./rankKernels.ts";
import { RankLeader } from "./rankLeader.ts";
import type { RankGroup } from "./ranks.ts";
import type { DeviceOptions } from "./trainingDevice.ts";

/** Whether threads of ONNX Runtime spin while they have nothing to do. */
// Threads that spin take the core on which the loader warps: steps took 1.4 times as long and more. Without
// warps beside them they gain a tenth.
function allowsSpinning(spec: Spec): boolean {
  return augmentSettings(spec.augment) === undefined;
}

/**
 * ONNX Runtime's library is loaded on a thread of its own while models are read on this one. What keeps it
 * from starting is thrown to whoever awaits the host. That of several processes is there already, and stays.
 */
export function startOrt(
  spec: Spec,
  options: RuntimeOptions,
  ranks: RankGroup | undefined,
  closers: (() => Promise<void>)[],
): Promise<OrtHost> {
  if (ranks) return Promise.resolve(ranks.host);
  const starting = OrtHost.start({
    ...ortOptions(options, spec.precision !== "fp32"),
    intraOpThreads: options.threads ?? availableParallelism(),
    allowSpinning: allowsSpinning(spec),
  });
  const close = starting.then(
    (host) => () => host.close(),
    () => () => Promise.resolve(),
  );
  closers.push(async () => await (await close)());
  return starting;
}

/** What the provider does not do of what was asked for, and what is to be said of the processes. */
export function deviceWarnings(
  provider: Provider,
  { precision }: Pick<Spec, "precision">,
  { cudaGraph }: RuntimeOptions,
  ranks: RankGroup | undefined,
): string[] {
  const { title, canCapture, reducesPrecision } = providerTraits(provider);
  const warnings: string[] = [...(ranks?.notes ?? [])];
  if (!reducesPrecision && precision !== "fp32")
    warnings.push(`precision: ${precision} is for CUDA; ${title} trains in fp32`);
  if (cudaGraph !== true) return warnings;
  if (!canCapture) warnings.push(`CUDA graphs: off: the run is on ${title}`);
  else if (ranks) warnings.push(`CUDA graphs: off: ${ranks.size} processes train together`);
  return warnings;
}

/** The processes that a session leads; undefined where it is alone. E_CONFIG for what they do not do. */
export function ledBy(
  ranks: RankGroup | undefined,
  { cache_features: cache }: Pick<Spec, "cache_features">,
): RankGroup | undefined {
  if (!ranks || ranks.size === 1) return undefined;
  if (cache !== false && cache !== "auto")
    throw new MttcError({
      code: "E_CONFIG",
      message: `features are not kept where ${ranks.size} processes train together`,
      at: { path: "cache_features" },
      hint: "leave it out: the frozen part then runs in every epoch, on all of them; or train with one process",
    });
  return ranks;
}

/** Opens the run on the other processes; what a device of it is opened with. */
export async function openFollowers(
  ranks: RankGroup,
  spec: Spec,
  bundle: { readonly directory: string; readonly manifest: StoredManifest },
  closers: (() => Promise<void>)[],
): Promise<{ readonly leader: RankLeader; readonly options: DeviceOptions }> {
  const allowSpinning = allowsSpinning(spec);
  const tf32 = spec.precision !== "fp32";
  const kernels = await readKernels(ranks.host);
  const leader = await RankLeader.open(ranks.hub, ranks.size, { ...bundle, kernels, allowSpinning, tf32 });
  closers.push(() => leader.close());
  const provider = roundingProvider(ranks.host.provider, tf32);
  return { leader, options: { session: { allowSpinning, provider }, group: leader } };
}
