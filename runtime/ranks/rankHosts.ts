// What ranks know of each other before they begin: where each runs, what cores it may use, which device it
// computes on. Told over MPI, so that all of them come to the same answer.
import { readFileSync } from "node:fs";
import { hostname } from "node:os";
import { MttcError } from "../../compiler/diagnostics.ts";
import { launcherCores } from "./launcherCores.ts";
import type { MpiEngine } from "./mpi/mpiEngine.ts";
import { type CoreClaim, ownCores, shareOfCores } from "./rankCores.ts";
import type { CollectiveDevice } from "./rankEngine.ts";
import { rankEnvironment } from "./rankEnvironment.ts";

export interface RankFacts {
  readonly host: string;
  /** Tells machines of one name apart; empty where the system does not say. */
  readonly boot: string;
  readonly cores: CoreClaim;
  /** The device that it computes on; null for the CPU. */
  readonly device: Pick<CollectiveDevice, "device" | "uuid"> | null;
}

/** Those of this process, which was started in this environment. */
export function ownFacts(device: CollectiveDevice | null, environment: NodeJS.ProcessEnv): RankFacts {
  const own = device && { device: device.device, uuid: device.uuid };
  const launch = rankEnvironment(environment);
  const cores = ownCores(launch?.cores, launch && launcherCores(launch, environment));
  return { host: hostname(), boot: bootId(), cores, device: own };
}

/** Those of all ranks, in their order; all of them call this. */
export function exchangeFacts(mpi: MpiEngine, own: RankFacts): readonly RankFacts[] {
  const texts = mpi.gatherBytes(new TextEncoder().encode(JSON.stringify(own)));
  return texts.map((bytes) => JSON.parse(new TextDecoder().decode(bytes)) as RankFacts);
}

/** A rank's share of its host's cores. */
export function coresOfRank(facts: readonly RankFacts[], rank: number): number {
  const own = facts[rank];
  if (own === undefined) return 1;
  const beside = facts.filter(({ host, boot }) => host === own.host && boot === own.boot);
  return shareOfCores(
    own.cores,
    beside.map(({ cores }) => cores),
  );
}

/** E_RANKS where two ranks compute on the same device: NCCL does not, and they would wait for each other. */
export function refuseSharedDevices(facts: readonly RankFacts[]): void {
  for (const [rank, { host, device }] of facts.entries()) {
    const uuid = device?.uuid;
    const other = uuid ? facts.findIndex((each) => each.device?.uuid === uuid) : rank;
    if (!device || other === rank) continue;
    const beside = facts.filter((each) => each.host === host && each.device).length;
    const devices = new Set(facts.flatMap((each) => (each.host === host ? (each.device?.uuid ?? []) : [])));
    throw new MttcError({
      code: "E_RANKS",
      message:
        `ranks ${other} and ${rank} on ${host} would share CUDA device ${device.device}: ` +
        `${beside} ranks there have ${devices.size === 1 ? "one device" : `${devices.size} devices`}`,
      hint: "one rank for each device: start fewer, show them more (CUDA_VISIBLE_DEVICES), or --ep cpu",
    });
  }
}

function bootId(): string {
  try {
    return readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
  } catch {
    // Elsewhere than on Linux.
    return "";
  }
}
