// The reports of a run's epochs as they are kept: figures of every epoch, confusion matrices of the newest
// and of the best alone (of 1,500 classes a matrix has 2,250,000 numbers). Reports <-> what progress.json
// holds; that of versions which kept every matrix is read, too.
import { z } from "zod";
import { MttcError } from "../../compiler/diagnostics.ts";
import {
  type ConfusionPair,
  confusionOf,
  confusionPairsOf,
  type TaskFigures,
  type TaskReport,
} from "../infer/evaluationReport.ts";
import type { EpochReport } from "./events.ts";

/** Classes by task, as a manifest has them. */
export type TaskClasses = readonly { readonly name: string; readonly classes: readonly string[] }[];

/** JSON has no NaN: it is null there. */
const figure = z
  .number()
  .nullable()
  .transform((value) => value ?? Number.NaN);
const figures = z.record(z.string(), figure);
const taskSchema = z.object({
  labelled: z.number(),
  ...{ loss: figure, accuracy: figure, macroRecall: figure, majority: figure, majorityRecall: figure },
  /** Actual, predicted, rows; actual, predicted, rows; ... */
  pairs: z.array(z.int().nonnegative()).optional(),
  /** Of earlier versions, in every epoch; of two epochs it is looked at. */
  confusion: z.unknown().optional(),
});
const epochSchema = z.object({
  ...{ epoch: z.int().positive(), steps: z.int().nonnegative(), seconds: z.number() },
  ...{ trainLoss: figures, trainAccuracy: figures, taskWeights: figures, waitShare: figure },
  evaluation: z.object({ images: z.number(), tasks: z.record(z.string(), taskSchema) }).optional(),
});
const historySchema = z.array(epochSchema);
const matrixSchema = z.array(z.array(z.int().nonnegative()));

type StoredTask = z.output<typeof taskSchema>;

/**
 * Number in `history` of the epoch whose tasks gained most over their baselines, the first of equal ones; the
 * gain is the mean over tasks with validation labels of (f - f0) / (1 - f0), f the macro recall and f0 that
 * of always answering the most frequent class. Undefined where nothing was validated.
 */
export function bestEpoch(history: readonly EpochReport[]): number | undefined {
  let [best, most]: [number | undefined, number] = [undefined, -Infinity];
  for (const [index, { evaluation }] of history.entries()) {
    const gains = Object.values(evaluation?.tasks ?? {})
      .map(({ macroRecall, majorityRecall }) => (macroRecall - majorityRecall) / (1 - majorityRecall))
      .filter(Number.isFinite);
    const gain = gains.reduce((sum, one) => sum + one, 0) / gains.length;
    if (gain > most) [best, most] = [index, gain];
  }
  return best;
}

/** Drops the confusion matrices of all epochs but the newest and the best. */
export function dropOldMatrices(history: EpochReport[]): void {
  const kept = new Set([history.length - 1, bestEpoch(history)]);
  for (const [index, report] of history.entries())
    if (!kept.has(index) && hasMatrix(report)) history[index] = withoutMatrices(report);
}

/** What a log keeps of a report: its figures, without class names and matrices. */
export function logEntry(report: EpochReport): object {
  const { evaluation } = report;
  if (!evaluation) return report;
  const tasks = Object.entries(evaluation.tasks).map(([name, task]) => [name, figuresOf(task)]);
  return { ...report, evaluation: { images: evaluation.images, tasks: Object.fromEntries(tasks) } };
}

/** What progress.json holds of a history: figures, and matrices, where there are any, as lists of pairs. */
export function storedHistory(history: readonly EpochReport[]): unknown[] {
  return history.map((report) => {
    const { evaluation } = report;
    if (!evaluation) return report;
    const tasks = Object.entries(evaluation.tasks).map(([name, task]) => {
      const pairs = confusionPairsOf(task);
      return [name, { ...figuresOf(task), ...(pairs ? { pairs: pairs.flat() } : {}) }];
    });
    return { ...report, evaluation: { images: evaluation.images, tasks: Object.fromEntries(tasks) } };
  });
}

/**
 * The reports of what `storedHistory` or an earlier version stored. E_CKPT_CORRUPT, naming the first place
 * that is not as it should be.
 */
export function readHistory(stored: unknown, tasks: TaskClasses, file: string): EpochReport[] {
  const parsed = historySchema.safeParse(stored);
  if (!parsed.success) throw unreadable(parsed.error, file);
  const classesOf = new Map(tasks.map(({ name, classes }) => [name, classes]));
  const plain = parsed.data.map(({ evaluation, ...report }): EpochReport => {
    if (!evaluation) return report;
    const reports = Object.entries(evaluation.tasks).map(([name, task]): [string, TaskReport] => [
      name,
      { ...figuresOf(task), classes: classesOf.get(name) ?? [] },
    ]);
    return { ...report, evaluation: { images: evaluation.images, tasks: Object.fromEntries(reports) } };
  });
  for (const index of new Set([plain.length - 1, bestEpoch(plain)])) {
    const report = plain[index ?? -1];
    const stored = parsed.data[index ?? -1]?.evaluation?.tasks;
    if (report && stored) plain[index ?? -1] = withMatrices(report, stored, file);
  }
  return plain;
}

function withMatrices(
  report: EpochReport,
  stored: Readonly<Record<string, StoredTask>>,
  file: string,
): EpochReport {
  const { evaluation } = report;
  if (!evaluation) return report;
  const tasks = Object.entries(evaluation.tasks).map(([name, task]) => {
    const pairs = stored[name] && pairsOfStored(stored[name], file);
    return [name, { ...task, ...(pairs ? confusionOf(pairs, task.classes.length) : {}) }];
  });
  return { ...report, evaluation: { ...evaluation, tasks: Object.fromEntries(tasks) } };
}

function pairsOfStored({ pairs, confusion }: StoredTask, file: string): readonly ConfusionPair[] | undefined {
  if (pairs)
    return Array.from({ length: pairs.length / 3 }, (_, i) => [
      pairs[3 * i] ?? 0,
      pairs[3 * i + 1] ?? 0,
      pairs[3 * i + 2] ?? 0,
    ]);
  if (confusion === undefined) return undefined;
  const matrix = matrixSchema.safeParse(confusion);
  if (!matrix.success) throw unreadable(matrix.error, file);
  return confusionPairsOf({ confusion: matrix.data });
}

function figuresOf(task: TaskFigures): TaskFigures {
  const { labelled, loss, accuracy, macroRecall, majority, majorityRecall } = task;
  return { labelled, loss, accuracy, macroRecall, majority, majorityRecall };
}

function hasMatrix({ evaluation }: EpochReport): boolean {
  return Object.values(evaluation?.tasks ?? {}).some(
    ({ confusion, confusionPairs }) => (confusion ?? confusionPairs) !== undefined,
  );
}

function withoutMatrices(report: EpochReport): EpochReport {
  const { evaluation } = report;
  if (!evaluation) return report;
  const tasks = Object.entries(evaluation.tasks).map(([name, task]) => [
    name,
    { ...figuresOf(task), classes: task.classes },
  ]);
  return { ...report, evaluation: { ...evaluation, tasks: Object.fromEntries(tasks) } };
}

function unreadable(error: z.ZodError, file: string): MttcError {
  const [issue] = error.issues;
  const place = ["history", ...(issue?.path ?? [])].join(".");
  const message = `progress.json does not hold what mttc wrote: ${place}: ${issue?.message}`;
  return new MttcError({ code: "E_CKPT_CORRUPT", message, at: { file } });
}
