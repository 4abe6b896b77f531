// Child processes that decode foreign images under a watchdog: what takes too long, grows too large or
// crashes is killed, becomes a fault of its file, and a fresh process goes on. The memory is polled, since a
// cap on the address space keeps Node from starting. Without /proc (outside Linux) only the time is watched.
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { type ErrorCode, InternalError } from "../../compiler/diagnostics.ts";
import { listedIn, type RowPlace } from "../images/imageFile.ts";
import type { PackFormat } from "../images/imageRecord.ts";
import type { ImageFormat } from "../images/images.ts";
import { builtFile } from "../threads/builtFile.ts";
import { type Inspection, NOTHING_FOUND } from "./inspection.ts";

/** What a child is asked. */
export interface InspectionRequest {
  readonly path: string;
  readonly format: ImageFormat;
  readonly place: RowPlace;
  /** Asks for the image as a record of a pack. */
  readonly record?: PackFormat | undefined;
}

/** What one file may cost. */
export interface InspectionLimits {
  /** Processor time; of the clock four times as much, since a busy machine is no fault of the image. */
  readonly seconds: number;
  /** Resident memory of the child process. */
  readonly memoryBytes: number;
}

export const DEFAULT_LIMITS: InspectionLimits = { seconds: 5, memoryBytes: 512 * 2 ** 20 };
const POLL_MS = 10;
const CLOCK_PER_PROCESSOR_TIME = 4;
/** Of proc(5): Linux counts processor time in hundredths of a second. */
const TICKS_PER_SECOND = 100;
const START_MS = 60_000;
/** /proc counts in pages. */
const PAGE_BYTES = 4_096;

export interface InspectionPoolOptions {
  readonly format: ImageFormat;
  readonly limits?: InspectionLimits;
  /** Child processes; default: one per core, at most 8. */
  readonly processes?: number;
  /** Asks for every image as a record of a pack. */
  readonly record?: PackFormat;
}

/** Inspects files, as many at a time as it has processes; close it to end them. */
export class InspectionPool implements AsyncDisposable {
  readonly #format: ImageFormat;
  readonly #record: PackFormat | undefined;
  readonly #idle: WatchedChild[];
  readonly #waiting: ((lane: WatchedChild) => void)[] = [];
  readonly #lanes: readonly WatchedChild[];
  #closed = false;

  constructor({ format, limits = DEFAULT_LIMITS, processes, record }: InspectionPoolOptions) {
    this.#format = format;
    this.#record = record;
    const count = processes ?? Math.min(availableParallelism(), 8);
    this.#lanes = Array.from({ length: count }, () => new WatchedChild(limits));
    this.#idle = [...this.#lanes];
  }

  /** How many files are inspected at a time. */
  get processes(): number {
    return this.#lanes.length;
  }

