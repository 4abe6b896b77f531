// One process of a run, which may go wrong, for tests: node failingRank.js JOB. It joins, trains or follows,
// writes down what happens to it, and ends with the exit code that the command line would give.
import { appendFileSync, readFileSync } from "node:fs";
import { MttcError } from "../../compiler/diagnostics.ts";
import { BatchLoader } from "../../runtime/batches/loader.ts";
import type { ChannelOptions } from "../../runtime/ranks/channelProtocol.ts";
import { MultiTaskTrainer } from "../../runtime/train/multiTaskTrainer.ts";
import { Ranks } from "../../runtime/train/ranks.ts";
import type { TrainerOptions } from "../../runtime/train/trainerOptions.ts";

/** What a process is told to do. */
export interface FailingJob {
  /** Lines of FailingNews are added to it. */
  readonly log: string;
  readonly options: TrainerOptions;
  readonly epochs: number;
  readonly resume: boolean;
  readonly channel: Partial<ChannelOptions>;
  /** What each step of a rank takes longer, by rank, in milliseconds. */
  readonly delays: readonly number[];
  /** A rank whose main thread lives while something else of it stands still. */
  readonly stall?: Stall | undefined;
}

/** What stands still of a rank, and from which of its calls on. */
export type Stall = { readonly rank: number; readonly call: number } & (
  | {
      /** Its ONNX Runtime thread, in native code: it opens a pipe that nobody writes. */
      readonly what: "runtime";
      readonly pipe: string;
      /** Runs of graphs whose names begin so are counted; "read": tensors that are read. */
      readonly graph: string;
    }
  /** Its reading: a batch of images never comes. */
  | { readonly what: "images" }
);

/** What happens. */
export type FailingNews = { readonly rank: number; readonly pid: number } & (
  | { readonly kind: "joined" }
  /** What was asked to stands still from now on. */
  | { readonly kind: "stalls" }
  /** A line of the run's log. */
  | { readonly kind: "log"; readonly text: string }
  | { readonly kind: "step"; readonly epoch: number; readonly step: number }
  | { readonly kind: "epoch"; readonly epoch: number }
  | { readonly kind: "checkpoint"; readonly path: string }
  /** `slowed`: how often this rank was slower than it need have been. */
  | { readonly kind: "ended"; readonly how: string; readonly slowed: number }
  | { readonly kind: "fault"; readonly code: string; readonly message: string }
);

type Told = FailingNews extends infer N ? (N extends unknown ? Omit<N, "rank" | "pid"> : never) : never;

const job = JSON.parse(readFileSync(process.argv[2] ?? "", "utf8")) as FailingJob;
const stop = new AbortController();
// Followers end when rank 0 says so; mpiexec tells of processes that ended by SIGUSR1.
for (const signal of ["SIGINT", "SIGTERM", "SIGUSR1"] as const)
  process.on(signal, () => signal !== "SIGUSR1" && stop.abort());
process.on("SIGUSR2", () => {
  for (;;);
});
const ranks = await Ranks.join({ channel: job.channel, threads: 1 });

let slowed = 0;
const { delays, stall } = job;
const step = ranks.host.step.bind(ranks.host);
let calls = 0;
let reading: NodeJS.Timeout | undefined;
ranks.host.step = (binding, io) => {
  // Micro-batches of a follower are all that it shows.
  if (ranks.rank > 0) slow();
  stallBefore(binding);
  return step(binding, io);
};
const read = ranks.host.read.bind(ranks.host);
ranks.host.read = (ids) => {
  stallBefore("read");
  return read(ids);
};

/** Has ONNX Runtime stand still before a call, if it is the one: calls are carried out in their order. */
function stallBefore(call: string): void {
  if (stall?.rank !== ranks.rank || stall.what !== "runtime" || !call.startsWith(stall.graph)) return;
  if (++calls !== stall.call) return;
  const { pipe } = stall;
  tell({ kind: "stalls" });
  // Once the pipe is written it is no graph.
  ranks.host.openGraph("pipe", { path: pipe }).catch(() => undefined);
}

if (stall?.rank === ranks.rank && stall.what === "images") {
  const { next } = BatchLoader.prototype;
  BatchLoader.prototype.next = function (this: BatchLoader) {
    if (++calls !== stall.call) return next.call(this);
    tell({ kind: "stalls" });
    // As a thread that reads would, it keeps the process alive while somebody waits for it.
    reading = setInterval(() => undefined, 1000);
    return new Promise(() => undefined);
  };
}

function slow(): void {
  const ms = delays[ranks.rank] ?? 0;
  if (ms === 0) return;
  slowed += 1;
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}

function tell(told: Told): void {
  const line = JSON.stringify({ rank: ranks.rank, pid: process.pid, ...told });
  appendFileSync(job.log, `${line}\n`);
}

function tellFault(error: unknown): void {
  const code = error instanceof MttcError ? error.code : "";
  tell({ kind: "fault", code, message: String(error) });
  process.exitCode = error instanceof MttcError ? error.exitCode : 70;
}

async function lead(): Promise<void> {
  const { options, epochs, resume } = job;
  const trainer = new MultiTaskTrainer(options, { ranks });
  trainer.on("step", ({ epoch, step }) => {
    tell({ kind: "step", epoch, step });
    slow();
  });
  trainer.on("log", ({ message }) => void tell({ kind: "log", text: message }));
  trainer.on("epoch", ({ epoch }) => void tell({ kind: "epoch", epoch }));
  trainer.on("checkpoint", ({ path }) => void tell({ kind: "checkpoint", path }));
  let failure: unknown;
  try {
    await trainer.fit(epochs, { resume, signal: stop.signal });
    tell({ kind: "ended", how: "done", slowed });
  } catch (error) {
    failure = error;
    tellFault(error);
  }
  await trainer.close();
  const isInterrupted = failure instanceof MttcError && failure.code === "E_INTERRUPTED";
  if (isInterrupted) await ranks.close({ kind: "interrupted" });
  else await ranks.close(failure === undefined ? { kind: "done" } : { kind: "failed", error: failure });
}

async function follow(): Promise<void> {
  try {
    const end = await ranks.follow();
    tell({ kind: "ended", how: end.kind, slowed });
    process.exitCode = { done: 0, interrupted: 130, failed: 2 }[end.kind];
  } catch (error) {
    tellFault(error);
  }
}

tell({ kind: "joined" });
await (ranks.rank === 0 ? lead() : follow());
clearInterval(reading);
