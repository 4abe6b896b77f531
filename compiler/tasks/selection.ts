// Selective classification: the certainty from which on answers are given, so that few of them are wrong or
// enough are given. Held-out certainties in, threshold out, with what may be promised of new images.
import type { SelectionWish } from "./calibration.ts";

/** A threshold and what it does to the rows that it was found on. */
export interface Threshold {
  readonly below: number;
  readonly coverage: number;
  readonly risk: number;
  readonly riskOfAll: number;
  readonly bound?: { readonly risk: number; readonly confidence: number };
}

/** How sure a promise of risk is. */
export const CONFIDENCE = 0.95;

/** Certainties in descending order, and the wrong answers among the first k of them, k from 0 on. */
interface Ranked {
  readonly certainties: Float64Array;
  readonly wrong: Int32Array;
}

/**
 * The threshold that `wish` asks for. Of coverage: that of the surest rows, so many that their share is not
 * below it. Of risk: the one that answers most rows of those that the search below can promise, undefined
 * where it can promise none; `least` is then the smallest risk that it could.
 */
export function fitThreshold(
  certainties: Float64Array,
  hits: Float64Array,
  wish: SelectionWish,
): { threshold: Threshold | undefined; least: number } {
  const ranked = rankedAnswers(certainties, hits);
  if ("risk" in wish) return promisedRisk(ranked, wish.risk);
  const rows = ranked.certainties.length;
  const answered = rows === 0 ? 0 : Math.max(1, Math.ceil(wish.coverage * rows));
  return { threshold: answered === 0 ? undefined : thresholdAt(ranked, answered), least: Number.NaN };
}

function rankedAnswers(certainties: Float64Array, hits: Float64Array): Ranked {
  const order = Array.from(certainties.keys()).sort((a, b) => (certainties[b] ?? 0) - (certainties[a] ?? 0));
  const wrong = new Int32Array(order.length + 1);
  for (const [at, row] of order.entries()) wrong[at + 1] = (wrong[at] ?? 0) + (hits[row] === 1 ? 0 : 1);
  return { certainties: Float64Array.from(order, (row) => certainties[row] ?? 0), wrong };
}

/** Rows that are as sure as the last of the first `answered`: what a threshold there answers. */
function withEquals({ certainties }: Ranked, answered: number): number {
  const from = certainties[answered - 1] ?? 0;
  let end = answered;
  while (end < certainties.length && (certainties[end] ?? 0) >= from) end++;
  return end;
}

function thresholdAt(ranked: Ranked, wanted: number): Threshold {
  const { certainties, wrong } = ranked;
  const answered = withEquals(ranked, wanted);
  const rows = certainties.length;
  // In the middle to the next row that is less sure, so that roundings decide nothing.
  const [least, next] = [certainties[answered - 1] ?? 0, certainties[answered] ?? 0];
  return {
    below: answered === rows ? 0 : (least + next) / 2,
    coverage: answered / rows,
    risk: (wrong[answered] ?? 0) / answered,
    riskOfAll: (wrong[rows] ?? 0) / rows,
  };
}

/**
 * Selection with guaranteed risk (Geifman and El-Yaniv 2017, arXiv 1705.08500, algorithm 1): a binary search
 * over the thresholds, at each of which the true risk of what is answered stays under a bound with confidence
 * 1 - delta / k, k being the number of steps. So the risk of images drawn like the held-out ones stays under
 * the bound of any that was tried with confidence 1 - delta.
 */
function promisedRisk(ranked: Ranked, risk: number): { threshold: Threshold | undefined; least: number } {
  const ends = distinctEnds(ranked.certainties);
  const steps = 1 + Math.ceil(Math.log2(Math.max(1, ends.length)));
  const delta = (1 - CONFIDENCE) / steps;
  let [good, bad, least] = [-1, ends.length, 1];
  let found: Threshold | undefined;
  for (let step = 0; bad - good > 1; step++) {
    const at = step === 0 ? ends.length - 1 : Math.floor((good + bad) / 2);
    const answered = ends[at] ?? 0;
    const bound = riskBound(ranked.wrong[answered] ?? 0, answered, delta);
    least = Math.min(least, bound);
    if (bound <= risk) {
      good = at;
      found = { ...thresholdAt(ranked, answered), bound: { risk: bound, confidence: CONFIDENCE } };
    } else bad = at;
  }
  return { threshold: found, least };
}

/** How many rows each threshold answers: those that are as sure as one row, or surer. */
function distinctEnds(descending: Float64Array): number[] {
  return Array.from(descending.keys(), (row) => row + 1).filter(
    (end) => descending[end] !== descending[end - 1],
  );
}

const BISECTIONS = 60;

/**
 * The error rate under which `wrong` or fewer wrong answers of `answered` have the probability `delta`: the
 * inverted tail of the binomial distribution (Geifman and El-Yaniv, lemma 3.1).
 */
export function riskBound(wrong: number, answered: number, delta: number): number {
  if (answered === 0 || wrong >= answered) return 1;
  let choices = 0;
  for (let i = 0; i < wrong; i++) choices += Math.log((answered - i) / (i + 1));
  let [low, high] = [wrong / answered, 1];
  for (let i = 0; i < BISECTIONS; i++) {
    const middle = (low + high) / 2;
    if (binomialTail({ most: wrong, count: answered, choices }, middle) > delta) low = middle;
    else high = middle;
  }
  return high;
}

/**
 * Probability of at most `most` successes of `count` with probability p, which is at least most / count;
 * `choices` is the logarithm of count over most.
 */
function binomialTail(
  { most, count, choices }: { readonly most: number; readonly count: number; readonly choices: number },
  p: number,
): number {
  const odds = (1 - p) / p;
  const largest = choices + count * Math.log1p(-p) - most * Math.log(odds);
  // From the largest term down: that of k - 1 is that of k times k (1 - p) / ((count - k + 1) p).
  let [term, sum] = [1, 1];
  for (let k = most; k > 0 && term > sum * Number.EPSILON; k--) {
    term *= (k / (count - k + 1)) * odds;
    sum += term;
  }
  return Math.min(1, Math.exp(largest) * sum);
}
