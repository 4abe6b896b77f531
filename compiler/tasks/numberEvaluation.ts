// Evaluation of tasks of numbers on known labels only: mean absolute error, root of the mean squared error
// and R2 in the user's unit, beside always answering the mean of the training labels. Of a vector they are
// means over its numbers, those of each number stand beside them.
import { z } from "zod";
import { type DetailTable, type Evaluation, figureOf, type ReportForm, type TaskReport } from "./report.ts";

/** Numbers of a report that are shown one by one, and digits of them. */
const SHOWN_NUMBERS = 24;
const SHOWN_DIGITS = 4;

/** Figures of numbers, in the unit of their labels; NaN where no row has any. */
export interface NumberFigures {
  /** Mean absolute error, and that of always answering the mean of the training labels. */
  readonly mae: number;
  readonly meanMae: number;
  /** Root of the mean squared error, and the same of that mean. */
  readonly rmse: number;
  readonly meanRmse: number;
  /**
   * 1 - sum of squared errors / sum of squared differences from the mean of these rows (scikit-learn's
   * r2_score); NaN where they are all equal.
   */
  readonly r2: number;
}

/** Figures of a task of numbers. In a trainer's history only the newest and the best epoch keep `perNumber`. */
export interface NumberReport extends TaskReport, NumberFigures {
  /** Of a vector: of each of its numbers, over the rows that have it. */
  readonly perNumber?: readonly (NumberFigures & { readonly labelled: number })[];
}

const orNone = z
  .number()
  .nullable()
  .transform((value) => value ?? Number.NaN);
const perNumberSchema = z.array(
  z.object({
    labelled: z.int().nonnegative(),
    ...{ mae: orNone, meanMae: orNone, rmse: orNone, meanRmse: orNone, r2: orNone },
  }),
);

/** The form of reports on the numbers of these `names`. */
export function numberReports(names: readonly string[]): ReportForm {
  return {
    figures: [
      { name: "mae", head: "MAE", epochHead: "val MAE", falls: true },
      { name: "meanMae", head: "(mean)", epochHead: "mean", isBaseline: true, falls: true },
      { name: "rmse", head: "RMSE", epochHead: "RMSE", falls: true },
      { name: "meanRmse", head: "(mean)", epochHead: "mean", isBaseline: true, falls: true },
      { name: "r2", head: "R2", epochHead: "R2" },
    ],
    details: {
      stored: { perNumber: z.unknown().optional() },
      isIn: ({ perNumber }) => perNumber !== undefined,
      store: ({ perNumber }) => (perNumber === undefined ? {} : { perNumber }),
      restore: ({ perNumber }) =>
        perNumber === undefined ? {} : { perNumber: perNumberSchema.parse(perNumber) },
    },
    tables: ({ perNumber }) =>
      perNumber === undefined ? [] : [numberTable(names, perNumber as NumberReport["perNumber"])],
    gain: (report) => figureOf(report, "r2"),
    training: [
      {
        ...{ name: "mae", head: "MAE", epochHead: "MAE" },
        of: ({ absolute_error: sum = Number.NaN, count = 0 }) => sum / count,
      },
    ],
  };
}

function numberTable(names: readonly string[], perNumber: NumberReport["perNumber"] = []): DetailTable {
  const text = (value: number): string =>
    Number.isNaN(value) ? "-" : String(Number(value.toPrecision(SHOWN_DIGITS)));
  const shown = perNumber.slice(0, SHOWN_NUMBERS);
  return {
    title:
      shown.length < perNumber.length
        ? `the first ${SHOWN_NUMBERS} of ${perNumber.length} numbers`
        : "numbers",
    head: ["number", "labelled", "MAE", "(mean)", "RMSE", "(mean)", "R2"],
    rows: shown.map(({ labelled, mae, meanMae, rmse, meanRmse, r2 }, i) => [
      ...[names[i] ?? "", String(labelled), ...[mae, meanMae, rmse, meanRmse, r2].map(text)],
    ]),
    right: [1, 2, 3, 4, 5, 6],
    empty: "",
  };
}

/** What is summed of one number of a row. */
class Column {
  labelled = 0;
  #absolute = 0;
  #squared = 0;
  readonly #trained: number;
  /** Of the mean of the training labels. */
  #meanAbsolute = 0;
  #meanSquared = 0;
  /** Mean of the labels so far, and their squared differences from it (Welford). */
  #mean = 0;
  #spread = 0;

  /** `trained`: the mean of the training labels. */
  constructor(trained: number) {
    this.#trained = trained;
  }

  add(label: number, error: number): void {
    this.labelled++;
    this.#absolute += Math.abs(error);
    this.#squared += error * error;
    this.#meanAbsolute += Math.abs(this.#trained - label);
    this.#meanSquared += (this.#trained - label) ** 2;
    const before = label - this.#mean;
    this.#mean += before / this.labelled;
    this.#spread += before * (label - this.#mean);
  }

  figures(): NumberFigures {
    const rows = this.labelled;
    return {
      mae: this.#absolute / rows,
      meanMae: this.#meanAbsolute / rows,
      rmse: Math.sqrt(this.#squared / rows),
      meanRmse: Math.sqrt(this.#meanSquared / rows),
      r2: this.#spread > 0 ? 1 - this.#squared / this.#spread : Number.NaN,
    };
  }
}

/** Collects batches of answers of one task. */
export class NumberEvaluation implements Evaluation {
  readonly #lossOf: (error: number, place: number) => number;
  readonly #columns: readonly Column[];
  #labelled = 0;
  #lossSum = 0;

  /** `means` of the training labels; `lossOf` the error of the number at a place, answer - label. */
  constructor(means: readonly number[], lossOf: (error: number, place: number) => number) {
    this.#lossOf = lossOf;
    this.#columns = means.map((mean) => new Column(mean));
  }

  /** `answers` and `labels` [rows, width] row-major; NaN is no label, a row of such is not labelled. */
  add(answers: Float32Array, labels: ArrayLike<number>): void {
    const width = this.#columns.length;
    for (let start = 0; start < labels.length; start += width) {
      let [sum, known] = [0, 0];
      for (const [i, column] of this.#columns.entries()) {
        const label = labels[start + i] ?? Number.NaN;
        if (Number.isNaN(label)) continue;
        const error = (answers[start + i] ?? Number.NaN) - label;
        known++;
        sum += this.#lossOf(error, i);
        column.add(label, error);
      }
      if (known === 0) continue;
      this.#labelled++;
      this.#lossSum += sum / known;
    }
  }

  report(): NumberReport {
    const perNumber = this.#columns.map((column) => ({ labelled: column.labelled, ...column.figures() }));
    const known = perNumber.filter(({ labelled }) => labelled > 0);
    const meanOf = (of: readonly NumberFigures[], figure: keyof NumberFigures): number =>
      of.reduce((sum, figures) => sum + figures[figure], 0) / of.length;
    const over = (figure: keyof NumberFigures): number => meanOf(known, figure);
    // Numbers whose labels are all equal have no R2; errors that are none show in the others, too.
    const varied = known.filter(({ mae, r2 }) => Number.isNaN(mae) || !Number.isNaN(r2));
    return {
      labelled: this.#labelled,
      loss: this.#lossSum / this.#labelled,
      ...{ mae: over("mae"), meanMae: over("meanMae") },
      ...{ rmse: over("rmse"), meanRmse: over("meanRmse"), r2: meanOf(varied, "r2") },
      ...(perNumber.length > 1 ? { perNumber } : {}),
    };
  }
}
