// What runs of a sweep are judged by.
import type { SweepRun } from "./sweepFolder.ts";

/** The most that a run gained over the baselines; NaN before its first epoch. */
export function scoreOf(run: Pick<SweepRun, "gains"> | undefined): number {
  const gains = (run?.gains ?? []).filter(Number.isFinite);
  return gains.length === 0 ? Number.NaN : Math.max(...gains);
}
