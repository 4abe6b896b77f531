// @ts-check
// The numbers of a step that formulas give: rates, weights of tasks and classes, counts of labels
// (CONTRACT.md, Scalars). Computed in float64.
import { rateAt } from "./schedule.js";
import { averageFactors, randomFactors } from "./taskWeights.js";

/**
 * @typedef {import("./bundle.js").Tensor} Tensor
 * @typedef {import("./labels.js").Labels} Labels
 * @typedef {object} ScalarSources
 * @property {ReadonlyMap<string, Labels>} labels by task
 * @property {ReadonlyMap<string, Tensor>} inputs of all graphs, by name
 * @property {number} runSteps steps of the whole run
 * @property {number} seed
 * @property {import("./taskWeights.js").EpochLosses} losses of the epochs before
 * @typedef {{ rows: Int32Array, step: number, epoch: number }} StepPlace
 */

/**
 * The value of a scalar for the logical batch of `rows`, in a step.
 * @param {Tensor} input
 * @param {StepPlace} at
 * @param {ScalarSources} sources
 * @returns {readonly number[]}
 */
export function scalarValue(input, at, sources) {
  const { value, task = "", shape } = input;
  const { rows, step } = at;
  const { labels, inputs, runSteps } = sources;
  if (!value) return [];
  const of = labels.get(task);
  const { formula, weights: named } = value;
  if (formula === "balanced") return balancedWeights(of?.groups ?? new Int32Array(), Number(shape[0] ?? 1));
  if (formula === "balanced_positives") return of ? positiveWeights(of) : [];
  if (formula === "inverse_labelled" || formula === "inverse_weight") {
    const tensor = named === undefined ? undefined : inputs.get(named);
    // As the graph has them: rounded.
    const weights = tensor && Float32Array.from(scalarValue(tensor, at, sources));
    let total = 0;
    for (const row of rows) {
      const group = of?.groups[row] ?? -1;
      if (group >= 0) total += weights ? (weights[group] ?? 0) : 1;
    }
    return [total > 0 ? 1 / total : 0];
  }
  if (Array.isArray(value.value)) return value.value;
  if (formula === "dynamic_average" || formula === "random_softmax")
    return [value.value * taskFactor(input, at, sources)];
  return [rateAt(value, step, runSteps)];
}

/**
 * The factor of a task's loss.
 * @param {Tensor} input
 * @param {StepPlace} at
 * @param {ScalarSources} sources
 */
function taskFactor({ value, task = "" }, { rows, step, epoch }, { labels, inputs, seed, losses }) {
  const tasks = [...labels.keys()];
  const weights = [...inputs.values()].filter(({ scalar }) => scalar === "task_weight");
  const idle = new Set(weights.filter((each) => each.value?.value === 0).map((each) => each.task));
  const { formula, temperature = 1, stream = "" } = value ?? {};
  const factors =
    formula === "dynamic_average"
      ? averageFactors(
          tasks.map((name) => (idle.has(name) ? [Number.NaN, 1] : losses.pair(name, epoch))),
          temperature,
        )
      : randomFactors(
          [seed, stream, step],
          [...labels].map(
            ([name, { groups }]) => !idle.has(name) && rows.some((row) => (groups[row] ?? -1) >= 0),
          ),
        );
  return factors[tasks.indexOf(task)] ?? 1;
}

/** n / (C n_c) of each class. @param {Int32Array} groups @param {number} classes */
function balancedWeights(groups, classes) {
  const counts = new Array(classes).fill(0);
  for (const group of groups) if (group >= 0) counts[group] += 1;
  const labelled = counts.reduce((sum, count) => sum + count, 0);
  const present = counts.filter((count) => count > 0).length;
  return counts.map((count) => (count > 0 ? labelled / (present * count) : 1));
}

/** n_0 / n_1 of each tag. @param {Labels} labels */
function positiveWeights({ values, width }) {
  return Array.from({ length: width }, (_, tag) => {
    let [without, having] = [0, 0];
    for (let i = tag; i < values.length; i += width) {
      if (values[i] === 0) without += 1;
      if (values[i] === 1) having += 1;
    }
    return without > 0 && having > 0 ? without / having : 1;
  });
}
