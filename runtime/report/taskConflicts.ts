// What the epochs of a run say of its tasks' gradients: (history, tasks) -> pairs by how far they pull apart,
// norms, and sentences. Figures are those of runtime/logs/gradientFigures.ts, by name; tasks are asked for,
// never read out of names.
import { combineWeightName, conflictName, cosineName, normName } from "../logs/gradientFigures.ts";
import type { EpochReport } from "../logs/reports.ts";
import { lookOf } from "./charts.ts";
import { type CurveSet, curveOf } from "./curves.ts";

/** Two tasks, by place and name, and what their gradients come to, as means over the epochs. */
export interface TaskPair {
  readonly a: number;
  readonly b: number;
  readonly names: readonly [string, string];
  readonly cosine: number;
  /** Share of the steps in which the cosine is below 0; NaN in runs that did not count them. */
  readonly conflict: number;
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

/** A cosine that says nothing, and from which share of the steps on a conflict that means hide is named. */
const [SLIGHT, OFTEN] = [0.05, 0.1];
/** Pairs that are named, of further kinds, and those that get a line. */
const [MOST_NAMED, FEW_NAMED, MOST_LINES] = [5, 2, 6];

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
      const conflict = meanOf(conflictName(first, second));
      return { a, b: a + 1 + k, names: [first, second], cosine, conflict };
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
  const hidden = pairs
    .filter(({ cosine, conflict }) => cosine > -SLIGHT && conflict >= OFTEN)
    .toSorted((one, other) => other.conflict - one.conflict);
  const together = pairs
    .filter(({ cosine, conflict }) => cosine >= SLIGHT && !(conflict >= OFTEN))
    .toReversed();
  const say =
    (words: string) =>
    ({ names, cosine, conflict }: TaskPair): string => {
      const often = Number.isNaN(conflict) ? "" : `, below 0 in ${shareText(conflict)} of the steps`;
      return `${names[0]} and ${names[1]} ${words}: mean cosine ${cosineText(cosine)}${often}`;
    };
  const rest = apart.length - MOST_NAMED;
  return [
    ...apart.slice(0, MOST_NAMED).map(say("pull apart")),
    ...(rest > 0 ? [`${rest} more ${rest === 1 ? "pair pulls" : "pairs pull"} apart`] : []),
    ...(apart.length === 0 ? ["no two tasks pull apart on the mean"] : []),
    ...hidden.slice(0, apart.length === 0 ? MOST_NAMED : FEW_NAMED).map(say("pull apart at times")),
    ...together.slice(0, apart.length === 0 ? 1 : FEW_NAMED).map(say("pull the same way")),
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

/** In which share of the steps the pairs pull apart, by epoch: of those that do so most often. */
export function conflictCurves({ pairs }: TaskGradients, history: readonly EpochReport[]): CurveSet {
  const counted = pairs.filter(({ conflict }) => Number.isFinite(conflict));
  const shown = counted.toSorted((one, other) => other.conflict - one.conflict).slice(0, MOST_LINES);
  const which = counted.length > shown.length ? `; the ${shown.length} pairs that do so most often` : "";
  return {
    title: "steps that pull apart",
    note: `percent of the steps with a cosine below 0${which}`,
    lines: shown.map(({ names: [a, b] }, i) =>
      curveOf(history, `${a}, ${b}`, lookOf(i), ({ scalars }) => {
        const share = scalars?.[conflictName(a, b)];
        return share === undefined ? undefined : 100 * share;
      }),
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

/** 43 %, <1 %; - where it is not known. */
export function shareText(share: number): string {
  if (Number.isNaN(share)) return "-";
  const percent = Math.round(100 * share);
  if (percent === 0 && share > 0) return "<1 %";
  return percent === 100 && share < 1 ? ">99 %" : `${percent} %`;
}
