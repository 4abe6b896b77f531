// What training tells of its steps and epochs: the reports that the trainer's events carry, and that logs,
// histories and progress are made of.
import type { TaskSums } from "../../compiler/tasks/report.ts";
import type { EvaluationReport } from "../infer/evaluationReport.ts";

/** After each step; losses are masked means over the epoch so far, NaN before a task's first label. */
export interface StepEvent {
  readonly epoch: number;
  readonly step: number;
  readonly steps: number;
  readonly losses: Readonly<Record<string, number>>;
  readonly imagesPerSecond: number;
  /** Rate of the step. */
  readonly learningRate: number;
  /** Sums over the steps of the epoch so far, by task. */
  readonly sums: Readonly<Record<string, TaskSums>>;
  /** Further figures of the step by name. */
  readonly scalars?: Readonly<Record<string, number>>;
}

/** One finished epoch; the first is 1. */
export interface EpochReport {
  readonly epoch: number;
  readonly steps: number;
  readonly seconds: number;
  /** Masked mean of the loss per task over the epoch's labelled rows. */
  readonly trainLoss: Readonly<Record<string, number>>;
  /** Of the tasks of which training counts it: those of classes. */
  readonly trainAccuracy: Readonly<Record<string, number>>;
  /** Other figures of training, by task and name; absent where no task has any. */
  readonly trainFigures?: Readonly<Record<string, Readonly<Record<string, number>>>>;
  /** Weight of each task's loss at the end of the epoch: exp(-s) where it is learned. */
  readonly taskWeights: Readonly<Record<string, number>>;
  /** Share of the time in which the device had nothing to do but wait for its next images. */
  readonly waitShare: number;
  readonly evaluation?: EvaluationReport;
  /** Further figures of the epoch by name, `lr` or `probe/downstream/accuracy`, say; absent without any. */
  readonly scalars?: Readonly<Record<string, number>>;
  /** When it was finished, in milliseconds since 1970; reports of earlier versions do not say. */
  readonly time?: number | undefined;
}

/** Something that was drawn while training: a sheet of kernels, say. */
export interface PictureEvent {
  /** Such as `probe/kernels`; the next one of the same name is a later state of it. */
  readonly name: string;
  /** Finished epochs when it was drawn. */
  readonly epoch: number;
  readonly png: Uint8Array;
}

/** Vectors of images at the end of an epoch, row-major [rows, width]. */
export interface EmbeddingEvent {
  readonly name: string;
  readonly epoch: number;
  readonly vectors: Float32Array;
  readonly width: number;
  readonly rows: EmbeddingRows;
  /** Small pictures of the rows, in rows of as many as the square has, each `side` pixels wide and high. */
  readonly sprite?: { readonly png: Uint8Array; readonly side: number } | undefined;
}

/** What is known of each row of an embedding, by column. */
export interface EmbeddingRows {
  readonly columns: readonly string[];
  readonly values: readonly (readonly string[])[];
}
