// One epoch: rows in the sampler's order -> micro-batches -> steps on the device. While ONNX Runtime works on
// one micro-batch, the next is read; a device with memory of its own is given it meanwhile, and the one after
// it is read. Everything is a pure function of (seed, epoch, step), so an epoch may begin in its middle.
import type { TaskSums } from "../../compiler/tasks/report.ts";
import { type FigureSums, GradientFigures, type GradientMeasures } from "../logs/gradientFigures.ts";
import { isEntryDue } from "../logs/stepMeans.ts";
import { batchesPerEpoch } from "../tables/rowOrder.ts";
import { type LastCheckpoint, refuseLosses } from "./divergence.ts";
import { EpochBatches, type EpochSources } from "./epochBatches.ts";
import type { StepEvent } from "./events.ts";
import type { StepScalars } from "./microBatch.ts";
import type { StepResult } from "./stepResult.ts";
import { type Taken, takeMicroBatch } from "./stepTaking.ts";
import type { StepFigures } from "./stepWeights.ts";
import type { WeightSources } from "./taskWeights.ts";
import type { TrainingDevice } from "./trainingDevice.ts";
import type { WeightWatch } from "./weightWatch.ts";

/** Where an epoch stands: steps done and sums over them. Goes into checkpoints. */
export interface EpochState {
  readonly step: number;
  readonly sums: Readonly<Record<string, TaskSums>>;
  /** Seconds spent in earlier sittings. */
  readonly seconds: number;
  /** Seconds of these in which the device had no input. */
  readonly waitedSeconds: number;
  /** Sums of what steps told of their tasks' gradients; absent in checkpoints of earlier versions. */
  readonly gradients?: FigureSums | undefined;
}

export const FRESH_EPOCH: EpochState = { step: 0, sums: {}, seconds: 0, waitedSeconds: 0 };

/** What an epoch is trained with; a training session has all of it. */
export interface EpochRun extends EpochSources {
  readonly device: EpochDevice;
  /** Where this process leads others: tells them that an epoch begins at a step. */
  readonly leader?: { beginEpoch(epoch: number, step: number): void } | undefined;
}

/** What an epoch asks of a training device. */
export type EpochDevice = Pick<TrainingDevice, "stagesInputs" | "microBatch" | "finishStep" | "readState">;

export interface EpochOptions {
  /** Number of the epoch, from 1. */
  readonly epoch: number;
  readonly start: EpochState;
  /** Steps of the whole run, as planned when it began: what a schedule over all of it spans. */
  readonly plannedSteps: number;
  readonly signal?: AbortSignal | undefined;
  readonly onStep: (event: StepEvent) => void;
  /** The finished epochs: weights of tasks may be made of their losses. */
  readonly history: WeightSources["history"];
  /**
   * Told after each step that others take part in how to ask where training stands: one of them may be lost.
   */
  readonly onReached?: (now: () => EpochState) => void;
  /** Looks at the learned weights of tasks. */
  readonly weights?: WeightWatch;
  /** Further figures of a step. */
  readonly figures?: StepFigures | undefined;
  /** Steps between two entries of the log by step; none where it is 0 or absent. */
  readonly logEvery?: number;
  /** The newest checkpoint, for messages. */
  readonly last?: LastCheckpoint;
}

/**
 * Trains from `start.step` to the epoch's end, or to the step after `signal` aborted. E_DIVERGED for a
 * non-finite loss or a learned weight without bounds.
 */
