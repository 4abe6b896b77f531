// The order of an epoch: which row stands at each place of its full batches. A pure function of the labels,
// the seed and the epoch, so that it does not depend on threads and can be entered at any batch.
import { InternalError } from "../../compiler/diagnostics.ts";
import type { StepSpec } from "../../compiler/spec/schema.ts";
import { RandomStream } from "../draws/randomStream.ts";
import { batchesPerEpoch } from "../tables/rowOrder.ts";
import { hasClasses, hasLabel, missingTest, rowCount, type TaskLabels } from "./taskLabels.ts";

/** The keys of a spec that decide what a batch holds. */
export type BatchSpec = Pick<StepSpec, "batch_size" | "balance_probs" | "balance_classes">;

/** What an epoch's order depends on. */
export interface EpochOrderOptions {
  /** Of each task; at least one. */
  readonly labels: readonly TaskLabels[];
  readonly batchSize: number;
  /** The spec's balance_probs. */
  readonly balanced: boolean;
  /** The spec's balance_classes; only with `balanced`. */
  readonly byClass?: boolean;
  readonly seed: number;
  readonly epoch: number;
}

/**
 * Probability of drawing each row (patchwork's balance_probs): p_i = sum over the labelled tasks t of row i
 * of 1 / (T * n_t), n_t = labelled rows of t, normalised to sum 1. With `byClass` (balance_classes) the rows
 * of each class that a task has share alike: sum of 1 / (T * C_t * n_tc), C_t = classes of t that have rows,
 * n_tc = rows of the row's class. Rows without labels get 0.
 */
export function sampleProbabilities(labels: readonly TaskLabels[], byClass = false): Float64Array {
  const rows = rowCount(labels);
  const tasks = labels.map((ofTask) => {
    const groups = groupsOf(ofTask, rows, byClass);
    const counts: number[] = [];
    for (const group of groups) if (group !== NO_GROUP) counts[group] = (counts[group] ?? 0) + 1;
    return { groups, counts, present: counts.filter((count) => count > 0).length };
  });
  const probabilities = new Float64Array(rows);
  let total = 0;
  for (let row = 0; row < rows; row++) {
    for (const { groups, counts, present } of tasks) {
      const group = groups[row] ?? NO_GROUP;
      if (group !== NO_GROUP) probabilities[row]! += 1 / (labels.length * present * counts[group]!);
    }
    total += probabilities[row]!;
  }
  if (!(total > 0)) throw new InternalError("no task has a label; E_TASK_EMPTY should have been raised");
  return probabilities.map((probability) => probability / total);
}

const NO_GROUP = -1;

/** The group of each row in one task: with `byClass` its class, else 0; NO_GROUP without a label. */
function groupsOf(labels: TaskLabels, rows: number, byClass: boolean): Int32Array {
  const groups = new Int32Array(rows).fill(NO_GROUP);
  if (!hasClasses(labels)) {
    for (let row = 0; row < rows; row++) if (hasLabel(labels, row)) groups[row] = 0;
    return groups;
  }
  const isMissing = missingTest(labels.values);
  for (let row = 0; row < rows; row++) {
    const label = labels.values[row]!;
    if (!isMissing(label)) groups[row] = byClass ? label : 0;
  }
  return groups;
}

/**
 * Row numbers of one epoch, ceil(N / batchSize) * batchSize of them: with `balanced`, independent draws by
 * `sampleProbabilities`; else a permutation of all rows, wrapped round.
 */
export function epochOrder(options: EpochOrderOptions): Int32Array {
  const { labels, batchSize, balanced, byClass = false, seed, epoch } = options;
  const rows = rowCount(labels);
  const places = batchesPerEpoch(rows, batchSize) * batchSize;
  const random = new RandomStream(seed, "epoch order", epoch);
  if (balanced) return drawRows(sampleProbabilities(labels, byClass), places, random);
  const permutation = permuteRows(rows, random);
  return Int32Array.from({ length: places }, (_, place) => permutation[place % rows]!);
}

/** Inversion of the cumulative sum by binary search; a row of probability 0 is never drawn. */
function drawRows(probabilities: Float64Array, places: number, random: RandomStream): Int32Array {
  const cumulative = new Float64Array(probabilities.length);
  let sum = 0;
  for (const [row, probability] of probabilities.entries()) {
    sum += probability;
    cumulative[row] = sum;
  }
  const last = probabilities.findLastIndex((probability) => probability > 0);
  return Int32Array.from({ length: places }, () => {
    const target = random.nextUniform() * sum;
    let [low, high] = [0, last];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (cumulative[middle]! > target) high = middle;
      else low = middle + 1;
    }
    return low;
  });
}

/** Fisher-Yates. */
function permuteRows(rows: number, random: RandomStream): Int32Array {
  const permutation = Int32Array.from({ length: rows }, (_, row) => row);
  for (let last = rows - 1; last > 0; last--) {
    const chosen = Math.floor(random.nextUniform() * (last + 1));
    const kept = permutation[last]!;
    permutation[last] = permutation[chosen]!;
    permutation[chosen] = kept;
  }
  return permutation;
}
