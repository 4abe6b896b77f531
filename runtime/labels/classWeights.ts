// The spec's class_weights -> a weight per class of each task, as the training step takes them. The loss of a
// task is then sum(w ce) / sum(w) over its labelled rows (PyTorch's CrossEntropyLoss with `weight`).
import { suggestName } from "../../compiler/diagnostics.ts";
import { classKey } from "../../compiler/spec/classKey.ts";
import type { StepSpec } from "../../compiler/spec/schema.ts";
import { FaultList } from "../tables/faultList.ts";
import type { ClassNames, LabelledRows } from "./classes.ts";
import { classOf, hasFlags, isMissing, rowCount, type TaskLabels } from "./taskLabels.ts";

/** Weights by task, [classes] or [tags]; tasks without weights are not in it. */
export type ClassWeights = ReadonlyMap<string, Float32Array>;

/**
 * Weights of the training labels' classes. `balanced`: n / (C n_c), with n labelled rows, C classes that have
 * any and n_c rows of class c (scikit-learn's compute_class_weight); 1 for a class without rows. Of tags
 * n_0 / n_1, rows without and with the tag, 1 where one of them is 0 (for PyTorch's pos_weight). A map: its
 * weights, 1 for classes that it leaves out; E_CONFIG for a class that the task has not.
 */
export function resolveClassWeights(
  given: StepSpec["class_weights"],
  classes: ClassNames,
  train: LabelledRows,
): ClassWeights {
  if (given === null) return new Map();
  if (given === "balanced")
    return new Map(
      train.tasks.flatMap((task, at) => {
        const names = Object.hasOwn(classes, task) ? classes[task] : undefined;
        const labels = train.labels[at];
        if (labels && hasFlags(labels)) return [[task, positiveWeights(labels)] as const];
        return names ? [[task, balancedWeights(labels, names.length)] as const] : [];
      }),
    );
  const faults = new FaultList();
  const weights = new Map<string, Float32Array>();
  for (const [task, byClass] of Object.entries(given)) {
    const names = classes[task] ?? [];
    const keys = new Set(names.map(classKey));
    for (const name of Object.keys(byClass)) {
      if (keys.has(classKey(name))) continue;
      const message = `task "${task}" has no class "${name}"`;
      const at = { path: `class_weights.${task}.${name}` };
      faults.add({ code: "E_CONFIG", message, at, hint: suggestName(name, names) });
    }
    const known = new Map(Object.entries(byClass).map(([name, weight]) => [classKey(name), weight]));
    weights.set(
      task,
      Float32Array.from(names, (name) => known.get(classKey(name)) ?? 1),
    );
  }
  faults.throwIfAny();
  return weights;
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

function balancedWeights(labels: TaskLabels | undefined, classCount: number): Float32Array {
  const counts = labels ? countClasses(labels, classCount) : new Float64Array(classCount);
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
