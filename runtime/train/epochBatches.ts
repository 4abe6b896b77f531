// The micro-batches of one epoch in order, ready for the device: read, labelled, with dropout masks and
// augmentation drawn; and the numbers that go with each step. One more than is asked for is prepared.
import type { Manifest } from "../../compiler/bundle/manifest.ts";
import { drawAugmentRows } from "../augment/augmentRows.ts";
import { epochDraws } from "../augment/warpBatch.ts";
import type { FeatureBatch, FeatureBatches } from "../batches/featureBatches.ts";
import { type Batch, BatchLoader } from "../batches/loader.ts";
import { drawDropoutMask } from "../draws/dropoutMasks.ts";
import { epochOrder } from "../draws/sampler.ts";
import type { MicroBatch, StepScalars } from "./microBatch.ts";
import type { TrainingSession } from "./trainingSession.ts";

/** A micro-batch in preparation: what became of it, once something has. */
interface Preparation {
  readonly done: Promise<MicroBatch | undefined>;
  outcome?: MicroBatch | undefined;
}

/** Micro-batches from step `startStep` of an epoch (counted from 1) on. */
export class EpochBatches implements AsyncDisposable {
  /** Steps of the whole epoch. */
  readonly steps: number;
  readonly #session: TrainingSession;
  readonly #epoch: number;
  readonly #order: Int32Array;
  readonly #loader: BatchLoader | FeatureBatches;
  #following: number;
  #ahead: Preparation | undefined;

  constructor(session: TrainingSession, epoch: number, startStep: number) {
    const { spec } = session.experiment;
    const { labels } = session.labels.train;
    this.#session = session;
    this.#epoch = epoch;
    this.#order = epochOrder({
      ...{ labels, taskCount: spec.tasks.length, batchSize: spec.batch_size, seed: spec.seed, epoch },
      balanced: spec.balance_probs,
      byClass: spec.balance_classes,
    });
    this.steps = this.#order.length / spec.batch_size;
    this.#following = startStep * spec.accumulate;
    this.#loader = openLoader(session, this.#order, epoch, this.#following);
  }

  /** The next micro-batch; undefined after the last. Rejects as the loader does. */
  async next(): Promise<MicroBatch | undefined> {
    const { done } = this.#ahead ?? this.#prepare();
    this.#ahead = undefined;
    const batch = await done;
    if (this.#session.device.stagesInputs) this.#ahead = this.#prepare();
    return batch;
  }

  /** What `next` will give, if it is ready; never on a device that does not take it ahead. */
  readAhead(): MicroBatch | undefined {
    return this.#ahead?.outcome;
  }

  /** Gives the buffer behind a micro-batch's images or features back. */
  release(buffer: ArrayBuffer): void {
    this.#loader.release(buffer);
  }

  /**
   * Rates, weights and the counts (with class weights: sums of weights) of labelled rows of a whole logical
   * batch, which its rows tell in advance.
   */
  scalars(step: number): StepScalars {
    const { spec } = this.#session.experiment;
    const { tasks } = this.#session.manifest;
    const { train, classWeights } = this.#session.labels;
    const { labels } = train;
    const rows = this.#order.subarray(step * spec.batch_size, (step + 1) * spec.batch_size);
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

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#loader[Symbol.asyncDispose]();
  }

  #prepare(): Preparation {
    const preparation: Preparation = { done: this.#read(this.#following++) };
    preparation.done.then(
      (batch) => {
        preparation.outcome = batch;
      },
      () => undefined, // Whoever asks for this micro-batch is told.
    );
    return preparation;
  }

  async #read(index: number): Promise<MicroBatch | undefined> {
    const { manifest } = this.#session;
    const count = this.steps * manifest.spec.accumulate;
    if (index >= count) return undefined;
    const batch = await this.#loader.next();
    return batch && toMicroBatch(manifest, batch, this.#epoch, (this.#epoch - 1) * count + index);
  }
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
