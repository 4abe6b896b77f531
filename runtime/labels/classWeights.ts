// The spec's class_weights -> a weight per class or tag of each task, as the training step takes them. The
// loss of a task of classes is then sum(w ce) / sum(w) over its labelled rows (PyTorch's CrossEntropyLoss
// with `weight`), that of a cell which has its tag w times what it was (`pos_weight` of BCEWithLogitsLoss).
import { suggestName } from "../../compiler/diagnostics.ts";
import { classKey } from "../../compiler/spec/classKey.ts";
import type { StepSpec } from "../../compiler/spec/schema.ts";
import type { Task } from "../../compiler/tasks/task.ts";
import { FaultList } from "../tables/faultList.ts";
import { type LabelledRows, labelsByTask } from "./classes.ts";
import { classOf, isMissing, rowCount, type TaskLabels } from "./taskLabels.ts";

/** Weights by task, [classes] or [tags]; tasks without weights are not in it. */
export type ClassWeights = ReadonlyMap<string, Float32Array>;

/**
 * Weights of the training labels' classes. `balanced`: n / (C n_c), with n labelled rows, C classes that have
 * any and n_c rows of class c (scikit-learn's compute_class_weight); 1 for a class without rows. Of tags
 * n_0 / n_1, rows without and with the tag, 1 where one of them is 0. A map: its weights, 1 for classes and
 * tags that it leaves out; E_CONFIG for one that the task has not.
 */
export function resolveClassWeights(
  given: StepSpec["class_weights"],
  tasks: readonly Pick<Task, "name" | "numbers" | "weighs">[],
  train: LabelledRows,
): ClassWeights {
  if (given === null) return new Map();
  const columns = labelsByTask(train);
  const faults = new FaultList();
  const weights = new Map<string, Float32Array>();
  for (const { name: task, numbers, weighs } of tasks) {
    const labels = columns.get(task);
    if (!weighs || !labels) continue;
    if (given === "balanced")
      weights.set(
        task,
        weighs === "positives" ? positiveWeights(labels) : balancedWeights(labels, numbers.length),
      );
    else if (Object.hasOwn(given, task))
      weights.set(task, listedWeights(given[task] ?? {}, { task, numbers, weighs }, faults));
  }
  faults.throwIfAny();
  return weights;
}

/** The weights that a map gives, in the order of the task's numbers. */
function listedWeights(
  byName: Readonly<Record<string, number>>,
  { task, numbers, weighs }: Pick<Task, "numbers" | "weighs"> & { readonly task: string },
  faults: FaultList,
): Float32Array {
  const keys = new Set(numbers.map(classKey));
  const what = weighs === "positives" ? "tag" : "class";
  for (const name of Object.keys(byName)) {
    if (keys.has(classKey(name))) continue;
    const message = `task "${task}" has no ${what} "${name}"`;
    const at = { path: `class_weights.${task}.${name}` };
    faults.add({ code: "E_CONFIG", message, at, hint: suggestName(name, numbers) });
  }
  const known = new Map(Object.entries(byName).map(([name, weight]) => [classKey(name), weight]));
  return Float32Array.from(numbers, (name) => known.get(classKey(name)) ?? 1);
}

/** Rows of each class of a task, [classCount]. */
export function countClasses(labels: TaskLabels, classCount: number): Float64Array {
  const counts = new Float64Array(classCount);
  for (let row = 0; row < rowCount([labels]); row++) {
    const label = classOf(labels, row);
    if (label !== undefined) counts[label] = (counts[label] ?? 0) + 1;
  }
  return counts;
}

function balancedWeights(labels: TaskLabels, classCount: number): Float32Array {
  const counts = countClasses(labels, classCount);
  const labelled = counts.reduce((sum, count) => sum + count, 0);
  const present = counts.filter((count) => count > 0).length;
  return Float32Array.from(counts, (count) => (count > 0 ? labelled / (present * count) : 1));
}

function positiveWeights(labels: TaskLabels): Float32Array {
  const { values, width } = labels;
  return Float32Array.from({ length: width }, (_, tag) => {
    const counts: [number, number] = [0, 0];
    for (let place = tag; place < values.length; place += width)
      if (!isMissing(values, place)) counts[values[place] === 1 ? 1 : 0]++;
    const [without, having] = counts;
    return without > 0 && having > 0 ? without / having : 1;
  });
}
