// The learning rate over a whole run: how many steps the run was planned for when it began, which a resume
// keeps, so that the rate of a step is the same in however many sittings the run is trained.
import type { Spec } from "../../compiler/spec/schema.ts";
import { rateText, scheduleNotes } from "../../compiler/step/scheduleNotes.ts";
import { learningRateAt, scheduleOf } from "../../compiler/step/schedules.ts";

/** What of a run decides its rates. */
export interface ScheduledRun {
  readonly spec: Spec;
  readonly stepsPerEpoch: number;
}

export class RunSchedule {
  #plannedSteps: number | undefined;
  #toldSteps: number | undefined;

  /** Steps of the whole run; 0 before it is planned. */
  get plannedSteps(): number {
    return this.#plannedSteps ?? 0;
  }

  /** Takes the plan of a checkpoint over; one of an earlier version has none. */
  resume(plannedSteps: number | undefined): void {
    this.#plannedSteps = plannedSteps;
    this.#toldSteps = plannedSteps;
  }

  /**
   * Plans a run of `epochs` epochs in all, unless it has begun. Returns what is to be said of a schedule that
   * the run has no steps for, one sentence each, once for each length of the run.
   */
  plan({ spec, stepsPerEpoch }: ScheduledRun, epochs: number): string[] {
    const totalSteps = epochs * stepsPerEpoch;
    this.#plannedSteps ??= totalSteps;
    if (totalSteps === this.#toldSteps) return [];
    this.#toldSteps = totalSteps;
    const planned = this.#plannedSteps;
    if (spec.one_cycle !== true) return scheduleNotes(spec, { totalSteps, stepsPerEpoch });
    if (totalSteps <= planned) return [];
    const end = rateText(learningRateAt(scheduleOf(spec), planned, planned));
    return [
      `one_cycle: spans the ${planned} steps that the run was begun with; the ${totalSteps - planned} after them ` +
        `train at a rate of ${end} (a new run has a cycle over all)`,
    ];
  }

  /** The rate of the last step of an epoch. */
  rateOfEpoch({ spec, stepsPerEpoch }: ScheduledRun, epoch: number): number {
    return learningRateAt(scheduleOf(spec), epoch * stepsPerEpoch - 1, this.plannedSteps);
  }
}
