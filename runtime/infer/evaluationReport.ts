// Evaluation on labelled rows only: masked loss, accuracy, macro recall, confusion matrix, and what always
// guessing the most frequent class would reach. Logits in, report out; pure.

/** Up to this many classes a report holds the whole matrix: 65,536 numbers, 130 kB as JSON. */
const MATRIX_CLASSES = 256;

/** Figures of one task over its labelled rows; NaN where there is no such row. */
export interface TaskFigures {
  readonly labelled: number;
  /** Mean softmax cross-entropy. */
  readonly loss: number;
  readonly accuracy: number;
  /** Mean over the classes that occur of the share of their rows that were recognised. */
  readonly macroRecall: number;
  /** Accuracy and macro recall of always answering the most frequent class of these rows. */
  readonly majority: number;
  readonly majorityRecall: number;
}

/** Numbers of a true class and a predicted one, and of how many rows. */
export type ConfusionPair = readonly [actual: number, predicted: number, rows: number];

/**
 * Figures and confusion matrix of one task. In a trainer's history only the newest and the best epoch keep
 * their matrices.
 */
export interface TaskReport extends TaskFigures {
  readonly classes: readonly string[];
  /** `confusion[true][predicted]`: numbers of rows; of a task of up to 256 classes. */
  readonly confusion?: readonly (readonly number[])[];
  /** What the matrix of a task of more classes holds: its pairs that occur, in order. */
  readonly confusionPairs?: readonly ConfusionPair[];
}

export interface EvaluationReport {
  readonly images: number;
  readonly tasks: Readonly<Record<string, TaskReport>>;
}

/** The key of a report that holds these pairs: the whole matrix, or, of many classes, the pairs. */
export function confusionOf(
  pairs: readonly ConfusionPair[],
  classCount: number,
): Pick<TaskReport, "confusion" | "confusionPairs"> {
  if (classCount > MATRIX_CLASSES) return { confusionPairs: pairs };
  const confusion = Array.from({ length: classCount }, () => new Array<number>(classCount).fill(0));
  for (const [actual, predicted, rows] of pairs) {
    const counts = confusion[actual];
    if (counts) counts[predicted] = rows;
  }
  return { confusion };
}

/** The pairs that occur in a report's matrix, in order; undefined where it holds none. */
export function confusionPairsOf({
  confusion,
  confusionPairs,
}: Pick<TaskReport, "confusion" | "confusionPairs">): readonly ConfusionPair[] | undefined {
  return confusionPairs ?? (confusion && pairsOfMatrix(confusion));
}

function pairsOfMatrix(matrix: readonly (readonly number[])[]): ConfusionPair[] {
  return matrix.flatMap((counts, actual) =>
    counts.flatMap((rows, predicted): ConfusionPair[] => (rows > 0 ? [[actual, predicted, rows]] : [])),
  );
}

/** Collects batches of logits of one task. Takes memory for the pairs that occur, not for the matrix. */
export class TaskEvaluation {
  readonly #classes: readonly string[];
  /** Rows by true class * classes + predicted class. */
  readonly #counts = new Map<number, number>();
  #lossSum = 0;

  constructor(classes: readonly string[]) {
    this.#classes = classes;
  }

  /** `logits` [rows, classes] row-major; `labels` -1 = missing, and at most as many rows as logits. */
  add(logits: Float32Array, labels: ArrayLike<number>): void {
    const width = this.#classes.length;
    for (let row = 0; row < labels.length; row++) {
      const label = labels[row] ?? -1;
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

  report(): TaskReport {
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
