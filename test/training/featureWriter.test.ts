// Features are kept under the hash of the file that they were computed of: one that is replaced, or written
// into, between its pixels and its hash is refused, and nothing of it is kept.
import { createHash } from "node:crypto";
import { copyFile, mkdtemp, readFile, rm, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { BatchFiller } from "../../runtime/batches/batchFiller.ts";
import { checkImageFiles } from "../../runtime/checks/sourceCheck.ts";
import { ImageReader } from "../../runtime/images/images.ts";
import { type RecordKind, readShards } from "../../runtime/packs/packShard.ts";
import { writeFeatures } from "../../runtime/train/featureWriter.ts";
import { MultiTaskTrainer } from "../../runtime/train/multiTaskTrainer.ts";
import type { TrainerOptions } from "../../runtime/train/trainerOptions.ts";
import { faultsOfAsync } from "../spec/faultsOf.ts";
import { writePatternImages } from "./patternImages.ts";

const kind: RecordKind = { recipe: "a".repeat(64), recordBytes: 4, encoding: "float32", shape: [1] };
const format = { height: 16, width: 16, channels: 3, greyscale: false };
let folder: string;
let paths: string[];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "mttc-writer-"));
  paths = (await writePatternImages(join(folder, "images"), 6)).map(({ filepath }) => String(filepath));
});

afterEach(async () => {
  await rm(folder, { recursive: true, force: true });
});

/** Writes the mean pixel of each image as its features; `between` runs when a batch's pixels are read. */
async function write(
  between: (batch: number) => Promise<void> = async () => undefined,
  stamps?: Uint32Array,
): Promise<void> {
  let batch = 0;
  await writeFeatures({
    ...{ folder, kind, firstNumber: 0, batchSize: 2, parallel: 1 },
    items: paths.map((path, i) => ({ path, place: { line: i + 2 }, stamp: stamps?.[i] })),
    reader: new BatchFiller(new ImageReader(format)),
    compute: async (images) => {
      await between(batch++);
      const means = [0, 1].map((row) => {
        const own = images.subarray((row * images.length) / 2, ((row + 1) * images.length) / 2);
        return own.reduce((sum, pixel) => sum + pixel, 0) / own.length;
      });
      return [Float32Array.from(means)];
    },
    onProgress: () => undefined,
  });
}

async function keptHashes(): Promise<Map<string, string>> {
  const shards = await readShards(folder, kind);
  return new Map(
    shards.flatMap(({ index }) => index.sources.map(([path, , , hash]) => [path, hash] as const)),
  );
}

const hashOf = async (path: string): Promise<string> =>
  createHash("sha256")
    .update(await readFile(path))
    .digest("hex");

test("images that stay are kept under their hashes", async () => {
  await write();
  const kept = await keptHashes();
  expect([...kept.keys()]).toEqual(paths);
  for (const path of paths) expect(kept.get(path)).toBe(await hashOf(path));
});

test.each<[string, (from: string, to: string) => Promise<void>]>([
  ["replaced by another", copyFile],
  ["written into", async (_, to) => writeFile(to, "", { flag: "a" }).then(() => touch(to))],
  ["gone", (_, to) => rm(to)],
])("one that is %s between its pixels and its hash is refused", async (_, change) => {
  const [other = "", , , changed = ""] = paths;
  const faults = await faultsOfAsync(() =>
    // The pixels of the second batch, images 2 and 3, have been read.
    write(async (batch) => (batch === 1 ? await change(other, changed) : undefined)),
  );
  const code = faults[0]?.code;
  expect(["E_DATA_CHANGED", "E_FILE"]).toContain(code);
  expect(faults[0]).toMatchObject({ at: { file: changed }, hint: "listed in 5" });
  expect((await keptHashes()).has(changed)).toBe(false);
});

test("one that was replaced since the table was checked is refused, too", async () => {
  const stamps = await checkImageFiles(paths, () => ({}));
  await copyFile(paths[0] ?? "", paths[5] ?? "");
  const faults = await faultsOfAsync(() => write(undefined, stamps));
  expect(faults).toMatchObject([{ code: "E_DATA_CHANGED", at: { file: paths[5] } }]);
  expect((await keptHashes()).has(paths[5] ?? "")).toBe(false);
});

test("pixels that an evaluation read are not taken for those of a file that was replaced since", async () => {
  const rows = await writePatternImages(join(folder, "images"), 16);
  const options: TrainerOptions = {
    ...{ train_labels: rows.slice(0, 8), val_labels: rows.slice(8), tasks: ["hue", "stripes"] },
    ...{ fcn: { layers: [4, "p"] }, train_fcn: false, shared_layers: [4], task_layers: [4] },
    ...{ imshape: [16, 16], batch_size: 4, cache_features: true },
  };
  const figures = async (trainer: MultiTaskTrainer) => (await trainer.fit(1)).at(-1)?.evaluation;
  await using early = new MultiTaskTrainer(options);
  await early.evaluate();
  const file = (row: number): string => String(rows[row]?.filepath);
  for (const row of [8, 9, 12]) await copyFile(file(row + 2), file(row));
  await using late = new MultiTaskTrainer(options);
  expect(await figures(early)).toEqual(await figures(late));
});

/** Its time as a write a second later would leave it. */
async function touch(path: string): Promise<void> {
  const later = new Date(Date.now() + 1000);
  await utimes(path, later, later);
}
