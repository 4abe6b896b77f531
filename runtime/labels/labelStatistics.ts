// What training will see of its labels, before it runs: counts per task and class, tasks labelled together,
// and, from the sampler's own probabilities, how many labelled rows of a task a batch holds.

import { openTasks } from "../../compiler/tasks/openTask.ts";
import type { Task } from "../../compiler/tasks/task.ts";
import { type ClassNames, type LabelledRows, labelsByTask, type PreparedLabels } from "./classes.ts";
import { type BatchSpec, sampleProbabilities } from "./sampler.ts";
import { countLabelled, hasLabel, rowCount, type TaskLabels } from "./taskLabels.ts";

/** What one task has in the training table. */
export interface TaskBatchShare {
  readonly task: string;
  /** Rows with a label. */
  readonly labelled: number;
  /** Expected labelled rows in a batch. */
  readonly perBatch: number;
  /** Chance that a batch has no labelled row. */
  readonly chanceOfNone: number;
}

/** What labels of a task are counted by, and in how many rows there are any. */
export interface TaskGroups {
  readonly text: string;
  /** Whether each must occur. */
  readonly areClasses: boolean;
  /** Whether their order says something. */
  readonly areOrdered: boolean;
  readonly labelled: { readonly train: number; readonly val: number };
}

/** All that is counted of the labels of a run. */
export interface LabelStatistics {
  readonly rows: { readonly train: number; readonly val: number; readonly test: number };
  /** What labels are counted by: classes, or ranges of numbers. */
  readonly classes: ClassNames;
  /** Labelled rows per task and class. */
  readonly train: Readonly<Record<string, readonly number[]>>;
  /** The same of the validation table; null where there is none. */
  readonly val: Readonly<Record<string, readonly number[]>> | null;
  /** The same of the test table. */
  readonly test: Readonly<Record<string, readonly number[]>> | null;
  /** Of each task: what `classes` holds, for people, and in which order; rows with a label. */
  readonly tasks: Readonly<Record<string, TaskGroups>>;
  /** Training rows that both tasks label, [tasks][tasks]. */
  readonly together: readonly (readonly number[])[];
  readonly batch: readonly TaskBatchShare[];
  readonly batchSize: number;
}

/** Counts the labels of a run; the order of the tasks is that of `batch` and `together`. */
export function labelStatistics(prepared: PreparedLabels, spec: BatchSpec): LabelStatistics {
  const { train, val, test } = prepared;
  const tasks = openTasks(prepared.tasks);
  return {
    rows: {
      train: train.paths.length,
      ...{ val: val?.paths.length ?? 0, test: test?.paths.length ?? 0 },
    },
    classes: Object.fromEntries(tasks.map(({ name, groups }) => [name, groups.names])),
    train: groupCounts(train, tasks),
    val: val ? groupCounts(val, tasks) : null,
    tasks: taskGroups(tasks, train, val),
    test: test ? groupCounts(test, tasks) : null,
    together: labelledTogether(train),
    batch: batchShares(train, spec),
    batchSize: spec.batch_size,
  };
}

function taskGroups(
  tasks: readonly Task[],
  train: LabelledRows,
  val: LabelledRows | undefined,
): Record<string, TaskGroups> {
  const [ofTrain, ofVal] = [labelsByTask(train), val && labelsByTask(val)];
  const count = (labels: TaskLabels | undefined): number => (labels ? countLabelled(labels) : 0);
  return Object.fromEntries(
    tasks.map(({ name, groups }) => {
      const { names, areClasses, areOrdered = false, text = `${names.length} classes` } = groups;
      const labelled = { train: count(ofTrain.get(name)), val: count(ofVal?.get(name)) };
      return [name, { text, areClasses, areOrdered, labelled }];
    }),
  );
}

/** Labelled rows of each of a task's groups: of its classes, or of ranges of its numbers. */
export function groupCounts(rows: LabelledRows, tasks: readonly Task[]): Record<string, number[]> {
  const byTask = labelsByTask(rows);
  return Object.fromEntries(
    tasks.map(({ name, groups }) => {
      const counts = groups.names.map(() => 0);
      const { values, width } = byTask.get(name) ?? { values: new Int32Array(), width: 1 };
      for (let start = 0; start < values.length; start += width) {
        for (const group of groups.of(values.subarray(start, start + width)))
          counts[group] = (counts[group] ?? 0) + 1;
      }
      return [name, counts];
    }),
  );
}

/** Rows that both tasks label, [tasks][tasks]; the diagonal holds each task's labelled rows. */
export function labelledTogether({ labels }: Pick<LabelledRows, "labels">): number[][] {
  const together = labels.map(() => labels.map(() => 0));
  for (let row = 0; row < rowCount(labels); row++) {
    const present = labels.map((ofTask) => hasLabel(ofTask, row));
    for (const [a, counts] of together.entries())
      for (const b of labels.keys()) if (present[a] && present[b]) counts[b] = (counts[b] ?? 0) + 1;
  }
  return together;
}

/**
 * Expected labelled rows of each task in a batch of B, and the chance of none. Draws with replacement
 * (balance_probs), q = the probability of the labelled rows: B q and (1 - q)^B. A permutation of N rows of
 * which n are labelled: B n / N and the hypergeometric C(N - n, B) / C(N, B); 0 once B > N - n.
 */
export function batchShares(rows: LabelledRows, spec: BatchSpec): TaskBatchShare[] {
  const count = rowCount(rows.labels);
  const size = spec.batch_size;
  const drawn = spec.balance_probs ? sampleProbabilities(rows.labels, spec.balance_classes) : undefined;
  return [...labelsByTask(rows)].map(([task, labels]) => {
    const labelled = countLabelled(labels);
    let share = 0;
    for (let row = 0; row < count; row++) if (hasLabel(labels, row)) share += drawn?.[row] ?? 1 / count;
    const q = Math.min(1, share);
    const chanceOfNone = drawn ? (1 - q) ** size : chanceWithoutReplacement(count, labelled, size);
    return { task, labelled, perBatch: size * q, chanceOfNone };
  });
}

function chanceWithoutReplacement(rows: number, labelled: number, size: number): number {
  let chance = 1;
  for (let draw = 0; draw < size && chance > 0; draw++)
    chance *= Math.max(0, rows - labelled - draw) / Math.max(1, rows - draw);
  return chance;
}
