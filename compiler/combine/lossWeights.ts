// Weights of tasks that are made of losses or of chance alone, in float64: a host computes them before a step
// and feeds them as the task's factor, so that the graphs are those of a plain sum. Pure: the same for a run
// that is resumed.

/** Mean losses of a task over the last epoch and over the one before it. */
export interface LossPair {
  readonly last: number;
  readonly before: number;
}

/**
 * Dynamic Weight Average (Liu, Johns, Davison, arXiv 1803.10704, eq. 7): K softmax(r / temperature) with
 * r = last / before, K the number of tasks that take part. A task takes part where its ratio is a number:
 * NaN losses (no label in an epoch) and a loss of 0 before leave it out, with weight 1.
 */
export function dynamicAverage(
  losses: ReadonlyMap<string, LossPair>,
  temperature: number,
): ReadonlyMap<string, number> {
  const ratios = [...losses].map(([task, { last, before }]) => [task, last / before] as const);
  const known = new Map(ratios.filter(([, ratio]) => Number.isFinite(ratio)));
  const shares = scaledSoftmax([...known.values()].map((ratio) => ratio / temperature));
  const weights = new Map([...known.keys()].map((task, i) => [task, shares[i] ?? 1]));
  return new Map(ratios.map(([task]) => [task, weights.get(task) ?? 1]));
}

/**
 * Random Loss Weighting (Lin et al., arXiv 2111.10603): K softmax(n) over the K tasks that have a draw, n
 * normal numbers. The authors' weights sum to 1; these to K, so that a learning rate means what it means for
 * the sum.
 */
export function randomSoftmax(draws: ReadonlyMap<string, number>): ReadonlyMap<string, number> {
  const shares = scaledSoftmax([...draws.values()]);
  return new Map([...draws.keys()].map((task, i) => [task, shares[i] ?? 1]));
}

/** K softmax(x) of K numbers. */
function scaledSoftmax(numbers: readonly number[]): number[] {
  const most = Math.max(...numbers);
  const powers = numbers.map((number) => Math.exp(number - most));
  const sum = powers.reduce((total, power) => total + power, 0);
  return powers.map((power) => (numbers.length * power) / sum);
}
