// Images that cannot be read: found before the first epoch, and stopped at or left out, the same rows in
// every sitting of a run.
import { createHash } from "node:crypto";
import { mkdtemp, readFile, rm, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { exportRun } from "../../runtime/export/exportRun.ts";
import { loadNewestCheckpoint } from "../../runtime/runs/checkpoints.ts";
import type { LabelRow } from "../../runtime/tables/labelTable.ts";
import { MultiTaskTrainer } from "../../runtime/train/multiTaskTrainer.ts";
import type { TrainerOptions } from "../../runtime/train/trainerOptions.ts";
import { faultsOfAsync } from "../spec/faultsOf.ts";
import { writePatternImages } from "./patternImages.ts";

let folder: string;
let rows: LabelRow[];
let options: TrainerOptions;
const fileOf = (row: number): string => join(folder, "images", `${row}.png`);
let good: Buffer[];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "mttc-bad-"));
  rows = await writePatternImages(join(folder, "images"), 330);
  good = await Promise.all(rows.map((_, row) => readFile(fileOf(row))));
  options = {
    ...{ train_labels: rows.slice(0, 220), val_labels: rows.slice(220), tasks: ["hue", "stripes"] },
    ...{ fcn: { layers: [4, "p"] }, train_fcn: true, task_layers: [] },
    ...{ imshape: [16, 16], batch_size: 44, seed: 5 },
  };
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** Cuts the images of these rows short within their pixels, and mends all others. */
async function spoil(...spoiled: number[]): Promise<void> {
  for (const [row, bytes] of good.entries()) {
    const isBad = spoiled.includes(row);
    const now = await readFile(fileOf(row));
    const wanted = isBad ? bytes.subarray(0, bytes.length - 30) : bytes;
    if (!now.equals(wanted)) await writeFile(fileOf(row), wanted);
  }
}

interface Trained {
  readonly hash: string;
  readonly said: readonly string[];
  readonly images: number | undefined;
}

async function train(more: Partial<TrainerOptions>, epochs: number, resume = false): Promise<Trained> {
  const said: string[] = [];
  await using trainer = new MultiTaskTrainer({ ...options, ...more });
  trainer.on("log", ({ message }) => said.push(message));
  const history = await trainer.fit(epochs, { resume });
  const hash = createHash("sha256");
  for (const [name, { data }] of (await loadNewestCheckpoint(String(more.logdir))).tensors)
    hash.update(name).update(data);
  return { hash: hash.digest("hex"), said, images: history.at(-1)?.evaluation?.images };
}

const logdirOf = (name: string): string => join(folder, "runs", name);
const looks = (said: readonly string[]): readonly string[] =>
  said.filter((line) => / images (looked at|decoded) in /.test(line));

describe("on_bad_image: stop", () => {
  test("names every bad image, of both tables, before a step", async () => {
    await spoil(3, 150, 300);
    let steps = 0;
    await using trainer = new MultiTaskTrainer({ ...options, logdir: logdirOf("stopped") });
    trainer.on("step", () => steps++);
    const faults = await faultsOfAsync(() => trainer.fit(2));
    expect(steps).toBe(0);
    expect(faults.map(({ code, at }) => [code, at?.file])).toEqual(
      [3, 150, 300].map((row) => ["E_IMG_TRUNCATED", fileOf(row)]),
    );
    expect(faults[0]?.hint).toBe("listed in train_labels[3]; `on_bad_image: skip` leaves their rows out");
  });

  test("looks once: not again on resume, unless a file has changed", async () => {
    await spoil();
    const logdir = logdirOf("once");
    const first = await train({ logdir }, 1);
    expect(looks(first.said)).toEqual([
      expect.stringMatching(/^330 images looked at in \d+\.\d s \(\d+\.\d s per 10,000\): 0 unreadable$/),
    ]);
    expect(looks((await train({ logdir }, 2, true)).said)).toEqual([]);
    await utimes(fileOf(9), new Date(1e9), new Date(1e9));
    const changed = await train({ logdir }, 3, true);
    expect(looks(changed.said)).toHaveLength(1);
    expect(changed.said).toContain("the images are not those that were looked at before: once more");
  });

  test("tells how far it is", async () => {
    await using trainer = new MultiTaskTrainer({ ...options, logdir: null });
    const told: unknown[] = [];
    trainer.on("progress", (event) => told.push(event));
    await trainer.fit(1);
    expect(told.at(-1)).toEqual({ work: "images read", done: 330, total: 330 });
  });
});

