// The learned weights of tasks as figures by step. They are on the device alone: reading them costs a call to
// it, so they are read where an entry of the log by step is due.
import type { Manifest } from "../../compiler/bundle/manifest.ts";
import { tasksOf } from "../../compiler/bundle/manifestTasks.ts";
import { logVariance } from "../../compiler/model/objective.ts";
import { isEntryDue } from "../logs/stepMeans.ts";
import type { EpochDevice } from "./epochLoop.ts";

/** Figures of a step, where there are any: `weight/<task>`. */
export type StepFigures = (
  device: Pick<EpochDevice, "readState">,
  step: number,
  steps: number,
) => Promise<Readonly<Record<string, number>> | undefined>;

/** Reads c exp(-s) of each task each `every` steps; undefined where no weight is learned. */
export function learnedWeights(manifest: Pick<Manifest, "tasks">, every: number): StepFigures | undefined {
  const learned = new Set(
    manifest.tasks.flatMap(({ name, weight }) => (weight === "adaptive" ? [name] : [])),
  );
  if (learned.size === 0) return undefined;
  const tasks = tasksOf(manifest).filter(({ name }) => learned.has(name));
  return async (device, step, steps) => {
    if (!isEntryDue(step, steps, every)) return undefined;
    const state = await device.readState(({ group }) => group === "log_variance");
    return Object.fromEntries(
      tasks.map(({ name, certainty = 1 }) => {
        const s = Number(state.get(logVariance(name).name)?.data[0] ?? Number.NaN);
        return [`weight/${name}`, certainty * Math.exp(-s)];
      }),
    );
  };
}
