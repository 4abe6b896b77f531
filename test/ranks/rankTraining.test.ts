// Several ranks train as one: weights, what the optimizer remembers, reports and checkpoints are those of one
// process with the same batch. Here all ranks are in this process, without MPI; rankProcesses.test.ts has
// processes.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { EpochReport } from "../../runtime/train/events.ts";
import { MultiTaskTrainer } from "../../runtime/train/multiTaskTrainer.ts";
import type { TrainerOptions } from "../../runtime/train/trainerOptions.ts";
import { RANKS_TRAINED } from "../tolerances.ts";
import { patternOptions, writePatternImages } from "../training/patternImages.ts";
import { withoutClock } from "../training/withoutClock.ts";
import { type LocalGroup, openLocalGroup } from "./localGroup.ts";
import { largestDistance, stateIn } from "./stateDistance.ts";

/** Thirteen steps an epoch, the last one with rows that come twice. */
const ROWS = 147;
const EPOCHS = 4;

let folder: string;
let base: TrainerOptions;
const groups = new Map<number, LocalGroup>();

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "mttc-rank-training-"));
  const all = await writePatternImages(join(folder, "images"), 240);
  // Among classes of one size the gradients of a bias cancel, and rounding is a large part of what is left.
  const rows = all.filter(({ stripes, hue }, i) => (stripes !== "upright" && hue !== "red") || i % 2 === 0);
  base = { ...patternOptions(rows, ROWS), batch_size: 12, batchnorm: false, lr: 5e-4, train_fcn: true };
  for (const size of [2, 3, 4]) groups.set(size, await openLocalGroup(size));
});

afterAll(async () => {
  for (const group of groups.values()) await group[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

const groupOf = (size: number): LocalGroup => groups.get(size)!;

let runs = 0;
const freshLogdir = (): string => join(folder, `run-${runs++}`);

async function train(
  options: TrainerOptions,
  ranks: LocalGroup | undefined,
): Promise<readonly EpochReport[]> {
  await using trainer = new MultiTaskTrainer(options, ranks ? { ranks } : { threads: 1 });
  await trainer.fit(EPOCHS);
  return trainer.history;
}

describe("ranks end with the weights of one process", () => {
  const CASES: readonly (readonly [string, sizes: readonly number[], Partial<TrainerOptions>])[] = [
    ["missing labels, dropout and learned weights", [2, 3, 4], {}],
    [
      "augmentation in the loader and in the graph",
      [2],
      { augment: { flip_left_right: true, zoom_scale: 0.5, brightness_delta: 0.2, gaussian_noise: 0.5 } },
    ],
    [
      "balanced sampling and class weights",
      [3],
      { balance_probs: true, balance_classes: true, class_weights: "balanced", task_weights: [1, 0.5] },
    ],
    [
      "momentum, decay, clipping, averages and a schedule",
      [2],
      { optimizer: "momentum", weight_decay: 1e-4, clip_norm: 0.5, ema: 0.9, one_cycle: true },
    ],
    ["a frozen trunk", [4], { train_fcn: false }],
  ];

  test.each(CASES)("%s, %j ranks", async (_, sizes, more) => {
    const alone = { ...base, ...more, cache_features: false, logdir: freshLogdir() };
    const history = await train(alone, undefined);
    for (const size of sizes) {
      const options = { ...base, ...more, logdir: freshLogdir() };
      const found = await train(options, groupOf(size));
      expect(found.length).toBe(EPOCHS);
      expect(largestDistance(await stateIn(options.logdir), await stateIn(alone.logdir))).toBeLessThan(
        RANKS_TRAINED,
      );
      expectSameReports(found, history);
    }
  });

  test.each([
    [2, 2],
    [2, 3],
  ])("%i ranks with %i micro-batches", async (size, accumulate) => {
    const [alone, together] = [freshLogdir(), freshLogdir()];
    const more = { accumulate, augment: { flip_up_down: true, jitter: 0.3 } };
    const history = await train({ ...base, ...more, logdir: alone }, undefined);
    const found = await train({ ...base, ...more, logdir: together }, groupOf(size));
    expect(largestDistance(await stateIn(together), await stateIn(alone))).toBeLessThan(RANKS_TRAINED);
    expectSameReports(found, history);
  });
});

/** The same but for rounding. */
function expectSameReports(found: readonly EpochReport[], wanted: readonly EpochReport[]): void {
  const plain = (reports: readonly EpochReport[]) => rounded(reports.map(withoutClock));
  expect(plain(found)).toEqual(plain(wanted));
}

function rounded(value: unknown): unknown {
  return JSON.parse(
    JSON.stringify(value, (_, inner: unknown) =>
      typeof inner === "number" && !Number.isInteger(inner) ? Number(inner.toPrecision(4)) : inner,
    ),
  );
}
