// An experiment as training steps on one provider, with images, labels and masks drawn by step number: two
// providers see the same numbers. What all measurements of test/gpu are made of.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { imageSize } from "../../compiler/augment/augmentGraph.ts";
import type { StoredManifest, Target } from "../../compiler/bundle/manifest.ts";
import { dataByName } from "../../compiler/codec/safetensors.ts";
import { compile } from "../../compiler/compile.ts";
import { InternalError } from "../../compiler/diagnostics.ts";
import type { ImportedTrunk } from "../../compiler/model/importedTrunk.ts";
import type { TaskClasses } from "../../compiler/model/network.ts";
import { augmentSettings } from "../../compiler/spec/augmentKeys.ts";
import type { Spec } from "../../compiler/spec/schema.ts";
import { LOSS_SCALE } from "../../compiler/step/lossScaling.ts";
import { openTasks } from "../../compiler/tasks/openTask.ts";
import { drawAugmentRows } from "../../runtime/augment/augmentRows.ts";
import { drawDropoutMask } from "../../runtime/draws/dropoutMasks.ts";
import { RandomStream } from "../../runtime/draws/randomStream.ts";
import type { HostTensor, OrtHost } from "../../runtime/ort/ortHost.ts";
import { providerTraits } from "../../runtime/ort/provider.ts";
import { writeBundleDirectory } from "../../runtime/runs/bundleDirectory.ts";
import { type AutotuneOptions, type CompileWith, compileTuned } from "../../runtime/train/autotune.ts";
import { proveCapture } from "../../runtime/train/captureProof.ts";
import { readChannelBlock } from "../../runtime/train/channelBlock.ts";
import { type MicroBatch, masksOf, type StepScalars } from "../../runtime/train/microBatch.ts";

import { TrainingDevice } from "../../runtime/train/trainingDevice.ts";
import { StepTraffic } from "./stepTraffic.ts";

/** One label in five is missing. */
const MISSING = 0.2;

/** A spec with all that compiling needs. */
export interface Experiment {
  readonly name: string;
  readonly spec: Spec;
  readonly classes: TaskClasses;
  readonly trunk?: ImportedTrunk | undefined;
}

/** How the forms of convolutions are measured, where they are. */
export type Tuning = Pick<AutotuneOptions, "device" | "cache" | "note">;

export interface RunOptions {
  /** What the graphs are spelled for; by default what the host's provider asks for. */
  readonly target?: Target | undefined;
  readonly tuning?: Tuning | undefined;
  /** Scale that a mixed-precision run begins with, in place of the one that may have to come down first. */
  readonly lossScale?: number | undefined;
  /** Let steps be captured as graphs of the device, by `captureSteps`. */
  readonly capturable?: boolean | undefined;
}

/** The images of a drawn micro-batch. */
function imagesOf(micro: MicroBatch): Uint8Array<ArrayBuffer> {
  if ("images" in micro) return micro.images as Uint8Array<ArrayBuffer>;
  throw new InternalError("a step run takes images");
}

/** Mean losses of a step by task; NaN where no row was labelled. */
export type StepLosses = Readonly<Record<string, number>>;

export class StepRun implements AsyncDisposable {
  readonly experiment: Experiment;
  readonly manifest: StoredManifest;
  readonly device: TrainingDevice;
  /** Folder of the compiled bundle. */
  readonly folder: string;
  /** What a step moves at least, in bytes. */
  readonly trafficBytes: number;
  #step = 0;

  private constructor(
    experiment: Experiment,
    {
      manifest,
      device,
      folder,
      trafficBytes,
    }: Pick<StepRun, "manifest" | "device" | "folder" | "trafficBytes">,
  ) {
    this.trafficBytes = trafficBytes;
    this.experiment = experiment;
    this.manifest = manifest;
    this.device = device;
    this.folder = folder;
  }

  /** Compiles for the host's provider, opens the step and sets the initial state. */
  static async open(
    host: OrtHost,
    experiment: Experiment,
    { target = providerTraits(host.provider).target, tuning, lossScale, capturable }: RunOptions = {},
  ): Promise<StepRun> {
    const { spec, classes, trunk } = experiment;
    const channelBlock = await readChannelBlock(host);
    const traffic = new StepTraffic();
    const compileWith: CompileWith = (more) =>
      compile(spec, classes, { target, trunk, channelBlock, ...more, trace: traffic.trace });
    const bundle = tuning ? await compileTuned(compileWith, { host, target, ...tuning }) : compileWith({});
    const folder = await mkdtemp(join(tmpdir(), "mttc-gpu-"));
    const manifest = await writeBundleDirectory(join(folder, "bundle"), bundle);
    const device = await TrainingDevice.open(host, join(folder, "bundle"), manifest, { capturable });
    const state = new Map<string, ArrayBufferView>(dataByName(bundle.state));
    if (lossScale !== undefined && state.has(LOSS_SCALE)) state.set(LOSS_SCALE, Float32Array.of(lossScale));
    await device.writeState(state);
    const trafficBytes = traffic.bytes(spec.accumulate);
    return new StepRun(experiment, { manifest, device, folder: join(folder, "bundle"), trafficBytes });
  }

