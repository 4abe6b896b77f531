// A second of training of a tiny network on one provider, on images that are made here: shows that a device
// does the whole of a step, and that the loss falls. provider -> steps and losses. For `mttc doctor`.
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { compile } from "../../compiler/compile.ts";
import { resolveSpec } from "../../compiler/spec/parseSpec.ts";
import { RandomStream } from "../draws/randomStream.ts";
import { temporaryFolder } from "../files/temporaryFolder.ts";
import { OrtHost, type ProviderRequest } from "../ort/ortHost.ts";
import { writeBundleDirectory } from "../runs/bundleDirectory.ts";
import { meanLoss } from "../train/epochLoop.ts";
import { compileForHost } from "../train/hostCompilation.ts";
import { TrainingDevice } from "../train/trainingDevice.ts";

const TASK = "bright";
const SIDE = 16;
const ROWS = 16;
const RATE = 0.01;

/** What a trial measured. */
export interface Trial {
  readonly steps: number;
  readonly seconds: number;
  /** Mean loss of the first step and of the last. */
  readonly firstLoss: number;
  readonly lastLoss: number;
}

export interface TrialOptions {
  readonly provider: ProviderRequest;
  readonly libraryPath?: string | undefined;
  /** Steps go on for this long, and there are at least two. */
  readonly seconds: number;
}

/** Trains; throws what OrtHost.start and the first step throw. */
export async function runTrial({ provider, libraryPath, seconds }: TrialOptions): Promise<Trial> {
  const folder = await temporaryFolder("doctor");
  try {
    const host = await OrtHost.start({ provider, libraryPath });
    try {
      return await trainFor(seconds, host, folder);
    } finally {
      await host.close();
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function trainFor(seconds: number, host: OrtHost, folder: string): Promise<Trial> {
  const spec = resolveSpec({
    tasks: [TASK],
    fcn: { layers: [8, "p", 16] },
    train_fcn: true,
    task_layers: [],
    imshape: [SIDE, SIDE],
    batch_size: ROWS,
  });
  const classes = [{ task: TASK, classes: ["no", "yes"] }];
  // As the trainer compiles: the same kernels are tried.
  const { bundle } = await compileForHost(host, (forHost) => compile(spec, classes, forHost));
  const manifest = await writeBundleDirectory(join(folder, "bundle"), bundle);
  await using device = await TrainingDevice.open(host, join(folder, "bundle"), manifest);
  await device.startFrom(bundle.state);
  const began = performance.now();
  const elapsed = (): number => (performance.now() - began) / 1000;
  const losses: number[] = [];
  while (losses.length < 2 || elapsed() < seconds) losses.push(await step(device));
  const [firstLoss = Number.NaN] = losses;
  return { steps: losses.length, seconds: elapsed(), firstLoss, lastLoss: losses.at(-1) ?? Number.NaN };
}

/** One step on the same batch as ever: dark and bright images in turn; returns the mean loss. */
async function step(device: TrainingDevice): Promise<number> {
  const stream = new RandomStream(0, "doctor", 0, 0);
  const images = new Uint8Array(ROWS * SIDE * SIDE * 3);
  for (let i = 0; i < images.length; i++) {
    const isBright = Math.floor(i / (SIDE * SIDE * 3)) % 2 === 1;
    images[i] = (isBright ? 100 : 0) + Math.floor(stream.nextUniform() * 155);
  }
  const labels = BigInt64Array.from({ length: ROWS }, (_, row) => BigInt(row % 2));
  const batch = { images, labels: new Map([[TASK, labels]]), masks: new Map<string, Float32Array>() };
  const scalars = {
    learningRate: RATE,
    taskWeights: new Map([[TASK, 1]]),
    counts: new Map([[TASK, ROWS]]),
  };
  const { tasks } = await device.microBatch(batch, 0, scalars);
  await device.finishStep(scalars);
  const sums = tasks.get(TASK);
  return sums ? meanLoss(sums) : Number.NaN;
}
