// A sweep: many runs of one spec that differ in a few keys, judged by their gain over the baselines on the
// validation labels. Runs are ordinary runs in folders of their own; bad ones are stopped early by successive
// halving. What was done lies in sweep.json, so that a sweep that was stopped goes on.
import { mkdir, readdir } from "node:fs/promises";
import { join } from "node:path";
import { MttcError } from "../../compiler/diagnostics.ts";
import type { Spec } from "../../compiler/spec/schema.ts";
import { figureOf } from "../../compiler/tasks/report.ts";
import type { Task } from "../../compiler/tasks/task.ts";
import { writeFileAtomically } from "../files/atomicDirectory.ts";
import { fileError, systemCode } from "../files/fileSystem.ts";
import { inTheWay } from "../files/ownOutput.ts";
import { acquireRunLock, type LockPurpose } from "../files/runLock.ts";
import type { RuntimeOptions } from "../ort/runtimeOptions.ts";
import { hasRun } from "../runs/runFolder.ts";
import type { EpochReport } from "../train/events.ts";
import type { Experiment } from "../train/experiment.ts";
import { gainsOf } from "../train/judgement.ts";
import { MultiTaskTrainer } from "../train/multiTaskTrainer.ts";
import { bestEpoch } from "../train/runHistory.ts";
import { refuseRanks } from "../train/trainerCalls.ts";
import { best, halvingRounds } from "./halving.ts";
import { givenKeys, gridPoints, pointText, randomPoints, specsOf } from "./points.ts";
import { scoreOf } from "./scores.ts";
import {
  readSweep,
  runFolderName,
  SHARED_CACHE,
  SWEEP_FILE,
  SWEEP_SHEET,
  type SweepRun,
  type SweepState,
  writeSweep,
} from "./sweepFolder.ts";
import { drawSweepSheet } from "./sweepSheet.ts";
import type { Axis } from "./sweptAxes.ts";

export interface SweepOptions {
  readonly directory: string;
  readonly axes: readonly Axis[];
  /** Every combination in place of points drawn at random. */
  readonly grid: boolean;
  /** Points drawn at random, where there is no grid. */
  readonly runs: number;
  readonly seed: number;
  /** Epochs of the runs that train to the end. */
  readonly epochs: number;
  /** Each round passes one of so many runs on; 1: all train to the end. */
  readonly factor: number;
  /** Go on with the sweep that lies in the folder. */
  readonly resume: boolean;
  readonly runtime: RuntimeOptions;
  readonly signal?: AbortSignal | undefined;
  readonly tell: SweepListener;
}

/** What is told while a sweep goes on. */
export interface SweepListener {
  /** Something to know, said once however many runs say it. */
  log(message: string): void;
  /** A run begins or goes on, until `epochs` epochs are finished. */
  run(event: RunEvent): void;
  /** Where a run has come to. */
  result(event: RunEvent & { readonly result: SweepRun }): void;
  /** A trainer that is about to train: its steps may be shown. */
  trainer(trainer: MultiTaskTrainer, epochs: number): () => void;
}

export interface RunEvent {
  /** From 1 on. */
  readonly number: number;
  readonly of: number;
  readonly round: number;
  readonly rounds: number;
  readonly epochs: number;
  readonly point: SweepRun["point"];
}

const SWEEPING: LockPurpose = { activity: "sweeps in this folder", wayOut: "choose another folder" };

/**
 * Runs the sweep and returns its state, finished. E_USAGE and E_CONFIG before anything trains; E_RUN_EXISTS
 * where the folder holds a sweep that is not to be gone on with, or other files; E_INTERRUPTED when `signal`
 * aborts, with what was done saved. A run that diverges, or whose network does not go together, drops out.
 */
export async function runSweep(experiment: Experiment, options: SweepOptions): Promise<SweepState> {
  const { directory, tell, signal } = options;
  refuseRanks(options.runtime, "a sweep");
  refuseUnjudged(experiment);
  const state = await openState(experiment, options);
  const specs = specsOf(
    experiment,
    state.runs.map(({ point }) => point),
  );
  await mkdir(directory, { recursive: true }).catch((error: unknown) => {
    throw fileError(error, directory, "write");
  });
  await using lock = await acquireRunLock(directory, SWEEPING);
  for (const note of lock.notes) tell.log(note);
  await writeSweep(directory, state);
  const runs = state.runs;
  const rounds = halvingRounds(runs.length, state.epochs, state.factor);
  const told = new Set<string>();
  const log = (message: string): void => {
    if (!told.has(message)) tell.log(message);
    told.add(message);
  };
  let passing = runs.map((_, index) => index);
  for (const [round, { runs: count, epochs }] of rounds.entries()) {
    if (round > 0) {
      const judged = passing.map((index) => ({ score: scoreOf(runs[index]), loss: runs[index]?.loss ?? 0 }));
      passing = best(judged, count).map((place) => passing[place] ?? 0);
    }
    for (const index of passing.toSorted((a, b) => a - b)) {
      const run = runs[index];
      const spec = specs[index];
      if (!run || !spec || run.epochs >= epochs || run.failed !== undefined) continue;
      const { point } = run;
      const event = {
        number: index + 1,
        of: runs.length,
        round: round + 1,
        rounds: rounds.length,
        epochs,
        point,
      };
      tell.run(event);
      const trained = await trainRun(experiment, { ...options, tell: { ...tell, log }, spec, signal }, event);
      runs[index] = { ...run, ...trained };
      await writeSweep(directory, state);
      tell.result({ ...event, result: { ...run, ...trained } });
    }
  }
  await writeFileAtomically(join(directory, SWEEP_SHEET), await drawSweepSheet(state));
  return state;
}

