// The loader: the same batches whatever runs at once, bounded memory, errors in their place.
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { InternalError, MttcError } from "../../compiler/diagnostics.ts";
import {
  type Batch,
  BatchLoader,
  evaluationBatches,
  type LoaderOptions,
} from "../../runtime/batches/loader.ts";
import { type ImageFormat, ImageReader } from "../../runtime/images/images.ts";
import type { ImageRows } from "../../runtime/tables/imageRows.ts";
import { makeFolder, picture, writePictures } from "../images/imageFixtures.ts";
import { faultsOfAsync } from "../spec/faultsOf.ts";

const format: ImageFormat = { height: 10, width: 12, channels: 3, greyscale: false };
const imageSize = 360;
const count = 23;
let folder = "";
let rows: ImageRows;

beforeAll(async () => {
  folder = await makeFolder();
  rows = tableOf(await writePictures(folder, count));
});

function tableOf(paths: string[]): ImageRows {
  return { paths, locate: (row) => ({ file: "t.csv", line: row + 2 }) };
}

function makeOptions(more: Partial<LoaderOptions> = {}): LoaderOptions {
  const order = Int32Array.from({ length: 40 }, (_, place) => (place * 7) % count);
  return { rows, order, batchSize: 4, reader: new ImageReader(format), ...more };
}

/** Reads everything, releasing each batch at once; images are copied out of their slot. */
async function readAll(loader: BatchLoader): Promise<Batch[]> {
  const batches: Batch[] = [];
  for (let batch = await loader.next(); batch !== undefined; batch = await loader.next()) {
    batches.push({ ...batch, images: batch.images.slice() });
    loader.release(batch.images.buffer);
  }
  await loader.close();
  return batches;
}

