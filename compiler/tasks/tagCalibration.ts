// What held-out labels say of a task of tags: a Platt scale for each tag, and the thresholds of the tags on
// the probabilities that come of it.
import { z } from "zod";
import { type Calibration, fewRows, NO_HONESTY } from "./calibration.ts";
import { fitPlatt, LEAST_TAG_ROWS, type PlattScale, sigmoid, tagHonesty, tagRows } from "./platt.ts";
import { TagEvaluation, thresholdsOf } from "./tagEvaluation.ts";
import type { Task, TaskDescription } from "./task.ts";

const MOST_NAMED = 5;

/** Fact of exported models: probability = sigmoid(scale * logit + offset), of each tag. */
export const TAG_FITS = {
  platt: z
    .object({ scale: z.array(z.number().positive()).min(1), offset: z.array(z.number()).min(1) })
    .optional(),
};

/** The scales as a fact. */
interface PlattFact {
  readonly scale: readonly number[];
  readonly offset: readonly number[];
}

/** What fits a task of these tags whose logits have the scales `platt` as yet. */
export function tagCalibration(
  description: TaskDescription,
  tags: readonly string[],
  platt: PlattFact | undefined,
): Pick<Task, "calibrate" | "servedOf"> {
  return {
    calibrate: ({ y, labels }) => calibrateTags(description, tags, y, labels),
    ...(platt === undefined
      ? {}
      : { servedOf: (y: Float32Array) => scaledLogits(y, platt).map((logit) => sigmoid(logit)) }),
  };
}

/** Logits [rows, tags], each by its tag's scale. */
function scaledLogits(y: Float32Array, { scale, offset }: PlattFact): Float32Array {
  return y.map((logit, i) => (scale[i % scale.length] ?? 1) * logit + (offset[i % offset.length] ?? 0));
}

const AS_IT_IS: PlattScale = { scale: 1, offset: 0 };

function calibrateTags(
  description: TaskDescription,
  tags: readonly string[],
  y: Float32Array,
  labels: ArrayLike<number>,
): Calibration {
  const { task } = description;
  const columns = tags.map((_, tag) => tagRows(y, labels, tag, tags.length));
  const found = columns.map(fitPlatt);
  const scales = found.map((scale) => scale ?? AS_IT_IS);
  const platt = { scale: scales.map(({ scale }) => scale), offset: scales.map(({ offset }) => offset) };
  const evaluation = new TagEvaluation(tags);
  evaluation.add(scaledLogits(y, platt), labels);
  const report = evaluation.report();
  const thresholds = thresholdsOf(report);
  const fitted = found.filter((scale) => scale !== undefined).length;
  const isEmpty = report.labelled === 0;
  return {
    description: {
      ...description,
      ...(fitted > 0 ? { platt } : {}),
      ...(thresholds && !isEmpty ? { thresholds } : {}),
    },
    rows: report.labelled,
    text: fitted > 0 ? `Platt of ${fitted} of ${tags.length} tags` : "as it is",
    before: isEmpty
      ? NO_HONESTY
      : tagHonesty(
          columns,
          tags.map(() => AS_IT_IS),
        ),
    after: isEmpty ? NO_HONESTY : tagHonesty(columns, scales),
    notes: isEmpty
      ? [`task "${task}" has no label to be calibrated on: it is left as it is`]
      : [...fewRows(task, report.labelled), ...leftNotes(task, tags, found)],
  };
}

/** The tags that have no scale, and why. */
function leftNotes(
  task: string,
  tags: readonly string[],
  found: readonly (PlattScale | undefined)[],
): string[] {
  const left = tags.filter((_, tag) => found[tag] === undefined);
  if (left.length === 0) return [];
  const more = left.length > MOST_NAMED ? ` and ${left.length - MOST_NAMED} more` : "";
  const names = `${left.slice(0, MOST_NAMED).join(", ")}${more}`;
  const why = `fewer than ${LEAST_TAG_ROWS} rows with or without them, or answers that fall with the tag`;
  return [`task "${task}": tags left as they are: ${names} (${why})`];
}
