// Figures of several runs as one: their mean, and how far they scatter.

/** Mean and standard deviation of numbers; those that are NaN are left out. */
export interface MeanDeviation {
  /** NaN where there is no number. */
  readonly mean: number;
  /** Over n - 1 (of a sample); NaN of fewer than two. */
  readonly deviation: number;
  /** How many numbers there are. */
  readonly count: number;
}

/** Two passes: the mean first, then the squares of what differs from it. */
export function meanDeviation(values: readonly number[]): MeanDeviation {
  const numbers = values.filter((value) => !Number.isNaN(value));
  const count = numbers.length;
  const mean = numbers.reduce((sum, value) => sum + value, 0) / count;
  const squares = numbers.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  return { mean, deviation: count > 1 ? Math.sqrt(squares / (count - 1)) : Number.NaN, count };
}
