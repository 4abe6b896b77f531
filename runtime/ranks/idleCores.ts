// Cores that lie idle because a launcher has bound the ranks of a host to fewer than it could have: Open MPI
// binds each of two ranks to one core, unless it is told otherwise. Facts of all ranks -> what rank 0 says.
import { coreNumbers } from "./rankCores.ts";
import type { Launcher } from "./rankEnvironment.ts";
import type { RankFacts } from "./rankHosts.ts";

/** The ranks of one host, bound together to `bound` of the `of` cores that they could run on. */
interface BoundHost {
  readonly host: string;
  readonly ranks: number;
  readonly bound: number;
  readonly of: number;
}

/** What rank 0 says of hosts on which cores lie idle; undefined where there are none. */
export function idleCoresNote(facts: readonly RankFacts[], launcher: Launcher): string | undefined {
  const hosts = new Map<string, RankFacts[]>();
  for (const each of facts) {
    const key = `${each.host} ${each.boot}`;
    hosts.set(key, [...(hosts.get(key) ?? []), each]);
  }
  const idle = [...hosts.values()].map(boundHost).filter(({ bound, of }) => bound < of);
  const [first, ...others] = idle;
  if (first === undefined) return undefined;
  const total = (of: (host: BoundHost) => number): number => idle.reduce((sum, each) => sum + of(each), 0);
  const [ranks, bound, cores] = [
    total((host) => host.ranks),
    total((host) => host.bound),
    total(({ of }) => of),
  ];
  const also = others.length > 0 ? ` and ${others.length} other host${others.length > 1 ? "s" : ""}` : "";
  const subject = ranks === 1 ? "1 rank is" : `${ranks} ranks are`;
  return (
    `${subject} bound to ${bound} of the ${cores} cores of ${first.host}${also}, and the others lie idle: ` +
    remedy(launcher, Math.max(1, Math.floor(cores / ranks)))
  );
}

function boundHost(ranks: readonly RankFacts[]): BoundHost {
  const claims = ranks.map(({ cores }) => cores);
  const bound = new Set(claims.flatMap(({ allowed }) => coreNumbers(allowed))).size;
  // Where one of them cannot say what there is, nothing is known to lie idle.
  const around = Math.min(...claims.map((claim) => claim.around ?? 0));
  // What Slurm was asked for is enough.
  const asked = claims.reduce((sum, { granted }) => sum + (granted ?? Infinity), 0);
  return { host: ranks[0]?.host ?? "", ranks: ranks.length, bound, of: bound && Math.min(around, asked) };
}

/** What to do, `each` cores being a rank's. */
function remedy(launcher: Launcher, each: number): string {
  if (launcher === "openmpi") return "`mpiexec --bind-to none` lets ranks run on all";
  if (launcher === "slurm") return `\`srun --cpus-per-task=${each}\` gives them more`;
  return "the launcher's options free them (`mpiexec -bind-to none`, I_MPI_PIN=0, MV2_ENABLE_AFFINITY=0)";
}
