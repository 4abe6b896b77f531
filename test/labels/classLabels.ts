// Labels of several tasks of classes in a test, as one list of numbers, row after row.
import type { TaskLabels } from "../../runtime/labels/taskLabels.ts";

/** Class numbers, row-major [rows x tasks], as the labels of each task. */
export function classLabels(numbers: ArrayLike<number>, tasks: number): TaskLabels[] {
  const ofTask = (task: number) => Array.from(numbers).filter((_, place) => place % tasks === task);
  return Array.from({ length: tasks }, (_, task) => ({ values: Int32Array.from(ofTask(task)), width: 1 }));
}

/** The numbers of all tasks, row after row. */
export function rowMajor(labels: readonly TaskLabels[]): number[] {
  const rows = labels[0]?.values.length ?? 0;
  return Array.from({ length: rows }, (_, row) => labels.map(({ values }) => Number(values[row]))).flat();
}
