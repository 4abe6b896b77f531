// How the learning rate of a spec goes: the formula, the rate at some steps, and its course for a small
// chart. Spec and, where it is known, the length of the run in; plain data out.
import type { Schedule } from "../ir/roles.ts";
import type { RunSpec, StepSpec } from "../spec/schema.ts";
import { scheduleNotes } from "../step/scheduleNotes.ts";
import { learningRateAt, type ScheduleSpec, scheduleOf } from "../step/schedules.ts";

export interface ScheduleFacts {
  readonly schedule: Schedule;
  /** Steps of the whole run; absent where the training labels, and so an epoch's steps, are not known. */
  readonly totalSteps?: number;
  readonly stepsPerEpoch?: number;
  /** Steps (from 0) and the rates of them. */
  readonly rates: readonly { readonly step: number; readonly rate: number }[];
  /** Rates at evenly spread steps. */
  readonly course: readonly number[];
  readonly notes: readonly string[];
}

type SteeredSpec = ScheduleSpec & Pick<StepSpec, "batch_size"> & Pick<RunSpec, "epochs">;

/** Evenly spread steps of the table, beside those at which the formula turns. */
const LISTED = 9;
const COURSE = 48;

/**
 * Undefined for a constant rate; `rows` are those of the training table. Of a cycle over a run of unknown
 * length no rates are known.
 */
export function scheduleFacts(spec: SteeredSpec, rows: number | undefined): ScheduleFacts | undefined {
  const schedule = scheduleOf(spec);
  if (schedule.formula === "constant") return undefined;
  const stepsPerEpoch = rows === undefined ? undefined : Math.ceil(rows / spec.batch_size);
  const known =
    stepsPerEpoch === undefined ? undefined : { stepsPerEpoch, totalSteps: stepsPerEpoch * spec.epochs };
  const shown = known?.totalSteps ?? ownLength(schedule);
  if (shown === undefined) return { schedule, rates: [], course: [], notes: [] };
  const rateOf = (step: number): number => learningRateAt(schedule, step, shown);
  const steps = new Set([...spread(LISTED, shown), ...turns(schedule, shown)]);
  return {
    schedule,
    ...known,
    rates: [...steps].sort((a, b) => a - b).map((step) => ({ step, rate: rateOf(step) })),
    course: spread(COURSE, shown).map(rateOf),
    notes: known ? scheduleNotes(spec, known) : [],
  };
}

/** Up to so many steps from the first to the last. */
function spread(count: number, total: number): number[] {
  const most = Math.min(count, total);
  return Array.from({ length: most }, (_, i) => Math.round((i * (total - 1)) / Math.max(1, most - 1)));
}

/** Steps that show all that the formula does; undefined for a cycle over a whole run. */
function ownLength(schedule: Schedule): number | undefined {
  if (schedule.formula === "constant") return undefined;
  if (schedule.formula === "warmup") return 2 * schedule.warmup;
  if (schedule.formula === "one_cycle") return schedule.steps === "run" ? undefined : schedule.steps;
  return schedule.warmup + 3 * schedule.steps;
}

/** Steps at which the formula turns: the end of the rise, the peak, the first decay or restart. */
function turns(schedule: Schedule, total: number): number[] {
  const found = ((): number[] => {
    if (schedule.formula === "constant") return [];
    if (schedule.formula === "one_cycle") {
      const steps = schedule.steps === "run" ? total : schedule.steps;
      return [Math.round(schedule.rise * steps - 1), steps - 1];
    }
    if (schedule.formula === "warmup") return [schedule.warmup];
    return [schedule.warmup, schedule.warmup + schedule.steps];
  })();
  return found.filter((step) => step >= 0 && step < total);
}
