// Runs on real (small) image files: the same seed gives the same bits for any number of loader threads, and a
// run that is interrupted and resumed, at an epoch's end or in its middle, ends with the bits of an
// uninterrupted one.
import { createHash } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { MttcError } from "../../compiler/diagnostics.ts";
import { loadNewestCheckpoint } from "../../runtime/runs/checkpoints.ts";
import { MultiTaskTrainer } from "../../runtime/train/multiTaskTrainer.ts";
import type { TrainerOptions } from "../../runtime/train/trainerOptions.ts";
import { patternOptions, writePatternImages } from "./patternImages.ts";

let folder: string;
let options: TrainerOptions;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "mttc-resume-"));
  const rows = await writePatternImages(join(folder, "images"), 40);
  options = patternOptions(rows, 28);
});

afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

describe("a seeded run", () => {
  test("gives the same weights whatever the number of loader threads", async () => {
    const hashes = [];
    for (const threads of [1, 2, 4]) hashes.push(await trainAndHash({ num_parallel_calls: threads }, 2));
    expect(new Set(hashes).size).toBe(1);
    expect(await trainAndHash({ seed: 6 }, 2)).not.toBe(hashes[0]);
  });

  test("resumes at an epoch's end to the same bits", async () => {
    const whole = await trainAndHash({ logdir: join(folder, "whole") }, 3);
    await trainAndHash({ logdir: join(folder, "halves") }, 1);
    expect(await trainAndHash({ logdir: join(folder, "halves") }, 3, true)).toBe(whole);
  });

  test.each([1, 2, 3])(
    "interrupted after step %i of the second epoch resumes to the same bits",
    async (step) => {
      const whole = await trainAndHash({}, 3);
      const logdir = join(folder, `cut-${step}`);
      await interruptAt(logdir, 2, step);
      expect(await trainAndHash({ logdir }, 3, true)).toBe(whole);
    },
  );

  test("with micro-batches resumes to the same bits", async () => {
    const whole = await trainAndHash({ accumulate: 2 }, 2);
    const logdir = join(folder, "micro");
    await interruptAt(logdir, 1, 2, { accumulate: 2 });
    expect(await trainAndHash({ logdir, accumulate: 2 }, 2, true)).toBe(whole);
  });
});

describe("a seeded run with augmentation", () => {
  test("gives the same weights whatever the number of loader threads, and others than without", async () => {
    const augmented = await trainAndHash({ augment: true, num_parallel_calls: 1 }, 2);
    expect(await trainAndHash({ augment: true, num_parallel_calls: 8 }, 2)).toBe(augmented);
    expect(await trainAndHash({}, 2)).not.toBe(augmented);
  });

  test.each([1, 2])(
    "interrupted in its middle resumes to the same bits, in %i micro-batches",
    async (accumulate) => {
      const more = { augment: { flip_left_right: true, zoom_scale: 0.4, gaussian_noise: 0.5 }, accumulate };
      const whole = await trainAndHash(more, 3);
      const logdir = join(folder, `augmented-${accumulate}`);
      await interruptAt(logdir, 2, 2, more);
      expect(await trainAndHash({ ...more, logdir }, 3, true)).toBe(whole);
    },
  );
});

describe("a run directory", () => {
  test("that holds a run is refused without resume", async () => {
    const logdir = join(folder, "taken");
    await trainAndHash({ logdir }, 1);
    await expect(trainAndHash({ logdir }, 1)).rejects.toThrow(/E_RUN_EXISTS/);
  });

  test("trained with another spec is refused on resume, saying why", async () => {
    const logdir = join(folder, "other-spec");
    await trainAndHash({ logdir }, 1);
    await expect(trainAndHash({ logdir, lr: 0.5 }, 2, true)).rejects.toThrow(/the spec is not the one/);
  });

  test("opens again as a trainer at its newest checkpoint", async () => {
    const logdir = join(folder, "opened");
    await trainAndHash({ logdir }, 2);
    await using trainer = await MultiTaskTrainer.fromRun(logdir);
    expect(trainer.history.length).toBe(2);
    const report = await trainer.evaluate();
    expect(report).toEqual(trainer.history[1]?.evaluation);
  });
});

/** Trains to `epochs` and hashes every state tensor, slots and counters included. */
async function trainAndHash(more: Partial<TrainerOptions>, epochs: number, resume = false): Promise<string> {
  const logdir =
    more.logdir ?? join(folder, `run-${createHash("sha256").update(Math.random().toString()).digest("hex")}`);
  await using trainer = new MultiTaskTrainer({ ...options, ...more, logdir });
  await trainer.fit(epochs, { resume });
  const { tensors } = await loadNewestCheckpoint(logdir);
  expect(tensors.size).toBeGreaterThan(20);
  const hash = createHash("sha256");
  for (const [name, { data }] of tensors) hash.update(name).update(data);
  return hash.digest("hex");
}

/** Aborts after a step and expects that the run was saved and says so. */
async function interruptAt(
  logdir: string,
  epoch: number,
  step: number,
  more: Partial<TrainerOptions> = {},
): Promise<void> {
  const abort = new AbortController();
  await using trainer = new MultiTaskTrainer({ ...options, ...more, logdir });
  trainer.on("step", (event) => {
    if (event.epoch === epoch && event.step === step) abort.abort();
  });
  const error = await trainer.fit(3, { signal: abort.signal }).then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(MttcError);
  expect((error as MttcError).exitCode).toBe(130);
  expect((error as MttcError).message).toMatch(`epoch ${epoch} after step ${step}`);
}
