// `npm run bench -- features`: an epoch on features computed once beside an epoch that puts every image
// through the frozen trunk, torchvision's resnet50 with drawn weights at 224x224, in one run. Rounds
// alternate, so that both meet the same neighbours; medians and their ratio.
import { readFileSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import Table from "cli-table3";
import sharp from "sharp";
import { decodeModelProto, encodeModelProto } from "../../compiler/codec/protobuf.ts";
import type { LabelRow } from "../../runtime/tables/labelTable.ts";
import type { EpochReport } from "../../runtime/train/events.ts";
import { MultiTaskTrainer } from "../../runtime/train/multiTaskTrainer.ts";
import type { TrainerOptions } from "../../runtime/train/trainerOptions.ts";
import { drawValue } from "../families/drawnValues.ts";
import { median } from "../median.ts";

const SIDE = 224;
const IMAGES = 48;
const BATCH = 16;
const ROUNDS = 5;
/** Epochs on features take so little time that one alone is hard to measure. */
const CACHED_EPOCHS = 3;
const WANTED = 10;

interface Heads {
  /** Undefined: what the heads' own training takes decides. */
  readonly wanted?: number;
  readonly keys: Pick<TrainerOptions, "shared_layers" | "task_layers" | "kernel_size">;
}

const HEADS: Readonly<Record<string, Heads>> = {
  "two linear heads": { wanted: WANTED, keys: { shared_layers: [], task_layers: [] } },
  "... on a shared layer of 64 filters 1x1": {
    wanted: WANTED,
    keys: { shared_layers: [64], task_layers: [], kernel_size: 1 },
  },
  "... on a shared layer of 64 filters 3x3": { keys: { shared_layers: [64], task_layers: [] } },
};

/** Prints the ratios; false where one is below what is wanted, or a loss differs in a bit. */
export async function compareFeatureEpochs(): Promise<boolean> {
  const folder = await mkdtemp(join(tmpdir(), "mttc-bench-features-"));
  try {
    await writeFile(join(folder, "resnet50.onnx"), resnet50());
    const rows = await writeImages(folder);
    const table = new Table({
      head: ["epoch of 48 images", "images, s", "features, s", "ratio", "wanted", "same losses"],
    });
    let isFast = true;
    for (const [name, { wanted, keys }] of Object.entries(HEADS)) {
      const { images, features, ratio, isSame } = await alternate({
        ...keys,
        ...{ train_labels: rows, tasks: ["a", "b"], fcn: join(folder, "resnet50.onnx"), train_fcn: false },
        ...{ imshape: [SIDE, SIDE], batch_size: BATCH, balance_probs: false },
      });
      isFast &&= isSame && ratio >= (wanted ?? 0);
      const bound = wanted === undefined ? "" : `>= ${wanted}`;
      table.push([name, images.toFixed(2), features.toFixed(3), ratio.toFixed(0), bound, isSame]);
    }
    console.log(table.toString());
    return isFast;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** One epoch of each to warm up, then medians of alternating rounds; the ratio is that of neighbours. */
async function alternate(
  options: TrainerOptions,
): Promise<{ images: number; features: number; ratio: number; isSame: boolean }> {
  await using onImages = new MultiTaskTrainer({ ...options, cache_features: false });
  await using onFeatures = new MultiTaskTrainer({ ...options, cache_features: true });
  const messages: string[] = [];
  onFeatures.on("log", ({ message }) => messages.push(message));
  await onImages.fit(1);
  await onFeatures.fit(1);
  console.log(messages.at(-1));
  const rounds: { images: number; features: number }[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const images = await onImages.fit(onImages.history.length + 1);
    const features = await onFeatures.fit(onFeatures.history.length + CACHED_EPOCHS);
    rounds.push({ images: secondsOf(images, 1), features: secondsOf(features, CACHED_EPOCHS) });
  }
  const losses = ({ history }: MultiTaskTrainer) =>
    history.slice(0, ROUNDS).map(({ trainLoss }) => Object.values(trainLoss));
  return {
    isSame: String(losses(onImages)) === String(losses(onFeatures)),
    images: median(rounds.map(({ images }) => images)),
    features: median(rounds.map(({ features }) => features)),
    ratio: median(rounds.map(({ images, features }) => images / features)),
  };
}

/** Median seconds of the last `count` epochs: reading, steps and all. */
function secondsOf(history: readonly EpochReport[], count: number): number {
  return median(history.slice(-count).map(({ seconds }) => seconds));
}

/** The fixture's graph with weights drawn by name inside, 102 MB. */
function resnet50(): Uint8Array {
  // dist/ holds only what tsc compiles.
  const file = new URL("../../../test/fixtures/families/resnet50.onnx.gz", import.meta.url);
  const model = decodeModelProto(new Uint8Array(gunzipSync(readFileSync(file))));
  const initializer = model.graph.initializer.map(({ name, dims, dataType, rawData }) => {
    const drawn = () => new Uint8Array(drawValue(name, dims).buffer);
    return { name, dims, dataType, rawData: rawData ?? drawn() };
  });
  return encodeModelProto({ ...model, graph: { ...model.graph, initializer } });
}

/** JPEGs of 500x375 pixels, and labels of two tasks. */
async function writeImages(folder: string): Promise<LabelRow[]> {
  const [width, height] = [500, 375];
  const rows: LabelRow[] = [];
  for (let image = 0; image < IMAGES; image++) {
    const pixels = Buffer.alloc(width * height * 3);
    for (let at = 0; at < pixels.length; at++)
      pixels[at] = ((at / 1_500) & 127) + ((Math.imul(at + image * 7_919, 2_654_435_761) >>> 26) & 63);
    const filepath = join(folder, `${image}.jpg`);
    const jpeg = sharp(pixels, { raw: { width, height, channels: 3 } }).jpeg();
    await writeFile(filepath, await jpeg.toBuffer());
    rows.push({ filepath, a: String(image % 3), b: String(image % 2) });
  }
  return rows;
}
