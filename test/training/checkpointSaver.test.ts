// A checkpoint is written while the next epoch trains: what is told of it, and what happens where it fails.
import { mkdtemp, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { acquireRunLock } from "../../runtime/files/runLock.ts";
import { CheckpointSaver } from "../../runtime/train/checkpointSaver.ts";
import { MultiTaskTrainer } from "../../runtime/train/multiTaskTrainer.ts";
import type { TrainerOptions } from "../../runtime/train/trainerOptions.ts";
import { faultsOfAsync } from "../spec/faultsOf.ts";
import { writePatternImages } from "./patternImages.ts";

let folder: string;
let options: TrainerOptions;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "mttc-saver-"));
  const train_labels = await writePatternImages(join(folder, "images"), 48);
  options = {
    ...{ train_labels, tasks: ["hue", "stripes"], fcn: { layers: [4, "p"] }, train_fcn: true },
    ...{ task_layers: [], imshape: [16, 16], batch_size: 4 },
  };
});
afterAll(() => rm(folder, { recursive: true, force: true }));

describe("a trainer", () => {
  test("tells of an epoch when its checkpoint and its line stand", async () => {
    const logdir = join(folder, "told");
    await using trainer = new MultiTaskTrainer({ ...options, logdir });
    const told: Promise<unknown>[] = [];
    trainer.on("epoch", ({ epoch }) => {
      told.push(
        Promise.all([
          readdir(join(logdir, "checkpoints")).then((names) => names.at(-1)),
          readFile(join(logdir, "log.jsonl"), "utf8").then((text) => text.trim().split("\n").length),
        ]).then((found) => expect(found).toEqual([`epoch-000${epoch}`, epoch])),
      );
    });
    await trainer.fit(1);
    await trainer.fit(3);
    expect(told).toHaveLength(3);
    await Promise.all(told);
  });

  test("stops in the epoch after the one that cannot be saved, and can go on", async () => {
    const logdir = join(folder, "full");
    const checkpoints = join(logdir, "checkpoints");
    await using trainer = new MultiTaskTrainer({ ...options, logdir });
    await trainer.fit(1);
    await rename(checkpoints, `${checkpoints}-away`);
    await writeFile(checkpoints, "no folder");
    const epochs: number[] = [];
    trainer.on("epoch", ({ epoch }) => epochs.push(epoch));
    expect(await faultsOfAsync(() => trainer.fit(9))).toMatchObject([{ code: "E_FILE" }]);
    expect([epochs, trainer.history.length]).toEqual([[], 2]);
    await rm(checkpoints);
    await rename(`${checkpoints}-away`, checkpoints);
    await trainer.fit(3);
    expect([epochs, (await readdir(checkpoints)).sort()]).toEqual([[3], ["epoch-0001", "epoch-0003"]]);
    expect((await readFile(join(logdir, "log.jsonl"), "utf8")).trim().split("\n")).toHaveLength(3);
  });
});

describe("work that saves", () => {
  const content = { epoch: 1, tensors: [], progress: {} };
  const lost = new Error("the work is lost");
  const fails = (): Promise<never> => Promise.reject(lost);

  /** What `during` comes to where the work fails, or not, after it began a save whose end is `saved`. */
  async function during(work: () => Promise<void>, saved: () => Promise<void>) {
    const run = await mkdtemp(join(folder, "work-"));
    await using _lock = await acquireRunLock(run);
    const saver = new CheckpointSaver();
    const told: string[] = [];
    const outcome = saver.during(
      (message) => told.push(message),
      async () => {
        await saver.begin(run, content, saved);
        await work();
      },
    );
    const error = await outcome.then(
      () => undefined,
      (thrown: unknown) => thrown,
    );
    // A failure is told once: whoever saves again begins anew.
    await saver.settled();
    expect(saver.failed.aborted).toBe(false);
    return { error, told };
  }

  test("ends when what it saved stands", async () => {
    const seen: string[] = [];
    const outcome = await during(
      async () => expect(seen).toEqual([]),
      async () => void seen.push("stands"),
    );
    expect([outcome, seen]).toEqual([{ error: undefined, told: [] }, ["stands"]]);
  });

  test("fails with its own error when what it saved stands", async () => {
    const seen: string[] = [];
    const outcome = await during(fails, async () => void seen.push("stands"));
    expect([outcome, seen]).toEqual([{ error: lost, told: [] }, ["stands"]]);
  });

  test("fails with the error of the save, and tells of its own", async () => {
    const full = new Error("the disk is full");
    const refuses = (): Promise<never> => Promise.reject(full);
    expect(await during(fails, refuses)).toEqual({ error: full, told: [String(lost)] });
    expect(await during(async () => undefined, refuses)).toEqual({ error: full, told: [] });
  });
});
