// How sure a figure is: percentile intervals of accuracy and macro recall by resampling the rows that were
// judged (Efron 1979). The same draws for every classifier that is compared, so that two of them can be.
import { RandomStream } from "../draws/randomStream.ts";

const RESAMPLES = 1_000;
/** Share of the resamples below and above the interval. */
const TAIL = 0.025;

/** Labels of rows and what each was taken for. */
export interface JudgedRows {
  readonly labels: Int32Array;
  readonly predicted: Int32Array;
}

/** A figure, and the interval that holds 95 % of its resamples. */
export interface Interval {
  readonly value: number;
  readonly low: number;
  readonly high: number;
}

/** Accuracy and macro recall of each resample, in the order of the draws. */
export interface Resampled {
  readonly accuracy: Float64Array;
  readonly macroRecall: Float64Array;
}

/** Figures of `RESAMPLES` draws of as many rows, with replacement; a function of the seed and the rows. */
export function resample({ labels, predicted }: JudgedRows, classes: number, seed = 0): Resampled {
  const rows = labels.length;
  const accuracy = new Float64Array(RESAMPLES);
  const macroRecall = new Float64Array(RESAMPLES);
  const [seen, hit] = [new Float64Array(classes), new Float64Array(classes)];
  for (let draw = 0; draw < RESAMPLES; draw++) {
    const random = new RandomStream(seed, "probe/bootstrap", draw);
    seen.fill(0);
    hit.fill(0);
    for (let i = 0; i < rows; i++) {
      const row = Math.floor(random.nextUniform() * rows);
      const label = labels[row] ?? 0;
      seen[label] = (seen[label] ?? 0) + 1;
      if (predicted[row] === label) hit[label] = (hit[label] ?? 0) + 1;
    }
    const figures = figuresOf(seen, hit);
    accuracy[draw] = figures.accuracy;
    macroRecall[draw] = figures.macroRecall;
  }
  return { accuracy, macroRecall };
}

/** The interval of a figure by its resamples. */
export function intervalOf(value: number, resamples: Float64Array): Interval {
  const sorted = resamples.toSorted();
  const at = (share: number): number => sorted[Math.round(share * (sorted.length - 1))] ?? Number.NaN;
  return { value, low: at(TAIL), high: at(1 - TAIL) };
}

/** Share of the draws in which one figure is above the other; of equal ones half. */
export function shareAbove(one: Float64Array, other: Float64Array): number {
  let above = 0;
  for (const [draw, value] of one.entries()) {
    const beside = other[draw] ?? Number.NaN;
    above += value > beside ? 1 : value === beside ? 0.5 : 0;
  }
  return above / one.length;
}

function figuresOf(seen: Float64Array, hit: Float64Array): { accuracy: number; macroRecall: number } {
  let [rows, hits, recalls, classes] = [0, 0, 0, 0];
  for (const [label, count] of seen.entries()) {
    if (count === 0) continue;
    rows += count;
    hits += hit[label] ?? 0;
    recalls += (hit[label] ?? 0) / count;
    classes++;
  }
  return { accuracy: hits / rows, macroRecall: recalls / classes };
}
