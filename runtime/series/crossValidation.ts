// k-fold cross-validation: the training table in k parts alike, grouped as the spec's `split` says, and a run
// for each part that validates on it and trains on the others. LOGDIR/fold-1 ... and LOGDIR/
// cross-validation.json: what the folds were made of, and in the end the figures of all.
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { z } from "zod";
import { MttcError } from "../../compiler/diagnostics.ts";
import type { Spec } from "../../compiler/spec/schema.ts";
import { figureOf, type TaskReport } from "../../compiler/tasks/report.ts";
import type { Task } from "../../compiler/tasks/task.ts";
import { writeFileAtomically } from "../files/atomicDirectory.ts";
import { fileError, systemCode } from "../files/fileSystem.ts";
import { parseJson } from "../files/jsonText.ts";
import { inTheWay } from "../files/ownOutput.ts";
import type { SplitRecord } from "../labels/splitRecord.ts";
import type { SplitKeys } from "../labels/splitTable.ts";
import { hasRun } from "../runs/runFolder.ts";
import { readFolds } from "../runs/runSources.ts";
import type { Experiment } from "../train/experiment.ts";
import { refuseRanks } from "../train/trainerCalls.ts";
import { experimentFromOptions, type TrainerOptions } from "../train/trainerOptions.ts";
import { type MeanDeviation, meanDeviation } from "./meanDeviation.ts";
import { type SeriesOptions, type SeriesResult, type SeriesRun, trainSeries } from "./runSeries.ts";

export const CROSS_VALIDATION_FILE = "cross-validation.json";
const FORMAT = "mttc-cross-validation";
const DEFAULT_FOLDS = 5;
/** Folder in LOGDIR of packs and features, which all folds share. */
const CACHE_FOLDER = "cache";

export interface CrossValidationOptions extends SeriesOptions {
  /** How many parts (default: the spec's split.folds, else 5). */
  readonly folds?: number | undefined;
  /** Column of groups (default: the spec's split.by). */
  readonly by?: string | undefined;
  /** Epochs of each fold (default: the spec's). */
  readonly epochs?: number | undefined;
}

/** A figure of a task over the folds. */
export interface FoldFigure extends MeanDeviation {
  readonly name: string;
  /** What tables call it. */
  readonly head: string;
  /** Of each fold; NaN where it has no label of the task. */
  readonly values: readonly number[];
}

export interface CrossValidationReport {
  readonly directory: string;
  /** The runs, in order. */
  readonly folds: readonly Pick<SeriesResult, "name" | "directory" | "wasFinished">[];
  /** Of each task: labelled rows that each fold validates on, and its figures. */
  readonly tasks: Readonly<Record<string, { labelled: readonly number[]; figures: readonly FoldFigure[] }>>;
}

/**
 * Trains and evaluates every fold, and writes cross-validation.json. Called again it goes on where it was
 * stopped: finished folds are only read. E_CONFIG (no logdir, `val_labels`, too few groups); E_RUN_EXISTS
 * where LOGDIR is itself a run; E_DATA_CHANGED where the folds were made of other rows; all errors of
 * training, E_INTERRUPTED after saving.
 */
export async function crossValidate(
  given: TrainerOptions | Experiment,
  options: CrossValidationOptions = {},
): Promise<CrossValidationReport> {
  refuseRanks(options.runtime, "crossValidate");
  const experiment = "spec" in given ? given : experimentFromOptions(given, options.runtime ?? {});
  const keys = foldKeys(experiment, options);
  const directory = await ownFolder(experiment);
  const { records, notes } = await readFolds(experiment, keys);
  for (const note of notes) options.log?.(note);
  const made = { folds: records.length, data: hashOf(records) };
  await refuseOtherFolds(directory, made);
  const file = join(directory, CROSS_VALIDATION_FILE);
  await writeRecord(file, made);
  const runs = records.map((record, i) =>
    foldRun(experiment, { directory, keys, record, fold: i + 1 }, options),
  );
  const results = await trainSeries(runs, options);
  const report: CrossValidationReport = {
    directory,
    folds: results.map(({ name, directory: own, wasFinished }) => ({ name, directory: own, wasFinished })),
    tasks: Object.fromEntries((results[0]?.tasks ?? []).map((task) => [task.name, figuresOf(task, results)])),
  };
  await writeRecord(file, made, report);
  return report;
}

