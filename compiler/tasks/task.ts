// What a kind of task is: all that compiler and runtime ask of a task, so that neither knows any kind. A kind
// is one object in one file, and a line of table.ts; a task is a kind bound to what is known of its labels
// (its facts: class names, say). Pure, of compile time and run time alike.
import type { z } from "zod";
import { InternalError } from "../diagnostics.ts";
import type { GraphBuilder } from "../ir/builder.ts";
import type { LabelRole } from "../ir/roles.ts";
import type { Value } from "../ir/types.ts";
import type { AnswerForm } from "./answer.ts";
import type { Calibration, HeldOut, Selection, SelectionWish, Unpromised } from "./calibration.ts";
import type { Evaluation, ReportForm } from "./report.ts";

/**
 * A task as manifests, runs and exports keep it, plain JSON: its name, its kind, and the facts that the kind
 * asks for (`classes` of classes).
 */
export interface TaskDescription {
  readonly task: string;
  /** Name of its kind; absent: "classes". */
  readonly kind?: string | undefined;
  readonly [fact: string]: unknown;
}

/** What a loss is made from. */
export interface LossInputs {
  readonly b: GraphBuilder;
  /** What the head gives, float32 [N, width]. */
  readonly y: Value;
  /** `label/<task>`, of the type that the task's `label` says. */
  readonly labels: Value;
  /** Declares `class_weight/<task>`, float32 [width]; undefined where the spec weighs nothing. */
  readonly weights: (() => Value) | undefined;
  readonly choices: LossChoices;
}

/** Which loss of several is trained, where a kind has several. Figures are always of the plain one. */
export interface LossChoices {
  /** e of labels that are (1 - e) one-hot + e / K. */
  readonly labelSmoothing: number;
  /** Of the focal loss; 0 is the cross-entropy. */
  readonly gamma: number;
}

/** The usual one. */
export const PLAIN_LOSS: LossChoices = { labelSmoothing: 0, gamma: 0 };

/** What a (micro-)batch says of a task: float32 scalars. */
export interface TaskLoss {
  /** Sum over the labelled rows of what is trained, class weights included. */
  readonly objective: Value;
  /**
   * Sums over the labelled rows that reports are made of, by the names that `Task.figures` lists; unweighted,
   * so that they compare with an evaluation's.
   */
  readonly figures: Readonly<Record<string, Value>>;
}

/** One thing that evaluated and exported graphs give of a task. */
export interface TaskOutput {
  /** `<name>/<task>` is the output. */
  readonly name: string;
  /** Whether its numbers are shares of 1, which are compared as they are; others by their size. */
  readonly isShare?: boolean;
  /** float32 [N, width] from what the head gives. */
  readonly of: (b: GraphBuilder, y: Value) => Value;
}

/** A number of a head that is taken from one of another head: y = scale theirs[from] + shift. */
export interface AdoptedUnit {
  readonly from: number;
  readonly scale: number;
  readonly shift: number;
}

/** Labels of a task, in tables, in memory and as the input `label/<task>` of graphs. */
export interface TaskLabel extends Pick<LabelRole, "encoding" | "missing"> {
  /** Element type of the input, and its shape behind N. In memory int64 is int32. */
  readonly dtype: "int64" | "float32" | "uint8";
  readonly shape: readonly number[];
  /**
   * Columns of a table that hold its labels, a number of a row each; absent: the one that is called as the
   * task is holds all of them.
   */
  readonly columns?: readonly string[] | undefined;
  /**
   * Of each of the different labels of a column, as spelled, its numbers, row-major [names x numbers of the
   * column]; missing ones (-1 of int64, NaN of float32, 255 of uint8) where a label is none of this task's.
   */
  readonly encode: (names: readonly string[]) => Int32Array | Float32Array | Uint8Array;
  /** What `label`, or that part of one, has to be, for messages; `source` decided that ("the spec lists"). */
  readonly expected: (source: string, label: string) => string;
  /** Parts of a label that are none of this task's; absent, or none: it is as a whole. */
  readonly strangers?: (label: string) => readonly string[];
  /** Labels that may have been meant. */
  readonly names: readonly string[];
}

/** A column of training labels: the different ones, as spelled, and how many rows have each. */
export interface TrainingColumn {
  readonly names: readonly string[];
  readonly rows: ArrayLike<number>;
}

/** What class weights weigh. */
export type Weighed = "classes" | "positives";

