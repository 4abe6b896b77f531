// Ways of augmenting a batch on the CPU, each a function that augments all images once: the split (loader
// thread and graph) as training does it, and the forms with a single engine.
import { once } from "node:events";
import { mkdir } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { Worker } from "node:worker_threads";
import sharp from "sharp";
import { buildAugmentGraph } from "../../compiler/augment/augmentGraph.ts";
import { settingsOf, splitAugmentation } from "../../compiler/augment/augmentSplit.ts";
import { augmentColumns } from "../../compiler/augment/augmentTable.ts";
import type { ImageSize } from "../../compiler/augment/operation.ts";
import { encodeGraph } from "../../compiler/codec/encodeGraph.ts";
import { finishGraph } from "../../compiler/lower/finishGraph.ts";
import { OPS } from "../../compiler/ops/table.ts";
import type { AugmentSettings } from "../../compiler/spec/augmentKeys.ts";
import { drawAugmentRows } from "../../runtime/augment/augmentRows.ts";
import { BatchLoader } from "../../runtime/batches/loader.ts";
import { LoaderThread } from "../../runtime/batches/loaderThread.ts";
import { OrtHost } from "../../runtime/ort/ortHost.ts";
import type { JsAugmentJob } from "./jsAugmentWorker.ts";

export const SIZE: ImageSize = { height: 256, width: 256, channels: 3 };
export const BATCH = 32;
const COUNT = 4 * BATCH;
/** Times that each image is augmented in a round: pipelines need a while to fill. */
const PASSES = 3;
/** Images of a round. */
export const ROUND_IMAGES = PASSES * COUNT;
const BYTES = SIZE.height * SIZE.width * SIZE.channels;

/** A form, ready to augment ROUND_IMAGES images again and again. */
export interface AugmentForm extends AsyncDisposable {
  readonly augmentRound: () => Promise<void>;
}

/** Pictures of the benchmark: gradients under noise, uint8 [H,W,3]. */
export function makeImages(): Uint8Array[] {
  return Array.from({ length: COUNT }, (_, n) =>
    Uint8Array.from(
      { length: BYTES },
      (_, i) => ((i / 1_500) & 127) + ((Math.imul(i + n, 2_654_435_761) >>> 26) & 63),
    ),
  );
}

/** Rows of all images, the columns by name. */
function drawnRows(settings: AugmentSettings): readonly ReadonlyMap<string, number>[] {
  const columns = augmentColumns(settings);
  const rows = drawAugmentRows({ settings, size: SIZE, seed: 1, epoch: 1 }, 0, COUNT);
  return Array.from(
    { length: COUNT },
    (_, n) => new Map(columns.map((name, i) => [name, rows[n * columns.length + i] ?? 0])),
  );
}

interface GraphRun {
  readonly host: OrtHost;
  readonly run: (images: Uint8Array, firstSample: number) => Promise<ArrayBuffer | undefined>;
}

/** The graph of the settings on batches, bound as the trainer binds it. */
async function openGraph(
  settings: AugmentSettings,
  session: { readonly threads: number; readonly allowSpinning: boolean },
): Promise<GraphRun> {
  const host = await OrtHost.start({ intraOpThreads: session.threads });
  const bytes = encodeGraph(finishGraph(buildAugmentGraph(OPS, settings, SIZE, BATCH, { forCpu: true })));
  await host.openGraph("augment", { bytes }, { allowSpinning: session.allowSpinning });
  const { height, width, channels } = SIZE;
  await host.allocate([
    { id: "image", dtype: "uint8", shape: [BATCH, height, width, channels] },
    { id: "augment", dtype: "float32", shape: [BATCH, augmentColumns(settings).length] },
    { id: "augmented", dtype: "float32", shape: [BATCH, channels, height, width] },
  ]);
  await host.bind("b", "augment", {
    inputs: { image: "image", augment: "augment" },
    outputs: { augmented: "augmented" },
  });
  const draws = { settings, size: SIZE, seed: 1, epoch: 1 };
  return {
    host,
    run: async (images, firstSample) => {
      const augment = drawAugmentRows(draws, firstSample, BATCH);
      return (await host.step("b", { writes: { image: images, augment } })).returned[0];
    },
  };
}

/** The split: images kept in the loader's thread, warped there, the rest in a graph meanwhile. */
export async function openSplit(
  settings: AugmentSettings,
  images: readonly Uint8Array[],
  folder: string,
  session: { readonly threads: number; readonly allowSpinning: boolean },
): Promise<AugmentForm> {
  const { loader: warps, graph } = splitAugmentation(settings, true);
  const paths = await writePngs(images, folder);
  const thread = new LoaderThread({ format: { ...SIZE, greyscale: false }, cacheBytes: 2 * COUNT * BYTES });
  const { host, run } = await openGraph(settingsOf(settings, graph), session);
  const rows = { paths, locate: () => ({}) };
  const warp = { settings: settingsOf(settings, warps), size: SIZE, seed: 1, epoch: 1 };
  return {
    augmentRound: async () => {
      const order = Int32Array.from({ length: ROUND_IMAGES }, (_, i) => i % COUNT);
      await using loader = new BatchLoader({ rows, order, batchSize: BATCH, reader: thread, warp });
      let upcoming = await loader.next();
      while (upcoming) {
        const running = run(upcoming.images, upcoming.index * BATCH).then(
          (slot) => slot && loader.release(slot),
        );
        [upcoming] = await Promise.all([loader.next(), running]);
      }
    },
    [Symbol.asyncDispose]: async () => {
      await thread.close();
      await host.close();
    },
  };
}

