// What held-out labels say of a task of classes: its temperature, and below which probability an answer is
// unsure.
import { z } from "zod";
import { type Calibration, fewRows, NO_HONESTY, type SelectionWish } from "./calibration.ts";
import { fitThreshold } from "./selection.ts";
import type { Task, TaskDescription } from "./task.ts";
import {
  classHonesty,
  fitTemperature,
  type LabelledLogits,
  labelledLogits,
  softmaxRows,
  topAnswers,
} from "./temperature.ts";

const share = z.number().min(0).max(1);

/** Facts of exported models: what logits are divided by, and below which probability answers are unsure. */
export const CLASS_FITS = {
  temperature: z.number().positive().optional(),
  unsure: z
    .object({
      below: share,
      /** Shares of the labels that it was fitted to: answered rows, and wrong answers among those. */
      coverage: share,
      risk: share,
      rows: z.int().nonnegative(),
      /** What the risk of new images stays under, with which confidence, where a risk was asked for. */
      bound: z.object({ risk: share, confidence: share }).optional(),
    })
    .optional(),
};

/** What fits a task of `width` classes whose logits are divided by `temperature` as yet. */
export function classCalibration(
  description: TaskDescription,
  width: number,
  temperature: number | undefined,
): Pick<Task, "calibrate" | "select" | "servedOf"> {
  return {
    calibrate: ({ y, labels }) => calibrateClasses(description, labelledLogits(y, labels, width)),
    select: ({ y, labels }, wish: SelectionWish) => {
      const rows = labelledLogits(y, labels, width);
      const { certainties, hits } = topAnswers(rows, temperature);
      const { threshold, least } = fitThreshold(certainties, hits, wish);
      if (!threshold) return { rows: hits.length, least };
      const { riskOfAll, ...kept } = threshold;
      const unsure = { ...kept, rows: hits.length };
      return { ...unsure, riskOfAll, description: { ...description, unsure } };
    },
    ...(temperature === undefined
      ? {}
      : { servedOf: (y: Float32Array) => Float32Array.from(softmaxRows(y, width, temperature)) }),
  };
}

function calibrateClasses(description: TaskDescription, rows: LabelledLogits): Calibration {
  const { task } = description;
  const count = rows.labels.length;
  if (count === 0) {
    const notes = [`task "${task}" has no label to be calibrated on: it is left as it is`];
    return { description, rows: 0, text: "as it is", before: NO_HONESTY, after: NO_HONESTY, notes };
  }
  const before = classHonesty(rows, 1);
  const temperature = fitTemperature(rows);
  if (temperature === undefined) {
    const notes = [...fewRows(task, count), `task "${task}" is left as it is: ${noTemperature(rows)}`];
    return { description, rows: count, text: "as it is", before, after: before, notes };
  }
  return {
    description: { ...description, temperature },
    rows: count,
    text: `temperature ${temperature.toPrecision(4)}`,
    before,
    after: classHonesty(rows, temperature),
    notes: fewRows(task, count),
  };
}

/** Why no temperature is the best one. */
function noTemperature(rows: LabelledLogits): string {
  const wrong = topAnswers(rows).hits.filter((hit) => hit === 0).length;
  return wrong === 0
    ? `all ${rows.labels.length} rows are answered rightly, which any surer answer would be, too`
    : "its answers are no better than chance at any temperature from 0.05 to 20";
}
