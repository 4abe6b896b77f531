// Named scalars: every figure of a run under one name, the same in all logs. They are made of the reports
// that epochs and steps give, in the forms that the kinds of tasks list; nothing here knows a kind.
import type { TaskReport, TaskSums } from "../../compiler/tasks/report.ts";
import { figureOf } from "../../compiler/tasks/report.ts";
import type { Task } from "../../compiler/tasks/task.ts";
import type { EpochReport } from "./reports.ts";

/** Figures by name, finite ones alone: what is not known has no entry. */
export type Scalars = Readonly<Record<string, number>>;

/** What of tasks scalars are named by. */
export type ScalarTasks = readonly Pick<Task, "name" | "reports">[];

/**
 * Scalars of a finished epoch: `train/loss/<task>`, `train/<figure>/<task>`, `val/loss/<task>`,
 * `val/<figure>/<task>` (baselines too), `weight/<task>`, `wait_share`, and what the report names itself
 * (`lr`, `gain`, `probe/...`).
 */
export function epochScalars(report: EpochReport, tasks: ScalarTasks): Scalars {
  const { trainLoss, trainAccuracy, trainFigures, taskWeights, evaluation, waitShare } = report;
  const entries: [string, number | undefined][] = [];
  for (const { name, reports } of tasks) {
    entries.push([`train/loss/${name}`, trainLoss[name]]);
    for (const figure of reports.training ?? [])
      entries.push([
        scalarName("train", figure.name, name),
        figure.name === "accuracy" ? trainAccuracy[name] : trainFigures?.[name]?.[figure.name],
      ]);
    entries.push(...validationEntries(evaluation?.tasks[name], { name, reports }));
    entries.push([`weight/${name}`, taskWeights[name]]);
  }
  entries.push(["wait_share", waitShare], ...Object.entries(report.scalars ?? {}));
  return finite(entries);
}

function validationEntries(
  report: TaskReport | undefined,
  { name, reports }: ScalarTasks[number],
): [string, number][] {
  if (!report) return [];
  return [
    [`val/loss/${name}`, report.loss],
    ...reports.figures.map((figure): [string, number] => [
      scalarName("val", figure.name, name),
      figureOf(report, figure.name),
    ]),
  ];
}

/**
 * Scalars of the sums of some steps: `train/loss/<task>` and `train/<figure>/<task>`, means over the labelled
 * rows of these steps.
 */
export function sumScalars(sums: Readonly<Record<string, TaskSums>>, tasks: ScalarTasks): Scalars {
  const entries = tasks.flatMap(({ name, reports }): [string, number][] => {
    const ofTask = sums[name];
    if (!ofTask) return [];
    const { loss_sum: sum = Number.NaN, count = 0 } = ofTask;
    return [
      [`train/loss/${name}`, sum / count],
      ...(reports.training ?? []).map((figure): [string, number] => [
        scalarName("train", figure.name, name),
        figure.of(ofTask),
      ]),
    ];
  });
  return finite(entries);
}

/** `val/macro_recall/species` of ("val", "macroRecall", "species"). */
export function scalarName(part: string, figure: string, task: string): string {
  const words = figure.replace(/(?<=[a-z0-9])[A-Z]/g, (letter) => `_${letter}`).toLowerCase();
  return `${part}/${words}/${task}`;
}

function finite(entries: readonly (readonly [string, number | undefined])[]): Scalars {
  return Object.fromEntries(entries.filter(([, value]) => Number.isFinite(value))) as Scalars;
}
