// Warps in the loader's thread: the bytes of warping the images that a plain loader delivers, whatever number
// of images is read at once, however the epoch is resumed and whether images are kept or not.
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { BatchWarp } from "../../runtime/augment/warpBatch.ts";
import type { EpochWarp } from "../../runtime/batches/imageStreams.ts";
import { BatchLoader, type LoaderOptions } from "../../runtime/batches/loader.ts";
import { LoaderThread } from "../../runtime/batches/loaderThread.ts";
import { type ImageFormat, ImageReader } from "../../runtime/images/images.ts";
import type { ImageRows } from "../../runtime/tables/imageRows.ts";
import { makeFolder, writePictures } from "../images/imageFixtures.ts";

const format: ImageFormat = { height: 16, width: 16, channels: 3, greyscale: false };
const COUNT = 20;
const BATCH = 4;
const warp: EpochWarp = {
  settings: { flip_left_right: 1, flip_up_down: 1, rot90: 1, zoom_scale: 0.2 },
  size: { height: 16, width: 16, channels: 3 },
  seed: 3,
  epoch: 2,
};
let rows: ImageRows;

beforeAll(async () => {
  const paths = await writePictures(await makeFolder(), COUNT);
  rows = { paths, locate: () => ({}) };
});

/** The bytes of an epoch, batch by batch. */
async function readAll(
  reader: LoaderOptions["reader"],
  more: Partial<LoaderOptions> = {},
): Promise<Uint8Array[]> {
  // Every image is there more than once, the order is not that of the rows.
  const order = Int32Array.from({ length: 2 * COUNT }, (_, i) => (i * 7) % COUNT);
  await using loader = new BatchLoader({ rows, order, batchSize: BATCH, reader, ...more });
  const batches: Uint8Array[] = [];
  for (let batch = await loader.next(); batch; batch = await loader.next()) {
    batches.push(batch.images.slice());
    loader.release(batch.images.buffer);
  }
  return batches;
}

describe("the loader's thread", () => {
  let unwarped: Uint8Array[] = [];
  let expected: Uint8Array[] = [];
  let keeping: LoaderThread;

  beforeAll(async () => {
    unwarped = await readAll(new ImageReader(format, 0));
    expected = unwarped.map((batch, index) => {
      const images = batch.slice();
      new BatchWarp(warp).warp(images, index * BATCH);
      return images;
    });
    keeping = new LoaderThread({ format });
  });
  afterAll(async () => {
    await keeping.close();
  });

  test.each([
    [1, 2],
    [2, 3],
    [4, 6],
  ])("warps the same, %i images at a time into %i slots", async (parallel, slots) => {
    await using thread = new LoaderThread({ format, cacheBytes: 0 });
    expect(await readAll(thread, { warp, parallel, slots })).toEqual(expected);
    expect(expected).not.toEqual(unwarped);
  });

  test("warps images that it keeps anew in each epoch, and keeps them unwarped", async () => {
    expect(await readAll(keeping, { warp })).toEqual(expected);
    expect(await readAll(keeping, { warp })).toEqual(expected);
    expect(await readAll(keeping, { warp: { ...warp, epoch: 3 } })).not.toEqual(expected);
    expect(await readAll(keeping)).toEqual(unwarped);
  });

  test.each([1, 6, 9])("resumed at batch %i goes on with the same bytes", async (startBatch) => {
    expect(await readAll(keeping, { warp, startBatch })).toEqual(expected.slice(startBatch));
  });
});

test("a reader that cannot warp refuses to", async () => {
  await expect(readAll(new ImageReader(format, 0), { warp })).rejects.toThrow(/does not know how/);
});