  /** One whole step on the batch of its number. */
  async step(learningRate = this.experiment.spec.lr): Promise<StepLosses> {
    const { spec } = this.experiment;
    const step = this.#step++;
    const micros = Array.from({ length: spec.accumulate }, (_, i) => this.#batch(step, i));
    const scalars = this.#scalars(micros, learningRate);
    const sums = new Map<string, { loss: number; count: number }>();
    for (const [i, micro] of micros.entries()) {
      const { tasks } = await this.device.microBatch(micro, i, scalars);
      for (const [task, { loss_sum: sum = Number.NaN, count = 0 }] of tasks) {
        const before = sums.get(task) ?? { loss: 0, count: 0 };
        sums.set(task, { loss: before.loss + sum, count: before.count + count });
      }
    }
    await this.device.finishStep(scalars);
    return Object.fromEntries([...sums].map(([task, { loss, count }]) => [task, loss / count]));
  }

  /**
   * Images a second over `steps` steps on one batch, after as many warm-up steps. As in training, each next
   * micro-batch goes along with the step before it, where the device takes it.
   */
  async rate(steps: number, warmUp: number): Promise<number> {
    const { spec } = this.experiment;
    const micros = Array.from({ length: spec.accumulate }, (_, i) => this.#batch(0, i));
    const scalars = this.#scalars(micros, 0);
    // What a step takes is transferred to ONNX Runtime's thread; buffers of images come back, and it does not
    // matter which images they hold.
    const pool = [...micros, micros[0]!].map((micro) => imagesOf(micro).slice().buffer);
    const given = (i: number): MicroBatch => {
      const { labels, masks, augment } = micros[i % micros.length]!;
      return { images: new Uint8Array(pool.pop()!), ...structuredClone({ labels, masks, augment }) };
    };
    let began = performance.now();
    let upcoming = given(0);
    for (let step = -warmUp; step < steps; step++) {
      if (step === 0) began = performance.now();
      for (const i of micros.keys()) {
        const following = given(i + 1);
        const { inputBuffers } = await this.device.microBatch(upcoming, i, scalars, following);
        pool.push(...inputBuffers);
        upcoming = following;
      }
      await this.device.finishStep(scalars);
    }
    return (steps * spec.batch_size * 1000) / (performance.now() - began);
  }

  /** Captures steps as graphs of the device if they prove equal to plain ones; says what came of it. */
  captureSteps(): Promise<string> {
    const { accumulate } = this.experiment.spec;
    const batches = [0, 1].map((step) => {
      const micros = Array.from({ length: accumulate }, (_, i) => this.#batch(step, i));
      return { micros, scalars: this.#scalars(micros, this.experiment.spec.lr) };
    });
    return proveCapture(this.device, batches);
  }

  /** The state as it is now, by name. */
  state(): Promise<Map<string, HostTensor>> {
    return this.device.readState();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.device[Symbol.asyncDispose]();
    await rm(join(this.folder, ".."), { recursive: true, force: true });
  }

  #batch(step: number, micro: number): MicroBatch {
    const { spec, classes } = this.experiment;
    const rows = spec.batch_size / spec.accumulate;
    const sample = (step * spec.accumulate + micro) * rows;
    const { height, width, channels } = imageSize(spec);
    const stream = new RandomStream(spec.seed, "gpu images", step, micro);
    const images = new Uint8Array(rows * height * width * channels);
    // Words, not draws by pixel: the batches of a throughput run are large.
    const words = new Uint32Array(images.buffer, 0, Math.floor(images.length / 4));
    for (let i = 0; i < words.length; i++) words[i] = Math.floor(stream.nextUniform() * 2 ** 32);
    const labels = new Map(
      openTasks(classes).map(({ name: task, width }) => {
        const draws = new RandomStream(spec.seed, `gpu labels ${task}`, step, micro);
        const label = (): bigint =>
          draws.nextUniform() < MISSING ? -1n : BigInt(Math.floor(draws.nextUniform() * width));
        return [task, BigInt64Array.from({ length: rows }, label)] as const;
      }),
    );
    const masks = new Map(
      masksOf(this.manifest, "image").map((mask) => [
        mask.name,
        drawDropoutMask(spec.seed, step * spec.accumulate + micro, mask.shape.map(Number), mask),
      ]),
    );
    const settings = augmentSettings(spec.augment);
    const draws = settings && { settings, size: imageSize(spec), seed: spec.seed, epoch: 1 };
    return { images, labels, masks, augment: draws && drawAugmentRows(draws, sample, rows) };
  }

  #scalars(micros: readonly MicroBatch[], learningRate: number): StepScalars {
    const { classes } = this.experiment;
    const present = (task: string): number =>
      micros.reduce(
        (sum, { labels }) => sum + (labels.get(task)?.filter((label) => label >= 0n).length ?? 0),
        0,
      );
    const weights = this.manifest.tasks.flatMap(({ name, weight }) =>
      weight === "adaptive" ? [] : [[name, weight] as const],
    );
    return {
      learningRate,
      taskWeights: new Map(weights),
      counts: new Map(classes.map(({ task }) => [task, present(task)])),
    };
  }
}
