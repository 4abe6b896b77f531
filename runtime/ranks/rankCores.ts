// How many cores of its host are a rank's. Where the launcher has bound each process to cores of its own
// (srun, Open MPI) they are all its own; cores that several ranks may run on are divided among them.
import { readFileSync } from "node:fs";
import { availableParallelism } from "node:os";

/** What a process may use of its host. */
export interface CoreClaim {
  /** The cores that it may run on, as Linux lists them: "0-3,8"; empty where the system does not say. */
  readonly allowed: string;
  /** How many it may use at a time: a container's quota may be less than `allowed`. */
  readonly usable: number;
  /** How many its launcher gives it, whether or not it is bound to them; undefined where it does not say. */
  readonly granted?: number | undefined;
  /**
   * How many its launcher could have let the ranks of this host run on; undefined where nobody can say, or
   * somebody has asked for the cores that they are bound to.
   */
  readonly around?: number | undefined;
}

/** Sums of thirds are no whole numbers to the last bit. */
const ROUNDING = 1e-9;

/** That of this process. */
export function ownCores(granted?: number, around?: number): CoreClaim {
  return { allowed: allowedCores(), usable: availableParallelism(), granted, around };
}

/**
 * The whole cores, at least one, that are one rank's, `ranks` being all of its host, itself among them. Of a
 * core that k of them may run on, a k-th part is each one's; a quota is that of all of them.
 */
export function shareOfCores(own: CoreClaim, ranks: readonly CoreClaim[]): number {
  const sets = ranks.map(({ allowed }) => new Set(coreNumbers(allowed)));
  const cores = coreNumbers(own.allowed);
  const parts = cores.map((core) => 1 / Math.max(1, sets.filter((set) => set.has(core)).length));
  const bound = parts.reduce((sum, part) => sum + part, 0);
  const quota = own.usable / Math.max(1, ranks.length);
  const share = cores.length === 0 || own.usable < cores.length ? Math.min(bound || quota, quota) : bound;
  return Math.max(1, Math.floor(Math.min(share, own.granted ?? share) + ROUNDING));
}

/** "0-3,8" is [0, 1, 2, 3, 8]. */
export function coreNumbers(list: string): number[] {
  return list.split(",").flatMap((range) => {
    const [first, last = first] = range.split("-").map(Number);
    if (range === "" || first === undefined || last === undefined) return [];
    return Array.from({ length: last - first + 1 }, (_, i) => first + i);
  });
}

/** The list of cores in the text of a process's /proc/PID/status; empty where there is none. */
export function allowedIn(status: string): string {
  return /^Cpus_allowed_list:\s*(\S+)$/m.exec(status)?.[1] ?? "";
}

function allowedCores(): string {
  try {
    return allowedIn(readFileSync("/proc/self/status", "utf8"));
  } catch {
    // Elsewhere than on Linux.
    return "";
  }
}
