// Successive halving (Jamieson and Talwalkar, arXiv 1502.07943): all runs train a few epochs, the best share
// of them some more, and so on; only the last ones train to the end. Pure.

/** One round: so many runs train until so many epochs are finished in all. */
export interface Round {
  readonly runs: number;
  readonly epochs: number;
}

/**
 * Rounds of `runs` runs of `epochs` epochs, of which each passes 1/factor on: round i of s + 1 has
 * runs / factor^i runs of epochs / factor^(s - i) epochs, with the largest s of which no round is empty. A
 * factor of 1 is one round, in which all train to the end.
 */
export function halvingRounds(runs: number, epochs: number, factor: number): Round[] {
  if (factor <= 1) return [{ runs, epochs }];
  const steps = Math.floor(Math.log(Math.min(runs, epochs)) / Math.log(factor) + 1e-9);
  const rounds = Array.from({ length: steps + 1 }, (_, i) => ({
    runs: Math.max(1, Math.floor(runs / factor ** i + 1e-9)),
    epochs: Math.max(1, Math.ceil(epochs / factor ** (steps - i) - 1e-9)),
  }));
  return rounds;
}

/** Epochs that rounds train in all. */
export function epochsOf(rounds: readonly Round[]): number {
  let before = 0;
  let sum = 0;
  for (const { runs, epochs } of rounds) {
    sum += runs * (epochs - before);
    before = epochs;
  }
  return sum;
}

/** What a run is judged by: its score, and among equal ones its loss. */
export interface Judged {
  readonly score: number;
  readonly loss: number;
}

/** Places of the `count` best, the best first; those without a score never pass. */
export function best(runs: readonly Judged[], count: number): number[] {
  return runs
    .map((run, place) => ({ ...run, place }))
    .filter(({ score }) => Number.isFinite(score))
    .toSorted((a, b) => b.score - a.score || a.loss - b.loss || a.place - b.place)
    .slice(0, count)
    .map(({ place }) => place);
}
