// What held-out labels say of a task of numbers: how far from an answer the truth lies, as an interval.
import { z } from "zod";
import { type Calibration, fewRows, NO_HONESTY } from "./calibration.ts";
import type { Task, TaskDescription } from "./task.ts";

/** Share of new labels that an interval holds. */
export const INTERVAL_COVERAGE = 0.9;
/** Products with it may round over a whole number. */
const ROUNDING = 1e-9;

/** Fact of exported models: value - radius to value + radius holds that share of new labels. */
export const NUMBER_FITS = {
  interval: z
    .object({ coverage: z.number().min(0).max(1), radius: z.array(z.number().nonnegative()).min(1) })
    .optional(),
};

/** What fits a task whose rows have these numbers. */
export function numberCalibration(
  description: TaskDescription,
  names: readonly string[],
): Pick<Task, "calibrate"> {
  return { calibrate: ({ y, labels }) => calibrateNumbers(description, names, y, labels) };
}

function calibrateNumbers(
  description: TaskDescription,
  names: readonly string[],
  y: Float32Array,
  labels: ArrayLike<number>,
): Calibration {
  const { task } = description;
  const width = names.length;
  const errors = names.map((_, number) => sortedErrors(y, labels, number, width));
  const radius = errors.map((found) => intervalRadius(found, INTERVAL_COVERAGE));
  const rows = Math.max(...errors.map(({ length }) => length));
  const honesty = { before: NO_HONESTY, after: NO_HONESTY };
  const known = radius.filter((each) => each !== undefined);
  if (known.length < width) {
    const least = Math.ceil(INTERVAL_COVERAGE / (1 - INTERVAL_COVERAGE) - ROUNDING);
    const notes = [`task "${task}" has no interval: that takes ${least} labels of each number`];
    return { description, rows, text: "as it is", ...honesty, notes };
  }
  const texts = known.map((each) => Number(each.toPrecision(4)));
  const shown = width === 1 ? `${texts[0]}` : `${Math.min(...texts)} to ${Math.max(...texts)}`;
  return {
    description: { ...description, interval: { coverage: INTERVAL_COVERAGE, radius: known } },
    rows,
    text: `${100 * INTERVAL_COVERAGE} % within ${shown}`,
    ...honesty,
    notes: fewRows(task, rows),
  };
}

/** Absolute errors of one number of a row, in ascending order; rows without that label are left out. */
function sortedErrors(
  y: Float32Array,
  labels: ArrayLike<number>,
  number: number,
  width: number,
): Float64Array {
  const errors: number[] = [];
  for (let place = number; place < labels.length; place += width) {
    const error = Math.abs((y[place] ?? Number.NaN) - (labels[place] ?? Number.NaN));
    if (!Number.isNaN(error)) errors.push(error);
  }
  return Float64Array.from(errors).sort();
}

/**
 * The ceil((n + 1) coverage)-th smallest of n absolute errors: the interval of that radius holds the truth of
 * a new row, drawn like these, with at least that probability (split conformal prediction; Lei et al. 2018,
 * arXiv 1604.04173, theorem 2.2). Undefined where n is too small for it.
 */
export function intervalRadius(ascending: Float64Array, coverage: number): number | undefined {
  const place = Math.ceil((ascending.length + 1) * coverage - ROUNDING);
  return ascending[place - 1];
}
