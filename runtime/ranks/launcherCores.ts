// How many cores of this host the launcher of its ranks could have let them run on: those that the launcher
// itself may run on, which what somebody started it with (taskset, a cgroup's cores) has limited already, and
// no more than a cgroup's quota. Linux alone says so.
import { readFileSync } from "node:fs";
import { posix } from "node:path";
import { allowedIn, coreNumbers } from "./rankCores.ts";
import { type RankEnvironment, rankVariables } from "./rankEnvironment.ts";

/** The text of a file; undefined where it may not be read or is not there. */
export type ReadText = (path: string) => string | undefined;

/**
 * Variables by which somebody has chosen how ranks are bound: options of Hydra's and Open MPI's mpiexec as
 * these hand them to ranks, settings of Intel MPI and MVAPICH.
 */
const ASKED = [
  "HYDRA_USER_PROVIDED_BINDING",
  "OMPI_MCA_hwloc_base_binding_policy",
  "OMPI_MCA_hwloc_base_cpu_set",
  "OMPI_MCA_hwloc_base_cpu_list",
  "OMPI_MCA_orte_rankfile",
  "PRTE_MCA_hwloc_default_binding_policy",
  "PRTE_MCA_hwloc_default_cpu_list",
  "I_MPI_PIN_DOMAIN",
  "I_MPI_PIN_PROCESSOR_LIST",
  "MV2_CPU_MAPPING",
  "MV2_CPU_BINDING_POLICY",
] as const;

/** Undefined where nobody can say, or somebody has asked for the cores that ranks are bound to. */
export function launcherCores(
  launch: RankEnvironment,
  environment: Readonly<Record<string, string | undefined>>,
  read: ReadText = readText,
  parent = process.ppid,
): number | undefined {
  if (ASKED.some((name) => environment[name])) return undefined;
  const cores = launch.hostCores ?? coresOfLauncher(launch, read, parent);
  return cores && Math.min(cores, quota(read));
}

/** The launcher, or its helper on this host, is the nearest process above this one that is no rank. */
function coresOfLauncher({ launcher }: RankEnvironment, read: ReadText, parent: number): number | undefined {
  const names = rankVariables(launcher);
  for (let pid = parent; pid > 0; pid = parentOf(pid, read)) {
    const variables = read(`/proc/${pid}/environ`)?.split("\0");
    if (variables === undefined) return undefined;
    if (variables.some((each) => names.some((name) => each.startsWith(`${name}=`)))) continue;
    return coreNumbers(allowedIn(read(`/proc/${pid}/status`) ?? "")).length || undefined;
  }
  return undefined;
}

function parentOf(pid: number, read: ReadText): number {
  return Number(/^PPid:\s*(\d+)$/m.exec(read(`/proc/${pid}/status`) ?? "")?.[1] ?? 0);
}

/**
 * Whole cores, at least one, that cgroups allow at a time, of this process's and those above it; no limit is
 * Infinity. Sources: Linux, admin-guide/cgroup-v2 (cpu.max), scheduler/sched-bwc (version 1).
 */
function quota(read: ReadText): number {
  const lines = (read("/proc/self/cgroup") ?? "").split("\n").map((line) => line.split(":"));
  const limits = lines.flatMap(([, controllers = "", ...path]) => {
    const isUnified = controllers === "";
    if (!isUnified && !controllers.split(",").includes("cpu")) return [];
    const root = posix.join("/sys/fs/cgroup", controllers);
    return foldersUpTo(root, path.join(":")).map((folder) => {
      const text = isUnified
        ? read(`${folder}/cpu.max`)
        : `${read(`${folder}/cpu.cfs_quota_us`)} ${read(`${folder}/cpu.cfs_period_us`)}`;
      const [most, period] = (text ?? "").trim().split(/\s+/).map(Number);
      return most !== undefined && period !== undefined && most > 0 && period > 0 ? most / period : Infinity;
    });
  });
  return Math.max(1, Math.floor(Math.min(...limits)));
}

/** A container may name a cgroup that is not seen from within: its own is the root then. */
function foldersUpTo(root: string, path: string): string[] {
  const parts = path.split("/").filter((part) => part !== "");
  const seen = parts.includes("..") ? [] : parts;
  return Array.from({ length: seen.length + 1 }, (_, i) => posix.join(root, ...seen.slice(0, i)));
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    // Another system, or a process of another user.
    return undefined;
  }
}
