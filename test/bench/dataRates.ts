// `npm run bench -- data`: the loader beside the bare library, in one run: decoding beside sharp on all
// cores, packed batches beside plain reads of the same bytes, and what the loader takes while nobody reads.
// Rounds alternate, so that both meet the same neighbours; medians and their ratio.
import { read } from "node:fs";
import { copyFile, mkdtemp, open, readFile, rm } from "node:fs/promises";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import Table from "cli-table3";
import sharp from "sharp";
import { BatchLoader, type LoaderOptions } from "../../runtime/batches/loader.ts";
import { LoaderThread } from "../../runtime/batches/loaderThread.ts";
import { type ImageFormat, ImageReader, imageBytes } from "../../runtime/images/images.ts";
import { preparePack } from "../../runtime/packs/packedImages.ts";
import { HEADER_BYTES } from "../../runtime/packs/packShard.ts";
import type { ImageRows } from "../../runtime/tables/imageRows.ts";
import { evaluationOrder } from "../../runtime/tables/rowOrder.ts";
import { median } from "../median.ts";
import { writeNoisyJpegs } from "./noisyJpegs.ts";

const format: ImageFormat = { height: 256, width: 256, channels: 3, greyscale: false };
const BATCH = 32;
const JPEGS = 192;
const RECORDS = 1_536;
/** Times that a round reads every record: a round of one pass, 60 ms, would measure the start of an epoch. */
const PASSES = 6;
const ROUNDS = 9;
const WANTED = { decode: 0.9, packed: 0.8 } as const;
const SLEEP_MS = 2_000;
/** Reads at a time of the plain reader; more than the threads that serve them. */
const PLAIN_READS = 32;

