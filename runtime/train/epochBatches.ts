// The micro-batches of one epoch in order, ready for the device: images or features of the loader, the labels
// of their rows looked up, dropout masks and augmentation drawn; and the numbers that go with each step. One
// more than is asked for is prepared.
import type { Manifest } from "../../compiler/bundle/manifest.ts";
import type { Schedule } from "../../compiler/ir/roles.ts";
import type { RunSpec, StepSpec } from "../../compiler/spec/schema.ts";
import { learningRateAt, type ScheduleSpec, scheduleOf } from "../../compiler/step/schedules.ts";
import { drawAugmentRows } from "../augment/augmentRows.ts";
import { type AugmentKeys, epochDraws } from "../augment/warpBatch.ts";
import type { FeatureBatch, FeatureBatches } from "../batches/featureBatches.ts";
import { type BatchShare, type ImageStreams, WHOLE_BATCH } from "../batches/imageStreams.ts";
import { type Batch, BatchLoader } from "../batches/loader.ts";
import { drawDropoutMask } from "../draws/dropoutMasks.ts";
import type { ImageReader } from "../images/images.ts";
import { type LabelledRows, labelsByTask } from "../labels/classes.ts";
import type { ClassWeights } from "../labels/classWeights.ts";
import { type BatchSpec, epochOrder } from "../labels/sampler.ts";
import {
  countLabelled,
  gatherLabels,
  hasLabel,
  type LabelTensor,
  labelTensor,
  type TaskLabels,
} from "../labels/taskLabels.ts";
import { countedTasks, type MicroBatch, masksOf, type StepScalars, stepDraws } from "./microBatch.ts";
import { TaskWeights, type WeightSources } from "./taskWeights.ts";

/** What the batches of an epoch are made of; a training session has all of it. */
export interface EpochSources {
  readonly experiment: { readonly spec: EpochKeys };
  readonly manifest: Pick<Manifest, "accumulate" | "augment" | "graphs" | "tasks">;
  readonly labels: { readonly train: LabelledRows; readonly classWeights: ClassWeights };
  readonly reader: ImageReader | ImageStreams;
  /** Whether a device takes a micro-batch ahead of its step. */
  readonly device: { readonly stagesInputs: boolean };
  /** What is read in place of images, where there is something. */
  readonly features?:
    | { epoch(epoch: number, order: Int32Array, batchSize: number, startBatch: number): FeatureBatches }
    | undefined;
  /** Which rows of every micro-batch are taken, where several processes train; features are for one alone. */
  readonly share?: BatchShare | undefined;
  /** Images decoded at the same time, in place of the spec's number. */
  readonly parallel?: number | undefined;
}

/** The keys of a spec that decide what an epoch's batches hold and how they are read. */
export type EpochKeys = Pick<StepSpec, keyof BatchSpec | "accumulate" | "seed"> &
  ScheduleSpec &
  Pick<RunSpec, "num_parallel_calls"> &
  AugmentKeys;

/** A micro-batch in preparation: what became of it, once something has. */
interface Preparation {
  readonly done: Promise<MicroBatch | undefined>;
  outcome?: MicroBatch | undefined;
}

/** Micro-batches from step `startStep` of an epoch (counted from 1) on. */
export class EpochBatches implements AsyncDisposable {
  /** Steps of the whole epoch. */
  readonly steps: number;
  readonly #sources: EpochSources;
  readonly #epoch: number;
  readonly #order: Int32Array;
  readonly #labels: ReadonlyMap<string, TaskLabels>;
  readonly #counted: ReadonlySet<string>;
  readonly #loader: BatchLoader | FeatureBatches;
  readonly #schedule: Schedule;
  readonly #weights: TaskWeights;
  #following: number;
  #ahead: Preparation | undefined;