/** A task of a kind. */
export interface Task {
  readonly name: string;
  readonly kind: string;
  readonly description: TaskDescription;
  /** Numbers that the head gives of an image, and that `served` does. */
  readonly width: number;
  /** Their names, [width], and what these are called. */
  readonly numbers: readonly string[];
  readonly numbersAre: string;
  readonly label: TaskLabel;
  /**
   * What the spec's `class_weights` weigh: its classes (the loss is divided by the sum of the rows' weights),
   * or the cells that have a tag (the loss is divided by the number of rows); absent: nothing.
   */
  readonly weighs?: Weighed | undefined;
  /** What its labels are counted by: of classes the classes, of others what is like them. */
  readonly groups: {
    readonly names: readonly string[];
    /** Whether each must occur, and stands for itself. */
    readonly areClasses: boolean;
    /** What they are, for people ("3 tags"); absent: so many classes. */
    readonly text?: string;
    /** Whether their order says something, as that of ranges does. */
    readonly areOrdered?: boolean;
    /** Places among `names` of what a row's label says; none where it is missing. */
    readonly of: (row: ArrayLike<number>) => readonly number[];
  };
  /** Names of the sums of a step: `loss_sum`, `count` of the labelled rows, and the kind's own. */
  readonly figures: readonly string[];
  readonly loss: (inputs: LossInputs) => TaskLoss;
  /** Which loss is trained with these choices, for people. */
  readonly lossText?: (choices: LossChoices) => string;
  /**
   * Float32 scalar 1 / labelled rows of a batch (or the sum of their weights, from those of [width], where
   * they are given); 0 where there is none.
   */
  readonly inverseCount: (b: GraphBuilder, labels: Value, weights: Value | undefined) => Value;
  /** Factor c of an adaptive weight: c exp(-s) L + s/2 (Kendall et al., arXiv 1705.07115); absent: 1. */
  readonly certainty?: number;
  /** What evaluate.onnx gives, in order. */
  readonly outputs: readonly TaskOutput[];
  /** Name of the output that evaluations read. */
  readonly scored: string;
  /** The output that exported graphs give, and predictions: of these `outputs`. */
  readonly served: TaskOutput;
  readonly evaluation: () => Evaluation;
  readonly reports: ReportForm;
  readonly answers: AnswerForm;
  /**
   * Of each of its numbers where it comes from in the head of a task of the same kind and name; undefined
   * ones begin anew. Absent: from the number of the same name.
   */
  readonly unitsFrom?: (theirs: Task) => readonly (AdoptedUnit | undefined)[];
  /** The description with what a report of the validation labels decides: an export has it. */
  readonly fitted?: (report: Readonly<Record<string, unknown>>) => TaskDescription;
  /** Fits what is served to labels that training has not seen; absent where nothing can be fitted. */
  readonly calibrate?: (held: HeldOut) => Calibration;
  /** Finds below which certainty an answer is better left open; absent where answers have none. */
  readonly select?: (held: HeldOut, wish: SelectionWish) => Selection | Unpromised;
  /**
   * What `served` gives, [rows, width], of what `scored` does, by arithmetic on the host: of descriptions that
   * a calibration has changed, whose `served` no graph of training has.
   */
  readonly servedOf?: (y: Float32Array) => Float32Array;
  /**
   * Of what the head gives, y [N, width], how much of each number a heat map explains, float32 [N, width];
   * absent: the largest of each image, alone.
   */
  readonly explained?: (b: GraphBuilder, y: Value) => Value;
  /**
   * Sum over the images of the divergence of `y` from what a teacher gives for them (its `served` output),
   * float32 scalar; absent where a kind cannot be distilled.
   */
  readonly distil?: (b: GraphBuilder, y: Value, teacher: Value) => Value;
}

/** What a column of a table holds, seen as a whole. */
export interface ColumnSurvey {
  /** Rows of each value; lists as JSON writes them. */
  readonly values: ReadonlyMap<string, number>;
  /** Whether its values are few and frequent enough for classes. */
  readonly mayBeClasses: boolean;
  /** Whether its cells are lists, which are labels of kinds with `takesLists` alone. */
  readonly areLists: boolean;
}

/** A kind of task: binds what is known of a task. */
export interface TaskKind {
  readonly kind: string;
  /** One sentence for people. */
  readonly doc: string;
  /** Keys of its entries in the spec's `tasks`, beside `name` and `kind`. */
  readonly settings: Readonly<Record<string, z.ZodType>>;
  /** A setting that does not go with the others, and why. */
  readonly clash?: (
    settings: Readonly<Record<string, unknown>>,
  ) => { readonly key: string; readonly message: string } | undefined;
  /**
   * What a column holds, for people, where it may be of this kind; undefined where it is none. Absent where
   * nothing tells.
   */
  readonly survey?: (column: ColumnSurvey) => string | undefined;
  /**
   * Whether a column with these values (rows of each) may be one of a task's `columns`, and what those hold,
   * for people, of so many columns; absent where nothing tells.
   */
  readonly surveyGroup?: {
    readonly accepts: (values: ReadonlyMap<string, number>) => boolean;
    readonly holds: (columns: number) => string;
  };
  /** How many columns of a table a task may have (the setting `columns`); absent: one. */
  readonly mostColumns?: number;
  /** Whether cells of JSON Lines and Parquet may be lists; one is a label as JSON writes it. */
  readonly takesLists?: boolean;
  /** Whether its labels are the classes that a spec may list under `classes`. */
  readonly areClasses?: boolean;
  /** `weighs` of its tasks. */
  readonly weighs?: Weighed;
  /**
   * What is known of a task whose spec has these settings, by its training labels; `others` are the further
   * columns of a task whose settings name several.
   */
  readonly describe: (
    task: string,
    settings: Readonly<Record<string, unknown>>,
    column: TrainingColumn,
    ...others: readonly TrainingColumn[]
  ) => TaskDescription;
  /** The facts of its tasks, as they lie beside a task's name in manifests, runs and exports. */
  readonly facts: z.ZodType<object>;
  /** The task of a description; InternalError where its facts are not the kind's. */
  readonly open: (description: TaskDescription) => Task;
}

/** The facts of a description as a kind's schema has them; InternalError where they are other ones. */
export function factsOf<T>(schema: z.ZodType<T>, description: TaskDescription): T {
  const parsed = schema.safeParse(description);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new InternalError(
    `task "${description.task}" has no usable ${issue?.path.join(".")}: ${issue?.message}`,
  );
}
