// Evaluation of tasks of classes on labelled rows only: masked loss, accuracy, macro recall, confusion
// matrix, and what always guessing the most frequent class would reach. Logits in, report out.
import { classParts } from "./classParts.ts";
import {
  type Confusion,
  type ConfusionPair,
  confusionDetails,
  confusionOf,
  confusionTable,
} from "./confusion.ts";
import { MISSING_CLASS } from "./missing.ts";
import { type Evaluation, figureOf, type ReportForm, type TaskReport } from "./report.ts";

/**
 * Figures and confusion matrix of a task of classes. In a trainer's history only the newest and the best
 * epoch keep their matrices.
 */
export interface ClassReport extends TaskReport, Confusion {
  readonly accuracy: number;
  /** Mean over the classes that occur of the share of their rows that were recognised. */
  readonly macroRecall: number;
  /** Accuracy and macro recall of always answering the most frequent class of these rows. */
  readonly majority: number;
  readonly majorityRecall: number;
  readonly classes: readonly string[];
}

/** The form of such reports. */
export function classReports(classes: readonly string[]): ReportForm {
  return {
    figures: [
      { name: "accuracy", head: "accuracy", epochHead: "val acc" },
      { name: "majority", head: "(majority)", epochHead: "majority", isBaseline: true },
      { name: "macroRecall", head: "macro recall", epochHead: "recall" },
      { name: "majorityRecall", head: "(majority)", epochHead: "majority", isBaseline: true },
    ],
    constants: { classes },
    details: confusionDetails(classes.length),
    tables: (report) => [confusionTable(report, classes)],
    ...classParts(classes),
    gain: (report) => {
      const [recall, baseline] = [figureOf(report, "macroRecall"), figureOf(report, "majorityRecall")];
      return (recall - baseline) / (1 - baseline);
    },
    training: [
      {
        ...{ name: "accuracy", head: "accuracy", epochHead: "acc" },
        of: ({ correct = Number.NaN, count = 0 }) => correct / count,
      },
    ],
  };
}

/** Collects batches of logits of one task. Takes memory for the pairs that occur, not for the matrix. */
export class ClassEvaluation implements Evaluation {
  readonly #classes: readonly string[];
  /** Rows by true class * classes + predicted class. */
  readonly #counts = new Map<number, number>();
  #lossSum = 0;

  constructor(classes: readonly string[]) {
    this.#classes = classes;
  }

  /** `logits` [rows, classes] row-major; `labels` are class numbers, of at most as many rows as logits. */
  add(logits: Float32Array, labels: ArrayLike<number>): void {
    const width = this.#classes.length;
    for (let row = 0; row < labels.length; row++) {
      const label = labels[row] ?? MISSING_CLASS;
      if (label < 0) continue;
      const start = row * width;
      const best = largestOf(logits, start, width);
      const largest = logits[start + best] ?? 0;
      // Plain loops: with thousands of classes a call for each number takes longer than the evaluation.
      let sum = 0;
      for (let i = start; i < start + width; i++) sum += Math.exp((logits[i] ?? 0) - largest);
      this.#lossSum += Math.log(sum) + largest - (logits[start + label] ?? Number.NaN);
      const pair = label * width + best;
      this.#counts.set(pair, (this.#counts.get(pair) ?? 0) + 1);
    }
  }

  report(): ClassReport {
    const width = this.#classes.length;
    const pairs = [...this.#counts]
      .sort(([a], [b]) => a - b)
      .map(([pair, rows]): ConfusionPair => [Math.floor(pair / width), pair % width, rows]);
    const rowsOf = new Map<number, number>();
    const hitsOf = new Map<number, number>();
    for (const [actual, predicted, rows] of pairs) {
      rowsOf.set(actual, (rowsOf.get(actual) ?? 0) + rows);
      if (actual === predicted) hitsOf.set(actual, rows);
    }
    const labelled = sumOf(rowsOf.values());
    const recalls = [...rowsOf].map(([actual, rows]) => (hitsOf.get(actual) ?? 0) / rows);
    const most = [...rowsOf.values()].reduce((largest, rows) => Math.max(largest, rows), 0);
    return {
      labelled,
      loss: this.#lossSum / labelled,
      accuracy: sumOf(hitsOf.values()) / labelled,
      macroRecall: sumOf(recalls) / recalls.length,
      majority: most / labelled,
      majorityRecall: recalls.length > 0 ? 1 / recalls.length : Number.NaN,
      classes: this.#classes,
      ...confusionOf(pairs, width),
    };
  }
}

/** Place of the first largest of `width` numbers from `start` on. */
function largestOf(numbers: Float32Array, start: number, width: number): number {
  let [best, largest] = [0, -Infinity];
  for (let i = 0; i < width; i++) {
    const value = numbers[start + i] ?? -Infinity;
    if (value > largest) [best, largest] = [i, value];
  }
  return best;
}

function sumOf(numbers: Iterable<number>): number {
  let sum = 0;
  for (const number of numbers) sum += number;
  return sum;
}
