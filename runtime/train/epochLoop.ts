// One epoch: rows in the sampler's order -> micro-batches -> steps on the device. While ONNX Runtime works on
// one micro-batch, the next is read, and its dropout masks and augmentation drawn. Everything is a pure
// function of (seed, epoch, step), so an epoch may begin in its middle.
import type { Manifest } from "../../compiler/bundle.ts";
import { MttcError } from "../../compiler/diagnostics.ts";
import { drawAugmentRows } from "../augment/augmentRows.ts";
import { epochDraws } from "../augment/warpBatch.ts";
import { drawDropoutMask } from "../data/dropoutMasks.ts";
import type { FeatureBatch, FeatureBatches } from "../data/featureBatches.ts";
import { type Batch, BatchLoader } from "../data/loader.ts";
import { epochOrder } from "../data/sampler.ts";
import type { StepEvent } from "./events.ts";
import type { MicroBatch, StepScalars, TaskSums } from "./trainingDevice.ts";
import type { TrainingSession } from "./trainingSession.ts";

/** Where an epoch stands: steps done and sums over them. Goes into checkpoints. */
export interface EpochState {
  readonly step: number;
  readonly sums: Readonly<Record<string, TaskSums>>;
  /** Seconds spent in earlier sittings. */
  readonly seconds: number;
  /** Seconds of these in which the device had no input. */
  readonly waitedSeconds: number;
}

export const FRESH_EPOCH: EpochState = { step: 0, sums: {}, seconds: 0, waitedSeconds: 0 };

export interface EpochOptions {
  /** Number of the epoch, from 1. */
  readonly epoch: number;
  readonly start: EpochState;
  readonly signal?: AbortSignal | undefined;
  readonly onStep: (event: StepEvent) => void;
}

/**
 * Trains from `start.step` to the epoch's end, or to the step after `signal` aborted. E_DIVERGED for a
 * non-finite loss.
 */
export async function trainEpoch(session: TrainingSession, options: EpochOptions): Promise<EpochState> {
  const { manifest, labels } = session;
  const { spec } = session.experiment;
  const { epoch, start, signal } = options;
  const order = epochOrder({
    labels: labels.train.labels,
    taskCount: spec.tasks.length,
    batchSize: spec.batch_size,
    balanced: spec.balance_probs,
    byClass: spec.balance_classes,
    seed: spec.seed,
    epoch,
  });
  const steps = order.length / spec.batch_size;
  const micros = spec.accumulate;
  const began = performance.now();
  await using loader = openLoader(session, order, epoch, start.step * micros);
  const prepare = async (index: number): Promise<MicroBatch | undefined> => {
    if (index >= steps * micros) return undefined;
    const batch = await loader.next();
    return batch && toMicroBatch(manifest, batch, epoch, (epoch - 1) * steps * micros + index);
  };
  const sums = new Map(Object.entries(start.sums));
  let step = start.step;
  let upcoming = await prepare(step * micros);
  // Only while the device has nothing to do: reading behind its back costs no time.
  let waitedMs = performance.now() - began;
  while (step < steps && !signal?.aborted) {
    const scalars = stepScalars(session, order, step);
    for (let micro = 0; micro < micros && upcoming; micro++) {
      const running = session.device.microBatch(upcoming, micro, scalars);
      let idleFrom = 0;
      const [result, next]: [Awaited<typeof running>, MicroBatch | undefined] = await Promise.all([
        running.then((done) => {
          if (done.inputBuffer) loader.release(done.inputBuffer);
          idleFrom = performance.now();
          return done;
        }),
        prepare(step * micros + micro + 1),
      ]);
      waitedMs += performance.now() - idleFrom;
      upcoming = next;
      addSums(sums, result.tasks);
      refuseDivergence(result.tasks, epoch, step + 1);
    }
    await session.device.finishStep(scalars);
    step += 1;
    const seconds = (performance.now() - began) / 1000;
    const imagesPerSecond = ((step - start.step) * spec.batch_size) / seconds;
    options.onStep({ epoch, step, steps, losses: meanLosses(sums), imagesPerSecond });
  }
  return {
    step,
    sums: Object.fromEntries(sums),
    seconds: start.seconds + (performance.now() - began) / 1000,
    waitedSeconds: start.waitedSeconds + waitedMs / 1000,
  };
}

