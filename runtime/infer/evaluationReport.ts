// Evaluation on labelled rows only: masked loss, accuracy, macro recall, confusion matrix, and what always
// guessing the most frequent class would reach. Logits in, report out; pure.

/** Figures of one task over its labelled rows; NaN where there is no such row. */
export interface TaskReport {
  readonly labelled: number;
  /** Mean softmax cross-entropy. */
  readonly loss: number;
  readonly accuracy: number;
  /** Mean over the classes that occur of the share of their rows that were recognised. */
  readonly macroRecall: number;
  /** Accuracy and macro recall of always answering the most frequent class of these rows. */
  readonly majority: number;
  readonly majorityRecall: number;
  readonly classes: readonly string[];
  /** `confusion[true][predicted]`: numbers of rows. */
  readonly confusion: readonly (readonly number[])[];
}

export interface EvaluationReport {
  readonly images: number;
  readonly tasks: Readonly<Record<string, TaskReport>>;
}

/** Collects batches of logits of one task. */
export class TaskEvaluation {
  readonly #classes: readonly string[];
  readonly #confusion: number[][];
  #lossSum = 0;

  constructor(classes: readonly string[]) {
    this.#classes = classes;
    this.#confusion = classes.map(() => classes.map(() => 0));
  }

  /** `logits` [rows, classes] row-major; `labels` -1 = missing, and at most as many rows as logits. */
  add(logits: Float32Array, labels: ArrayLike<number>): void {
    const width = this.#classes.length;
    for (let row = 0; row < labels.length; row++) {
      const label = labels[row] ?? -1;
      if (label < 0) continue;
      const values = logits.subarray(row * width, (row + 1) * width);
      const best = values.reduce((top, value, i) => (value > (values[top] ?? -Infinity) ? i : top), 0);
      const largest = values[best] ?? 0;
      const sum = values.reduce((total, value) => total + Math.exp(value - largest), 0);
      this.#lossSum += Math.log(sum) + largest - (values[label] ?? Number.NaN);
      const counts = this.#confusion[label];
      if (counts) counts[best] = (counts[best] ?? 0) + 1;
    }
  }

  report(): TaskReport {
    const rows = this.#confusion.map((counts) => counts.reduce((sum, count) => sum + count, 0));
    const labelled = rows.reduce((sum, count) => sum + count, 0);
    const recalls = rows.flatMap((count, i) => (count > 0 ? [(this.#confusion[i]?.[i] ?? 0) / count] : []));
    const hits = this.#confusion.reduce((sum, counts, i) => sum + (counts[i] ?? 0), 0);
    return {
      labelled,
      loss: this.#lossSum / labelled,
      accuracy: hits / labelled,
      macroRecall: recalls.reduce((sum, recall) => sum + recall, 0) / recalls.length,
      majority: Math.max(...rows) / labelled,
      majorityRecall: 1 / recalls.length,
      classes: this.#classes,
      confusion: this.#confusion.map((counts) => [...counts]),
    };
  }
}
