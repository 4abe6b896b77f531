// The epochs of a run as lines: (history, tasks) -> charts of each task and of the run. Figures are asked of
// the tasks' kinds by name; no kind is known here.
import { figureOf } from "../../compiler/tasks/report.ts";
import type { Task } from "../../compiler/tasks/task.ts";
import { combineWeightName } from "../logs/gradientFigures.ts";
import type { EpochReport } from "../train/events.ts";
import { BASELINE, type ChartLine, lookOf, TRAIN, VALIDATION } from "./charts.ts";

type ReportedTask = Pick<Task, "name" | "reports">;

/** Lines that belong into one chart. */
export interface CurveSet {
  readonly title: string;
  readonly note?: string;
  readonly lines: readonly ChartLine[];
  readonly isLog?: boolean;
}

/** A number of each epoch as a line. */
export function curveOf(
  history: readonly EpochReport[],
  name: string,
  look: ChartLine["look"],
  of: (report: EpochReport) => number | undefined,
): ChartLine {
  return { name, look, points: history.map((report) => [report.epoch, of(report) ?? Number.NaN] as const) };
}

/** Loss and each figure of a task: training, validation and the figure's baseline in one chart. */
export function taskCurves({ name, reports }: ReportedTask, history: readonly EpochReport[]): CurveSet[] {
  const line = (title: string, look: ChartLine["look"], of: (report: EpochReport) => number | undefined) =>
    curveOf(history, title, look, of);
  const validated = (figure: string) => (report: EpochReport) =>
    figureOf(report.evaluation?.tasks[name], figure);
  const trained = (figure: string) => (report: EpochReport) =>
    report.trainFigures?.[name]?.[figure] ?? (figure === "accuracy" ? report.trainAccuracy[name] : undefined);
  const loss: CurveSet = {
    title: "loss",
    note: "mean over the labelled images",
    lines: [
      line("training", TRAIN, ({ trainLoss }) => trainLoss[name]),
      line("validation", VALIDATION, validated("loss")),
    ],
  };
  const { training = [] } = reports;
  const figures = reports.figures.flatMap(({ name: figure, head, isBaseline }, i): CurveSet[] => {
    if (isBaseline) return [];
    const next = reports.figures[i + 1];
    const counted = training.some((each) => each.name === figure);
    return [
      {
        title: head,
        lines: [
          ...(counted ? [line("training", TRAIN, trained(figure))] : []),
          line("validation", VALIDATION, validated(figure)),
          ...(next?.isBaseline ? [line("baseline", BASELINE, validated(next.name))] : []),
        ],
      },
    ];
  });
  const known = new Set(reports.figures.map((figure) => figure.name));
  const alone = training.filter((figure) => !known.has(figure.name));
  return [
    loss,
    ...figures,
    ...alone.map(({ name: figure, head }) => ({
      title: `${head} (training)`,
      lines: [line("training", TRAIN, trained(figure))],
    })),
  ];
}

/** What is of the whole run: gains, weights, rate, speed, and every further scalar that epochs hold. */
export function runCurves(
  history: readonly EpochReport[],
  tasks: readonly ReportedTask[],
  batchSize: number,
): CurveSet[] {
  const one = (title: string, of: (report: EpochReport) => number | undefined, note?: string): CurveSet => ({
    title,
    ...(note === undefined ? {} : { note }),
    lines: [curveOf(history, title, lookOf(0), of)],
  });
  const each = (
    title: string,
    note: string,
    of: (task: ReportedTask, report: EpochReport) => number | undefined,
  ) => ({
    title,
    note,
    lines: tasks.map((task, i) => curveOf(history, task.name, lookOf(i), (report) => of(task, report))),
  });
  const weights = each(
    "task weights",
    "factor of each task's loss",
    ({ name }, report) => report.taskWeights[name],
  );
  const combined = each(
    "weights of the combination",
    "what each task's gradient or loss was multiplied with, mean over the epoch's steps",
    ({ name }, { scalars }) => scalars?.[combineWeightName(name)],
  );
  // Weights that are all 1, as of a sum that is measured, say nothing.
  const shown = [weights, combined].filter(({ lines }) =>
    lines.some(({ points }) => points.some(([, weight]) => weight !== 1 && !Number.isNaN(weight))),
  );
  return [
    gainCurves(history, tasks),
    ...shown,
    ...scalarCurves(history),
    one("speed", (report) => imagesPerSecond(report, batchSize), "images per second of training"),
    one("waiting for images", ({ waitShare }) => 100 * waitShare, "percent of the epoch's time"),
    one("time", ({ seconds }) => seconds, "seconds of training per epoch"),
  ];
}

