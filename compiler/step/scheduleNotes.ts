// What is legal in a schedule but probably not meant, once the length of the run is known: a rise, a decay or
// a cycle that the run has no steps for. Keys of the spec and steps in, sentences out.
import { learningRateAt, type ScheduleSpec, scheduleOf, warmupSteps } from "./schedules.ts";

/** Steps of a run. */
export interface RunLength {
  /** All of them, as planned. */
  readonly totalSteps: number;
  readonly stepsPerEpoch: number;
}

/** Where a decay is said to do nothing: it leaves more than this of the rate. */
const HARDLY_DECAYED = 0.9;
/** Where a cosine that has begun again is said to end too high. */
const HIGH_END = 0.5;

/** One sentence each. */
export function scheduleNotes(spec: ScheduleSpec, { totalSteps, stepsPerEpoch }: RunLength): string[] {
  const { lr, lr_decay: decay, decay_type: type, one_cycle: cycle } = spec;
  const schedule = scheduleOf(spec);
  const rateAt = (step: number): string => rateText(learningRateAt(schedule, step, totalSteps));
  const epochs = totalSteps / stepsPerEpoch;
  const run = `the run's ${totalSteps} (${epochs} ${epochs === 1 ? "epoch" : "epochs"} of ${stepsPerEpoch})`;
  const last = totalSteps - 1;
  if (typeof cycle === "number") {
    if (cycle > totalSteps)
      return [
        `one_cycle: ${cycle} steps are more than ${run}: the cycle is cut off at a rate of ${rateAt(last)}`,
      ];
    if (cycle === totalSteps) return [];
    const left = totalSteps - cycle;
    return [`one_cycle: ends after ${cycle} steps of ${run}: the other ${left} train at ${rateAt(last)}`];
  }
  const warmup = warmupSteps(spec);
  if (warmup >= totalSteps) {
    const never = decay > 0 ? " and no decay begins" : "";
    const by = spec.warmup === null ? " (patchwork's for warmupcosine; the key warmup changes it)" : "";
    const most = `comes to ${rateAt(last)} of ${rateText(lr)}`;
    return [`warmup: ${warmup} steps${by} are not fewer than ${run}: the rate ${most}${never}`];
  }
  if (decay === 0) return [];
  const share = learningRateAt(schedule, last, totalSteps) / lr;
  const steps = totalSteps - warmup;
  if (type === "exponential" || type === "staircase") {
    if (share <= HARDLY_DECAYED) return [];
    return [
      `lr_decay: ${decay} steps are many beside ${run}: the rate ends at ${rateAt(last)} of ${rateText(lr)}`,
    ];
  }
  if (decay > steps)
    return [
      `lr_decay: ${decay} steps are more than ${run}: the cosine is cut off at a rate of ${rateAt(last)}`,
    ];
  if (type === "cosine" && share > HIGH_END)
    return [`lr_decay: the cosine has just begun again when ${run} steps end: at a rate of ${rateAt(last)}`];
  return [];
}

/** "0.001", "4e-9": three digits of a rate. */
export function rateText(rate: number): string {
  return String(Number(rate.toPrecision(3)));
}
