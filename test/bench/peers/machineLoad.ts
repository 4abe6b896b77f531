// What runs on this machine beside what is measured, from Linux's /proc.
import { readFileSync } from "node:fs";
import { availableParallelism, loadavg } from "node:os";
import { setTimeout as wait } from "node:timers/promises";
import type { MachineLoad } from "./peerNumbers.ts";

interface CpuTime {
  readonly busy: number;
  readonly total: number;
}

/** Ticks of all cores since the machine began, in all, and at work or taken by other machines of the host. */
function cpuTime(): CpuTime {
  const line = readFileSync("/proc/stat", "utf8").split("\n", 1)[0] ?? "";
  const [user = 0, nice = 0, system = 0, idle = 0, iowait = 0, irq = 0, softirq = 0, steal = 0] = line
    .split(/\s+/)
    .slice(1)
    .map(Number);
  const busy = user + nice + system + irq + softirq + steal;
  return { busy, total: busy + idle + iowait };
}

/** Ticks that a process and its threads have taken. */
function processTime(pid: number): number {
  const text = readFileSync(`/proc/${pid}/stat`, "utf8");
  // The name of a process may hold spaces and brackets.
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  return Number(fields[11]) + Number(fields[12]);
}

/** Measures for a second, in which this process does nothing. */
export async function measureLoad(): Promise<MachineLoad> {
  const before = cpuTime();
  await wait(1000);
  const after = cpuTime();
  const busy = (after.busy - before.busy) / Math.max(1, after.total - before.total);
  return { cores: availableParallelism(), load: loadavg()[0] ?? 0, busy };
}

/** Begins to watch; what it returns gives the share of all cores that other processes took since. */
export function watchOthers(pids: readonly number[]): () => number {
  const own = (): number => [process.pid, ...pids].reduce((sum, pid) => sum + processTime(pid), 0);
  const [before, ownBefore] = [cpuTime(), own()];
  return () => {
    const after = cpuTime();
    const others = after.busy - before.busy - (own() - ownBefore);
    return Math.max(0, others) / Math.max(1, after.total - before.total);
  };
}
