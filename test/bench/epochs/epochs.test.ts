// What `npm run bench -- epochs` trains on, what it asks of both sides, and how it keeps time.
import { mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import sharp from "sharp";
import { afterAll, expect, test } from "vitest";
import { resolveSpec } from "../../../compiler/spec/parseSpec.ts";
import { PausedProcess } from "../peers/pausedProcess.ts";
import { EPOCH_CASES, epochRequest, epochSpec } from "./epochCases.ts";
import { photos, writeTable } from "./photos.ts";

const folder = mkdtempSync(join(tmpdir(), "mttc-test-epochs-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test("photographs are JPEGs that cost what photographs cost, and are made once", async () => {
  const paths = await photos(folder, 2);
  const { width, height, format } = await sharp(paths[1]).metadata();
  expect([width, height, format]).toEqual([500, 375, "jpeg"]);
  const [first] = paths.map((path) => statSync(path));
  expect(first?.size).toBeGreaterThan(20_000);
  await photos(folder, 2);
  expect(statSync(paths[0] ?? "").mtimeMs).toBe(first?.mtimeMs);
  expect(readFileSync(paths[0] ?? "")).not.toEqual(readFileSync(paths[1] ?? ""));
});

test("label tables hold the rows that are asked for, classes of every task, and holes", () => {
  const file = join(folder, "labels.csv");
  const paths = Array.from({ length: 100 }, (_, image) => `${image}.jpg`);
  writeTable(file, paths, { first: 20, last: 100, classes: [3, 5] });
  const [head, ...rows] = readFileSync(file, "utf8").trimEnd().split("\n");
  expect(head).toBe("filepath,task0,task1");
  expect(rows).toHaveLength(80);
  expect(rows[0]?.startsWith("20.jpg,")).toBe(true);
  const labels = rows.map((row) => row.split(",")[1]);
  expect(new Set(labels)).toEqual(new Set(["", "class0", "class1", "class2"]));
});

test("every case is a valid spec of whole batches, and a request of the same", () => {
  const files = { models: "models", train: "train.csv", val: "val.csv" };
  for (const one of EPOCH_CASES) {
    const spec = resolveSpec(epochSpec(one, files, "run"));
    expect(one.train % spec.batch_size).toBe(0);
    expect(one.val % spec.batch_size).toBe(0);
    // Features that are computed once are not those of images that change from epoch to epoch.
    expect(one.augment && one.keepFeatures).toBe(false);
    const setting = { layout: "contiguous", wait: "passive", fused: false, workers: 0 } as const;
    const more = { ...setting, threads: 2, checkpoints: "c", epochs: 3, rows: null };
    expect(epochRequest(one, files, more)).toMatchObject({
      ...{ train: "train.csv", lr: spec.lr, augment: one.augment, workers: 0 },
    });
  }
});

test("the time of a line does not count in which its process was stopped", async () => {
  const script = "console.log(1); setTimeout(() => console.log(2), 50); setTimeout(() => {}, 60_000);";
  await using child = new PausedProcess(process.execPath, ["-e", script]);
  expect((await child.line()).text).toBe("1");
  const stopped = 2_000;
  await wait(stopped);
  const { text, ms } = await child.line();
  expect(text).toBe("2");
  expect(ms).toBeLessThan(stopped);
});