  /**
   * Never rejects for a fault of the file: E_IMG_LIMIT for time and memory, E_IMG_FORMAT for a crash. Rejects
   * once the pool is closed, those that wait for a process included.
   */
  async inspect(path: string, place: RowPlace): Promise<Inspection> {
    const lane = this.#idle.pop() ?? (await new Promise<WatchedChild>((take) => this.#waiting.push(take)));
    try {
      // A process that was started now would outlive the pool, and keep this process alive.
      if (this.#closed) throw new InternalError("the pool of inspecting processes is closed");
      return await lane.ask({ path, format: this.#format, place, record: this.#record });
    } finally {
      const next = this.#waiting.shift();
      if (next) next(lane);
      else this.#idle.push(lane);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    await Promise.all(this.#lanes.map((lane) => lane.close()));
  }
}

/** One child process, started when it is needed and again after it has ended. */
class WatchedChild {
  #child: ChildProcess | undefined;
  #starting: Promise<ChildProcess> | undefined;
  readonly #limits: InspectionLimits;

  constructor(limits: InspectionLimits) {
    this.#limits = limits;
  }

  async ask(request: InspectionRequest): Promise<Inspection> {
    const limits = this.#limits;
    const child = await this.#running();
    const outcome = await watched(child, request, limits);
    if (typeof outcome === "string") {
      await this.#end();
      const code: ErrorCode = outcome.startsWith("crash") ? "E_IMG_FORMAT" : "E_IMG_LIMIT";
      const fault = { code, message: outcomeText(outcome), at: { file: request.path } };
      const faults = [{ ...fault, ...listedIn(request.place) }];
      return { ...NOTHING_FOUND, faults };
    }
    // What a large image left behind must not be charged to the next.
    if ((residentBytes(child.pid) ?? 0) > limits.memoryBytes / 2) await this.#end();
    return outcome;
  }

  /** Ends the process, one that is only being started too. */
  async close(): Promise<void> {
    await this.#starting?.catch(() => undefined);
    await this.#end();
  }

  /** The process; a new one where it has ended while nobody asked it anything. */
  async #running(): Promise<ChildProcess> {
    if (this.#child !== undefined && !hasEnded(this.#child)) return this.#child;
    this.#starting = startChild();
    try {
      this.#child = await this.#starting;
      return this.#child;
    } finally {
      this.#starting = undefined;
    }
  }

  async #end(): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    if (child === undefined || hasEnded(child)) return;
    const exit = once(child, "exit");
    child.kill("SIGKILL");
    await exit;
  }
}

function hasEnded({ exitCode, signalCode }: ChildProcess): boolean {
  return exitCode !== null || signalCode !== null;
}

async function startChild(): Promise<ChildProcess> {
  const child = fork(builtFile("#inspection-worker", missingProcess), {
    execArgv: [],
    // Ctrl-C is for the parent, which ends its children when it is done with them.
    detached: true,
    // Records are bytes, which JSON would write as numbers.
    serialization: "advanced",
    env: { ...process.env, UV_THREADPOOL_SIZE: "2" },
    stdio: ["ignore", "ignore", "inherit", "ipc"],
  });
  // Of a request that no longer arrives; the exit event says what became of the process.
  child.on("error", () => undefined);
  const timer = setTimeout(() => child.kill("SIGKILL"), START_MS);
  try {
    const [message] = await Promise.race([once(child, "message"), once(child, "exit")]);
    if (message !== "ready") throw new InternalError("the process that inspects images does not start");
    return child;
  } finally {
    clearTimeout(timer);
  }
}

function missingProcess(cause: unknown): InternalError {
  return new InternalError("the file of the inspection is missing: run `npm run build`", { cause });
}

type Outcome = Inspection | `time ${number}` | `memory ${number}` | `crash ${string}`;

/** Sends the request and waits for the answer, the end of the process, or a limit. */
function watched(
  child: ChildProcess,
  request: InspectionRequest,
  { seconds, memoryBytes }: InspectionLimits,
): Promise<Outcome> {
  return new Promise((resolve) => {
    const settle = (outcome: Outcome): void => {
      clearInterval(poll);
      clearTimeout(timer);
      child.off("message", onMessage).off("exit", onExit);
      resolve(outcome);
    };
    const isTooLarge = (): boolean => (residentBytes(child.pid) ?? 0) > memoryBytes;
    // An answer that comes between two looks is held to the limits too.
    const isTooLong = (): boolean => (processorSeconds(child.pid) ?? 0) - before > seconds;
    const excess = (): Outcome | undefined => {
      if (isTooLarge()) return `memory ${memoryBytes}`;
      return isTooLong() ? `time ${seconds}` : undefined;
    };
    const onMessage = (inspection: Inspection): void => settle(excess() ?? inspection);
    const onExit = (code: number | null, signal: string | null): void => settle(`crash ${signal ?? code}`);
    const limitMs = CLOCK_PER_PROCESSOR_TIME * seconds * 1000;
    const timer = setTimeout(() => settle(`time ${seconds}`), limitMs);
    const before = processorSeconds(child.pid) ?? 0;
    const poll = setInterval(() => {
      const outcome = excess();
      if (outcome !== undefined) settle(outcome);
    }, POLL_MS);
    child.on("message", onMessage).on("exit", onExit);
    child.send(request);
  });
}

function outcomeText(outcome: Exclude<Outcome, Inspection>): string {
  const [what, value = ""] = outcome.split(" ");
  if (what === "time") return `decoding takes more than ${value} s`;
  if (what === "memory") return `decoding takes more than ${Math.round(Number(value) / 2 ** 20)} MiB`;
  return `the image library crashed on it (${value})`;
}

/** Resident memory of a process; undefined where the system does not tell. */
function residentBytes(pid: number | undefined): number | undefined {
  try {
    return Number(readFileSync(`/proc/${pid}/statm`, "latin1").split(" ")[1]) * PAGE_BYTES;
  } catch {
    // No /proc, or the process has just ended, which its exit event tells.
    return undefined;
  }
}

/** Processor time of a process so far; undefined where the system does not tell. */
function processorSeconds(pid: number | undefined): number | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    // The second field is the command in parentheses and may hold spaces; count from behind it.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
  } catch {
    // As above.
    return undefined;
  }
}
