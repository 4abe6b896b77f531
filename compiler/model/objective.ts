// The loss: masked softmax cross-entropy per task, weighted and summed. Counts of the whole logical batch
// come in as `inv_count/<task>` (1 / labelled rows, 0 if none), so that micro-batches and ranks add up
// exactly.
import { InternalError } from "../diagnostics.ts";
import type { GraphBuilder } from "../ir/builder.ts";
import type { Dim, Value } from "../ir/types.ts";
import type { Spec } from "../spec/schema.ts";
import type { Parameter, ParameterSource } from "./parameters.ts";

/** Start of s = log sigma^2 of an adaptive task weight (patchwork's). */
export const INITIAL_LOG_VARIANCE = 1.0;

export interface TaskLoss {
  /** Summed cross-entropy of the labelled rows, float32 scalar. */
  readonly lossSum: Value;
  /** The same with each row times the weight of its class; only where the task has class weights. */
  readonly weightedSum?: Value;
  readonly count: Value;
  readonly correct: Value;
}

/** The s of a task: exists only with `task_weights: adaptive`. */
export function logVariance(task: string): Parameter {
  return {
    name: `tasks.${task}.log_variance`,
    shape: [],
    role: "log_variance",
    part: `tasks.${task}`,
    initial: { kind: "constant", value: INITIAL_LOG_VARIANCE },
    trained: true,
  };
}

/** Whether the spec weighs the classes of a task: its step then takes `class_weight/<task>`. */
export function hasClassWeights({ class_weights: weights }: Spec, task: string): boolean {
  return weights === "balanced" || (weights !== null && Object.hasOwn(weights, task));
}

/**
 * Cross-entropy of one task; declares `label/<task>` (int64 [N], -1 = missing) and, with class weights,
 * `class_weight/<task>` (float32 [K]). Metrics stay unweighted, so that they compare with an evaluation's.
 */
export function buildTaskLoss(
  b: GraphBuilder,
  task: string,
  logits: Value,
  batch: Dim,
  isWeighted = false,
): TaskLoss {
  return b.within(`tasks.${task}.loss`, () => {
    const labels = b.input(labelName(task), "int64", [batch]);
    const [lossSum, count, correct] = b.emitAll("MaskedCrossEntropy", [logits, labels], {}, 3);
    if (!lossSum || !count || !correct) throw new InternalError("MaskedCrossEntropy has three outputs");
    if (!isWeighted) return { lossSum, count, correct };
    const weights = b.input(classWeightName(task), "float32", logits.type.shape.slice(1));
    return { lossSum, weightedSum: weightedLossSum(b, logits, labels, weights), count, correct };
  });
}

/**
 * sum over labelled rows of w[label] ce: PyTorch's CrossEntropyLoss with `weight` and reduction "sum". Rows
 * without label are replaced before the softmax: whatever their logits hold, their gradient is exactly 0.
 */
function weightedLossSum(b: GraphBuilder, logits: Value, labels: Value, weights: Value): Value {
  const labelled = b.emit("GreaterOrEqual", [labels, b.scalar(0, "int64")]);
  const column = b.emit("Unsqueeze", [labelled, b.ints([1])]);
  const given = b.where(column, logits, b.scalar(0));
  return b.emit("SoftmaxCrossEntropyLoss", [given, labels, weights], { reduction: "sum", ignore_index: -1 });
}

/**
 * objective = sum over tasks of weight * lossSum * inv_count (class weights: weightedSum, and inv_count is
 * 1 / sum of the labelled rows' weights), a float32 scalar. The weight is exp(-s) where
 * weights are adaptive (Kendall et al., arXiv 1705.07115, classification form; the s/2 terms are added once
 * per logical batch by the step), else the input `task_weight/<task>`.
 */
export function buildObjective(
  b: GraphBuilder,
  spec: Spec,
  losses: ReadonlyMap<string, TaskLoss>,
  source: ParameterSource,
): Value {
  const terms = [...losses].map(([task, { lossSum, weightedSum }]) =>
    b.within(`tasks.${task}.loss`, () => {
      const mean = b.mul(weightedSum ?? lossSum, b.input(inverseCountName(task), "float32", []));
      const weight =
        spec.task_weights === "adaptive"
          ? b.emit("Exp", [b.neg(source(b, logVariance(task)))])
          : b.input(taskWeightName(task), "float32", []);
      return b.mul(weight, mean);
    }),
  );
  return b.within("objective", () => terms.reduce((sum, term) => b.add(sum, term)));
}

export function labelName(task: string): string {
  return `label/${task}`;
}

export function inverseCountName(task: string): string {
  return `inv_count/${task}`;
}

export function classWeightName(task: string): string {
  return `class_weight/${task}`;
}

export function taskWeightName(task: string): string {
  return `task_weight/${task}`;
}
