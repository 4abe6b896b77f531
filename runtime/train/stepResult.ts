// What a step tells: the figures of each task, summed over the rows of a micro-batch.
import type { EntryOf } from "../../compiler/bundle/manifest.ts";
import type { TaskSums } from "../../compiler/tasks/report.ts";
import type { HostTensor } from "../ort/ortHost.ts";

export interface StepResult {
  readonly tasks: ReadonlyMap<string, TaskSums>;
  /** Buffers behind batches' inputs that went through the worker: the loader may fill them again. */
  readonly inputBuffers: readonly ArrayBuffer[];
  /** Milliseconds of the run, and of giving the device the next micro-batch meanwhile. */
  readonly runMs: number;
}

/** A graph's outputs of figures with what was read of them. */
export type ReadFigures = readonly {
  readonly entry: EntryOf<"figure">;
  readonly tensor: HostTensor | undefined;
}[];

/** The sums of each task that any figure is of. */
export function taskSums(figures: ReadFigures): Map<string, TaskSums> {
  const sums = new Map<string, Record<string, number>>();
  for (const { entry, tensor } of figures) {
    const ofTask = sums.get(entry.task) ?? {};
    ofTask[entry.figure] = Number(tensor?.data[0] ?? Number.NaN);
    sums.set(entry.task, ofTask);
  }
  return sums;
}
