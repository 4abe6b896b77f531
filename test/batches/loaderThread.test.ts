// The loader thread: the bytes of reading in place whatever runs at once, bounded memory, and a lost or stuck
// thread that becomes an error at once.
import { fork } from "node:child_process";
import { once } from "node:events";
import { copyFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { pathToFileURL } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Batch, BatchLoader, type LoaderOptions } from "../../runtime/batches/loader.ts";
import { LoaderThread, type LoaderThreadOptions } from "../../runtime/batches/loaderThread.ts";
import { type ImageFormat, ImageReader } from "../../runtime/images/images.ts";
import { preparePack } from "../../runtime/packs/packedImages.ts";
import { freshPulse, RankPulse } from "../../runtime/ranks/rankPulse.ts";
import type { ImageRows } from "../../runtime/tables/imageRows.ts";
import { labelTableFromRows } from "../../runtime/tables/labelTable.ts";
import { makeFolder, writePictures } from "../images/imageFixtures.ts";
import { faultsOfAsync } from "../spec/faultsOf.ts";

const format: ImageFormat = { height: 10, width: 12, channels: 3, greyscale: false };
const count = 23;
const batches = 10;
const built = join(import.meta.dirname, "../../dist/test/batches");
const faultyFile = pathToFileURL(join(built, "faultyLoaderWorker.js"));
let folder = "";
let rows: ImageRows;
let expected: Batch[] = [];
let plain: LoaderThread;
let packed: LoaderThread;

beforeAll(async () => {
  folder = await makeFolder();
  const paths = await writePictures(folder, count);
  rows = tableOf(paths);
  expected = await readAll(new BatchLoader(makeOptions(new ImageReader(format, 0), { parallel: 1 })));
  plain = new LoaderThread({ format, cacheBytes: 0 });
  packed = new LoaderThread({ format, cacheBytes: 4 * 360 });
  const items = paths.map((path) => ({ path, place: {} }));
  const pack = await preparePack(items, { folder: join(folder, "pack"), format });
  await packed.usePacked({ folder: pack.folder, packFormat: pack.packFormat, format }, [rows.paths]);
});

afterAll(async () => {
  await plain.close();
  await packed.close();
});

/** Rows whose paths are a string table under a folder, as those of files are. */
function tableOf(paths: readonly string[]): ImageRows {
  const labelled = paths.map((path) => ({ image: path.slice(folder.length + 1), a: "1" }));
  const table = labelTableFromRows(labelled, { tasks: ["a"], filepaths: "image" }, folder);
  return { paths: table.paths, locate: (row) => ({ file: "t.csv", line: row + 2 }) };
}

function makeOptions(reader: LoaderOptions["reader"], more: Partial<LoaderOptions> = {}): LoaderOptions {
  const order = Int32Array.from({ length: 4 * batches }, (_, place) => (place * 7) % count);
  order[4 * batches - 1] = -1;
  return { rows, order, batchSize: 4, reader, ...more };
}

/** Reads everything; the buffer of each batch travels to another owner and back after `restMs`. */
async function readAll(loader: BatchLoader, restMs = 0): Promise<Batch[]> {
  const taken: Batch[] = [];
  for (let batch = await loader.next(); batch !== undefined; batch = await loader.next()) {
    taken.push({ ...batch, images: batch.images.slice() });
    if (restMs > 0) await sleep(restMs);
    loader.release(structuredClone(batch.images.buffer, { transfer: [batch.images.buffer] }));
  }
  await loader.close();
  return taken;
}

/** A thread in which the image of row 5, in the second batch of two, brings about what its name says. */
async function openFaulty(
  fault: string,
  more: Partial<LoaderThreadOptions> = {},
): Promise<{ thread: LoaderThread; options: LoaderOptions; path: string }> {
  const path = join(folder, `${fault}.png`);
  await copyFile(rows.paths.at(5) ?? "", path);
  const paths = [...rows.paths].map((own, row) => (row === 5 ? path : own));
  const thread = new LoaderThread({ format, cacheBytes: 0, file: faultyFile, ...more });
  const order = Int32Array.from({ length: 16 }, (_, place) => place);
  const table = { ...rows, paths };
  return { thread, options: makeOptions(thread, { rows: table, order, slots: 2, parallel: 2 }), path };
}

