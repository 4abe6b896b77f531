// A linear classifier on vectors: what patchwork calls the downstream test. A third of the rows is held out,
// the rest is standard-scaled and fitted, and the held-out rows are judged as an evaluation judges a task of
// classes. Vectors and class numbers in, a report out.
import { ClassEvaluation, type ClassReport } from "../../compiler/tasks/classEvaluation.ts";
import { RandomStream } from "../draws/randomStream.ts";
import { fitLogistic, logitsOf } from "./logisticRegression.ts";

/** Share of the images that is held out. */
const HELD_OUT = 1 / 3;

/** Vectors of images, and one column of their labels. */
export interface ProbeData {
  /** Row-major [rows, width]. */
  readonly vectors: Float32Array;
  readonly width: number;
  /** Class number of each row, -1 where there is none. */
  readonly labels: Int32Array;
  readonly classes: readonly string[];
  /** Whether each row is held out. */
  readonly heldOut: Uint8Array;
}

/** What a linear classifier made of them. */
export interface ProbeResult {
  /** Rows that it was fitted to. */
  readonly trainedRows: number;
  /** Figures and confusion matrix of the rows that were held out. */
  readonly report: ClassReport;
  /** Rows that were held out and have a label, and the class that each was taken for. */
  readonly rows: Int32Array;
  readonly predicted: Int32Array;
  /** Whether the classifier came to its optimum. */
  readonly isConverged: boolean;
}

/**
 * Which rows are held out: a third of the images, each with all its rows, the same ones whenever the table is
 * the same. Drawn, not every third as patchwork has it: of a table whose classes alternate that could be a
 * class as a whole.
 */
export function heldOutRows(paths: Iterable<string>): Uint8Array {
  const numbers = new Map<string, number>();
  const imageOf = Int32Array.from(paths, (path) => {
    const number = numbers.get(path) ?? numbers.size;
    numbers.set(path, number);
    return number;
  });
  const order = Int32Array.from({ length: numbers.size }, (_, number) => number);
  const random = new RandomStream(0, "probe/held_out", 0);
  for (let place = order.length - 1; place > 0; place--) {
    const other = Math.floor(random.nextUniform() * (place + 1));
    [order[place], order[other]] = [order[other] ?? 0, order[place] ?? 0];
  }
  const heldOut = new Uint8Array(order.length);
  for (const number of order.subarray(0, Math.ceil(order.length * HELD_OUT))) heldOut[number] = 1;
  return Uint8Array.from(imageOf, (number) => heldOut[number] ?? 0);
}

/** Rows of both parts that have a label. */
export function labelledParts({ labels, heldOut }: Pick<ProbeData, "labels" | "heldOut">): {
  readonly train: Int32Array;
  readonly test: Int32Array;
} {
  const rows = Int32Array.from(labels.keys()).filter((row) => (labels[row] ?? -1) >= 0);
  return {
    train: rows.filter((row) => heldOut[row] === 0),
    test: rows.filter((row) => heldOut[row] === 1),
  };
}

/**
 * Fits and judges. The training part must have rows of two classes (see probeLabels.ts). E_INTERRUPTED when
 * the signal aborts.
 */
export async function linearProbe(data: ProbeData, signal?: AbortSignal): Promise<ProbeResult> {
  const { width, classes } = data;
  const { train, test } = labelledParts(data);
  const known = [...new Set(Array.from(train, (row) => data.labels[row] ?? 0))].sort((a, b) => a - b);
  const numbers = new Map(known.map((number, place) => [number, place]));
  const raw = gather(data, train);
  const scaling = scalingOf(raw, width);
  const model = await fitLogistic(
    {
      x: scaled(raw, scaling),
      labels: train.map((row) => numbers.get(data.labels[row] ?? 0) ?? 0),
      ...{ width, classes: known.length },
    },
    { signal },
  );
  const found = logitsOf(model, scaled(gather(data, test), scaling));
  // Classes that only held-out rows have are never answered.
  const logits = new Float32Array(test.length * classes.length).fill(-Infinity);
  const predicted = new Int32Array(test.length);
  for (let row = 0; row < test.length; row++) {
    let best = 0;
    for (const [place, number] of known.entries()) {
      const value = found[row * known.length + place] ?? 0;
      logits[row * classes.length + number] = value;
      if (value > (found[row * known.length + best] ?? 0)) best = place;
    }
    predicted[row] = known[best] ?? 0;
  }
  const evaluation = new ClassEvaluation(classes);
  evaluation.add(
    logits,
    test.map((row) => data.labels[row] ?? -1),
  );
  const { isConverged } = model;
  return { trainedRows: train.length, report: evaluation.report(), rows: test, predicted, isConverged };
}

/** Mean of each number, and what it is divided by. */
interface Scaling {
  readonly mean: Float64Array;
  readonly scale: Float64Array;
}

function gather({ vectors, width }: ProbeData, rows: Int32Array): Float64Array {
  const x = new Float64Array(rows.length * width);
  for (const [place, row] of rows.entries())
    x.set(vectors.subarray(row * width, (row + 1) * width), place * width);
  return x;
}

/**
 * Mean and standard deviation (of the population) of each column, as scikit-learn's StandardScaler: a column
 * that is constant up to rounding is not divided.
 */
function scalingOf(x: Float64Array, width: number): Scaling {
  const rows = x.length / width;
  const mean = new Float64Array(width);
  const squares = new Float64Array(width);
  for (let i = 0; i < x.length; i++) mean[i % width] = (mean[i % width] ?? 0) + (x[i] ?? 0) / rows;
  for (let i = 0; i < x.length; i++) {
    const away = (x[i] ?? 0) - (mean[i % width] ?? 0);
    squares[i % width] = (squares[i % width] ?? 0) + (away * away) / rows;
  }
  const scale = squares.map((variance, column) => {
    const rounding = rows * Number.EPSILON;
    const isConstant = variance <= rounding * variance + (rounding * (mean[column] ?? 0)) ** 2;
    return isConstant ? 1 : Math.sqrt(variance);
  });
  return { mean, scale };
}

/** Scales in place. */
function scaled(x: Float64Array, { mean, scale }: Scaling): Float64Array {
  const width = mean.length;
  for (let i = 0; i < x.length; i++) x[i] = ((x[i] ?? 0) - (mean[i % width] ?? 0)) / (scale[i % width] ?? 1);
  return x;
}
