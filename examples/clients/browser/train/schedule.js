// @ts-check
// A rate as a function of the step, by its formula (CONTRACT.md, Schedules).

/**
 * @typedef {object} Schedule
 * @property {string} formula
 * @property {number} value its largest
 * @property {number} [warmup]
 * @property {number | "run"} [steps]
 * @property {number} [rate]
 * @property {number} [least]
 * @property {number} [growth]
 * @property {number} [start]
 * @property {number} [end]
 * @property {number} [rise]
 */

/** @param {number} x */
const half = (x) => (1 + Math.cos(Math.PI * x)) / 2;

/**
 * The share of the largest rate at t, of T steps.
 * @type {Record<string, (t: number, T: number, of: Required<Schedule>) => number>}
 */
const SHARES = {
  constant: () => 1,
  warmup: () => 1,
  exponential: (t, T, { rate }) => rate ** (t / T),
  staircase: (t, T, { rate }) => rate ** Math.floor(t / T),
  cosine: (t, T, { least }) => least + (1 - least) * half(Math.min(t / T, 1)),
  cosine_restarts: (t, T, { growth }) => {
    let [rest, period] = [t, T];
    while (rest >= period) [rest, period] = [rest - period, period * growth];
    return half(rest / period);
  },
  one_cycle: (t, T, { start, end, rise }) => {
    const [low, peak] = [1 / start, rise * T - 1];
    if (t <= peak) return 1 + (low - 1) * half(t / peak);
    const least = low / end;
    return least + (1 - least) * half(Math.min((t - peak) / (T - 1 - peak), 1));
  },
};

/** Whether there is such a formula. @param {string} formula */
export function isSchedule(formula) {
  return Object.hasOwn(SHARES, formula);
}

/**
 * The rate of a step, of a run of so many steps.
 * @param {Schedule} schedule
 * @param {number} step
 * @param {number} runSteps
 */
export function rateAt(schedule, step, runSteps) {
  const { formula, value, warmup = 0, steps = 1 } = schedule;
  if (step < warmup) return (value * step) / warmup;
  const span = steps === "run" ? runSteps : steps;
  return value * (SHARES[formula]?.(step - warmup, span, /** @type {Required<Schedule>} */ (schedule)) ?? 1);
}