describe("on_bad_image: skip", () => {
  const skip = { on_bad_image: "skip" } as const;

  test("leaves the rows out, tells so in each epoch, and trains as a table without them does", async () => {
    await spoil(3, 150, 300);
    const skipped = await train({ ...skip, logdir: logdirOf("skipped") }, 2);
    const told =
      "2 of 220 training rows and 1 of 110 validation rows left out, their images cannot be read: " +
      "150.png, 3.png, 300.png";
    expect(skipped.said.filter((line) => line.includes("left out"))).toEqual([
      `epoch 1: ${told}`,
      `epoch 2: ${told}`,
    ]);
    expect(skipped.images).toBe(109);
    const without = rows.filter((_, row) => ![3, 150, 300].includes(row));
    const tables = { train_labels: without.slice(0, 218), val_labels: without.slice(218) };
    expect((await train({ ...tables, logdir: logdirOf("without") }, 2)).hash).toBe(skipped.hash);
  });

  test.each([true, false])("leaves out the same rows on resume (balance_probs: %s)", async (balanced) => {
    await spoil(3, 300);
    const more = { ...skip, balance_probs: balanced };
    const whole = await train({ ...more, logdir: logdirOf(`whole-${balanced}`) }, 3);
    const logdir = logdirOf(`halves-${balanced}`);
    await train({ ...more, logdir }, 1);
    const rest = await train({ ...more, logdir }, 3, true);
    expect(rest.hash).toBe(whole.hash);
    expect(looks(rest.said)).toEqual([]);
    expect(rest.said.filter((line) => line.includes("left out"))).toHaveLength(2);
  });

  test("goes on with a run that stopped at a bad image", async () => {
    await spoil();
    const logdir = logdirOf("later");
    await train({ logdir }, 1);
    await spoil(7);
    const [fault] = await faultsOfAsync(() => train({ logdir }, 2, true));
    expect(fault?.code).toBe("E_IMG_TRUNCATED");
    expect((await train({ ...skip, logdir }, 2, true)).images).toBe(110);
  });

  test("is evaluated and exported without them", async () => {
    await spoil(3, 300);
    const logdir = logdirOf("evaluated");
    const trained = await train({ ...skip, logdir }, 1);
    await using opened = await MultiTaskTrainer.fromRun(logdir);
    expect((await opened.evaluate()).images).toBe(trained.images);
    expect((await exportRun(opened)).images).toBeGreaterThan(0);
  });

  test.each([
    ["training", [1, 2, 3], "3 of 220 training rows have images that cannot be read"],
    ["validation", [300, 301], "2 of 110 validation rows have images that cannot be read"],
  ] as const)("of more than 1 %% of the %s rows is an error", async (_, spoiled, message) => {
    await spoil(...spoiled);
    const faults = await faultsOfAsync(() => train({ ...skip, logdir: logdirOf("many") }, 1));
    expect(faults[0]?.code).toBe("E_IMG_TRUNCATED");
    expect(faults[0]?.message).toContain(message);
    expect(faults[0]?.hint).toContain("data check --drop");
    expect(faults[1]?.at?.file).toBe(fileOf(spoiled[0]));
  });

  test("never takes the last label of a task away", async () => {
    await spoil(0);
    const only = rows.slice(0, 220).map((row, i) => ({ ...row, stripes: i === 0 ? "level" : null }));
    const given = { train_labels: only, val_labels: null, classes: { stripes: ["level", "upright"] } };
    const [fault] = await faultsOfAsync(() => train({ ...skip, ...given, logdir: logdirOf("task") }, 1));
    expect(fault?.code).toBe("E_TASK_EMPTY");
  });
});
