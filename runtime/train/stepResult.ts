// What a step tells: the figures of each task, summed over the rows of a micro-batch.
import { type EntryOf, type GraphEntry, type TensorEntry, withRole } from "../../compiler/bundle/manifest.ts";
import type { TaskSums } from "../../compiler/tasks/report.ts";
import type { GradientMeasures } from "../logs/gradientFigures.ts";
import type { HostTensor } from "../ort/ortHost.ts";

export interface StepResult {
  readonly tasks: ReadonlyMap<string, TaskSums>;
  /** Buffers behind batches' inputs that went through the worker: the loader may fill them again. */
  readonly inputBuffers: readonly ArrayBuffer[];
  /** Milliseconds of the run, and of giving the device the next micro-batch meanwhile. */
  readonly runMs: number;
  /** What the run told of its tasks' gradients, where it combined them. */
  readonly gradients?: GradientMeasures;
}

/** What a graph tells of gradients, in the order in which it is read. */
export function gradientOutputs({ outputs }: Pick<GraphEntry, "outputs">): readonly TensorEntry[] {
  return [...withRole(outputs, "gram"), ...withRole(outputs, "gradient_weights")];
}

/** The Gram matrix, and the weights of the tasks that took part: absent ones have rows, or weights, of 0. */
export function gradientMeasures(
  { outputs }: Pick<GraphEntry, "outputs">,
  read: (entry: TensorEntry) => HostTensor | undefined,
): GradientMeasures {
  const [gramEntry] = withRole(outputs, "gram");
  const [weightsEntry] = withRole(outputs, "gradient_weights");
  const gram = gramEntry && read(gramEntry)?.data;
  const weights = weightsEntry && read(weightsEntry)?.data;
  const tasks = weightsEntry?.tasks ?? [];
  // A weight made of losses is never 0; one made of gradients may be.
  const tookPart = (t: number): boolean => Number(gram ? gram[t * tasks.length + t] : weights?.[t]) > 0;
  const present = tasks.flatMap((task, t): [string, number][] =>
    weights && tookPart(t) ? [[task, Number(weights[t])]] : [],
  );
  return {
    ...(gram && { gram: Array.from(gram, Number) }),
    ...(weights && { weights: new Map(present) }),
  };
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