async function writePngs(images: readonly Uint8Array[], folder: string): Promise<string[]> {
  await mkdir(folder, { recursive: true });
  return await Promise.all(
    images.map(async (image, n) => {
      const path = join(folder, `${n}.png`);
      await sharp(image, { raw: { width: SIZE.width, height: SIZE.height, channels: 3 } }).toFile(path);
      return path;
    }),
  );
}

/** Everything in a graph: augment.onnx, with its gathered form. */
export async function openWholeGraph(
  settings: AugmentSettings,
  images: readonly Uint8Array[],
): Promise<AugmentForm> {
  const { host, run } = await openGraph(settings, { threads: availableParallelism(), allowSpinning: true });
  return {
    augmentRound: async () => {
      for (let first = 0; first < ROUND_IMAGES; first += BATCH) {
        const batch = new Uint8Array(BATCH * BYTES);
        for (let n = 0; n < BATCH; n++) batch.set(images[(first + n) % COUNT] ?? [], n * BYTES);
        await run(batch, first);
      }
    },
    [Symbol.asyncDispose]: () => host.close(),
  };
}

/** Everything in JavaScript, on worker threads of their own. */
export async function openJs(
  settings: AugmentSettings,
  images: readonly Uint8Array[],
  workerCount: number,
): Promise<AugmentForm> {
  const { loader } = splitAugmentation(settings, true);
  const warps = settingsOf(settings, loader);
  const warpColumns = augmentColumns(warps);
  const rows = drawnRows(settings);
  const file = new URL("./jsAugmentWorker.js", import.meta.url);
  const workers = Array.from({ length: workerCount }, (_, w) => {
    const own = rows.filter((_, n) => n % workerCount === w);
    const workerData: JsAugmentJob = {
      ...{ warps, size: SIZE, images: images.filter((_, n) => n % workerCount === w) },
      warpRows: own.map((row) => Float32Array.from(warpColumns, (name) => row.get(name) ?? 0)),
      rows: own.map((row) => ({
        brightness: row.get("brightness_delta/factor") ?? 1,
        contrast: row.get("contrast_delta/factor") ?? 1,
        saturation: row.get("saturation_delta/factor") ?? 1,
        turns: row.get("hue_delta/turns") ?? 0,
        sigma: row.get("gaussian_blur/sigma") ?? 0,
      })),
    };
    return new Worker(file, { workerData });
  });
  return {
    augmentRound: async () => {
      const done = workers.map((worker) => once(worker, "message"));
      for (const worker of workers) worker.postMessage(PASSES);
      await Promise.all(done);
    },
    [Symbol.asyncDispose]: async () => {
      await Promise.all(workers.map((worker) => worker.terminate()));
    },
  };
}

/** Everything in sharp: crop, resize, mirror, turn, modulate, blur; contrast, one more pass, is left out. */
export function openSharp(settings: AugmentSettings, images: readonly Uint8Array[]): AugmentForm {
  const rows = drawnRows(settings);
  const raw = { width: SIZE.width, height: SIZE.height, channels: 3 } as const;
  const augmentOne = async (n: number): Promise<void> => {
    const of = (name: string): number => rows[n]?.get(name) ?? 0;
    const box = { left: of("zoom_scale/column"), top: of("zoom_scale/row") };
    const side = { width: of("zoom_scale/width"), height: of("zoom_scale/height") };
    const turned = sharp(images[n], { raw })
      .extract({ ...box, ...side })
      .resize(SIZE.width, SIZE.height, { fit: "fill", kernel: "cubic" })
      .flip(of("flip_up_down/flip") > 0.5)
      .flop(of("flip_left_right/flip") > 0.5)
      .rotate(of("rot90/transpose") > 0.5 ? 90 : of("rot90/flip_rows") > 0.5 ? 180 : 0)
      .modulate({
        brightness: of("brightness_delta/factor"),
        saturation: of("saturation_delta/factor"),
        hue: Math.round(360 * of("hue_delta/turns")),
      });
    const sigma = of("gaussian_blur/sigma");
    await (sigma > 0.3 ? turned.blur(sigma) : turned).raw().toBuffer();
  };
  return {
    augmentRound: async () => {
      let next = 0;
      const lane = async (): Promise<void> => {
        for (let n = next++; n < ROUND_IMAGES; n = next++) await augmentOne(n % COUNT);
      };
      await Promise.all(Array.from({ length: 4 * availableParallelism() }, lane));
    },
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}
