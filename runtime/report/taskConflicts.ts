// What the epochs of a run say of its tasks' gradients: (history, tasks) -> pairs by how far they pull apart,
// norms, and sentences. Figures are those of runtime/logs/gradientFigures.ts, by name; tasks are asked for,
// never read out of names.
import { combineWeightName, cosineName, normName } from "../logs/gradientFigures.ts";
import type { EpochReport } from "../logs/reports.ts";
import { lookOf } from "./charts.ts";
import { type CurveSet, curveOf } from "./curves.ts";

/** Two tasks, by place and name, and the mean over the epochs of their mean cosines. */
export interface TaskPair {
  readonly a: number;
  readonly b: number;
  readonly names: readonly [string, string];
  readonly cosine: number;
}

/** What is known of a run's gradients. */
export interface TaskGradients {
  readonly tasks: readonly string[];
  /** Pairs that were in batches together, the furthest apart first. */
  readonly pairs: readonly TaskPair[];
  /** Means over the epochs, in the order of the tasks; NaN of a task that never had a gradient. */
  readonly norms: readonly number[];
  /** The same of the weights that gradients were combined with. */
  readonly weights: readonly number[];
}

/** A cosine that says nothing. */
const SLIGHT = 0.05;
/** Pairs that are named, each way, and those that get a line. */
const [MOST_NAMED, MOST_LINES] = [5, 6];

/** Undefined where no gradients of tasks were compared. */
export function taskGradients(
  history: readonly EpochReport[],
  tasks: readonly string[],
): TaskGradients | undefined {
  const meanOf = (name: string): number => {
    const values = history.flatMap(({ scalars }) => scalars?.[name] ?? []).filter(Number.isFinite);
    return values.reduce((sum, value) => sum + value, 0) / values.length;
  };
  const pairs = tasks.flatMap((first, a) =>
    tasks.slice(a + 1).map((second, k): TaskPair => {
      const cosine = meanOf(cosineName(first, second));
      return { a, b: a + 1 + k, names: [first, second], cosine };
    }),
  );
  const known = pairs.filter(({ cosine }) => Number.isFinite(cosine));
  if (known.length === 0) return undefined;
  return {
    tasks,
    pairs: known.toSorted((one, other) => one.cosine - other.cosine),
    norms: tasks.map((task) => meanOf(normName(task))),
    weights: tasks.map((task) => meanOf(combineWeightName(task))),
  };
}

/** What the pairs come to, in words, a sentence each: the worst first. */
export function conflictSentences({ pairs }: TaskGradients): string[] {
  const apart = pairs.filter(({ cosine }) => cosine <= -SLIGHT);
  const together = pairs.filter(({ cosine }) => cosine >= SLIGHT).toReversed();
  const say =
    (words: string) =>
    (pair: TaskPair): string =>
      `${pair.names[0]} and ${pair.names[1]} ${words}: mean cosine ${cosineText(pair.cosine)}`;
  const rest = apart.length - MOST_NAMED;
  return [
    ...apart.slice(0, MOST_NAMED).map(say("pull apart")),
    ...(rest > 0 ? [`${rest} more ${rest === 1 ? "pair pulls" : "pairs pull"} apart`] : []),
    ...(apart.length === 0 ? ["no two tasks pull apart on the mean"] : []),
    ...together.slice(0, apart.length === 0 ? 1 : 2).map(say("pull the same way")),
  ];
}

/** The cosines by epoch of the pairs that are furthest apart. */
export function cosineCurves({ pairs }: TaskGradients, history: readonly EpochReport[]): CurveSet {
  const shown = pairs.slice(0, MOST_LINES);
  return {
    title: "cosine by epoch",
    note: pairs.length > shown.length ? `the ${shown.length} pairs that are furthest apart` : "of each pair",
    lines: shown.map(({ names: [a, b] }, i) =>
      curveOf(history, `${a}, ${b}`, lookOf(i), ({ scalars }) => scalars?.[cosineName(a, b)]),
    ),
  };
}

/** The norms by epoch of each task. */
export function normCurves({ tasks }: TaskGradients, history: readonly EpochReport[]): CurveSet {
  return {
    title: "norm of the gradient",
    note: "of each task's weighted loss by what the tasks share",
    lines: tasks.map((task, i) =>
      curveOf(history, task, lookOf(i), ({ scalars }) => scalars?.[normName(task)]),
    ),
    isLog: true,
  };
}

/** -0.31 with a minus as wide as a plus. */
export function cosineText(cosine: number): string {
  const text = Math.abs(cosine).toFixed(2);
  return cosine < 0 && Number(text) > 0 ? `\u2212${text}` : text;
}
