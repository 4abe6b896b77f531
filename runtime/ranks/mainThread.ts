// Whether the main thread of a process goes on. It says so by a number that it counts up in shared memory,
// and its heartbeat thread looks at that: a process whose main thread hangs still has a heartbeat.
import { readFileSync } from "node:fs";

/** Words of the memory: beats, and which phase the process is in. */
const BEATS = 0;
const PHASE = 1;

/** What all ranks take together, none of which takes a main thread long. */
export type Phase = "step" | "evaluation";
const PHASES: readonly Phase[] = ["step", "evaluation"];

/** System calls that write, by processor: what waits in one waits for a terminal that is paused. */
const WRITES: Readonly<Partial<Record<NodeJS.Architecture, readonly string[]>>> = {
  x64: ["1", "20"],
  arm64: ["64", "66"],
};

/** Memory for both sides. */
export function freshLife(): SharedArrayBuffer {
  return new SharedArrayBuffer(2 * Int32Array.BYTES_PER_ELEMENT);
}

/** The main thread's side. */
export class MainBeat {
  readonly #words: Int32Array;
  readonly #timer: NodeJS.Timeout;

  constructor(life: SharedArrayBuffer, everyMs: number) {
    this.#words = new Int32Array(life);
    this.#timer = setInterval(() => Atomics.add(this.#words, BEATS, 1), everyMs).unref();
  }

  /** Within a phase the main thread never computes for long; elsewhere (compiling, probes) it may. */
  march(phase: Phase | undefined): void {
    Atomics.store(this.#words, PHASE, phase === undefined ? 0 : PHASES.indexOf(phase) + 1);
  }

  stop(): void {
    clearInterval(this.#timer);
  }
}

/** How long a main thread may stand still, in milliseconds: within steps, and elsewhere. */
export interface StallLimits {
  readonly marching: number;
  readonly elsewhere: number;
}

/** The heartbeat thread's side. */
export class MainWatch {
  readonly #words: Int32Array;
  readonly #limits: StallLimits;
  #beats = -1;
  #stillMs = 0;

  constructor(life: SharedArrayBuffer, limits: StallLimits) {
    this.#words = new Int32Array(life);
    this.#limits = limits;
  }

  /** `passedMs` have passed, by this thread; how long the other stands still, once that is too long. */
  look(passedMs: number): number | undefined {
    const beats = Atomics.load(this.#words, BEATS);
    const goesOn = beats !== this.#beats;
    this.#beats = beats;
    this.#stillMs = goesOn ? 0 : this.#stillMs + passedMs;
    const { marching, elsewhere } = this.#limits;
    const limit = this.phase === undefined ? elsewhere : marching;
    return this.#stillMs <= limit || isWriting() ? undefined : this.#stillMs;
  }

  /** What the process is within; undefined elsewhere. */
  get phase(): Phase | undefined {
    return PHASES[Atomics.load(this.#words, PHASE) - 1];
  }

  /** For how long the main thread had stood still at the last look. */
  get stillMs(): number {
    return this.#stillMs;
  }
}

/** Whether the main thread waits in a system call that writes; false where the system does not say. */
function isWriting(): boolean {
  try {
    const [call = ""] = readFileSync(`/proc/self/task/${process.pid}/syscall`, "utf8").split(" ");
    return WRITES[process.arch]?.includes(call) ?? false;
  } catch {
    // Elsewhere than on Linux.
    return false;
  }
}