/** Micro-batches of the epoch's order: of features where the run has them, else of images. */
function openLoader(
  session: TrainingSession,
  order: Int32Array,
  epoch: number,
  startBatch: number,
): BatchLoader | FeatureBatches {
  const { spec } = session.experiment;
  const batchSize = spec.batch_size / spec.accumulate;
  if (session.features) return session.features.epoch(epoch, order, batchSize, startBatch);
  const { reader, labels } = session;
  return new BatchLoader({
    ...{ rows: labels.train, order, batchSize, reader, startBatch },
    parallel: spec.num_parallel_calls,
    warp: epochDraws(session.manifest, "loader", epoch),
  });
}

/** Masked mean loss per task of sums; NaN for a task without labelled rows. */
export function meanLosses(sums: Iterable<readonly [string, TaskSums]>): Record<string, number> {
  return Object.fromEntries([...sums].map(([task, { lossSum, count }]) => [task, lossSum / count]));
}

/** Steps of an epoch: ceil(rows / batch_size). */
export function stepsPerEpoch(session: TrainingSession): number {
  const { spec } = session.experiment;
  return Math.ceil(session.labels.train.paths.length / spec.batch_size);
}

/** Input, labels by task, masks and augmentation; `micro` counts micro-batches from the run's begin. */
function toMicroBatch(
  manifest: Manifest,
  batch: Batch | FeatureBatch,
  epoch: number,
  micro: number,
): MicroBatch {
  const { spec, tasks } = manifest;
  const labels = new Map(
    tasks.map(({ name }, t) => [
      name,
      BigInt64Array.from({ length: batch.rows.length }, (_, row) =>
        BigInt(batch.labels[row * tasks.length + t] ?? -1),
      ),
    ]),
  );
  // Masks are drawn for the whole logical batch, so that micro-batches see the rows that one batch would.
  const [step, part] = [Math.floor(micro / spec.accumulate), micro % spec.accumulate];
  const masks = new Map(
    manifest.masks.map(({ name, shape, rate }) => {
      const [rows = 0, ...rest] = shape;
      const mask = drawDropoutMask(spec.seed, step, name, [rows * spec.accumulate, ...rest], rate);
      const size = mask.length / spec.accumulate;
      return [name, spec.accumulate === 1 ? mask : mask.slice(part * size, (part + 1) * size)];
    }),
  );
  if ("features" in batch) return { features: batch.features, labels, masks };
  const draws = epochDraws(manifest, "graph", epoch);
  const count = batch.rows.length;
  const augment = draws && drawAugmentRows(draws, batch.index * count, count);
  return { images: batch.images, labels, masks, augment };
}

/**
 * Rates, weights and the counts (with class weights: sums of weights) of labelled rows of a whole logical
 * batch, which its rows tell in advance.
 */
function stepScalars(session: TrainingSession, order: Int32Array, step: number): StepScalars {
  const { spec } = session.experiment;
  const { tasks } = session.manifest;
  const { train, classWeights } = session.labels;
  const { labels } = train;
  const rows = order.subarray(step * spec.batch_size, (step + 1) * spec.batch_size);
  const counts = tasks.map(({ name }, t) => {
    const ofClasses = classWeights.get(name);
    let count = 0;
    for (const row of rows) {
      const label = labels[row * tasks.length + t] ?? -1;
      if (label >= 0) count += ofClasses ? (ofClasses[label] ?? 1) : 1;
    }
    return [name, count] as const;
  });
  const weights = tasks.flatMap(({ name, weight }) =>
    weight === "adaptive" ? [] : [[name, weight] as const],
  );
  return { learningRate: spec.lr, taskWeights: new Map(weights), counts: new Map(counts), classWeights };
}

function addSums(sums: Map<string, TaskSums>, more: ReadonlyMap<string, TaskSums>): void {
  for (const [task, { lossSum, count, correct }] of more) {
    const before = sums.get(task) ?? { lossSum: 0, count: 0, correct: 0 };
    sums.set(task, {
      lossSum: before.lossSum + lossSum,
      count: before.count + count,
      correct: before.correct + correct,
    });
  }
}

function refuseDivergence(tasks: ReadonlyMap<string, TaskSums>, epoch: number, step: number): void {
  const faults = [...tasks].flatMap(([task, { lossSum }]) =>
    Number.isFinite(lossSum)
      ? []
      : [
          {
            code: "E_DIVERGED" as const,
            message: `the loss became ${lossSum} in epoch ${epoch}, step ${step}`,
            at: { path: `tasks.${task}` },
            hint: "lower lr; the last checkpoint is from before",
          },
        ],
  );
  if (faults.length > 0) throw new MttcError(faults);
}
