// What the losses of the tasks come to: their sum by the weights of the tasks, and what a teacher and weight
// decay add, as figures of an epoch or of some steps. Made of sums that training has anyway.
import { DISTILLATION } from "../../compiler/model/distillation.ts";
import type { TaskSums } from "../../compiler/tasks/report.ts";
import type { Task } from "../../compiler/tasks/task.ts";
import type { Scalars } from "./scalars.ts";

/** How losses are summed. */
export interface LossTotals {
  readonly tasks: readonly Pick<Task, "name" | "certainty">[];
  /** Whether weights are learned: each then has the term s/2 beside c exp(-s) L (arXiv 1705.07115). */
  readonly isAdaptive: boolean;
  readonly distillWeight: number;
}

/**
 * `train/loss`, the sum over the tasks with labelled rows of weight times mean loss, and of all that is added to
 * it `train/distillation`: distill_weight times the sum of the tasks' mean divergences over all `rows`. No
 * `train/loss` where a weight is not known.
 */
export function lossScalars(
  sums: Readonly<Record<string, TaskSums>>,
  weights: Readonly<Record<string, number | undefined>>,
  rows: number,
  { tasks, isAdaptive, distillWeight }: LossTotals,
): Scalars {
  let [total, divergence, hasDivergence] = [0, 0, false];
  for (const { name, certainty = 1 } of tasks) {
    const { loss_sum: sum = Number.NaN, count = 0, [DISTILLATION]: ofTeacher } = sums[name] ?? {};
    const weight = weights[name] ?? Number.NaN;
    // Its gradient is 0 without labelled rows, and so is its part of the loss.
    if (count > 0) total += (weight * sum) / count + (isAdaptive ? Math.log(certainty / weight) / 2 : 0);
    if (ofTeacher === undefined) continue;
    divergence += ofTeacher / rows;
    hasDivergence = true;
  }
  const distillation = distillWeight * divergence;
  return {
    ...(Number.isFinite(total + distillation) ? { "train/loss": total + distillation } : {}),
    ...(hasDivergence ? { "train/distillation": distillation } : {}),
  };
}