export async function trainEpoch(sources: EpochRun, options: EpochOptions): Promise<EpochState> {
  const { device } = sources;
  const { spec } = sources.experiment;
  const { epoch, start, signal, last } = options;
  const began = performance.now();
  sources.leader?.beginEpoch(epoch, start.step);
  await using batches = new EpochBatches(sources, epoch, start.step, options.history);
  const { steps } = batches;
  const sums = new Map(Object.entries(start.sums));
  const names = sources.manifest.tasks.map(({ name }) => name);
  const gradients = new GradientFigures(names, start.gradients);
  let step = start.step;
  let upcoming = await batches.next();
  // Only while the device has nothing to do: reading behind its back costs no time.
  let waitedMs = performance.now() - began;
  let times = timesAfter(start, 0, 0);
  const reached = (): EpochState => ({
    ...{ step, sums: Object.fromEntries(sums), gradients: gradients.sums },
    ...times,
  });
  while (step < steps && !signal?.aborted) {
    const scalars = batches.scalars(step, options.plannedSteps);
    // Summed up when the step is done: of one that is lost in its middle nothing may stay.
    const parts: StepResult[] = [];
    for (let index = 0; index < spec.accumulate && upcoming; index++) {
      const taken: Taken = takeMicroBatch({ device, batches, batch: upcoming, index, scalars });
      const told = await taken.result;
      parts.push(told);
      const idleFrom = performance.now();
      upcoming = await taken.next;
      waitedMs += performance.now() - idleFrom;
      refuseLosses(told.tasks, { epoch, step: step + 1, last });
    }
    const combined = await device.finishStep(scalars);
    for (const { tasks } of parts) addSums(sums, tasks);
    for (const told of [...parts.map((part) => part.gradients), combined])
      gradients.add(besideFactors(scalars, told));
    gradients.add({ weights: scalars.weightFactors });
    step += 1;
    times = timesAfter(start, performance.now() - began, waitedMs);
    if (sources.leader) options.onReached?.(reached);
    await options.weights?.afterStep(device, { epoch, step, last });
    const seconds = (performance.now() - began) / 1000;
    const imagesPerSecond = ((step - start.step) * spec.batch_size) / seconds;
    const { learningRate } = scalars;
    const losses = meanLosses(sums);
    const entry = isEntryDue(step, steps, options.logEvery ?? 0) ? gradients.takeEntry() : {};
    const figures = { ...(await options.figures?.(device, step, steps)), ...entry };
    options.onStep({
      ...{ epoch, step, steps, losses, imagesPerSecond, learningRate },
      sums: Object.fromEntries(sums),
      ...(Object.keys(figures).length > 0 ? { scalars: figures } : {}),
    });
  }
  return reached();
}

/** What a graph tells: of losses with factors it is the factors: the gradients have 1 each. */
function besideFactors(
  { weightFactors }: Pick<StepScalars, "weightFactors">,
  told: GradientMeasures = {},
): GradientMeasures {
  return weightFactors && weightFactors.size > 0 ? { gram: told.gram } : told;
}

/** Seconds of an epoch's sittings up to now, `ms` after this one began. */
function timesAfter(start: EpochState, ms: number, waitedMs: number) {
  return {
    seconds: start.seconds + ms / 1000,
    waitedSeconds: start.waitedSeconds + waitedMs / 1000,
  };
}

/** Masked mean loss per task of sums; NaN for a task without labelled rows. */
export function meanLosses(sums: Iterable<readonly [string, TaskSums]>): Record<string, number> {
  return Object.fromEntries([...sums].map(([task, of]) => [task, meanLoss(of)]));
}

/** Masked mean loss of sums; NaN without labelled rows. */
export function meanLoss({ loss_sum: sum = Number.NaN, count = 0 }: TaskSums): number {
  return sum / count;
}

/** Steps of an epoch: ceil(rows / batch_size). */
export function stepsPerEpoch({ experiment, labels }: Pick<EpochSources, "experiment" | "labels">): number {
  return batchesPerEpoch(labels.train.paths.length, experiment.spec.batch_size);
}

function addSums(sums: Map<string, TaskSums>, more: ReadonlyMap<string, TaskSums>): void {
  for (const [task, of] of more) {
    const before = sums.get(task) ?? {};
    const added = Object.entries(of).map(([figure, sum]) => [figure, (before[figure] ?? 0) + sum]);
    sums.set(task, Object.fromEntries(added));
  }
}
