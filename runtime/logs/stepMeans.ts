// Figures by step: means over the steps since the last entry, made of the sums that each step tells of its
// epoch so far.
import type { TaskSums } from "../../compiler/tasks/report.ts";
import type { StepEvent } from "./reports.ts";
import { type Scalars, type ScalarTasks, sumScalars } from "./scalars.ts";

type Sums = Readonly<Record<string, TaskSums>>;

/** Where an epoch that is gone on with stands. */
export interface BegunEpoch {
  readonly step: number;
  readonly sums: Sums;
}

export class StepMeans {
  readonly #every: number;
  readonly #tasks: ScalarTasks;
  #before: Sums;

  /** An entry each `every` steps of an epoch and at its end; none where it is 0. */
  constructor(every: number, tasks: ScalarTasks, begun: BegunEpoch) {
    this.#every = every;
    this.#tasks = tasks;
    this.#before = begun.sums;
  }

  /** The entry that is due after a step; undefined where none is. */
  after(event: StepEvent): Scalars | undefined {
    const { step, steps, sums, imagesPerSecond, learningRate } = event;
    const isLast = step === steps;
    if (this.#every === 0 || (step % this.#every !== 0 && !isLast)) return undefined;
    const scalars = sumScalars(difference(sums, this.#before), this.#tasks);
    this.#before = isLast ? {} : sums;
    return { ...scalars, ...event.scalars, lr: learningRate, images_per_second: imagesPerSecond };
  }
}

function difference(sums: Sums, before: Sums): Sums {
  return Object.fromEntries(
    Object.entries(sums).map(([task, ofTask]) => {
      const earlier = before[task] ?? {};
      const rest = Object.entries(ofTask).map(([name, sum]) => [name, sum - (earlier[name] ?? 0)]);
      return [task, Object.fromEntries(rest)];
    }),
  );
}
