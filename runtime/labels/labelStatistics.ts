// What training will see of its labels, before it runs: counts per task and class, tasks labelled together,
// and, from the sampler's own probabilities, how many labelled rows of a task a batch holds.
import { type BatchSpec, sampleProbabilities } from "../draws/sampler.ts";
import type { ClassNames, LabelledRows, PreparedLabels } from "./classes.ts";
import { countClasses } from "./classWeights.ts";

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

/** All that is counted of the labels of a run. */
export interface LabelStatistics {
  readonly rows: { readonly train: number; readonly val: number };
  readonly classes: ClassNames;
  /** Labelled rows per task and class. */
  readonly train: Readonly<Record<string, readonly number[]>>;
  /** The same of the validation table; null where there is none. */
  readonly val: Readonly<Record<string, readonly number[]>> | null;
  /** Training rows that both tasks label, [tasks][tasks]. */
  readonly together: readonly (readonly number[])[];
  readonly batch: readonly TaskBatchShare[];
  readonly batchSize: number;
}

/** Counts the labels of a run; the order of the tasks is that of `batch` and `together`. */
export function labelStatistics({ train, val, classes }: PreparedLabels, spec: BatchSpec): LabelStatistics {
  return {
    rows: { train: train.paths.length, val: val?.paths.length ?? 0 },
    classes,
    train: classCounts(train, classes),
    val: val ? classCounts(val, classes) : null,
    together: labelledTogether(train),
    batch: batchShares(train, spec),
    batchSize: spec.batch_size,
  };
}

/** Labelled rows per class, in the order of the task's classes. */
export function classCounts(rows: LabelledRows, classes: ClassNames): Record<string, number[]> {
  return Object.fromEntries(
    rows.tasks.map((task, at) => [task, [...countClasses(rows, at, classes[task]?.length ?? 0)]]),
  );
}

/** Rows that both tasks label, [tasks][tasks]; the diagonal holds each task's labelled rows. */
export function labelledTogether({ tasks, labels }: LabelledRows): number[][] {
  const together = tasks.map(() => tasks.map(() => 0));
  for (let start = 0; start < labels.length; start += tasks.length)
    for (const [a, counts] of together.entries())
      for (const b of tasks.keys())
        if ((labels[start + a] ?? -1) >= 0 && (labels[start + b] ?? -1) >= 0)
          counts[b] = (counts[b] ?? 0) + 1;
  return together;
}

/**
 * Expected labelled rows of each task in a batch of B, and the chance of none. Draws with replacement
 * (balance_probs), q = the probability of the labelled rows: B q and (1 - q)^B. A permutation of N rows of
 * which n are labelled: B n / N and the hypergeometric C(N - n, B) / C(N, B); 0 once B > N - n.
 */
export function batchShares({ tasks, labels }: LabelledRows, spec: BatchSpec): TaskBatchShare[] {
  const rows = labels.length / tasks.length;
  const size = spec.batch_size;
  const drawn = spec.balance_probs
    ? sampleProbabilities(labels, tasks.length, spec.balance_classes)
    : undefined;
  return tasks.map((task, at) => {
    let [labelled, share] = [0, 0];
    for (let row = 0; row < rows; row++) {
      if ((labels[row * tasks.length + at] ?? -1) < 0) continue;
      labelled++;
      share += drawn?.[row] ?? 1 / rows;
    }
    const q = Math.min(1, share);
    const chanceOfNone = drawn ? (1 - q) ** size : chanceWithoutReplacement(rows, labelled, size);
    return { task, labelled, perBatch: size * q, chanceOfNone };
  });
}

function chanceWithoutReplacement(rows: number, labelled: number, size: number): number {
  let chance = 1;
  for (let draw = 0; draw < size && chance > 0; draw++)
    chance *= Math.max(0, rows - labelled - draw) / Math.max(1, rows - draw);
  return chance;
}
