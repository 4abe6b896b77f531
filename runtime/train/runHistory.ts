// The reports of a run's epochs as they are kept: figures of every epoch, details (confusion matrices) of the
// newest and of the best alone (of 1,500 classes a matrix has 2,250,000 numbers). Reports <-> what
// progress.json holds, in the form that each task's kind has; that of versions which kept every matrix is
// read, too.
import { z } from "zod";
import { MttcError } from "../../compiler/diagnostics.ts";
import type { ReportForm, TaskReport } from "../../compiler/tasks/report.ts";
import type { Task } from "../../compiler/tasks/task.ts";
import type { EvaluationReport } from "../infer/evaluationReport.ts";
import type { EpochReport } from "./events.ts";
import { bestOf, GAIN, judgeOf, type ReportedTasks } from "./judgement.ts";

/** JSON has no NaN: it is null there. */
const figure = z
  .number()
  .nullable()
  .transform((value) => value ?? Number.NaN);
const figures = z.record(z.string(), figure);

/**
 * Place in `history` of the best epoch, the first of equal ones: by `monitor`, without it the one whose tasks
 * gained most over their baselines. Undefined where nothing was validated. E_CONFIG as judgeOf.
 */
export function bestEpoch(
  history: readonly EpochReport[],
  tasks: ReportedTasks,
  monitor: string = GAIN,
): number | undefined {
  return bestOf(history, judgeOf(monitor, tasks));
}

/** Drops the details of all epochs but the newest and the best. */
export function dropOldDetails(history: EpochReport[], tasks: ReportedTasks, monitor?: string): void {
  const kept = new Set([history.length - 1, bestEpoch(history, tasks, monitor)]);
  for (const [index, report] of history.entries())
    if (!kept.has(index) && hasDetails(report, tasks))
      history[index] = withTasks(report, tasks, (task, form) => ({
        ...figuresOf(task, form),
        ...form.constants,
      }));
}

/** What a log keeps of a report: its figures alone. */
export function logEntry(report: EpochReport, tasks: ReportedTasks): object {
  return withTasks(report, tasks, figuresOf);
}

/** What progress.json holds of a history: figures, and details, where there are any. */
export function storedHistory(history: readonly EpochReport[], tasks: ReportedTasks): unknown[] {
  return history.map((report) =>
    withTasks(report, tasks, (task, form) => ({ ...figuresOf(task, form), ...form.details?.store(task) })),
  );
}

/**
 * The reports of what `storedHistory` or an earlier version stored, the best by `monitor` with its details.
 * E_CKPT_CORRUPT, naming the first place that is not as it should be.
 */
export function readHistory(
  stored: unknown,
  tasks: ReportedTasks,
  file: string,
  monitor?: string,
): EpochReport[] {
  try {
    const epochs = schemaOf(tasks).parse(stored);
    const plain = epochs.map(({ trainFigures, scalars, evaluation, ...report }): EpochReport => {
      const whole = { ...report, ...(trainFigures && { trainFigures }), ...(scalars && { scalars }) };
      if (!evaluation) return whole;
      const { images, tasks: reports } = evaluation;
      return withTasks({ ...whole, evaluation: { images, tasks: known(reports) } }, tasks, (task, form) => ({
        ...figuresOf(task, form),
        ...form.constants,
      }));
    });
    for (const index of new Set([plain.length - 1, bestEpoch(plain, tasks, monitor)])) {
      const report = plain[index ?? -1];
      const kept = epochs[index ?? -1]?.evaluation?.tasks;
      if (report && kept)
        plain[index ?? -1] = withTasks(report, tasks, (task, { details }, name) => ({
          ...task,
          ...details?.restore(kept[name] ?? {}),
        }));
    }
    return plain;
  } catch (error) {
    if (error instanceof z.ZodError) throw unreadable(error, file);
    throw error;
  }
}

/** Of the tasks of a run: figures that each has, and what its details are stored as. */
function schemaOf(tasks: ReportedTasks) {
  const ofTask = ({ reports }: Pick<Task, "reports">) =>
    z.object({
      ...{ labelled: z.number(), loss: figure },
      ...Object.fromEntries(reports.figures.map(({ name }) => [name, figure])),
      ...reports.details?.stored,
    });
  const ofTasks = z.object(Object.fromEntries(tasks.map((task) => [task.name, ofTask(task).optional()])));
  const epoch = z.object({
    ...{ epoch: z.int().positive(), steps: z.int().nonnegative(), seconds: z.number() },
    ...{ trainLoss: figures, trainAccuracy: figures, taskWeights: figures, waitShare: figure },
    trainFigures: z.record(z.string(), figures).optional(),
    scalars: figures.optional(),
    time: z.number().optional(),
    evaluation: z.object({ images: z.number(), tasks: ofTasks }).optional(),
  });
  return z.array(epoch);
}

/** The reports that are there. */
function known(reports: Readonly<Record<string, TaskReport | undefined>>): Record<string, TaskReport> {
  return Object.fromEntries(
    Object.entries(reports).flatMap(([name, report]) => (report ? [[name, report]] : [])),
  );
}

/** The report with each task's part made anew. */
function withTasks<T extends EpochReport>(
  report: T,
  tasks: ReportedTasks,
  make: (task: TaskReport, form: ReportForm, name: string) => object,
): T {
  const { evaluation } = report;
  if (!evaluation) return report;
  const made = tasks.flatMap(({ name, reports }) => {
    const task = evaluation.tasks[name];
    return task ? [[name, make(task, reports, name)] as const] : [];
  });
  const whole = { images: evaluation.images, tasks: Object.fromEntries(made) } as EvaluationReport;
  return { ...report, evaluation: whole };
}

function figuresOf(task: TaskReport, { figures: own }: ReportForm): TaskReport {
  const { labelled, loss } = task;
  return { labelled, loss, ...Object.fromEntries(own.map(({ name }) => [name, task[name]])) };
}

function hasDetails({ evaluation }: EpochReport, tasks: ReportedTasks): boolean {
  return tasks.some(({ name, reports }) => {
    const report = evaluation?.tasks[name];
    return report !== undefined && (reports.details?.isIn(report) ?? false);
  });
}

function unreadable(error: z.ZodError, file: string): MttcError {
  const [issue] = error.issues;
  const place = ["history", ...(issue?.path ?? [])].join(".");
  const message = `progress.json does not hold what mttc wrote: ${place}: ${issue?.message}`;
  return new MttcError({ code: "E_CKPT_CORRUPT", message, at: { file } });
}