  /** `history`: the finished epochs; weights of tasks may be made of their losses. */
  constructor(sources: EpochSources, epoch: number, startStep: number, history: WeightSources["history"]) {
    const { spec } = sources.experiment;
    const { train } = sources.labels;
    this.#weights = new TaskWeights(sources.manifest, { seed: spec.seed, epoch, history });
    this.#sources = sources;
    this.#epoch = epoch;
    this.#labels = labelsByTask(train);
    this.#counted = countedTasks(sources.manifest);
    this.#schedule = scheduleOf(spec);
    this.#order = epochOrder({
      ...{ labels: train.labels, batchSize: spec.batch_size, seed: spec.seed, epoch },
      balanced: spec.balance_probs,
      byClass: spec.balance_classes,
    });
    this.steps = this.#order.length / spec.batch_size;
    this.#following = startStep * spec.accumulate;
    this.#loader = openLoader(sources, this.#order, epoch, this.#following);
  }

  /** The next micro-batch; undefined after the last. Rejects as the loader does. */
  async next(): Promise<MicroBatch | undefined> {
    const { done } = this.#ahead ?? this.#prepare();
    this.#ahead = undefined;
    const batch = await done;
    if (this.#sources.device.stagesInputs) this.#ahead = this.#prepare();
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
   * Rate, weights and, where the step's graph takes them, the counts (with class weights: sums of weights) of
   * labelled rows of a whole logical batch, which its rows tell in advance. `plannedSteps` are those of the
   * whole run.
   */
  scalars(step: number, plannedSteps: number): StepScalars {
    const { spec } = this.#sources.experiment;
    const ofRun = (this.#epoch - 1) * this.steps + step;
    const learningRate = learningRateAt(this.#schedule, ofRun, plannedSteps);
    const { classWeights } = this.#sources.labels;
    const rows = this.#order.subarray(step * spec.batch_size, (step + 1) * spec.batch_size);
    const counts = new Map<string, number>();
    for (const [task, labels] of this.#labels)
      if (this.#counted.has(task)) counts.set(task, countLabelled(labels, rows, classWeights.get(task)));
    const weightFactors = this.#weights.factors(ofRun, (task) => {
      const labels = this.#labels.get(task);
      return labels !== undefined && rows.some((row) => hasLabel(labels, row));
    });
    const taskWeights = this.#weights.weights(weightFactors);
    const draws = stepDraws(this.#sources.manifest, spec.seed, ofRun);
    return { learningRate, taskWeights, weightFactors, counts, classWeights, draws };
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
    const count = this.steps * this.#sources.experiment.spec.accumulate;
    if (index >= count) return undefined;
    const batch = await this.#loader.next();
    if (batch === undefined) return undefined;
    const labels = new Map<string, LabelTensor>();
    for (const [task, ofTask] of this.#labels)
      labels.set(task, labelTensor(gatherLabels(ofTask, batch.rows)));
    return toMicroBatch(this.#sources, batch, labels, this.#epoch, (this.#epoch - 1) * count + index);
  }
}

/** Micro-batches of the epoch's order: of features where the run has them, else of images. */
function openLoader(
  sources: EpochSources,
  order: Int32Array,
  epoch: number,
  startBatch: number,
): BatchLoader | FeatureBatches {
  const { spec } = sources.experiment;
  const { reader, labels, share = WHOLE_BATCH, parallel = spec.num_parallel_calls } = sources;
  const batchSize = spec.batch_size / spec.accumulate / share.size;
  if (sources.features) return sources.features.epoch(epoch, order, batchSize, startBatch);
  return new BatchLoader({
    ...{ rows: labels.train, order, batchSize, reader, startBatch, share, parallel },
    warp: epochDraws({ ...sources.manifest, spec }, "loader", epoch),
  });
}

/** Input, labels by task, masks and augmentation; `micro` counts micro-batches from the run's begin. */
function toMicroBatch(
  { experiment, manifest, share = WHOLE_BATCH }: Pick<EpochSources, "experiment" | "manifest" | "share">,
  batch: Batch | FeatureBatch,
  labels: MicroBatch["labels"],
  epoch: number,
  micro: number,
): MicroBatch {
  const { spec } = experiment;
  // Masks are drawn for the whole logical batch, so that its parts, micro-batches and in them those of ranks,
  // see the rows that one batch would.
  const parts = spec.accumulate * share.size;
  const step = Math.floor(micro / spec.accumulate);
  const part = (micro % spec.accumulate) * share.size + share.rank;
  const masks = new Map(
    masksOf(manifest, "features" in batch ? "features" : "image").map((entry) => {
      const [, ...rest] = entry.shape.map(Number);
      const mask = drawDropoutMask(spec.seed, step, [spec.batch_size, ...rest], entry);
      const size = mask.length / parts;
      return [entry.name, parts === 1 ? mask : mask.slice(part * size, (part + 1) * size)];
    }),
  );
  if ("features" in batch) return { features: batch.features, labels, masks };
  const draws = epochDraws({ ...manifest, spec }, "graph", epoch);
  const augment = draws && drawAugmentRows(draws, batch.firstPlace, batch.rows.length);
  return { images: batch.images, labels, masks, augment };
}
