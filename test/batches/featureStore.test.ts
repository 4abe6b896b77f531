// Features on the disk: what was written is what is read, from memory and from the files, form by form; the
// batches have the rows of the order in their places.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { FeatureBatches } from "../../runtime/batches/featureBatches.ts";
import { FeatureStore } from "../../runtime/batches/featureStore.ts";
import { type RecordKind, readShards } from "../../runtime/packs/packShard.ts";
import { entriesOf } from "../../runtime/packs/packSources.ts";
import { ShardWriter } from "../../runtime/packs/shardWriter.ts";

const FORMS = 2;
const WIDTH = 6;
const IMAGES = 5;
const kind: RecordKind = {
  recipe: "0".repeat(64),
  recordBytes: 4 * FORMS * WIDTH,
  encoding: "float32",
  shape: [FORMS, 2, 3],
};
let folder: string;

/** Number `i` of a form of an image; no two are alike. */
const numberAt = (image: number, form: number, i: number): number =>
  (image * FORMS + form) * WIDTH + i + 0.25;

function featuresOf(image: number, form: number): Float32Array {
  return Float32Array.from({ length: WIDTH }, (_, i) => numberAt(image, form, i));
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "mttc-store-"));
  // Two shards, and an image that the second one has anew.
  for (const [number, images] of [
    [0, 1, 2],
    [3, 4, 1],
  ].entries()) {
    await using writer = await ShardWriter.open(folder, number, kind);
    for (const image of images) {
      const isOld = number === 0 && image === 1;
      const forms = [0, 1].flatMap((form) => [...featuresOf(isOld ? 99 : image, form)]);
      await writer.write(new Uint8Array(Float32Array.from(forms).buffer), [`${image}`, 1, 1, ""]);
    }
    await writer.finish();
  }
});

afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

async function openStore(memoryBytes: number): Promise<FeatureStore> {
  const entries = entriesOf(await readShards(folder, kind));
  return await FeatureStore.open(entries, { kind, forms: FORMS, memoryBytes });
}

test.each([
  ["memory", 2 ** 20],
  ["the files", 0],
])("features are read from %s", async (_, memoryBytes) => {
  await using store = await openStore(memoryBytes);
  expect(store.isInMemory).toBe(memoryBytes > 0);
  expect(store.width).toBe(WIDTH);
  const target = new Float32Array(3 * WIDTH);
  for (let image = 0; image < IMAGES; image++)
    for (let form = 0; form < FORMS; form++) {
      await store.read(`${image}`, form, target.subarray(WIDTH, 2 * WIDTH));
      expect(target.subarray(WIDTH, 2 * WIDTH)).toEqual(featuresOf(image, form));
    }
  expect([...target.subarray(0, WIDTH), ...target.subarray(2 * WIDTH)].some((value) => value !== 0)).toBe(
    false,
  );
});

test.each([2 ** 20, 0])(
  "batches follow the order and pad with zeros, with %i bytes of memory",
  async (bytes) => {
    await using store = await openStore(bytes);
    const paths = ["0", "1", "2", "3", "4"];
    const order = Int32Array.from([4, 1, 0, 2, 3, -1]);
    await using batches = new FeatureBatches({ paths, order, batchSize: 2, store, form: 1, startBatch: 1 });
    const seen: unknown[] = [];
    for (let batch = await batches.next(); batch; batch = await batches.next()) {
      const { index, filled } = batch;
      seen.push([index, [...batch.rows], filled, [...batch.features]]);
      batches.release(batch.features.buffer);
    }
    const zeros = Array.from({ length: WIDTH }, () => 0);
    expect(seen).toEqual([
      [1, [0, 2], 2, [...featuresOf(0, 1), ...featuresOf(2, 1)]],
      [2, [3, -1], 1, [...featuresOf(3, 1), ...zeros]],
    ]);
    expect(await batches.next()).toBeUndefined();
  },
);
