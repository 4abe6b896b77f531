// CPU augmentation at 256x256 in batches of 32, part of `npm run bench -- data`: flips, quarter turns,
// zoom, colour jitter and blur with a chance of 0.2. The split of training beside each form with a single
// engine, in one run, decoding left out; rounds alternate, medians. The processor's time is printed too:
// on a machine that others use it says more than the clock.
import { mkdtemp, rm } from "node:fs/promises";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import Table from "cli-table3";
import sharp from "sharp";
import type { AugmentSettings } from "../../compiler/spec/augmentKeys.ts";
import { median } from "../median.ts";
import {
  type AugmentForm,
  makeImages,
  openJs,
  openSharp,
  openSplit,
  openWholeGraph,
  ROUND_IMAGES,
} from "./augmentForms.ts";

const ROUNDS = 5;
const COLOURS = { brightness_delta: 0.2, contrast_delta: 0.4, saturation_delta: 0.5, hue_delta: 0.1 };
const FLIPS = { flip_left_right: 1, flip_up_down: 1 };
const SETTINGS: AugmentSettings = {
  ...FLIPS,
  ...{ rot90: 1, zoom_scale: 0.3 },
  ...COLOURS,
  gaussian_blur: 0.2,
};
/** GridSample in place of turns and zoom: shear is one over the whole image. */
const GRID_SAMPLE: AugmentSettings = { ...FLIPS, shear: 0.3, ...COLOURS, gaussian_blur: 0.2 };
/** How many times its rate the split must have. */
const WANTED: Readonly<Record<string, number>> = { "all sharp": 2.5 };

/** Prints the rates; false where the split is slower than wanted. */
export async function compareAugmentRates(): Promise<boolean> {
  const folder = await mkdtemp(join(tmpdir(), "mttc-bench-augment-"));
  const images = makeImages();
  const concurrency = sharp.concurrency();
  sharp.concurrency(1);
  const threads = availableParallelism();
  const forms: Readonly<Record<string, AugmentForm>> = {
    split: await openSplit(SETTINGS, images, folder, { threads, allowSpinning: false }),
    "all sharp": openSharp(SETTINGS, images),
    "all JavaScript, 1 thread": await openJs(SETTINGS, images, 1),
    [`all JavaScript, ${threads} threads`]: await openJs(SETTINGS, images, threads),
    "all ONNX Runtime, warp by MatMul": await openWholeGraph(SETTINGS, images),
    "all ONNX Runtime, warp by GridSample": await openWholeGraph(GRID_SAMPLE, images),
  };
  try {
    const rates = await alternate(forms);
    const head = ["CPU augmentation", "images/s", "CPU ms an image", "split / this", "wanted"];
    const table = new Table({ head });
    let isFast = true;
    const split = rates.get("split")?.perSecond ?? [];
    for (const [name, { perSecond, cpuMs }] of rates) {
      const ratio = median(perSecond.map((rate, round) => (split[round] ?? 0) / rate));
      const wanted = WANTED[name] ?? 1;
      isFast &&= ratio >= wanted;
      const cells = name === "split" ? ["", ""] : [ratio.toFixed(2), `>= ${wanted}`];
      table.push([name, median(perSecond).toFixed(0), median(cpuMs).toFixed(2), ...cells]);
    }
    console.log(table.toString());
    return isFast;
  } finally {
    for (const form of Object.values(forms)) await form[Symbol.asyncDispose]();
    sharp.concurrency(concurrency);
    await rm(folder, { recursive: true, force: true });
  }
}

/** Of each round. */
interface Rates {
  readonly perSecond: number[];
  /** Of all threads of the process. */
  readonly cpuMs: number[];
}

/** The rates of each form, after one round that warms up. */
async function alternate(forms: Readonly<Record<string, AugmentForm>>): Promise<Map<string, Rates>> {
  const rates = new Map<string, Rates>(
    Object.keys(forms).map((name) => [name, { perSecond: [], cpuMs: [] }]),
  );
  for (const { augmentRound } of Object.values(forms)) await augmentRound();
  for (let round = 0; round < ROUNDS; round++)
    for (const [name, { augmentRound }] of Object.entries(forms)) {
      const [began, cpuBefore] = [performance.now(), process.cpuUsage()];
      await augmentRound();
      const { user, system } = process.cpuUsage(cpuBefore);
      rates.get(name)?.perSecond.push((1_000 * ROUND_IMAGES) / (performance.now() - began));
      rates.get(name)?.cpuMs.push((user + system) / 1_000 / ROUND_IMAGES);
    }
  return rates;
}