it("shows with every image of a rank that it goes on, read or kept", async () => {
  const memory = freshPulse();
  const pulse = new RankPulse(memory);
  const thread = new LoaderThread({ format, pulse: memory });
  const shown = 4 * batches - 1;
  for (const reads of [1, 2]) {
    await readAll(new BatchLoader(makeOptions(thread)));
    expect(pulse.moves).toBe(reads * shown);
  }
  await thread.close();
});

describe("a loader on its thread", () => {
  it.each([1, 2, 4])("gives the bytes of reading in place with %i images at once", async (parallel) => {
    for (const reader of [plain, packed])
      for (const slots of [2, 3, 5])
        expect(await readAll(new BatchLoader(makeOptions(reader, { parallel, slots })))).toEqual(expected);
  });

  it("gives the same to a slow consumer", async () => {
    for (const reader of [plain, packed])
      expect(await readAll(new BatchLoader(makeOptions(reader)), 15)).toEqual(expected);
  });

  it("gives the same from every batch on", async () => {
    for (const reader of [plain, packed])
      for (let startBatch = 0; startBatch <= batches; startBatch++) {
        const rest = await readAll(new BatchLoader(makeOptions(reader, { startBatch })));
        expect(rest).toEqual(expected.slice(startBatch));
      }
  });

  it("gives the same from the images that it keeps, and decodes again what it forgot", async () => {
    const moved = await makeFolder();
    const paths = await writePictures(moved, 3);
    const table = { ...rows, paths };
    await using thread = new LoaderThread({ format });
    const order = Int32Array.from([0, 1, 2, 0]);
    const first = await readAll(new BatchLoader(makeOptions(thread, { rows: table, order })));
    for (const path of paths) await writeFile(path, "no image any more");
    expect(await readAll(new BatchLoader(makeOptions(thread, { rows: table, order })))).toEqual(first);
    await thread.forget();
    await using again = new BatchLoader(makeOptions(thread, { rows: table, order }));
    expect((await faultsOfAsync(() => again.next())).map(({ code }) => code)).toEqual(["E_IMG_FORMAT"]);
  });

  it("reads nothing beyond its slots while the consumer sleeps", async () => {
    const moved = await makeFolder();
    const paths = await writePictures(moved, 16);
    const order = Int32Array.from({ length: 16 }, (_, place) => place);
    await using loader = new BatchLoader(makeOptions(plain, { rows: { ...rows, paths }, order, slots: 3 }));
    const first = await loader.next();
    await sleep(300);
    for (const path of paths.slice(4)) await writeFile(path, "no image any more");
    for (const index of [1, 2]) expect((await loader.next())?.index).toBe(index);
    loader.release(first!.images.buffer);
    const faults = await faultsOfAsync(() => loader.next());
    expect(faults.map(({ code, at }) => [code, at?.file])).toEqual([["E_IMG_FORMAT", paths[12]]]);
  });

  it("serves two loaders at a time", async () => {
    const [one, two] = [new BatchLoader(makeOptions(plain)), new BatchLoader(makeOptions(plain))];
    expect(await Promise.all([readAll(one), readAll(two)])).toEqual([expected, expected]);
  });

  it("delivers the batches before a bad image, then its typed error with the row that lists it", async () => {
    const bad = join(folder, "bad.png");
    await writeFile(bad, "no image");
    const paths = [...rows.paths].map((path, row) => (row === 9 ? bad : path));
    const order = Int32Array.from({ length: 16 }, (_, place) => place);
    await using loader = new BatchLoader(makeOptions(plain, { rows: { ...rows, paths }, order }));
    for (const index of [0, 1]) {
      const batch = await loader.next();
      expect(batch?.index).toBe(index);
      loader.release(batch!.images.buffer);
    }
    for (const _ of [1, 2]) {
      const faults = await faultsOfAsync(() => loader.next());
      expect(faults.map(({ code, at, hint }) => [code, at?.file, hint])).toEqual([
        ["E_IMG_FORMAT", bad, "listed in t.csv:11"],
      ]);
    }
  });

  it("refuses a file that is no longer the one that was checked", async () => {
    const stamps = new Uint32Array(count).fill(12);
    await using loader = new BatchLoader(makeOptions(plain, { rows: { ...rows, stamps } }));
    const faults = await faultsOfAsync(() => loader.next());
    expect(faults.map(({ code, hint }) => [code, hint])).toEqual([["E_DATA_CHANGED", "listed in t.csv:2"]]);
  });
});

