// The loss: that of each task over its labelled rows, weighted and summed. Counts of the whole logical batch
// come in as `inv_count/<task>` (1 / labelled rows, 0 if none), so that micro-batches and ranks add up
// exactly.
import type { GraphBuilder } from "../ir/builder.ts";
import type { Dim, Value } from "../ir/types.ts";
import type { Spec } from "../spec/schema.ts";
import type { Task, TaskLoss } from "../tasks/task.ts";
import type { Parameter, ParameterSource } from "./parameters.ts";

/** Start of s = log sigma^2 of an adaptive task weight (patchwork's). */
export const INITIAL_LOG_VARIANCE = 1.0;

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
 * Loss of one task; declares `label/<task>` and, where the spec weighs its classes, `class_weight/<task>`
 * (float32 [width]).
 */
export function buildTaskLoss(
  b: GraphBuilder,
  task: Task,
  y: Value,
  batch: Dim,
  isWeighted = false,
): TaskLoss {
  const { name, label } = task;
  return b.within(`tasks.${name}.loss`, () => {
    const labels = b.input(labelName(name), label.dtype, [batch, ...label.shape]);
    const declare = () => b.input(classWeightName(name), "float32", y.type.shape.slice(1));
    return task.loss({ b, y, labels, weights: isWeighted ? declare : undefined });
  });
}

/**
 * objective = sum over tasks of weight * objective sum * inv_count (class weights: inv_count is 1 / sum of
 * the labelled rows' weights), a float32 scalar. The weight is c exp(-s), c being the kind's `certainty`,
 * where weights are adaptive (Kendall et al., arXiv 1705.07115; the step adds the s/2 terms once per logical
 * batch), else the input `task_weight/<task>`.
 */
export function buildObjective(
  b: GraphBuilder,
  spec: Spec,
  losses: ReadonlyMap<Task, TaskLoss>,
  source: ParameterSource,
): Value {
  const terms = [...losses].map(([{ name, certainty }, { objective }]) =>
    b.within(`tasks.${name}.loss`, () => {
      const mean = b.mul(objective, b.input(inverseCountName(name), "float32", []));
      if (spec.task_weights !== "adaptive") return b.mul(b.input(taskWeightName(name), "float32", []), mean);
      const weight = b.emit("Exp", [b.neg(source(b, logVariance(name)))]);
      return b.mul(certainty === 1 ? weight : b.mul(weight, b.scalar(certainty)), mean);
    }),
  );
  return b.within("objective", () => terms.reduce((sum, term) => b.add(sum, term)));
}

export function labelName(task: string): string {
  return `label/${task}`;
}

/** Output of a training graph: a sum of a task, by the name of the figure. */
export function figureName(figure: string, task: string): string {
  return `${figure}/${task}`;
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
