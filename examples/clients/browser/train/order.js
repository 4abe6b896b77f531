// @ts-check
// Which rows an epoch shows in which order, and which channels dropout keeps (CONTRACT.md, Epochs,
// Dropout).
import { Stream } from "./streams.js";

/**
 * Rows by place, `places` of them. `groups`: of each task the class of every row (0 of other kinds), -1
 * without a label.
 * @param {readonly ArrayLike<number>[]} groups
 * @param {{ balance_probs: boolean, balance_classes: boolean, seed: number }} spec
 * @param {{ rows: number, places: number, epoch: number }} size
 * @returns {Int32Array}
 */
export function epochOrder(groups, { balance_probs, balance_classes, seed }, { rows, places, epoch }) {
  const stream = new Stream([seed, "epoch order", epoch, 0]);
  if (balance_probs) return drawnRows(rowWeights(groups, rows, balance_classes), places, stream);
  const order = Int32Array.from({ length: rows }, (_, row) => row);
  for (let last = rows - 1; last > 0; last--) {
    const chosen = Math.floor(stream.uniform() * (last + 1));
    [order[last], order[chosen]] = [order[chosen] ?? 0, order[last] ?? 0];
  }
  return Int32Array.from({ length: places }, (_, place) => order[place % rows] ?? 0);
}

/**
 * @param {readonly ArrayLike<number>[]} groups
 * @param {number} rows
 * @param {boolean} byClass
 */
function rowWeights(groups, rows, byClass) {
  const weights = new Float64Array(rows);
  for (const column of groups) {
    const keyOf = (/** @type {number} */ row) =>
      byClass ? (column[row] ?? -1) : Math.min(column[row] ?? -1, 0);
    /** @type {Map<number, number>} */
    const counts = new Map();
    for (let row = 0; row < rows; row++) {
      const key = keyOf(row);
      if (key >= 0) counts.set(key, (counts.get(key) ?? 0) + 1);
    }
    for (let row = 0; row < rows; row++) {
      const count = counts.get(keyOf(row));
      if (count) weights[row] = (weights[row] ?? 0) + 1 / (groups.length * counts.size * count);
    }
  }
  return weights;
}

/**
 * @param {Float64Array} weights
 * @param {number} places
 * @param {Stream} stream
 */
function drawnRows(weights, places, stream) {
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  let sum = 0;
  const sums = weights.map((weight) => (sum += weight / total));
  const lastWeighed = weights.findLastIndex((weight) => weight > 0);
  return Int32Array.from({ length: places }, () => {
    const wanted = stream.uniform() * sum;
    let [first, end] = [0, sums.length];
    while (first < end) {
      const middle = (first + end) >> 1;
      if ((sums[middle] ?? 0) > wanted) end = middle;
      else first = middle + 1;
    }
    return Math.min(first, lastWeighed);
  });
}

/**
 * A mask of a logical batch, row-major: 0 where an element is dropped, else 1 / (1 - rate).
 * @param {readonly [seed: number, stream: string, step: number]} name
 * @param {number} rate
 * @param {number} length
 */
export function dropoutMask([seed, purpose, step], rate, length) {
  const stream = new Stream([seed, purpose, step, 0]);
  const kept = 1 / (1 - rate);
  return Float32Array.from({ length }, () => (stream.word() < rate * 2 ** 32 ? 0 : kept));
}