describe("a lost loader thread", () => {
  it.each([
    ["exit", "exit code 3"],
    ["throw", "a planted fault"],
    ["memory", "memory"],
  ])(
    "(%s) is E_DATA_WORKER at once, for the batch that is awaited and every later one",
    async (fault, why) => {
      const resourceLimits = { maxOldGenerationSizeMb: 32 };
      const { thread, options } = await openFaulty(fault, { resourceLimits });
      const loader = new BatchLoader(options);
      // Whether the batch before the fault still arrives is a matter of time.
      const began = performance.now();
      const faults = await faultsOfAsync(async () => {
        for (;;) loader.release((await loader.next())!.images.buffer);
      });
      expect(performance.now() - began).toBeLessThan(5_000);
      expect(faults.map(({ code }) => code)).toEqual(["E_DATA_WORKER"]);
      expect(faults[0]?.message).toContain(why);
      expect(faults[0]?.hint).toContain("--resume");
      expect((await faultsOfAsync(() => loader.next())).map(({ code }) => code)).toEqual(["E_DATA_WORKER"]);
      await loader.close();
      const later = new BatchLoader(options);
      expect((await faultsOfAsync(() => later.next())).map(({ code }) => code)).toEqual(["E_DATA_WORKER"]);
      await thread.close();
    },
  );
});

describe("a loader thread that ends while it is waited for", () => {
  it("is an error in less than a second", async () => {
    const { thread, options, path } = await openFaulty("exit");
    const order = Int32Array.from([0, 1, 2, 3]);
    const healthy = new BatchLoader({ ...options, order });
    expect((await healthy.next())?.index).toBe(0);
    const paths = [...rows.paths].map((own, row) => (row === 0 ? path : own));
    const began = performance.now();
    const dying = new BatchLoader({ ...options, order, rows: { ...rows, paths } });
    const faults = await faultsOfAsync(() => dying.next());
    expect(performance.now() - began).toBeLessThan(1_000);
    expect(faults.map(({ code }) => code)).toEqual(["E_DATA_WORKER"]);
    await thread.close();
  });
});

describe("a stuck read", () => {
  it("is E_DATA_STUCK with the sample's name, and does not hold up closing", async () => {
    const { thread, options, path } = await openFaulty("hang");
    const loader = new BatchLoader({ ...options, stuckMs: 200 });
    expect((await loader.next())?.index).toBe(0);
    const faults = await faultsOfAsync(() => loader.next());
    expect(faults.map(({ code, at, hint }) => [code, at?.file, hint])).toEqual([
      ["E_DATA_STUCK", path, "listed in t.csv:7"],
    ]);
    const began = performance.now();
    await loader.close();
    await thread.close();
    expect(performance.now() - began).toBeLessThan(1_000);
  });
});

describe("closing a busy loader", () => {
  it("yields undefined to who waits, and the next loader of the thread starts afresh", async () => {
    const loader = new BatchLoader(makeOptions(plain, { parallel: 1 }));
    const pending = loader.next();
    await loader.close();
    expect(await pending).toBeUndefined();
    expect(await loader.next()).toBeUndefined();
    expect(await readAll(new BatchLoader(makeOptions(plain)))).toEqual(expected);
  });

  it("leaves nothing open: the process ends by itself", async () => {
    const child = fork(join(built, "busyLoader.js"), [folder], { execArgv: [] });
    const [code] = await once(child, "exit");
    expect(code).toBe(0);
  });
});
