// How long a device waits for its images: whole epochs of the public trainer on JPEGs, by a network whose steps
// are short. The first epoch decodes every image, the second takes them from memory.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { MultiTaskTrainer } from "../../runtime/train/multiTaskTrainer.ts";
import type { TrainerOptions } from "../../runtime/train/trainerOptions.ts";
import { writeNoisyJpegs } from "../bench/noisyJpegs.ts";
import type { RateOptions } from "./rates.ts";

export interface LoaderShare {
  readonly what: string;
  readonly epoch: number;
  readonly imagesPerSecond: number;
  /** Share of the epoch in which the device had nothing to do but wait. */
  readonly waitShare: number;
}

const CLASSES = ["a", "b"];
const EPOCHS = 2;

/** The share without augmentation, and with what options draw in the graph. */
export async function loaderShares(
  options: RateOptions,
  images: number,
  side: number,
): Promise<LoaderShare[]> {
  const folder = await mkdtemp(join(tmpdir(), "mttc-gpu-loader-"));
  try {
    const paths = await writeNoisyJpegs(folder, images);
    const rows = paths.map((filepath, i) => ({ filepath, kind: CLASSES[i % CLASSES.length] ?? null }));
    const shares: LoaderShare[] = [];
    for (const augment of [false, { flip_left_right: true, zoom_scale: 0.3 }])
      shares.push(...(await sharesOf(rows, augment, side, options)));
    return shares;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function sharesOf(
  rows: Exclude<TrainerOptions["train_labels"], string>,
  augment: TrainerOptions["augment"],
  side: number,
  { provider, batches, precisions, note }: RateOptions,
): Promise<LoaderShare[]> {
  const [batch_size = 64] = batches;
  const executionProvider = provider.kind === "cuda" ? (`cuda:${provider.device}` as const) : "cpu";
  const options: TrainerOptions = {
    ...{ train_labels: rows, tasks: ["kind"], imshape: [side, side], batch_size, augment },
    ...{ fcn: { layers: [16, "p", 32, "p", 64, "p"] }, train_fcn: true, task_layers: [] },
    ...{ balance_probs: false, precision: precisions.at(-1) ?? "fp32" },
  };
  const what = augment === false ? "as they are" : "augmented in the graph";
  await using trainer = new MultiTaskTrainer(options, { executionProvider, autotune: false });
  const history = await trainer.fit(EPOCHS);
  return history.map(({ epoch, steps, seconds, waitShare }) => {
    const imagesPerSecond = (steps * batch_size) / seconds;
    note(`${what}, epoch ${epoch}: ${imagesPerSecond.toFixed(0)} images/s, waited ${waitShare.toFixed(3)}`);
    return { what, epoch, imagesPerSecond, waitShare };
  });
}
