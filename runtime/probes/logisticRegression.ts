// Multinomial logistic regression with an L2 penalty, what scikit-learn's LogisticRegression(C) minimises:
// rows and class numbers in, weights out. In float64 by L-BFGS (Nocedal and Wright, Numerical Optimization,
// algorithm 7.5): the problem is convex and small, and no kept-up package of npm solves it with a penalty.
import { setImmediate as nextTurn } from "node:timers/promises";
import { MttcError } from "../../compiler/diagnostics.ts";
import { minimise, type Objective } from "./lbfgs.ts";

/** Rows to be told apart. */
export interface LabelledVectors {
  /** Row-major [rows, width]. */
  readonly x: Float64Array;
  /** Class number of each row, from 0. */
  readonly labels: Int32Array;
  readonly width: number;
  readonly classes: number;
}

export interface LogisticOptions {
  /** Inverse strength of the penalty, as scikit-learn has it; default 1. */
  readonly c?: number;
  readonly signal?: AbortSignal | undefined;
}

/** A fitted classifier: logits are x . weights + intercepts. */
export interface LogisticModel {
  /** Row-major [classes, width]. */
  readonly weights: Float64Array;
  readonly intercepts: Float64Array;
  readonly iterations: number;
  /** Whether the gradient came below the tolerance. */
  readonly isConverged: boolean;
}

/** Between two looks at the event loop, so that Ctrl-C is heard. */
const TURN_MS = 50;

/**
 * Minimises the mean of -log softmax(x . W + b)[label] plus |W|^2 / (2 C rows) (scikit-learn, user guide
 * 1.1.11.3; the same up to the factor C rows). Of two classes scikit-learn penalises the one difference of
 * their weights, which is twice that penalty here. Intercepts are free. E_INTERRUPTED when the signal aborts.
 */
export async function fitLogistic(
  data: LabelledVectors,
  { c = 1, signal }: LogisticOptions = {},
): Promise<LogisticModel> {
  const { labels, width, classes } = data;
  const penalty = (classes === 2 ? 2 : 1) / (labels.length * c);
  const objective: Objective = (point, gradient) => lossAt(data, penalty, point, gradient);
  let turnAt = performance.now();
  const found = await minimise(objective, new Float64Array(classes * (width + 1)), async () => {
    if (performance.now() - turnAt < TURN_MS) return;
    await nextTurn();
    turnAt = performance.now();
    if (signal?.aborted) throw new MttcError({ code: "E_INTERRUPTED", message: "interrupted in a probe" });
  });
  const { point, iterations, isConverged } = found;
  return {
    weights: point.subarray(0, classes * width),
    intercepts: point.subarray(classes * width),
    iterations,
    isConverged,
  };
}

/** Logits, float32 row-major [rows, classes], of row-major [rows, width] numbers. */
export function logitsOf({ weights, intercepts }: LogisticModel, x: Float64Array): Float32Array {
  const classes = intercepts.length;
  const width = weights.length / classes;
  const rows = x.length / width;
  const logits = new Float32Array(rows * classes);
  for (let row = 0; row < rows; row++)
    for (let k = 0; k < classes; k++)
      logits[row * classes + k] = (intercepts[k] ?? 0) + dot(x, row * width, weights, k * width, width);
  return logits;
}

/** Value at `point` ([classes, width] weights, then intercepts); its gradient is written into `gradient`. */
function lossAt(
  { x, labels, width, classes }: LabelledVectors,
  penalty: number,
  point: Float64Array,
  gradient: Float64Array,
): number {
  const rows = labels.length;
  const free = classes * width;
  const shares = new Float64Array(classes);
  let loss = 0;
  gradient.fill(0);
  for (let row = 0; row < rows; row++) {
    const start = row * width;
    let largest = -Infinity;
    for (let k = 0; k < classes; k++) {
      const z = (point[free + k] as number) + dot(x, start, point, k * width, width);
      shares[k] = z;
      if (z > largest) largest = z;
    }
    const label = labels[row] as number;
    loss -= (shares[label] as number) - largest;
    let sum = 0;
    for (let k = 0; k < classes; k++) sum += shares[k] = Math.exp((shares[k] as number) - largest);
    loss += Math.log(sum);
    for (let k = 0; k < classes; k++) {
      const r = ((shares[k] as number) / sum - (k === label ? 1 : 0)) / rows;
      gradient[free + k] = (gradient[free + k] as number) + r;
      addScaled(gradient, k * width, x, start, r, width);
    }
  }
  let squares = 0;
  for (let i = 0; i < free; i++) {
    const w = point[i] as number;
    squares += w * w;
    gradient[i] = (gradient[i] as number) + penalty * w;
  }
  return loss / rows + (penalty / 2) * squares;
}

/** Sum of products, in four sums: one after the other would wait for each addition. */
function dot(a: Float64Array, atA: number, b: Float64Array, atB: number, length: number): number {
  let [s0, s1, s2, s3] = [0, 0, 0, 0];
  let i = 0;
  for (; i + 3 < length; i += 4) {
    s0 += (a[atA + i] as number) * (b[atB + i] as number);
    s1 += (a[atA + i + 1] as number) * (b[atB + i + 1] as number);
    s2 += (a[atA + i + 2] as number) * (b[atB + i + 2] as number);
    s3 += (a[atA + i + 3] as number) * (b[atB + i + 3] as number);
  }
  for (; i < length; i++) s0 += (a[atA + i] as number) * (b[atB + i] as number);
  return s0 + s1 + (s2 + s3);
}

function addScaled(
  to: Float64Array,
  atTo: number,
  from: Float64Array,
  atFrom: number,
  factor: number,
  length: number,
): void {
  for (let i = 0; i < length; i++)
    to[atTo + i] = (to[atTo + i] as number) + factor * (from[atFrom + i] as number);
}
