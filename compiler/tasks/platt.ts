// Platt scaling of one tag: p = sigmoid(scale * y + offset), fitted to labels that training has not seen. Two
// numbers a tag, not one: what `class_weights` and rare tags do to logits is a shift, which no temperature
// undoes (a temperature keeps 0 at 0).
import { type Honesty, honestyOf } from "./calibration.ts";

/** p = sigmoid(scale * y + offset). */
export interface PlattScale {
  readonly scale: number;
  readonly offset: number;
}

/** Logits of rows that say whether they have a tag, and what they say: 1 or 0. */
export interface TagRows {
  readonly logits: Float64Array;
  readonly flags: Float64Array;
}

/** A tag's column of [rows, width], without the cells that say nothing. */
export function tagRows(y: Float32Array, labels: ArrayLike<number>, tag: number, width: number): TagRows {
  const places: number[] = [];
  for (let place = tag; place < labels.length; place += width)
    if (labels[place] === 0 || labels[place] === 1) places.push(place);
  return {
    logits: Float64Array.from(places, (place) => y[place] ?? Number.NaN),
    flags: Float64Array.from(places, (place) => labels[place] ?? 0),
  };
}

/** Rows with a tag, and rows without, that a fit takes at least. */
export const LEAST_TAG_ROWS = 10;
/** Steps of both numbers below this end the fit. */
const STEP = 1e-12;
const MOST_STEPS = 100;
/** Keeps the matrix of second derivatives from being singular. */
const RIDGE = 1e-12;
/** A step that does not lower the loss is halved so often. */
const MOST_HALVINGS = 60;

/**
 * The scale of a tag; undefined with fewer than LEAST_TAG_ROWS rows with it or without it, and where its
 * logits fall with the tag (they would be turned round). Targets are (N1 + 1) / (N1 + 2) and 1 / (N0 + 2), so
 * that labels that can be told apart do not ask for endless numbers (Platt 1999); Newton's steps as Lin, Lin
 * and Weng give them (Machine Learning 68, 2007), in float64.
 */
export function fitPlatt({ logits, flags }: TagRows): PlattScale | undefined {
  const positives = flags.reduce((sum, flag) => sum + flag, 0);
  const negatives = flags.length - positives;
  if (Math.min(positives, negatives) < LEAST_TAG_ROWS) return undefined;
  const [high, low] = [(positives + 1) / (positives + 2), 1 / (negatives + 2)];
  const targets = flags.map((flag) => (flag === 1 ? high : low));
  let at: PlattScale = { scale: 0, offset: Math.log((positives + 1) / (negatives + 1)) };
  let loss = lossAt(logits, targets, at);
  for (let i = 0; i < MOST_STEPS; i++) {
    const step = newtonStep(logits, targets, at);
    const next = lowered(logits, targets, { at, loss, step });
    if (!next) break;
    const moved = Math.max(Math.abs(next.at.scale - at.scale), Math.abs(next.at.offset - at.offset));
    [at, loss] = [next.at, next.loss];
    if (moved <= STEP) break;
  }
  return at.scale > 0 && Number.isFinite(at.scale + at.offset) ? at : undefined;
}

/** Sum of -t log p - (1 - t) log(1 - p) = log(1 + e^x) - t x, x = scale y + offset. */
function lossAt(logits: Float64Array, targets: Float64Array, { scale, offset }: PlattScale): number {
  let sum = 0;
  for (let i = 0; i < logits.length; i++) {
    const x = scale * (logits[i] ?? 0) + offset;
    sum += softplus(x) - (targets[i] ?? 0) * x;
  }
  return sum;
}

/** log(1 + e^x). */
function softplus(x: number): number {
  return Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)));
}

function newtonStep(logits: Float64Array, targets: Float64Array, { scale, offset }: PlattScale): PlattScale {
  let [ds, dOffset, ss, so, oo] = [0, 0, RIDGE, 0, RIDGE];
  for (let i = 0; i < logits.length; i++) {
    const y = logits[i] ?? 0;
    const p = sigmoid(scale * y + offset);
    const error = p - (targets[i] ?? 0);
    const slope = p * (1 - p);
    ds += error * y;
    dOffset += error;
    ss += slope * y * y;
    so += slope * y;
    oo += slope;
  }
  const determinant = ss * oo - so * so;
  return { scale: (so * dOffset - oo * ds) / determinant, offset: (so * ds - ss * dOffset) / determinant };
}

/** The step, or the first of its halves that does not raise the loss; undefined where none does. */
function lowered(
  logits: Float64Array,
  targets: Float64Array,
  { at, loss, step }: { readonly at: PlattScale; readonly loss: number; readonly step: PlattScale },
): { at: PlattScale; loss: number } | undefined {
  for (let i = 0, size = 1; i < MOST_HALVINGS; i++, size /= 2) {
    const next = { scale: at.scale + size * step.scale, offset: at.offset + size * step.offset };
    const found = lossAt(logits, targets, next);
    if (found <= loss) return { at: next, loss: found };
  }
  return undefined;
}

export function sigmoid(x: number): number {
  return 1 / (1 + Math.exp(-x));
}

/** Calibration error of p = sigmoid(scale y + offset) against having the tag, over all cells of all tags. */
export function tagHonesty(columns: readonly TagRows[], scales: readonly PlattScale[]): Honesty {
  const cells = columns.reduce((sum, { logits }) => sum + logits.length, 0);
  const [certainties, flags] = [new Float64Array(cells), new Float64Array(cells)];
  let [at, nll] = [0, 0];
  for (const [tag, { logits, flags: given }] of columns.entries()) {
    const { scale, offset } = scales[tag] ?? { scale: 1, offset: 0 };
    nll += lossAt(logits, given, { scale, offset });
    certainties.set(
      logits.map((y) => sigmoid(scale * y + offset)),
      at,
    );
    flags.set(given, at);
    at += logits.length;
  }
  return honestyOf(certainties, flags, nll / cells);
}
