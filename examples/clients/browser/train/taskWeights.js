// @ts-check
// What a step draws for tasks, and what their losses are multiplied with (CONTRACT.md, Task orders, Weights
// of tasks).
import { normalNumber, Stream } from "./streams.js";

/**
 * @typedef {import("./trainer.js").Figures} Figures
 * @typedef {readonly [last: number, before: number]} LossPair mean losses of the last epoch and the one before
 */

/**
 * Of each of T tasks the places of the others in a drawn order, [T,T-1] row-major.
 * @param {readonly [seed: number, stream: string, step: number]} name
 * @param {number} tasks
 * @returns {number[]}
 */
export function taskOrders([seed, purpose, step], tasks) {
  const stream = new Stream([seed, purpose, step, 0]);
  const all = Array.from({ length: tasks }, (_, place) => place);
  return all.flatMap((task) => {
    const places = all.filter((place) => place !== task);
    for (let last = places.length - 1; last > 0; last--) {
      const chosen = Math.floor(stream.uniform() * (last + 1));
      [places[last], places[chosen]] = [places[chosen] ?? 0, places[last] ?? 0];
    }
    return places;
  });
}

/**
 * Factors by `dynamic_average`, of each task.
 * @param {readonly LossPair[]} losses
 * @param {number} temperature
 */
export function averageFactors(losses, temperature) {
  return shares(
    losses.map(([last, before]) => last / before / temperature),
    1,
  );
}

/**
 * Factors by `random_softmax`, of each task; `present` tells of each whether it has a label in the batch.
 * @param {readonly [seed: number, stream: string, step: number]} name
 * @param {readonly boolean[]} present
 */
export function randomFactors([seed, purpose, step], present) {
  const drawn = present.map((isThere, t) => (isThere ? normalNumber([seed, purpose, step, t]) : Number.NaN));
  return shares(drawn, 0);
}

/**
 * K e / sum(e) of the K numbers that are finite, e the exponential of each; `other` for those that are not.
 * @param {readonly number[]} numbers
 * @param {number} other
 */
function shares(numbers, other) {
  const known = numbers.filter(Number.isFinite);
  // e of the largest is 1: none overflows.
  const most = Math.max(...known);
  const sum = known.reduce((total, number) => total + Math.exp(number - most), 0);
  return numbers.map((number) =>
    Number.isFinite(number) ? (known.length * Math.exp(number - most)) / sum : other,
  );
}

/** Mean losses of the epochs so far, by task. */
export class EpochLosses {
  /** @type {Map<number, Map<string, { sum: number, count: number }>>} */
  #epochs = new Map();

  /** Adds what a step of an epoch summed up. @param {number} epoch @param {Figures} figures */
  add(epoch, figures) {
    const sums = this.#epochs.get(epoch) ?? new Map();
    this.#epochs.set(epoch, sums);
    for (const [task, { loss_sum = 0, count = 0 }] of figures) {
      const before = sums.get(task) ?? { sum: 0, count: 0 };
      sums.set(task, { sum: before.sum + loss_sum, count: before.count + count });
    }
  }

  /** L_1 and L_2 of a task in an epoch: no numbers where there are none. @returns {LossPair} */
  pair(/** @type {string} */ task, /** @type {number} */ epoch) {
    const meanOf = (/** @type {number} */ of) => {
      const { sum, count } = this.#epochs.get(of)?.get(task) ?? { sum: 0, count: 0 };
      return sum / count;
    };
    return [meanOf(epoch - 1), meanOf(epoch - 2)];
  }
}