describe("a loader", () => {
  it("delivers the images of the order, batch by batch", async () => {
    const options = makeOptions();
    const batches = await readAll(new BatchLoader(options));
    expect(batches.map((batch) => batch.index)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    for (const { index, images, rows: taken, filled } of batches) {
      expect([...taken]).toEqual([...options.order.slice(index * 4, index * 4 + 4)]);
      expect(filled).toBe(4);
      for (const [place, row] of taken.entries()) {
        const pixels = images.subarray(place * imageSize, (place + 1) * imageSize);
        expect(pixels).toEqual(Uint8Array.from(picture(12, 10, row)));
      }
    }
  });

  it("delivers the same whatever the number of images in flight, of slots, and the size of the cache", async () => {
    const expected = await readAll(new BatchLoader(makeOptions({ parallel: 1, slots: 2 })));
    for (const [parallel, slots, cacheBytes] of [
      [3, 2, 0],
      [16, 5, 4 * imageSize],
      [-1, 3, 1e6],
    ] as const) {
      const reader = new ImageReader(format, cacheBytes);
      expect(await readAll(new BatchLoader(makeOptions({ parallel, slots, reader })))).toEqual(expected);
    }
  });

  it("delivers the same from the cache in a later epoch, without touching the files", async () => {
    const moved = await makeFolder();
    const table = tableOf(await writePictures(moved, count));
    const options = makeOptions({ rows: table, order: Int32Array.from({ length: 24 }, (_, i) => i % count) });
    const first = await readAll(new BatchLoader(options));
    for (const path of table.paths) await writeFile(path, "no image any more");
    expect(await readAll(new BatchLoader(options))).toEqual(first);
  });

  it("starts at any batch of an epoch without reading those before", async () => {
    const all = await readAll(new BatchLoader(makeOptions()));
    const broken = {
      ...rows,
      paths: [...rows.paths].map((path, row) => ([0, 7, 14, 21].includes(row) ? "/nowhere" : path)),
    };
    const order = Int32Array.from([0, 7, 14, 21, 5, 12, 19, 3]);
    const [only, ...rest] = await readAll(
      new BatchLoader(makeOptions({ rows: broken, order, startBatch: 1 })),
    );
    expect(rest).toEqual([]);
    expect(only).toEqual({ ...all[1] });
  });

  it("never holds more slots than it was given, and goes on when one comes back", async () => {
    const loader = new BatchLoader(makeOptions({ slots: 2 }));
    const first = await loader.next();
    const second = await loader.next();
    let third: Batch | undefined;
    const pending = loader.next().then((batch) => {
      third = batch;
    });
    await new Promise((resume) => setTimeout(resume, 100));
    expect(third).toBeUndefined();
    // As after a transfer to a worker and back, the buffer is another object.
    const returned = structuredClone(first!.images.buffer, { transfer: [first!.images.buffer] });
    loader.release(returned);
    await pending;
    expect(third).toMatchObject({ index: 2 });
    expect((third as unknown as Batch).images.buffer).toBe(returned);
    loader.release(second!.images.buffer);
    await loader.close();
  });

  it("refuses a buffer that is no slot, or one given back twice", async () => {
    const loader = new BatchLoader(makeOptions({ order: Int32Array.from([0, 1, 2, 3]) }));
    const batch = await loader.next();
    expect(() => loader.release(new ArrayBuffer(7))).toThrow(InternalError);
    loader.release(batch!.images.buffer);
    expect(() => loader.release(batch!.images.buffer)).toThrow(InternalError);
    await loader.close();
  });

  it("delivers the batches before a bad image, then rejects with its typed error, and keeps to it", async () => {
    const bad = join(folder, "bad.png");
    await writeFile(bad, "no image");
    const paths = [...rows.paths].map((path, row) => (row === 10 ? bad : row === 11 ? "/nowhere.png" : path));
    const order = Int32Array.from({ length: 20 }, (_, place) => place);
    const loader = new BatchLoader(makeOptions({ rows: { ...rows, paths }, order }));
    for (const index of [0, 1]) {
      const batch = await loader.next();
      expect(batch?.index).toBe(index);
      loader.release(batch!.images.buffer);
    }
    for (const _ of [1, 2]) {
      const faults = await faultsOfAsync(() => loader.next());
      expect(faults.map(({ code, at, hint }) => [code, at?.file, hint])).toEqual([
        ["E_IMG_FORMAT", bad, "listed in t.csv:12"],
      ]);
    }
    await loader.close();
  });

  it("closes at any moment: a pending next yields undefined and nothing stays in flight", async () => {
    const loader = new BatchLoader(makeOptions({ parallel: 1 }));
    const pending = loader.next();
    await loader.close();
    expect(await pending).toBeUndefined();
    expect(await loader.next()).toBeUndefined();
    const starved = new BatchLoader(makeOptions({ slots: 2 }));
    await starved.next();
    await starved.next();
    const waiting = starved.next();
    await starved[Symbol.asyncDispose]();
    expect(await waiting).toBeUndefined();
  });

  it("calls an image that is read for ever E_DATA_STUCK, names the oldest, and closes without it", async () => {
    class HangingReader extends ImageReader {
      override read(path: string, target: Uint8Array): Promise<void> {
        return path.endsWith("7.png") ? new Promise(() => undefined) : super.read(path, target);
      }
    }
    const reader = new HangingReader(format, 0);
    const order = Int32Array.from([1, 2, 3, 4, 5, 7, 6, 8, 17, 9, 10, 11]);
    const loader = new BatchLoader(makeOptions({ reader, order, stuckMs: 200 }));
    expect((await loader.next())?.index).toBe(0);
    for (const _ of [1, 2]) {
      const faults = await faultsOfAsync(() => loader.next());
      expect(faults.map(({ code, at, hint }) => [code, at?.file, hint])).toEqual([
        ["E_DATA_STUCK", join(folder, "7.png"), "listed in t.csv:9"],
      ]);
    }
    await loader.close();
  });

  it("tries once more after EIO, and once only", async () => {
    class FlakyReader extends ImageReader {
      readonly attempts = new Map<string, number>();
      override read(path: string, target: Uint8Array): Promise<void> {
        const attempt = (this.attempts.get(path) ?? 0) + 1;
        this.attempts.set(path, attempt);
        if (attempt > (path.endsWith("5.png") ? 2 : 1)) return super.read(path, target);
        const cause = Object.assign(new Error("i/o error"), { code: "EIO" });
        return Promise.reject(new MttcError({ code: "E_FILE", message: "cannot read it" }, { cause }));
      }
    }
    const once = makeOptions({ reader: new FlakyReader(format, 0), order: Int32Array.from([1, 2, 3, 4]) });
    expect(await readAll(new BatchLoader(once))).toHaveLength(1);
    const twice = makeOptions({ reader: new FlakyReader(format, 0), order: Int32Array.from([1, 2, 5, 4]) });
    await using loader = new BatchLoader(twice);
    expect((await faultsOfAsync(() => loader.next())).map(({ code }) => code)).toEqual(["E_FILE"]);
  });
});

describe("evaluation batches", () => {
  it("are all rows in order, the last one padded with zero images", async () => {
    const { order: _, ...options } = makeOptions();
    const batches = await readAll(evaluationBatches(options));
    expect(batches.flatMap((batch) => [...batch.rows])).toEqual([...Array(count).keys(), -1]);
    const last = batches.at(-1);
    expect(last?.filled).toBe(3);
    expect(last?.images.slice(3 * imageSize)).toEqual(new Uint8Array(imageSize));
    expect(last?.images.slice(0, imageSize)).toEqual(Uint8Array.from(picture(12, 10, 20)));
  });
});
