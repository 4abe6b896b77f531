// Runs of several ranks, in this process without MPI: gone on with by any number of them, evaluated, with
// tasks that some or all ranks have no label of, with a rank that is slow, an image that changed, and other
// weights.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { TrainedRun } from "../../runtime/infer/trainedRun.ts";
import type { LabelRow } from "../../runtime/tables/labelTable.ts";
import { MultiTaskTrainer } from "../../runtime/train/multiTaskTrainer.ts";
import type { TrainerOptions } from "../../runtime/train/trainerOptions.ts";
import { RANKS_TRAINED } from "../tolerances.ts";
import { patternOptions, writePatternImages } from "../training/patternImages.ts";
import { type LocalGroup, openLocalGroup } from "./localGroup.ts";
import { largestDistance, stateIn } from "./stateDistance.ts";

const TRAIN = 44;
const EPOCHS = 3;

let folder: string;
let rows: LabelRow[];
let group: LocalGroup;
const opened: LocalGroup[] = [];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "mttc-rank-runs-"));
  rows = await writePatternImages(join(folder, "images"), 70);
});

afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

beforeEach(async () => {
  group = await open(2);
});

afterEach(async () => {
  for (const each of opened.splice(0)) await each[Symbol.asyncDispose]();
});

async function open(size: number): Promise<LocalGroup> {
  const made = await openLocalGroup(size);
  opened.push(made);
  return made;
}

let runs = 0;

function optionsFor(more: Partial<TrainerOptions> = {}): TrainerOptions & { readonly logdir: string } {
  const base = { ...patternOptions(rows, TRAIN), batch_size: 12, batchnorm: false, lr: 5e-4 };
  return { ...base, ...more, logdir: join(folder, `run-${runs++}`) };
}

async function trainRun(
  options: TrainerOptions,
  ranks: LocalGroup | undefined,
  epochs = EPOCHS,
  { resume = false, stopAt = 0 }: { readonly resume?: boolean; readonly stopAt?: number } = {},
): Promise<MultiTaskTrainer> {
  const trainer = new MultiTaskTrainer(options, ranks ? { ranks } : { threads: 1 });
  const stop = new AbortController();
  let steps = 0;
  trainer.on("step", () => {
    steps += 1;
    if (steps === stopAt) stop.abort();
  });
  const fitting = trainer.fit(epochs, { resume, signal: stop.signal });
  if (stopAt > 0) await expect(fitting).rejects.toThrow(/E_INTERRUPTED/);
  else await fitting.finally(() => trainer.close());
  await trainer.close();
  return trainer;
}

describe("a run of several ranks", () => {
  test("that stops in mid-epoch is gone on with by three, then by one, to the same end", async () => {
    const more = { augment: { flip_left_right: true, gaussian_noise: 0.3 }, accumulate: 2 };
    const whole = optionsFor(more);
    await trainRun(whole, undefined);
    const parts = optionsFor(more);
    await trainRun(parts, group, EPOCHS, { stopAt: 2 });
    await trainRun(parts, await open(3), EPOCHS, { resume: true, stopAt: 4 });
    const { history } = await trainRun(parts, undefined, EPOCHS, { resume: true });
    expect(history.length).toBe(EPOCHS);
    expect(largestDistance(await stateIn(parts.logdir), await stateIn(whole.logdir))).toBeLessThan(
      RANKS_TRAINED,
    );
  });

  test("is gone on with by several where one process began it", async () => {
    const [whole, parts] = [optionsFor(), optionsFor()];
    await trainRun(whole, undefined);
    await trainRun(parts, undefined, EPOCHS, { stopAt: 6 });
    await trainRun(parts, group, EPOCHS, { resume: true });
    expect(largestDistance(await stateIn(parts.logdir), await stateIn(whole.logdir))).toBeLessThan(
      RANKS_TRAINED,
    );
  });

  test("reports an evaluation that is one process's to the bit", async () => {
    const options = optionsFor();
    const { history } = await trainRun(options, await open(3));
    await using run = await TrainedRun.open(options.logdir, { threads: 1 });
    const report = await run.evaluate(await run.labels());
    expect(report).toEqual(history.at(-1)?.evaluation);
    expect(report.images).toBe(rows.length - TRAIN);
  });

  test("trains and evaluates several times with one trainer", async () => {
    const options = optionsFor();
    await using trainer = new MultiTaskTrainer(options, { ranks: group });
    await trainer.fit(1);
    const report = await trainer.evaluate();
    expect(report).toEqual(trainer.history[0]?.evaluation);
    await trainer.fit(2);
    expect(trainer.history.length).toBe(2);
    // Its tables were sent once.
    expect(group.told.filter((kind) => kind === "tables").length).toBe(1);
  });
});

