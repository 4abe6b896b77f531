// One process of a run with several, for tests: node trainRank.js JOB. The job is a JSON file: the options of
// a trainer and how it is called. Rank 0 trains and writes what came of it beside the job; others follow.
import { readFileSync, writeFileSync } from "node:fs";
import { MttcError } from "../../compiler/diagnostics.ts";
import { MultiTaskTrainer } from "../../runtime/train/multiTaskTrainer.ts";
import { Ranks } from "../../runtime/train/ranks.ts";
import type { TrainerOptions } from "../../runtime/train/trainerOptions.ts";

/** What a process is told to do. */
export interface TrainJob {
  readonly options: TrainerOptions;
  readonly epochs: number;
  readonly resume?: boolean;
  /** Interrupt after this step of this epoch. */
  readonly interrupt?: readonly [epoch: number, step: number];
  readonly lr?: number;
}

/** What came of it: lines of the log, and the code and text of a fault. */
export interface TrainOutcome {
  readonly lines: readonly string[];
  readonly history: readonly unknown[];
  readonly fault?: { readonly code: string | undefined; readonly message: string };
  readonly stepMs: number;
}

const [jobFile = ""] = process.argv.slice(2);
const job = JSON.parse(readFileSync(jobFile, "utf8")) as TrainJob;
const ranks = await Ranks.join();
if (ranks.rank > 0) await ranks.follow();
else {
  const outcome = await lead(ranks);
  writeFileSync(`${jobFile}.outcome`, JSON.stringify(outcome));
}

async function lead(group: Ranks): Promise<TrainOutcome> {
  const lines: string[] = [];
  let failure: unknown;
  const stop = new AbortController();
  const trainer = new MultiTaskTrainer(job.options, { ranks: group });
  trainer.on("log", ({ message }) => lines.push(message));
  let last = performance.now();
  const times: number[] = [];
  trainer.on("step", ({ epoch, step }) => {
    times.push(performance.now() - last);
    last = performance.now();
    if (job.interrupt?.[0] === epoch && job.interrupt[1] === step) stop.abort();
  });
  try {
    const { resume = false, lr } = job;
    await trainer.fit(job.epochs, { resume, signal: stop.signal, ...(lr === undefined ? {} : { lr }) });
  } catch (error) {
    failure = error;
  }
  await trainer.close();
  const isEnd = failure === undefined || (failure instanceof MttcError && failure.code === "E_INTERRUPTED");
  await group.close(isEnd ? { kind: "done" } : { kind: "failed", error: failure });
  const sorted = times.toSorted((a, b) => a - b);
  return {
    lines,
    history: trainer.history,
    stepMs: sorted[Math.floor(sorted.length / 2)] ?? Number.NaN,
    ...(failure === undefined ? {} : { fault: faultOf(failure) }),
  };
}

function faultOf(error: unknown): NonNullable<TrainOutcome["fault"]> {
  const code = error instanceof MttcError ? error.code : undefined;
  return { code, message: error instanceof Error ? (error.stack ?? error.message) : String(error) };
}