/** Prints the rates; false where one is below what is wanted. */
export async function compareDataRates(): Promise<boolean> {
  const folder = await mkdtemp(join(tmpdir(), "mttc-bench-data-"));
  try {
    const jpegs = await writeNoisyJpegs(folder, JPEGS);
    const many = await copies(folder, jpegs);
    await using decoding = new LoaderThread({ format, cacheBytes: 0 });
    await using reading = new LoaderThread({ format, cacheBytes: 0 });
    const items = many.map((path) => ({ path, place: {} }));
    const { folder: shards, packFormat } = await preparePack(items, { folder: join(folder, "pack"), format });
    await reading.usePacked({ folder: shards, packFormat, format }, [many]);
    const shard = join(shards, "shard-00000.bin");
    const decode = await alternate(
      () => loaderRate(decoding, jpegs),
      () => bareDecodeRate(jpegs),
    );
    const packed = await alternate(
      () => loaderRate(reading, many, 0, PASSES),
      () => bareReadRate(shard),
    );
    const table = new Table({ head: ["images/s", "mttc", "bare", "ratio", "wanted"] });
    table.push(["decode + resize to 256x256x3", ...rateCells(decode, WANTED.decode)]);
    table.push(["packed batches of 256x256x3", ...rateCells(packed, WANTED.packed)]);
    console.log(table.toString());
    const main = new ImageReader(format, 0);
    const threads = new Table({ head: ["images/s", "loader thread", "main thread", "ratio"] });
    for (const busyMs of [0, 70, 200]) {
      const [thread, place] = [
        () => loaderRate(decoding, jpegs, busyMs),
        () => loaderRate(main, jpegs, busyMs),
      ];
      const what = busyMs === 0 ? "decode" : `decode, main thread busy ${busyMs} ms a batch`;
      threads.push([what, ...rateCells(await alternate(thread, place))]);
    }
    console.log(threads.toString());
    console.log(await sleepingMemory(decoding, jpegs));
    return decode.ratio >= WANTED.decode && packed.ratio >= WANTED.packed;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

interface Pair {
  readonly mttc: number;
  readonly bare: number;
  /** Median of the ratios of neighbouring rounds. */
  readonly ratio: number;
}

function rateCells(pair: Pair, wanted?: number): string[] {
  const cells = [pair.mttc.toFixed(0), pair.bare.toFixed(0), pair.ratio.toFixed(2)];
  return wanted === undefined ? cells : [...cells, `>= ${wanted}`];
}

/** One round of each to warm up, then medians of alternating rounds. */
async function alternate(mttc: () => Promise<number>, bare: () => Promise<number>): Promise<Pair> {
  const rates: { mttc: number[]; bare: number[] } = { mttc: [], bare: [] };
  await mttc();
  await bare();
  for (let round = 0; round < ROUNDS; round++) {
    rates.mttc.push(await mttc());
    rates.bare.push(await bare());
  }
  const ratios = rates.mttc.map((rate, round) => rate / (rates.bare[round] ?? Number.NaN));
  return { mttc: median(rates.mttc), bare: median(rates.bare), ratio: median(ratios) };
}

/** Images a second of `work`, which handles `count`. */
async function rateOf(count: number, work: () => Promise<unknown>): Promise<number> {
  const started = performance.now();
  await work();
  return (1000 * count) / (performance.now() - started);
}

function rowsOf(paths: readonly string[]): ImageRows {
  return { paths, locate: () => ({}) };
}

function openLoader(reader: LoaderOptions["reader"], paths: readonly string[], passes = 1): BatchLoader {
  const once = evaluationOrder(paths.length, BATCH);
  const order = new Int32Array(passes * once.length).map((_, i) => once[i % once.length] ?? -1);
  return new BatchLoader({ rows: rowsOf(paths), order, batchSize: BATCH, reader });
}

/** Images a second where the consumer keeps its thread busy for `busyMs` with each batch. */
function loaderRate(
  reader: LoaderOptions["reader"],
  paths: readonly string[],
  busyMs = 0,
  passes = 1,
): Promise<number> {
  return rateOf(passes * paths.length, async () => {
    await using loader = openLoader(reader, paths, passes);
    for (let batch = await loader.next(); batch; batch = await loader.next()) {
      for (const from = performance.now(); performance.now() - from < busyMs; );
      loader.release(batch.images.buffer);
    }
  });
}

/** sharp alone: as many files in flight as keep all cores busy, the pixels dropped. */
function bareDecodeRate(paths: readonly string[]): Promise<number> {
  return rateOf(paths.length, () =>
    inParallel(paths.length, 4 * availableParallelism(), async (index) => {
      const bytes = await readFile(paths[index] ?? "");
      await sharp(bytes).resize(format.width, format.height, { fit: "fill" }).raw().toBuffer();
    }),
  );
}

/** Plain reads of every record of a shard, in order, into as many buffers as the loader has. */
async function bareReadRate(shard: string): Promise<number> {
  const file = await open(shard, "r");
  const sizeBytes = imageBytes(format);
  const target = Buffer.alloc(3 * BATCH * sizeBytes);
  const readAt = (index: number): Promise<void> =>
    new Promise((resolve, reject) => {
      const offset = (index % (3 * BATCH)) * sizeBytes;
      const position = HEADER_BYTES + index * sizeBytes;
      read(file.fd, target, offset, sizeBytes, position, (error) => (error ? reject(error) : resolve()));
    });
  try {
    const count = PASSES * RECORDS;
    return await rateOf(count, () => inParallel(count, PLAIN_READS, (index) => readAt(index % RECORDS)));
  } finally {
    await file.close();
  }
}

async function inParallel(
  count: number,
  lanes: number,
  work: (index: number) => Promise<unknown>,
): Promise<void> {
  let next = 0;
  const lane = async (): Promise<void> => {
    for (let index = next++; index < count; index = next++) await work(index);
  };
  await Promise.all(Array.from({ length: lanes }, lane));
}

/** What the process holds more after a while in which nobody took a batch. */
async function sleepingMemory(reader: LoaderThread, paths: readonly string[]): Promise<string> {
  await using loader = openLoader(reader, paths);
  await loader.next();
  await sleep(SLEEP_MS / 4);
  const before = process.memoryUsage.rss();
  await sleep(SLEEP_MS);
  const grown = (process.memoryUsage.rss() - before) / 2 ** 20;
  const slots = (3 * loader.slotBytes) / 2 ** 20;
  return `while the consumer slept ${SLEEP_MS / 1000} s the loader (${slots.toFixed(0)} MiB of slots) took ${grown.toFixed(1)} MiB more`;
}

async function copies(folder: string, jpegs: readonly string[]): Promise<string[]> {
  const paths: string[] = [];
  for (let copy = 0; copy < RECORDS; copy++) {
    const path = join(folder, `copy-${copy}.jpg`);
    await copyFile(jpegs[copy % jpegs.length] ?? "", path);
    paths.push(path);
  }
  return paths;
}