describe("labels that are missing", () => {
  test.each([
    ["on some ranks", (i: number) => i % 9 === 0],
    ["in most batches, on all ranks", (i: number) => i < 6],
  ])("%s leave the weights those of one process", async (_, isLabelled) => {
    const sparse = rows.map((row, i) => (i >= TRAIN || isLabelled(i) ? row : { ...row, stripes: null }));
    const tables = { train_labels: sparse.slice(0, TRAIN), val_labels: sparse.slice(TRAIN) };
    const [alone, together] = [optionsFor(tables), optionsFor(tables)];
    await trainRun(alone, undefined);
    await trainRun(together, await open(4));
    expect(largestDistance(await stateIn(together.logdir), await stateIn(alone.logdir))).toBeLessThan(
      RANKS_TRAINED,
    );
  });
});

describe("where a rank is not like the others", () => {
  test("one that is slow changes no bit", async () => {
    const [fast, slow] = [optionsFor(), optionsFor()];
    await trainRun(fast, group, 1);
    const late = await open(2);
    late.delayMs = () => 20;
    await trainRun(slow, late, 1);
    expect(largestDistance(await stateIn(slow.logdir), await stateIn(fast.logdir))).toBe(0);
  });

  test("an image that only one finds changed ends all with its error", async () => {
    group.revise = (message) => {
      if (message.kind !== "tables") return message;
      const { train } = message.tables;
      return { ...message, tables: train ? { train: { ...train, stamps: train.stamps?.fill(1) } } : {} };
    };
    await expect(trainRun(optionsFor({ val_labels: null }), group)).rejects.toThrow(
      /\.png: .*E_DATA_CHANGED/,
    );
  });

  test("what fails on rank 0 in the middle of a step ends all with its error", async () => {
    // The first micro-batch of a later step says so, while the others are in the second.
    const options = optionsFor({ accumulate: 2, optimizer: "momentum", lr: 1e6, task_weights: null });
    await expect(trainRun(options, group)).rejects.toThrow(/the loss became .* step [23] .*E_DIVERGED/s);
  });

  test("other weights on one are an error that says so", async () => {
    const options = optionsFor();
    await using trainer = new MultiTaskTrainer(options, { ranks: group });
    let isSpoilt = false;
    trainer.on("step", ({ step }) => {
      if (isSpoilt || step !== 1) return;
      isSpoilt = true;
      // Both sets of the bias: the next step reads one of them.
      const bias = new Float32Array(6).fill(0.5);
      void group.hosts[1]?.write({ "a:shared_layers[0].bias": bias, "b:shared_layers[0].bias": bias });
    });
    await expect(trainer.fit(1)).rejects.toThrow(/rank 1 holds other weights than rank 0.*E_RANK_STATE/s);
  });
});

describe("what several ranks do not do", () => {
  test("features that are asked for are refused by name, before anything is written", async () => {
    const options = optionsFor({ train_fcn: false, cache_features: true });
    await expect(trainRun(options, group)).rejects.toThrow(
      /cache_features: features are not kept where 2 processes/,
    );
    await expect(stateIn(options.logdir)).rejects.toThrow();
  });

  test("a batch that they do not share equally is refused with the nearest that they do", async () => {
    const options = optionsFor({ batch_size: 10 });
    await expect(trainRun(options, await open(4))).rejects.toThrow(/batch_size.*nearest that can: 8 or 12/s);
  });

  test("a state of another program is not adopted", async () => {
    await using trainer = new MultiTaskTrainer(optionsFor(), { ranks: group });
    await expect(trainer.adopt("state.safetensors")).rejects.toThrow(/adopt is for one process/);
  });
});
