// What labels that a task was not trained on say of its numbers: how far probabilities may be believed, and
// below which certainty an answer is better left open. The kinds do the fitting; an export keeps what was
// fitted as facts of its tasks.
import { reliabilityOf } from "./reliability.ts";
import type { TaskDescription } from "./task.ts";

/** Rows with labels, of which many have none of this task. */
export interface HeldOut {
  /** What the task's `scored` output gives, row-major [rows, width]. */
  readonly y: Float32Array;
  /** As the column has them, missing ones too. */
  readonly labels: ArrayLike<number>;
}

/** How far probabilities are from what happens. */
export interface Honesty {
  /** Expected calibration error, of 15 ranges of equal width; NaN where a kind has no probabilities. */
  readonly ece: number;
  /** Mean negative log-likelihood of the labels; NaN where a kind has none. */
  readonly nll: number;
}

/** A task with what was fitted to held-out labels. */
export interface Calibration {
  readonly description: TaskDescription;
  /** Rows with a label of the task. */
  readonly rows: number;
  /** What was fitted, for people: "temperature 1.42". */
  readonly text: string;
  readonly before: Honesty;
  readonly after: Honesty;
  /** What is to be said of the fit, one sentence each. */
  readonly notes: readonly string[];
}

/** Which share of wrong answers is allowed, or which share of the images is to be answered. */
export type SelectionWish = { readonly risk: number } | { readonly coverage: number };

/** A task that leaves answers open below a certainty. */
export interface Selection {
  readonly description: TaskDescription;
  /** Answers with a smaller probability are unsure. */
  readonly below: number;
  readonly rows: number;
  /** Shares of the held-out labels: rows that are answered, wrong ones of those, wrong ones of all rows. */
  readonly coverage: number;
  readonly risk: number;
  readonly riskOfAll: number;
  /** What the risk of new images stays under, with which confidence; absent where coverage was asked for. */
  readonly bound?: { readonly risk: number; readonly confidence: number };
}

/** That no threshold can promise what was asked for: the least risk that one was found to promise. */
export interface Unpromised {
  readonly rows: number;
  readonly least: number;
}

/** Fewer labelled rows than this decide a fit by chance, which is told. */
export const FEW_ROWS = 100;

/** What is said of a fit to few rows. */
export function fewRows(task: string, rows: number): string[] {
  if (rows >= FEW_ROWS) return [];
  return [`task "${task}" is fitted to ${rows} labelled rows: fewer than ${FEW_ROWS} decide little`];
}

/** What is not known. */
export const NO_HONESTY: Honesty = { ece: Number.NaN, nll: Number.NaN };

/** Honesty of answers: their certainties, whether they are right (1 or 0), and the log-likelihoods' sum. */
export function honestyOf(certainties: Float64Array, hits: Float64Array, nll: number): Honesty {
  return { ece: reliabilityOf(certainties, hits).ece, nll };
}
