// The spec's `patience`: whether a run has waited long enough for a better epoch.
import type { EpochReport } from "./events.ts";
import { bestOf, type Judge } from "./judgement.ts";

/** A run that is judged, between two epochs. */
export interface Waiting {
  readonly history: readonly EpochReport[];
  readonly judge: Judge;
  /** Epochs without a better one after which training ends; null never does. */
  readonly patience: number | null;
  /** Finished epochs when training was changed last (another rate): those before are not counted. */
  readonly since: number;
}

/**
 * Why training ends here, as a clause; undefined where it goes on: before so many epochs without a better
 * one, and where no epoch has a value that could become better.
 */
export function outOfPatience({ history, judge, patience, since }: Waiting): string | undefined {
  const best = bestOf(history, judge);
  if (patience === null || best === undefined) return undefined;
  if (history.length - Math.max(best + 1, since) < patience) return undefined;
  const { name, falls } = judge;
  const value = judge.valueIn(history[best] ?? {}).toFixed(DIGITS);
  const epochs = patience === 1 ? "an epoch" : `${patience} epochs`;
  return `${name} has not ${falls ? "fallen" : "risen"} for ${epochs} (patience); the best is epoch ${best + 1}, ${value}`;
}

const DIGITS = 4;

/** What is said when training ends. */
export function stoppedText(reason: string, epochs: number): string {
  return `stopped after epoch ${epochs}: ${reason}`;
}

/** What is said where a run that is to go on has ended so already. */
export function nothingLeft(reason: string, epochs: number): string {
  const ways = "a larger `patience` (or none) in the spec goes on, as does --resume --lr with another rate";
  return `nothing is trained: the run stopped after epoch ${epochs}: ${reason}; ${ways}`;
}
