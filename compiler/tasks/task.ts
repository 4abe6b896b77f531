// What a kind of task is: all that compiler and runtime ask of a task, so that neither knows any kind. A kind
// is one object in one file, and a line of table.ts; a task is a kind bound to what is known of its labels
// (its facts: class names, say). Pure, of compile time and run time alike.
import type { z } from "zod";
import { InternalError } from "../diagnostics.ts";
import type { GraphBuilder } from "../ir/builder.ts";
import type { LabelRole } from "../ir/roles.ts";
import type { Dim, Value } from "../ir/types.ts";
import type { AnswerForm } from "./answer.ts";
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
}

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
  /** Element type of `label/<task>`, its shape behind N, what its numbers are, and what a missing one is. */
  readonly label: {
    readonly dtype: "int64" | "float32";
    readonly shape: readonly Dim[];
  } & Pick<LabelRole, "encoding" | "missing">;
  /** Names of the sums of a step: `loss_sum`, `count` of the labelled rows, and the kind's own. */
  readonly figures: readonly string[];
  readonly loss: (inputs: LossInputs) => TaskLoss;
  /**
   * Float32 scalar 1 / labelled rows of a batch (or the sum of their weights, from those of [width], where
   * they are given); 0 where there is none.
   */
  readonly inverseCount: (b: GraphBuilder, labels: Value, weights: Value | undefined) => Value;
  /** Factor c of an adaptive weight: c exp(-s) L + s/2 (Kendall et al., arXiv 1705.07115). */
  readonly certainty: number;
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
   * Sum over the images of the divergence of `y` from what a teacher gives for them (its `served` output),
   * float32 scalar; absent where a kind cannot be distilled.
   */
  readonly distil?: (b: GraphBuilder, y: Value, teacher: Value) => Value;
}

/** A kind of task: binds what is known of a task. */
export interface TaskKind {
  readonly kind: string;
  /** One sentence for people. */
  readonly doc: string;
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
