// What a step may hold beside losses of classes, with several ranks in this process: every method that
// combines tasks, tags and numbers, a teacher, imported networks, weights of classes. Each run ends with the
// weights of one process.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { COMBINE_METHODS } from "../../compiler/combine/combiners.ts";
import { exportRun } from "../../runtime/export/exportRun.ts";
import type { LabelRow } from "../../runtime/tables/labelTable.ts";
import { MultiTaskTrainer } from "../../runtime/train/multiTaskTrainer.ts";
import type { TrainerOptions } from "../../runtime/train/trainerOptions.ts";
import { RANKS_ALIGNED, RANKS_FACTORS, RANKS_FLOAT32, RANKS_TRAINED } from "../tolerances.ts";
import { patternOptions, writePatternImages } from "../training/patternImages.ts";
import { type LocalGroup, openLocalGroup } from "./localGroup.ts";
import { largestDistance, stateIn } from "./stateDistance.ts";

const TRAIN = 44;
const EPOCHS = 3;
const RESIDUAL = resolve("test/fixtures/import/residual-17-training.onnx");

let folder: string;
let base: TrainerOptions;
const groups = new Map<number, LocalGroup>();

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "mttc-rank-kinds-"));
  const images = await writePatternImages(join(folder, "images"), 84);
  // Among classes of one size the gradients of a bias cancel, and rounding is a large part of what is left.
  const unequal = images.filter(
    ({ stripes, hue }, i) => (stripes !== "upright" && hue !== "red") || i % 2 === 0,
  );
  // A third class, a number and tags, each with holes of its own.
  const rows = unequal.map(
    (row, i): LabelRow => ({
      ...row,
      shade: i % 7 === 2 ? null : i % 4 === 0 ? "pale" : "deep",
      weight: i % 6 === 4 ? null : ((i * 37) % 50) / 10,
      marks: i % 5 === 3 ? null : ["dot", "line", "ring"].filter((_, at) => ((i * 5) >> at) & 1),
    }),
  );
  base = { ...patternOptions(rows, TRAIN), batch_size: 12, batchnorm: false, lr: 5e-4 };
  for (const size of [2, 3]) groups.set(size, await openLocalGroup(size));
});

afterAll(async () => {
  for (const group of groups.values()) await group[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

let runs = 0;

/** Trains, and returns the run's folder and what the last epoch logged. */
async function train(more: Partial<TrainerOptions>, ranks?: LocalGroup) {
  const logdir = join(folder, `run-${runs++}`);
  const options = { ...base, cache_features: false, ...more, logdir };
  await using trainer = new MultiTaskTrainer(options, ranks ? { ranks } : { threads: 1 });
  const history = await trainer.fit(EPOCHS);
  return { logdir, scalars: history.at(-1)?.scalars ?? {} };
}

async function expectAlike(size: number, more: Partial<TrainerOptions>, tolerance = RANKS_TRAINED) {
  const [alone, together] = [await train(more), await train(more, groups.get(size))];
  const distance = largestDistance(await stateIn(together.logdir), await stateIn(alone.logdir));
  expect(distance).toBeLessThan(tolerance);
  expect(Object.keys(together.scalars).sort()).toEqual(Object.keys(alone.scalars).sort());
  return { alone, together };
}

describe("tasks that are combined by", () => {
  const THREE: Partial<TrainerOptions> = { tasks: ["hue", "stripes", "shade"], task_weights: [1, 0.5, 2] };

  // Of whole batches famo gathers losses within its graphs, as batch norms do moments: rankProcesses.test.ts.
  test.each([...COMBINE_METHODS.keys()].filter((name) => !/sum|famo/.test(name)))("%s", async (method) => {
    const tolerance = method === "aligned" ? RANKS_ALIGNED : RANKS_TRAINED;
    const { alone, together } = await expectAlike(2, { ...THREE, combine: method }, tolerance);
    const logged = (scalars: Readonly<Record<string, number>>) => {
      const named = Object.entries(scalars).filter(([name]) => /combine|cosine|norm/.test(name));
      expect(named.length).toBeGreaterThan(0);
      return new Map([["logged", Float32Array.from(named, ([, value]) => value)]]);
    };
    expect(largestDistance(logged(together.scalars), logged(alone.scalars))).toBeLessThan(RANKS_FLOAT32);
  });

  test.each(["pcgrad", "upgrad"])("%s in three ranks of two micro-batches", async (method) => {
    await expectAlike(3, { ...THREE, accumulate: 2, combine: method });
  });

  test("famo in three ranks of two micro-batches", async () => {
    await expectAlike(3, { ...THREE, task_weights: null, accumulate: 2, combine: "famo" }, RANKS_FACTORS);
  });

  test("the gradient at the features, which no rank has alone, is refused", async () => {
    const training = train({ ...THREE, combine: { method: "upgrad", features: true } }, groups.get(2));
    await expect(training).rejects.toThrow(/combine.features: each of 2 processes .*E_CONFIG/s);
  });
});

test("tags and numbers, with learned weights", async () => {
  await expectAlike(3, {
    tasks: ["hue", { name: "marks", kind: "tags" }, { name: "weight", kind: "number", loss: "huber" }],
  });
});

test("weights of classes, given one by one", async () => {
  const class_weights = { hue: { red: 3, green: 0.5 }, stripes: { level: 2 } };
  await expectAlike(3, { class_weights, accumulate: 2 });
});

test("a teacher's answers", async () => {
  const { logdir } = await train({ seed: 9 });
  await exportRun(await MultiTaskTrainer.fromRun(logdir));
  const teacher = join(logdir, "export", "model.onnx");
  await expectAlike(2, { teacher, distill_weight: 2 });
});

describe("an imported network that is", () => {
  const imported: Partial<TrainerOptions> = { shared_layers: [6], task_layers: [4], imshape: [32, 32] };

  test.each<[string, Partial<TrainerOptions>]>([
    ["frozen", { fcn: RESIDUAL, train_fcn: false }],
    ["trained behind its norms' own statistics", { fcn: RESIDUAL, train_fcn: true }],
  ])("%s", async (_, more) => {
    await expectAlike(2, { ...imported, ...more });
  });
});
