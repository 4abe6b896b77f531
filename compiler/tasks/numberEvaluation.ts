// Evaluation of tasks of numbers on labelled rows only: mean absolute error, root of the mean squared error
// and R2 in the user's unit, beside always answering the mean of the training labels. Of a vector they are
// means over its numbers.
import { type Evaluation, figureOf, type ReportForm, type TaskReport } from "./report.ts";

/** Figures of a task of numbers, in the unit of its labels. */
export interface NumberReport extends TaskReport {
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

/** The form of such reports. */
export const NUMBER_REPORTS: ReportForm = {
  figures: [
    { name: "mae", head: "MAE", epochHead: "val MAE", falls: true },
    { name: "meanMae", head: "(mean)", epochHead: "mean", isBaseline: true, falls: true },
    { name: "rmse", head: "RMSE", epochHead: "RMSE", falls: true },
    { name: "meanRmse", head: "(mean)", epochHead: "mean", isBaseline: true, falls: true },
    { name: "r2", head: "R2", epochHead: "R2" },
  ],
  constants: {},
  gain: (report) => figureOf(report, "r2"),
  training: [
    {
      ...{ name: "mae", head: "MAE", epochHead: "MAE" },
      of: ({ absolute_error: sum = Number.NaN, count = 0 }) => sum / count,
    },
  ],
};

/** What is summed of one number of a row. */
interface Column {
  absolute: number;
  squared: number;
  /** Of the mean of the training labels. */
  meanAbsolute: number;
  meanSquared: number;
  /** Mean of the labels so far, and their squared differences from it (Welford). */
  mean: number;
  spread: number;
}

/** Collects batches of answers of one task. */
export class NumberEvaluation implements Evaluation {
  readonly #means: readonly number[];
  readonly #lossOf: (row: readonly number[]) => number;
  readonly #columns: Column[];
  #labelled = 0;
  #lossSum = 0;

  /** `means` of the training labels; `lossOf` the errors of a row, answer - label, is the row's loss. */
  constructor(means: readonly number[], lossOf: (row: readonly number[]) => number) {
    this.#means = means;
    this.#lossOf = lossOf;
    this.#columns = means.map(() => ({
      ...{ absolute: 0, squared: 0, meanAbsolute: 0, meanSquared: 0, mean: 0, spread: 0 },
    }));
  }

  /** `answers` and `labels` [rows, width] row-major; a row with NaN among its labels is not labelled. */
  add(answers: Float32Array, labels: ArrayLike<number>): void {
    const width = this.#means.length;
    for (let row = 0; row * width < labels.length; row++) {
      const wanted = this.#means.map((_, i) => labels[row * width + i] ?? Number.NaN);
      if (wanted.some(Number.isNaN)) continue;
      this.#labelled++;
      const errors = wanted.map((label, i) => (answers[row * width + i] ?? Number.NaN) - label);
      this.#lossSum += this.#lossOf(errors);
      for (const [i, column] of this.#columns.entries())
        this.#addNumber(column, wanted[i] ?? Number.NaN, errors[i] ?? Number.NaN, this.#means[i] ?? 0);
    }
  }

  #addNumber(column: Column, label: number, error: number, mean: number): void {
    column.absolute += Math.abs(error);
    column.squared += error * error;
    column.meanAbsolute += Math.abs(mean - label);
    column.meanSquared += (mean - label) ** 2;
    const before = label - column.mean;
    column.mean += before / this.#labelled;
    column.spread += before * (label - column.mean);
  }

  report(): NumberReport {
    const rows = this.#labelled;
    const over = (figure: (column: Column) => number): number =>
      this.#columns.reduce((sum, column) => sum + figure(column), 0) / this.#columns.length;
    return {
      labelled: rows,
      loss: this.#lossSum / rows,
      mae: over(({ absolute }) => absolute / rows),
      meanMae: over(({ meanAbsolute }) => meanAbsolute / rows),
      rmse: over(({ squared }) => Math.sqrt(squared / rows)),
      meanRmse: over(({ meanSquared }) => Math.sqrt(meanSquared / rows)),
      r2: over(({ squared, spread }) => (spread > 0 ? 1 - squared / spread : Number.NaN)),
    };
  }
}
