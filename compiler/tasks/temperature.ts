// Temperature scaling (Guo et al. 2017, arXiv 1706.04599): logits divided by one number T, by which no answer
// changes and probabilities become as large as they deserve. Fitted to labels that training has not seen.
import { type Honesty, honestyOf } from "./calibration.ts";

/** Logits [rows, width] of labelled rows, and their labels. */
export interface LabelledLogits {
  readonly logits: Float64Array;
  readonly labels: Int32Array;
  readonly width: number;
}

/** The rows that have a label; those without are left out. */
export function labelledLogits(y: Float32Array, labels: ArrayLike<number>, width: number): LabelledLogits {
  const rows = Array.from({ length: labels.length }, (_, row) => row).filter(
    (row) => (labels[row] ?? -1) >= 0,
  );
  const logits = new Float64Array(rows.length * width);
  for (const [at, row] of rows.entries()) logits.set(y.subarray(row * width, (row + 1) * width), at * width);
  return { logits, labels: Int32Array.from(rows, (row) => labels[row] ?? -1), width };
}

/** Inverse temperatures beyond these fit nothing: all rows are right, or no better than chance. */
const [LEAST_INVERSE, MOST_INVERSE] = [1 / 20, 20];
/** Steps of 1 / T below this end the fit. */
const STEP = 1e-12;
const MOST_STEPS = 200;

/**
 * The T that minimises the mean negative log-likelihood, in float64; undefined where none between 0.05 and 20
 * does. The likelihood is concave in b = 1 / T: with p = softmax(b z) its derivative, negated, is
 * mean(E_p[z] - z[label]), and the second is mean(Var_p[z]): Newton's steps, kept inside a bracket.
 */
export function fitTemperature(rows: LabelledLogits): number | undefined {
  let [low, high] = [LEAST_INVERSE, MOST_INVERSE];
  if (rows.labels.length === 0 || slopesAt(rows, low).first >= 0 || slopesAt(rows, high).first <= 0)
    return undefined;
  let b = 1;
  for (let i = 0; i < MOST_STEPS; i++) {
    const { first, second } = slopesAt(rows, b);
    if (first > 0) high = b;
    else low = b;
    const newton = b - first / second;
    const next = newton > low && newton < high ? newton : (low + high) / 2;
    if (Math.abs(next - b) <= STEP) return 1 / next;
    b = next;
  }
  return 1 / b;
}

/** First and second derivative by b of the mean negative log-likelihood of softmax(b z). */
function slopesAt({ logits, labels, width }: LabelledLogits, b: number): { first: number; second: number } {
  let [first, second] = [0, 0];
  for (let row = 0; row < labels.length; row++) {
    const start = row * width;
    const largest = largestOf(logits, start, width);
    let [sum, mean, square] = [0, 0, 0];
    for (let i = start; i < start + width; i++) {
      const z = (logits[i] ?? 0) - largest;
      const weight = Math.exp(b * z);
      sum += weight;
      mean += weight * z;
      square += weight * z * z;
    }
    mean /= sum;
    first += mean - ((logits[start + (labels[row] ?? 0)] ?? 0) - largest);
    second += Math.max(0, square / sum - mean * mean);
  }
  return { first: first / labels.length, second: second / labels.length };
}

/** softmax(z / T) of rows [rows, width], in float64. */
export function softmaxRows(
  logits: ArrayLike<number>,
  width: number,
  temperature = 1,
): Float64Array<ArrayBuffer> {
  const probabilities = new Float64Array(logits.length);
  for (let start = 0; start < logits.length; start += width) {
    const largest = largestOf(logits, start, width);
    let sum = 0;
    for (let i = start; i < start + width; i++) {
      const weight = Math.exp(((logits[i] ?? 0) - largest) / temperature);
      probabilities[i] = weight;
      sum += weight;
    }
    for (let i = start; i < start + width; i++) probabilities[i] = (probabilities[i] ?? 0) / sum;
  }
  return probabilities;
}

/** The largest probability of each row, and whether its class (the first of equals) is the label: 1 or 0. */
export function topAnswers(
  rows: LabelledLogits,
  temperature = 1,
): { certainties: Float64Array; hits: Float64Array } {
  const { logits, labels, width } = rows;
  const probabilities = softmaxRows(logits, width, temperature);
  const best = Array.from(labels, (_, row) => placeOfLargest(logits, row * width, width));
  return {
    certainties: Float64Array.from(best, (place, row) => probabilities[row * width + place] ?? Number.NaN),
    hits: Float64Array.from(best, (place, row) => (place === labels[row] ? 1 : 0)),
  };
}

/** Calibration error of the surest class, and mean negative log-likelihood of the labels. */
export function classHonesty(rows: LabelledLogits, temperature: number): Honesty {
  const { logits, labels, width } = rows;
  const { certainties, hits } = topAnswers(rows, temperature);
  let sum = 0;
  for (let row = 0; row < labels.length; row++) {
    const start = row * width;
    const largest = largestOf(logits, start, width);
    let weights = 0;
    for (let i = start; i < start + width; i++)
      weights += Math.exp(((logits[i] ?? 0) - largest) / temperature);
    sum += Math.log(weights) - ((logits[start + (labels[row] ?? 0)] ?? 0) - largest) / temperature;
  }
  return honestyOf(certainties, hits, sum / labels.length);
}

function largestOf(numbers: ArrayLike<number>, start: number, width: number): number {
  return numbers[start + placeOfLargest(numbers, start, width)] ?? Number.NaN;
}

/** Place of the first largest of `width` numbers from `start` on. */
function placeOfLargest(numbers: ArrayLike<number>, start: number, width: number): number {
  let best = 0;
  for (let i = 1; i < width; i++) if ((numbers[start + i] ?? 0) > (numbers[start + best] ?? 0)) best = i;
  return best;
}
