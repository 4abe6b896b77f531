// What the epochs of a run are judged by: the gain of each task over its own baseline, their mean, and the
// figure that the spec's `monitor` names. Reports in, numbers out; of training or of any earlier run.
import { MttcError, suggestName } from "../../compiler/diagnostics.ts";
import { figureOf } from "../../compiler/tasks/report.ts";
import type { Task } from "../../compiler/tasks/task.ts";
import type { EvaluationReport } from "../infer/evaluationReport.ts";

/** The tasks that reports are of: their form is that of the tasks' kinds. */
export type ReportedTasks = readonly Pick<Task, "name" | "reports">[];

/** What is judged of an epoch; without an evaluation it has no figure. */
type Judged = { readonly evaluation?: EvaluationReport | undefined };

/** How far tasks are above their baselines, of 1 at most; 0 is what always answering alike reaches. */
export interface Gains {
  /** (f - f0) / (1 - f0) of the figure that the task's kind judges by; finite ones alone. */
  readonly byTask: Readonly<Record<string, number>>;
  /** Their mean; undefined where there are none. */
  readonly mean: number | undefined;
}

/** The gains of an evaluation; none without one. */
export function gainsOf(evaluation: EvaluationReport | undefined, tasks: ReportedTasks): Gains {
  const found = tasks.flatMap(({ name, reports }) => {
    const report = evaluation?.tasks[name];
    const gain = report ? reports.gain(report) : Number.NaN;
    return Number.isFinite(gain) ? [[name, gain] as const] : [];
  });
  const sum = found.reduce((total, [, gain]) => total + gain, 0);
  return { byTask: Object.fromEntries(found), mean: found.length > 0 ? sum / found.length : undefined };
}

/** The same as named scalars: `gain/<task>` and `gain`. */
export function gainScalars(
  evaluation: EvaluationReport | undefined,
  tasks: ReportedTasks,
): Record<string, number> {
  const { byTask, mean } = gainsOf(evaluation, tasks);
  const scalars = Object.entries(byTask).map(([task, gain]) => [`gain/${task}`, gain] as const);
  return { ...Object.fromEntries(scalars), ...(mean === undefined ? {} : { gain: mean }) };
}

/** The mean gain of all tasks, which epochs are compared by where the spec says nothing else. */
export const GAIN = "gain";
/** A figure of every task beside those of its kind. */
const LOSS = "loss";

/** What one epoch is compared with another by. */
export interface Judge {
  /** As the spec may write it: `gain`, `gain/species`, `species/macro_recall`. */
  readonly name: string;
  /** The task that it is of; undefined where it is of all. */
  readonly task: string | undefined;
  /** Whether a smaller value is the better one. */
  readonly falls: boolean;
  /** NaN where the epoch has none. */
  readonly valueIn: (epoch: Judged) => number;
}

/**
 * The judge that `monitor` names: `gain`, `gain/<task>`, or `<task>/<figure>` with the loss or a figure of
 * the task's kind, in any spelling (macroRecall, macro_recall). E_CONFIG with the nearest name.
 */
export function judgeOf(monitor: string, tasks: ReportedTasks): Judge {
  const judges = tasks.flatMap(judgesOf);
  const all = [meanGain(tasks), ...judges];
  const wanted = plain(monitor);
  const found = all.find(({ name }) => plain(name) === wanted) ?? byTaskFirst(judges, wanted);
  if (found) return found;
  const names = all.map(({ name }) => name);
  const message = `there is no figure ${JSON.stringify(monitor)}; expected gain, gain/TASK or TASK/FIGURE`;
  const hint = suggestName(monitor, names);
  throw new MttcError({ code: "E_CONFIG", message, at: { path: "monitor" }, hint });
}

/** `species/gain` is the gain of species, too. */
function byTaskFirst(judges: readonly Judge[], wanted: string): Judge | undefined {
  return judges.find(({ task, name }) => name === `${GAIN}/${task}` && plain(`${task}/${GAIN}`) === wanted);
}

function meanGain(tasks: ReportedTasks): Judge {
  const valueIn = ({ evaluation }: Judged): number => gainsOf(evaluation, tasks).mean ?? Number.NaN;
  return { name: GAIN, task: undefined, falls: false, valueIn };
}

function judgesOf(task: ReportedTasks[number]): Judge[] {
  const { name, reports } = task;
  const figures = [{ name: LOSS, falls: true }, ...reports.figures.filter(({ isBaseline }) => !isBaseline)];
  return [
    {
      ...{ name: `${GAIN}/${name}`, task: name, falls: false },
      valueIn: ({ evaluation }) => gainsOf(evaluation, [task]).mean ?? Number.NaN,
    },
    ...figures.map(
      ({ name: figure, falls = false }): Judge => ({
        ...{ name: `${name}/${snakeCase(figure)}`, task: name, falls },
        valueIn: ({ evaluation }) => figureOf(evaluation?.tasks[name], figure),
      }),
    ),
  ];
}

/** macroRecall -> macro_recall, microF1 -> micro_f1. */
function snakeCase(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

function plain(name: string): string {
  return name.toLowerCase().replaceAll("_", "");
}

/** Whether a value is better than another; NaN is never, and anything else is better than NaN. */
export function isBetter({ falls }: Pick<Judge, "falls">, value: number, than: number): boolean {
  if (Number.isNaN(value)) return false;
  return Number.isNaN(than) || (falls ? value < than : value > than);
}

/** Place in `history` of the best epoch, the first of equal ones; undefined where none has a value. */
export function bestOf(history: readonly Judged[], judge: Judge): number | undefined {
  let best: number | undefined;
  let most = Number.NaN;
  for (const [index, epoch] of history.entries()) {
    const value = judge.valueIn(epoch);
    if (isBetter(judge, value, most)) [best, most] = [index, value];
  }
  return best;
}
