// How much memory the processes that this one has started take together, looked at again and again. Linux.
import { readdirSync, readFileSync } from "node:fs";

const LOOK_MS = 100;
const KIB = 1024;

/** Sums the resident sets of all descendants of this process, shared pages in each of them. */
export class PeakMemory implements Disposable {
  #peakBytes = 0;
  readonly #timer = setInterval(() => {
    this.#peakBytes = Math.max(this.#peakBytes, residentBytes(process.pid));
  }, LOOK_MS);

  /** The most that was seen. */
  get bytes(): number {
    return this.#peakBytes;
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }
}

/** Of all descendants of a process. */
function residentBytes(root: number): number {
  const parents = new Map<number, number>();
  const sizes = new Map<number, number>();
  for (const name of readdirSync("/proc").filter((each) => /^\d+$/.test(each)))
    try {
      const status = readFileSync(`/proc/${name}/status`, "utf8");
      const pid = Number(name);
      parents.set(pid, Number(/^PPid:\s*(\d+)/m.exec(status)?.[1]));
      sizes.set(pid, KIB * Number(/^VmRSS:\s*(\d+)/m.exec(status)?.[1] ?? 0));
    } catch {
      // It has ended meanwhile.
    }
  const isBelow = (pid: number | undefined): boolean =>
    pid !== undefined && pid > 1 && (parents.get(pid) === root || isBelow(parents.get(pid)));
  return [...sizes].reduce((sum, [pid, size]) => sum + (isBelow(pid) ? size : 0), 0);
}
