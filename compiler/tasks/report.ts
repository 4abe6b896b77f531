// What evaluations and training say of a task, and what is kept and shown of that. Figures have names: a kind
// lists its own, and whoever keeps or shows them asks it.
import type { z } from "zod";
import type { ReportPart } from "./reportParts.ts";

/**
 * Figures of one task over its labelled rows, by name; NaN where there is no such row. `loss` is the mean of
 * the task's loss; the others, and what a report holds beside figures, are the kind's.
 */
export interface TaskReport {
  readonly labelled: number;
  readonly loss: number;
  readonly [name: string]: unknown;
}

/** A figure of a report; NaN where it holds none of that name. */
export function figureOf(report: TaskReport | undefined, name: string): number {
  const value = report?.[name];
  return typeof value === "number" ? value : Number.NaN;
}

/** Collects batches of one task. */
export interface Evaluation {
  /**
   * `y`, what the task's `scored` output gives, row-major [rows, width]; `labels` as its column has them,
   * missing ones too, of at most as many rows as `y`.
   */
  add(y: Float32Array, labels: ArrayLike<number>): void;
  report(): TaskReport;
}

/** A number of a report, and the heads of its column: in the evaluation's table, and in that of epochs. */
export interface FigureColumn {
  readonly name: string;
  readonly head: string;
  readonly epochHead: string;
  /** Whether it is the baseline of the figure before it. */
  readonly isBaseline?: true;
  /** Whether it falls as answers become better; others rise. */
  readonly falls?: true;
}

/** A table below an evaluation's: a confusion matrix, say. */
export interface DetailTable {
  readonly title: string;
  readonly head: readonly string[];
  readonly rows: readonly (readonly string[])[];
  /** Columns of numbers. */
  readonly right: readonly number[];
  /** What is said where there are no rows. */
  readonly empty: string;
}

/** What is kept of a report of which only the newest and the best epoch hold everything. */
export interface ReportDetails {
  /** Keys of a stored report that hold them. */
  readonly stored: Readonly<Record<string, z.ZodType>>;
  /** Whether a report holds any. */
  readonly isIn: (report: TaskReport) => boolean;
  /** What is stored of them, as JSON. */
  readonly store: (report: TaskReport) => object;
  /** What a report holds of what is stored; ZodError where that is not what it should be. */
  readonly restore: (stored: Readonly<Record<string, unknown>>) => object;
}

/** The form of a task's reports. */
export interface ReportForm {
  /** Figures beside `labelled` and `loss`, each followed by its baseline, where it has one. */
  readonly figures: readonly FigureColumn[];
  /** What every report holds beside figures. */
  readonly constants?: Readonly<Record<string, unknown>>;
  readonly details?: ReportDetails;
  /** Tables to be shown below the figures. */
  readonly tables?: (report: TaskReport) => readonly DetailTable[];
  /** What a report page shows of what a report holds. */
  readonly parts?: (report: TaskReport) => readonly ReportPart[];
  /**
   * What it shows of rows that were looked at: what the task's `served` output gives, row-major [rows, width],
   * and their labels as its column has them, missing ones too.
   */
  readonly rowParts?: (served: ArrayLike<number>, labels: ArrayLike<number>) => readonly ReportPart[];
  /** (f - f0) / (1 - f0) of the figure that training is judged by and its baseline. */
  readonly gain: (report: TaskReport) => number;
  /** Figures of an epoch's sums (by their names in `Task.figures`) beside the mean loss; absent: none. */
  readonly training?: readonly (FigureColumn & { readonly of: (sums: TaskSums) => number })[];
}

/** Sums over the labelled rows of a task, by name. */
export type TaskSums = Readonly<Record<string, number>>;