/** Images that a second of training took, of a finished epoch. */
export function imagesPerSecond({ steps, seconds, scalars }: EpochReport, batchSize: number): number {
  return scalars?.images_per_second ?? (steps * batchSize) / seconds;
}

/** Mean over the tasks of what each gained over its baseline: what epochs are compared by. */
export function gainOf({ evaluation }: EpochReport, tasks: readonly ReportedTask[]): number {
  const gains = tasks.flatMap((task) => {
    const gain = gainOfTask(task, evaluation?.tasks[task.name]);
    return Number.isFinite(gain) ? [gain] : [];
  });
  return gains.reduce((sum, gain) => sum + gain, 0) / gains.length;
}

/** NaN where a task was not validated. */
export function gainOfTask(
  { reports }: Pick<ReportedTask, "reports">,
  report: Parameters<typeof figureOf>[0],
): number {
  return report === undefined ? Number.NaN : reports.gain(report);
}

function gainCurves(history: readonly EpochReport[], tasks: readonly ReportedTask[]): CurveSet {
  const ofTasks = tasks.map((task, i) =>
    curveOf(history, task.name, lookOf(i), ({ evaluation }) =>
      gainOfTask(task, evaluation?.tasks[task.name]),
    ),
  );
  const mean = curveOf(history, "mean", { colour: "var(--ink)", dash: "solid", width: 2.5 }, (report) =>
    gainOf(report, tasks),
  );
  return {
    title: "gain over the baselines",
    note: "0: no better than an answer that knows no image; 1: perfect",
    lines: tasks.length > 1 ? [...ofTasks, mean] : ofTasks,
  };
}

/** Scalars that have charts of their own, or none. */
const SHOWN_ELSEWHERE =
  /^(gain(\/|$)|images_per_second$|wait_share$|(weight|cosine|conflict|gradient_norm|combine_weight)\/)/;
/** What scalars of the usual names are called. */
const TITLES: Readonly<Record<string, readonly [title: string, note?: string]>> = {
  lr: ["learning rate", "at the end of the epoch"],
  "train/loss": ["total loss", "the tasks' by their weights, and what is added to them"],
  "train/weight_decay": ["weight decay", "its part of the total loss"],
  "train/distillation": ["distillation", "its part of the total loss"],
};
/** Parts of a name that groups its lines: `probe/accuracy/bird` is a line of `probe/accuracy`. */
const GROUP_PARTS = 3;

/** Every other scalar of the epochs: those that share all but the last part of their name are one chart. */
function scalarCurves(history: readonly EpochReport[]): CurveSet[] {
  const names = [...new Set(history.flatMap(({ scalars }) => Object.keys(scalars ?? {})))];
  const groups = new Map<string, string[]>();
  for (const name of names.filter((each) => !SHOWN_ELSEWHERE.test(each))) {
    const parts = name.split("/");
    const group = parts.length < GROUP_PARTS ? name : parts.slice(0, GROUP_PARTS - 1).join("/");
    groups.set(group, [...(groups.get(group) ?? []), name]);
  }
  return [...groups].map(([group, members]) => {
    const [title, note] = TITLES[group] ?? [group];
    return {
      title,
      ...(note === undefined ? {} : { note }),
      lines: members.map((name, i) =>
        curveOf(
          history,
          name === group ? title : name.slice(group.length + 1),
          lookOf(i),
          ({ scalars }) => scalars?.[name],
        ),
      ),
    };
  });
}
