// Figures by step: means over the steps since the last entry, made of the sums that each step tells of its
// epoch so far.
import type { Spec } from "../../compiler/spec/schema.ts";
import type { TaskSums } from "../../compiler/tasks/report.ts";
import type { Task } from "../../compiler/tasks/task.ts";
import { type LossTotals, lossScalars } from "./lossTotals.ts";
import type { StepEvent } from "./reports.ts";
import { type Scalars, sumScalars } from "./scalars.ts";

type Sums = Readonly<Record<string, TaskSums>>;

/** Where an epoch that is gone on with stands. */
export interface BegunEpoch {
  readonly step: number;
  readonly sums: Sums;
}

/** What figures by step are made with. */
export interface SteppedRun {
  readonly spec: Pick<Spec, "log_every" | "batch_size" | "distill_weight">;
  readonly tasks: readonly Task[];
  /** Weights of the tasks in the loss; a learned one comes with the step. */
  readonly weights: ReadonlyMap<string, number | "adaptive">;
  readonly begun: BegunEpoch;
}

/** Whether an entry is due after a step of an epoch: each `every` steps and at its end; none where it is 0. */
export function isEntryDue(step: number, steps: number, every: number): boolean {
  return every > 0 && (step % every === 0 || step === steps);
}

export class StepMeans {
  readonly #run: SteppedRun;
  readonly #totals: LossTotals;
  #before: BegunEpoch;

  constructor(run: SteppedRun) {
    const { tasks, weights, spec } = run;
    const isAdaptive = [...weights.values()].includes("adaptive");
    this.#run = run;
    this.#before = run.begun;
    this.#totals = { tasks, isAdaptive, distillWeight: spec.distill_weight };
  }

  /** The entry that is due after a step; undefined where none is. */
  after(event: StepEvent): Scalars | undefined {
    const { step, steps, imagesPerSecond, learningRate, scalars = {} } = event;
    const { tasks, spec, weights: given } = this.#run;
    if (!isEntryDue(step, steps, spec.log_every)) return undefined;
    const sums = difference(event.sums, this.#before.sums);
    const rows = (step - this.#before.step) * spec.batch_size;
    const weights = Object.fromEntries(
      [...given].map(([name, weight]) => [name, weight === "adaptive" ? scalars[`weight/${name}`] : weight]),
    );
    this.#before = step === steps ? { step: 0, sums: {} } : { step, sums: event.sums };
    return {
      ...sumScalars(sums, tasks),
      ...lossScalars(sums, weights, rows, this.#totals),
      ...{ ...scalars, lr: learningRate, images_per_second: imagesPerSecond },
    };
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
