// A run of several processes that a test lets end, kills, stops or interrupts: what they tell, and how all of
// it ends.
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import { PROJECT_ROOT } from "../projectRoot.ts";
import type { FailingJob, FailingNews } from "./failingRank.ts";
import type { MpiHere } from "./mpiPrograms.ts";

type NewsOf<K extends FailingNews["kind"]> = Extract<FailingNews, { kind: K }>;

/** How a job is started. */
export interface FailingStart
  extends Partial<Pick<FailingJob, "epochs" | "resume" | "channel" | "delays" | "stall">> {
  readonly mpi: MpiHere;
  readonly size: number;
  readonly options: FailingJob["options"];
  /** A folder for its files. */
  readonly folder: string;
  /** Further arguments of mpiexec. */
  readonly launch?: readonly string[];
  /** Words before each command, and before all of it. */
  readonly wrap?: (rank: number) => readonly string[];
  readonly on?: readonly string[];
  /** Further variables of all ranks. */
  readonly environment?: Readonly<Record<string, string>>;
}

/** Times of a channel that has no patience. */
export const HASTY = { heartbeatMs: 50, limitMs: 1000, endMs: 6000 };
const START_MS = 50_000;
const LOOK_MS = 4;

export class FailingRun {
  readonly #mpiexec: ChildProcess;
  readonly #log: string;
  readonly #said: string[] = [];
  readonly #exited: Promise<number | null>;
  readonly #logdir: string;

  constructor({ mpi, size, options, folder, ...more }: FailingStart) {
    const { launch = [], wrap = () => [], on = [], environment = {}, ...rest } = more;
    const name = `${readdirSync(folder).length}`;
    this.#log = join(folder, `${name}.log`);
    this.#logdir = options.logdir ?? "";
    const job: FailingJob = {
      ...{ log: this.#log, options, epochs: 6, resume: false, channel: HASTY, delays: [15] },
      ...rest,
    };
    writeFileSync(this.#log, "");
    const file = join(folder, `${name}.json`);
    writeFileSync(file, JSON.stringify(job));
    const node = [process.execPath, join(PROJECT_ROOT, "dist", "test", "ranks", "failingRank.js"), file];
    const ranks = Array.from({ length: size }, (_, rank) => [
      ...(rank > 0 ? [":"] : []),
      ...["-n", "1", ...heldOpen(`${this.#log}-end`, rank, size), ...wrap(rank), ...node],
    ]);
    const [command = "", ...words] = [...on, mpi.mpiexec, ...mpi.flags, ...launch, ...ranks.flat()];
    this.#mpiexec = spawn(command, words, {
      env: { ...process.env, ...mpi.environment, ...environment },
      stdio: ["ignore", "pipe", "pipe"],
      detached: true,
    });
    for (const stream of [this.#mpiexec.stdout, this.#mpiexec.stderr])
      stream?.on("data", (bytes: Buffer) => this.#said.push(bytes.toString()));
    this.#exited = new Promise((resolve) => this.#mpiexec.once("close", resolve));
  }

  /** All that was told up to now. */
  get news(): readonly FailingNews[] {
    const lines = readFileSync(this.#log, "utf8").split("\n").slice(0, -1);
    return lines.map((line) => JSON.parse(line) as FailingNews);
  }

  /** What was printed. */
  get said(): string {
    return this.#said.join("");
  }

  /** The first news of a kind, of a rank, once it is there. */
  async hears<K extends FailingNews["kind"]>(kind: K, of: Partial<NewsOf<K>> = {}): Promise<NewsOf<K>> {
    const isMeant = (news: FailingNews): news is NewsOf<K> =>
      news.kind === kind &&
      Object.entries(of).every(([key, value]) => news[key as keyof FailingNews] === value);
    await until(() => this.news.some(isMeant) || this.#mpiexec.exitCode !== null, START_MS);
    const found = this.news.find(isMeant);
    expect(
      found,
      `${kind} ${JSON.stringify(of)}; ${this.said}; told: ${JSON.stringify(this.news.slice(-4))}`,
    ).toBeDefined();
    return found as NewsOf<K>;
  }

  /** Sends a signal to a rank. */
  async kill(rank: number, signal: NodeJS.Signals): Promise<void> {
    const { pid } = await this.hears("joined", { rank });
    process.kill(pid, signal);
  }

  /** Waits until no process of these ranks is left, at most `ms`. */
  async gone(ranks: readonly number[], ms = 30_000): Promise<void> {
    const pids = this.news
      .filter(({ kind, rank }) => kind === "joined" && ranks.includes(rank))
      .map(({ pid }) => pid);
    expect(pids).toHaveLength(ranks.length);
    const left = (): number[] => pids.filter((pid) => isRunning(pid));
    await until(() => left().length === 0, ms);
    expect(left(), `still there after ${ms} ms`).toEqual([]);
  }

  /** mpiexec's exit code, once it has ended. */
  async ends(): Promise<number | null> {
    return await this.#exited;
  }

  /** A rank's own exit code: that of mpiexec may be of a shell that it killed where another rank failed. */
  async exitOf(rank: number): Promise<number> {
    const file = `${this.#log}-end${rank}`;
    await until(() => existsSync(file) && readFileSync(file, "utf8") !== "", START_MS);
    return Number(readFileSync(file, "utf8"));
  }

  /** Ends whatever is left. */
  async cleanUp(): Promise<void> {
    for (const { kind, pid } of this.news)
      if (kind === "joined" && isRunning(pid)) process.kill(pid, "SIGKILL");
    const { pid, exitCode, signalCode } = this.#mpiexec;
    // mpiexec and its helpers are a group of their own.
    if (pid !== undefined && exitCode === null && signalCode === null) process.kill(-pid, "SIGKILL");
    await this.#exited;
  }

  /** Bytes of the newest checkpoint's state. */
  newestState(): Buffer {
    return readFileSync(
      join(this.#logdir, "checkpoints", this.checkpoints().at(-1) ?? "none", "state.safetensors"),
    );
  }

  /** Checkpoints by age, and what else lies beside them. */
  checkpoints(): string[] {
    const folder = join(this.#logdir, "checkpoints");
    return existsSync(folder) ? readdirSync(folder).sort() : [];
  }

  /** Locks that are left in the run's folder. */
  locks(): string[] {
    return readdirSync(this.#logdir).filter((name) => name.startsWith(".lock"));
  }
}

/**
 * Words before a rank's command: mpiexec kills all others where one fails, so a shell stands in for a rank
 * that has ended until all have.
 */
function heldOpen(ends: string, rank: number, size: number): string[] {
  const all = Array.from({ length: size }, (_, other) => `-e ${ends}${other}`).join(" -a ");
  const wait = `while ! [ ${all} ] && [ $left -gt 0 ]; do sleep 0.1; left=$((left - 1)); done`;
  const script = `trap "" INT; "$@"; code=$?; echo $code > ${ends}${rank}; left=300; ${wait}; exit $code`;
  return ["sh", "-c", script, "sh"];
}

/** Whether a process is there and not a zombie that its parent has yet to look at. */
function isRunning(pid: number): boolean {
  try {
    return !/^\d+ \(.*\) [ZX]/.test(readFileSync(`/proc/${pid}/stat`, "utf8"));
  } catch {
    return false;
  }
}

/** Resolves when `isSo`, or after `ms`. */
async function until(isSo: () => boolean, ms: number): Promise<void> {
  const end = performance.now() + ms;
  while (!isSo() && performance.now() < end) await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
}
