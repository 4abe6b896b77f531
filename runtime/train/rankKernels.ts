// What of a machine decides how a graph rounds: all ranks must have the same, or each computes weights of its
// own.
import type { Target } from "../../compiler/bundle/manifest.ts";
import { MttcError } from "../../compiler/diagnostics.ts";
import type { ChannelBlock } from "../../compiler/ops/channelBlocks.ts";
import type { OrtHost } from "../ort/ortHost.ts";
import { providerTraits } from "../ort/provider.ts";
import { readChannelBlock } from "./channelBlock.ts";

export interface Kernels {
  /** What graphs are compiled for there. */
  readonly target: Target;
  /** Channels that convolutions take side by side; undefined where they do not. */
  readonly channelBlock: ChannelBlock | undefined;
}

/** Those of the machine that a host runs on. */
export async function readKernels(host: OrtHost): Promise<Kernels> {
  const { target } = providerTraits(host.provider);
  return { target, channelBlock: await readChannelBlock(host) };
}

/** E_RANKS where this rank's are not those of rank 0, for which graphs were compiled. */
export function refuseOtherKernels(own: Kernels, rank0: Kernels): void {
  const [here, there] = [kernelsText(own), kernelsText(rank0)];
  if (here === there) return;
  throw new MttcError({
    code: "E_RANKS",
    message: `this machine computes ${here}, that of rank 0 ${there}: their weights would drift apart`,
    hint: "start all ranks on machines of one kind",
  });
}

function kernelsText({ target, channelBlock }: Kernels): string {
  const block = channelBlock === undefined ? "" : ` by blocks of ${channelBlock} channels`;
  return `on ${target}${block}`;
}