/** The spec's `split` as one of folds. */
function foldKeys({ spec, valRows }: Experiment, { folds, by }: CrossValidationOptions): SplitKeys {
  if (spec.val_labels !== null || valRows !== undefined)
    throw new MttcError({
      code: "E_CONFIG",
      message: "cross-validation splits train_labels: the spec has val_labels, too",
      at: { path: "val_labels" },
      hint: "take them out of the spec, or list their rows in train_labels; `split: {test: 0.1}` holds rows out",
    });
  const { test = null, seed = 0, by: column = null, folds: own = null } = spec.split ?? {};
  const count = folds ?? own ?? DEFAULT_FOLDS;
  return { val: null, test, by: by ?? column, folds: count, fold: 1, seed };
}

/** The folder of the cross-validation, which is no run itself. */
async function ownFolder({ spec, baseDirectory }: Experiment): Promise<string> {
  if (spec.logdir === null)
    throw new MttcError({
      code: "E_CONFIG",
      message: "missing; the folds need a folder to be written to",
      at: { path: "logdir" },
      hint: "add a line such as `logdir: runs/folds`",
    });
  const directory = resolve(baseDirectory, spec.logdir);
  if (await hasRun(directory))
    throw new MttcError({
      code: "E_RUN_EXISTS",
      message: "this folder holds a run already: the folds would be written into it",
      at: { file: directory },
      hint: "choose another `logdir`",
    });
  return directory;
}

interface Fold {
  readonly directory: string;
  readonly keys: SplitKeys;
  readonly record: SplitRecord;
  readonly fold: number;
}

function foldRun(
  experiment: Experiment,
  { directory, keys, record, fold }: Fold,
  { epochs }: CrossValidationOptions,
): SeriesRun {
  const name = `fold-${fold}`;
  const spec: Spec = {
    ...experiment.spec,
    split: { ...keys, fold },
    logdir: join(directory, name),
    epochs: epochs ?? experiment.spec.epochs,
  };
  const given = experiment.given && new Set([...experiment.given, "split" as const]);
  return {
    name,
    experiment: { ...experiment, spec, given, split: record, cacheFolder: join(directory, CACHE_FOLDER) },
  };
}

/** Hash of which image is in which fold. */
function hashOf(records: readonly SplitRecord[]): string {
  const hash = createHash("sha256");
  for (const record of records) hash.update(record.bytes());
  return hash.digest("hex");
}

const recordSchema = z.object({ format: z.literal(FORMAT), folds: z.int(), data: z.string() });
type Made = Omit<z.output<typeof recordSchema>, "format">;

/** E_DATA_CHANGED where LOGDIR has folds of other rows; E_RUN_EXISTS where its file is not ours. */
async function refuseOtherFolds(directory: string, now: Made): Promise<void> {
  const file = join(directory, CROSS_VALIDATION_FILE);
  let text: string;
  try {
    text = await readFile(file, "utf8");
  } catch (error) {
    if (systemCode(error) === "ENOENT") return;
    throw fileError(error, file, "read");
  }
  const before = recordSchema.safeParse(parseJson(text)).data;
  const hint = "choose another `logdir`, or delete the folder to begin again";
  if (!before) throw inTheWay(file, "exists already, and is no record of a cross-validation by mttc", hint);
  if (before.folds === now.folds && before.data === now.data) return;
  const what =
    before.folds === now.folds
      ? "the rows of the label table, their labels or the groups are not those that the folds were made of"
      : `the folder holds a cross-validation of ${before.folds} folds, not ${now.folds}`;
  throw new MttcError({ code: "E_DATA_CHANGED", message: what, at: { file: directory }, hint });
}

async function writeRecord(file: string, made: Made, report?: CrossValidationReport): Promise<void> {
  const content = { format: FORMAT, version: 1, ...made, ...(report && { tasks: report.tasks }) };
  await writeFileAtomically(file, `${JSON.stringify(content, null, 1)}\n`);
}

function figuresOf(task: Task, results: readonly SeriesResult[]): CrossValidationReport["tasks"][string] {
  const reports = results.map(({ history }) => history.at(-1)?.evaluation?.tasks[task.name]);
  const figure = (name: string, head: string): FoldFigure => {
    const values = reports.map((report: TaskReport | undefined) => figureOf(report, name));
    return { name, head, values, ...meanDeviation(values) };
  };
  return {
    labelled: reports.map((report) => report?.labelled ?? 0),
    figures: [figure("loss", "loss"), ...task.reports.figures.map(({ name, head }) => figure(name, head))],
  };
}
