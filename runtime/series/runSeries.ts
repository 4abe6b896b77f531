// Several runs one after the other, each in a folder of its own: folds of a cross-validation, settings of a
// sweep. What is finished is only read, what has begun goes on, so that the same call after Ctrl-C or a crash
// does what is left.
import { resolve } from "node:path";
import { tasksOf } from "../../compiler/bundle/manifestTasks.ts";
import { InternalError, MttcError } from "../../compiler/diagnostics.ts";
import type { Task } from "../../compiler/tasks/task.ts";
import type { RuntimeOptions } from "../ort/runtimeOptions.ts";
import { readBundleDirectory } from "../runs/bundleDirectory.ts";
import { readCheckpoint } from "../runs/checkpointChoice.ts";
import { hasRun, RunFolder } from "../runs/runFolder.ts";
import type { EpochReport } from "../train/events.ts";
import type { Experiment } from "../train/experiment.ts";
import { judgeOf } from "../train/judgement.ts";
import { MultiTaskTrainer } from "../train/multiTaskTrainer.ts";
import { outOfPatience } from "../train/patience.ts";
import { readProgress } from "../train/progress.ts";
import { RunClaim } from "../train/runClaim.ts";
import { refuseRanks } from "../train/trainerCalls.ts";

/** One run of a series; its spec has a logdir. */
export interface SeriesRun {
  /** What it is called in messages. */
  readonly name: string;
  readonly experiment: Experiment;
}

export interface SeriesOptions {
  readonly runtime?: RuntimeOptions | undefined;
  /** Stops at the next step, saves, and rejects with E_INTERRUPTED. */
  readonly signal?: AbortSignal | undefined;
  /** Told of each trainer before it trains; what it returns is called afterwards. */
  readonly onTrainer?: ((trainer: MultiTaskTrainer, run: SeriesRun) => (() => void) | undefined) | undefined;
  readonly log?: ((message: string) => void) | undefined;
}

/** What came of a run. */
export interface SeriesResult {
  readonly name: string;
  readonly directory: string;
  readonly tasks: readonly Task[];
  /** Reports of all its epochs. */
  readonly history: readonly EpochReport[];
  /** Whether it was finished before, and nothing was trained. */
  readonly wasFinished: boolean;
}

/**
 * Trains each run to its spec's epochs, in order. Errors are those of the first run that has one, the name of
 * the run in front; E_INTERRUPTED once what is under way is saved.
 */
export async function trainSeries(
  runs: readonly SeriesRun[],
  options: SeriesOptions = {},
): Promise<SeriesResult[]> {
  refuseRanks(options.runtime, "a series of runs");
  const results: SeriesResult[] = [];
  for (const run of runs) results.push(await trainOne(run, options));
  return results;
}

/** One run of a series: read where it is finished, gone on with where it has begun. */
export async function trainOne(run: SeriesRun, options: SeriesOptions = {}): Promise<SeriesResult> {
  const { name, experiment } = run;
  try {
    const directory = folderOf(experiment);
    const begun = (await hasRun(directory)) ? await readBegun(experiment, directory) : undefined;
    if (begun && isFinished(experiment, begun)) {
      options.log?.(`${name} is finished: ${directory}`);
      return { name, directory, ...begun, wasFinished: true };
    }
    return { name, directory, ...(await fitRun(run, begun !== undefined, options)), wasFinished: false };
  } catch (error) {
    throw named(error, name);
  }
}

/** Whether a run has all its epochs, or the spec's patience has ended it. */
function isFinished(
  { spec }: Experiment,
  { history, tasks }: Pick<SeriesResult, "history" | "tasks">,
): boolean {
  const { epochs, patience, monitor } = spec;
  if (history.length >= epochs) return true;
  return outOfPatience({ history, judge: judgeOf(monitor, tasks), patience, since: 0 }) !== undefined;
}

/** Folder of a run of a series. */
function folderOf({ spec, baseDirectory }: Experiment): string {
  if (spec.logdir === null) throw new InternalError("a run of a series without a logdir");
  return resolve(baseDirectory, spec.logdir);
}

/** A run that has saved a checkpoint. E_CKPT_MISMATCH where it is of another spec. */
async function readBegun(
  experiment: Experiment,
  directory: string,
): Promise<Pick<SeriesResult, "tasks" | "history">> {
  await RunClaim.look(experiment, true);
  const folder = await RunFolder.open(directory);
  const tasks = tasksOf(await readBundleDirectory(folder.bundle, []));
  const { history } = readProgress(await readCheckpoint(directory, "newest"), tasks);
  return { tasks, history };
}

async function fitRun(
  run: SeriesRun,
  resume: boolean,
  { runtime, signal, onTrainer }: SeriesOptions,
): Promise<Pick<SeriesResult, "tasks" | "history">> {
  await using trainer = new MultiTaskTrainer(run.experiment, runtime);
  const ended = onTrainer?.(trainer, run);
  try {
    const history = await trainer.fit(run.experiment.spec.epochs, { resume, ...(signal ? { signal } : {}) });
    return { history, tasks: trainer.tasks };
  } finally {
    ended?.();
  }
}

/** The error with the run's name; an interrupt says itself where it is saved. */
function named(error: unknown, name: string): unknown {
  if (!(error instanceof MttcError)) return error;
  const [first, ...others] = error.faults;
  if (!first) return error;
  // Of a single run one would say --resume.
  const hint = first.code === "E_INTERRUPTED" ? { hint: "the same command (or call) goes on" } : {};
  const message = `${name}: ${first.message}`;
  return new MttcError([{ ...first, message, ...hint }, ...others], { cause: error });
}