/** E_CONFIG without validation labels: there is nothing to tell good runs from bad ones by. */
function refuseUnjudged({ spec, valRows }: Experiment): void {
  if (spec.val_labels !== null || valRows !== undefined) return;
  throw new MttcError({
    code: "E_CONFIG",
    message: "missing; a sweep judges its runs by the validation labels",
    at: { path: "val_labels" },
  });
}

/** The state that lies in the folder, or a new one. */
async function openState(experiment: Experiment, options: SweepOptions): Promise<SweepState> {
  const { directory, resume, axes, grid, seed, epochs, factor, runs } = options;
  const before = await readSweep(directory);
  if (resume && !before)
    throw new MttcError({
      code: "E_CKPT_NONE",
      message: "there is no sweep to go on with",
      at: { file: directory },
    });
  const spec = JSON.stringify({ ...experiment.spec, epochs });
  if (!before) {
    await refuseOtherFiles(directory);
    const points = grid ? gridPoints(axes) : randomPoints(axes, runs, seed);
    const fresh = points.map(
      (point): SweepRun => ({ point, epochs: 0, seconds: 0, gains: [], loss: Number.NaN, figures: {} }),
    );
    return { axes: [...axes], grid, seed, epochs, factor, spec, runs: fresh };
  }
  if (!resume)
    throw inTheWay(
      join(directory, SWEEP_FILE),
      "the folder holds a sweep already",
      "go on with it by --resume, or choose another folder",
    );
  if (before.spec !== spec)
    throw new MttcError({
      code: "E_CKPT_MISMATCH",
      message: "the spec is not the one that the sweep was begun with",
      at: { file: join(directory, SWEEP_FILE) },
      hint: "begin another sweep in another folder",
    });
  // What failed may have been mended.
  for (const run of before.runs) delete run.failed;
  return before;
}

async function refuseOtherFiles(directory: string): Promise<void> {
  const names = await readdir(directory).catch((error: unknown) => {
    if (systemCode(error) === "ENOENT") return [];
    throw fileError(error, directory, "read the folder");
  });
  if (names.length === 0) return;
  throw inTheWay(directory, "the folder of a sweep must be empty or new", "choose another folder");
}

interface RunOptions extends SweepOptions {
  readonly spec: Spec;
}

/** Trains a run until so many epochs are finished; what went wrong with it is told and kept. */
async function trainRun(
  experiment: Experiment,
  { spec, directory, epochs: all, axes, runtime, signal, tell }: RunOptions,
  { number, epochs }: RunEvent,
): Promise<Omit<SweepRun, "point">> {
  const logdir = join(directory, runFolderName(number));
  const own: Experiment = {
    ...experiment,
    spec: { ...spec, logdir, epochs: all },
    given: givenKeys(experiment, axes),
    cacheFolder: join(directory, SHARED_CACHE),
  };
  await using trainer = new MultiTaskTrainer(own, runtime);
  trainer.on("log", ({ message }) => tell.log(message));
  const end = tell.trainer(trainer, epochs);
  try {
    const resume = await hasRun(logdir);
    await trainer.fit(epochs, { resume, plannedEpochs: all, ...(signal ? { signal } : {}) });
  } catch (error) {
    if (!(error instanceof MttcError) || !DROPS_OUT.has(error.code)) throw error;
    return { ...resultOf(trainer.history, trainer.tasks), failed: error.message };
  } finally {
    end();
  }
  return resultOf(trainer.history, trainer.tasks);
}

/** Faults of the values that a run takes, not of the data or the machine. */
const DROPS_OUT: ReadonlySet<string> = new Set(["E_DIVERGED", "E_SHAPE", "E_CONFIG"]);

function resultOf(history: readonly EpochReport[], tasks: readonly Task[]): Omit<SweepRun, "point"> {
  const epoch = history[bestEpoch(history, tasks) ?? -1];
  const figures = tasks.flatMap(({ name, reports }) => {
    const report = epoch?.evaluation?.tasks[name];
    return reports.figures.map(
      (figure) => [`${name}/${figure.name}`, figureOf(report, figure.name)] as const,
    );
  });
  return {
    epochs: history.length,
    seconds: history.reduce((sum, { seconds }) => sum + seconds, 0),
    gains: history.map(({ evaluation }) => gainsOf(evaluation, tasks).mean ?? Number.NaN),
    loss: meanLoss(history.at(-1)),
    figures: Object.fromEntries(figures),
  };
}

/** Mean over the tasks of the validation loss; NaN without any. */
function meanLoss(report: EpochReport | undefined): number {
  const losses = Object.values(report?.evaluation?.tasks ?? {}).map(({ loss }) => loss);
  const known = losses.filter(Number.isFinite);
  return known.reduce((sum, loss) => sum + loss, 0) / known.length;
}

/** What a sweep says of a run in a line. */
export function runText({ number, of, point, epochs }: RunEvent): string {
  return `run ${number} of ${of}, until epoch ${epochs}: ${pointText(point)}`;
}
