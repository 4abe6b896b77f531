// Reports of epochs without what a clock says, so that two runs compare.
import type { EpochReport } from "../../runtime/train/events.ts";

/** A report, times of the day, durations and speeds left out. */
export function withoutClock(report: EpochReport): Omit<EpochReport, "seconds" | "waitShare" | "time"> {
  const { seconds: _seconds, waitShare: _waitShare, time: _time, scalars, ...rest } = report;
  if (!scalars) return rest;
  const { images_per_second: _speed, ...figures } = scalars;
  return { ...rest, scalars: figures };
}
