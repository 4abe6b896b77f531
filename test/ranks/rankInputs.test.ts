// What several ranks read and keep, in this process without MPI: images that are left out, packs that one
// rank alone finds, probes, the best checkpoint and the end of patience; and what they refuse by name.
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { ChannelBlock } from "../../compiler/ops/channelBlocks.ts";
import { TrainedRun } from "../../runtime/infer/trainedRun.ts";
import type { RuntimeOptions } from "../../runtime/ort/runtimeOptions.ts";
import { crossValidate } from "../../runtime/series/crossValidation.ts";
import { trainSeries } from "../../runtime/series/runSeries.ts";
import { runSweep, type SweepOptions } from "../../runtime/sweep/runSweep.ts";
import type { LabelRow } from "../../runtime/tables/labelTable.ts";
import { type FitOptions, MultiTaskTrainer } from "../../runtime/train/multiTaskTrainer.ts";
import type { RankMessage } from "../../runtime/train/rankMessages.ts";
import { testRates } from "../../runtime/train/rateTest.ts";
import { experimentFromOptions, type TrainerOptions } from "../../runtime/train/trainerOptions.ts";
import { RANKS_TRAINED } from "../tolerances.ts";
import { patternOptions, writePatternImages } from "../training/patternImages.ts";
import { type LocalGroup, openLocalGroup } from "./localGroup.ts";
import { largestDistance, stateIn } from "./stateDistance.ts";

const TRAIN = 102;

let folder: string;
let rows: LabelRow[];
let group: LocalGroup;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "mttc-rank-inputs-"));
  const all = await writePatternImages(join(folder, "images"), 168);
  // Among classes of one size the gradients of a bias cancel, and rounding is a large part of what is left.
  rows = all.filter(({ stripes, hue }, i) => (stripes !== "upright" && hue !== "red") || i % 2 === 0);
});

afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

beforeEach(async () => {
  group = await openLocalGroup(2);
});

afterEach(async () => {
  await group[Symbol.asyncDispose]();
});

let runs = 0;

function optionsFor(more: Partial<TrainerOptions> = {}): TrainerOptions & { readonly logdir: string } {
  const base = { ...patternOptions(rows, TRAIN), batch_size: 12, batchnorm: false, lr: 5e-4 };
  return { ...base, ...more, logdir: join(folder, `run-${runs++}`) };
}

/** Trains, and returns what came of it. */
async function train(more: Partial<TrainerOptions>, ranks?: LocalGroup, epochs = 2, fit: FitOptions = {}) {
  const options = optionsFor(more);
  const lines: string[] = [];
  const runtime = { baseDirectory: folder, ...(ranks ? { ranks } : { threads: 1 }) };
  await using trainer = new MultiTaskTrainer(options, runtime);
  trainer.on("log", ({ message }) => lines.push(message));
  const history = await trainer.fit(epochs, fit);
  return { logdir: options.logdir, lines, history, state: await stateIn(options.logdir) };
}

/** Changes messages of one kind on their way to the follower. */
function revise<K extends RankMessage["kind"]>(kind: K, change: Partial<Extract<RankMessage, { kind: K }>>) {
  group.revise = (message) => (message.kind === kind ? { ...message, ...change } : message);
}

describe("images", () => {
  test("that cannot be read are left out on all ranks", async () => {
    const file = String(rows[5]?.filepath);
    const bytes = await readFile(file);
    await writeFile(file, bytes.subarray(0, bytes.length - 30));
    try {
      const alone = await train({ on_bad_image: "skip" });
      const together = await train({ on_bad_image: "skip" }, group);
      expect(together.lines.join("\n")).toMatch(`epoch 1: 1 of ${TRAIN} training rows left out`);
      expect(largestDistance(together.state, alone.state)).toBeLessThan(RANKS_TRAINED);
    } finally {
      await writeFile(file, bytes);
    }
  });

  test.each(["train", "val"] as const)(
    "that change on one rank are named with their line (%s)",
    async (name) => {
      const lines = (of: readonly LabelRow[]) =>
        ["filepath,hue,stripes", ...of.map((row) => [row.filepath, row.hue, row.stripes].join(","))].join(
          "\n",
        );
      await writeFile(join(folder, "train.csv"), lines(rows.slice(0, TRAIN)));
      await writeFile(join(folder, "val.csv"), lines(rows.slice(TRAIN)));
      group.revise = (message) => {
        const table = message.kind === "tables" ? message.tables[name] : undefined;
        table?.stamps?.fill(1);
        return message;
      };
      const failed = train({ train_labels: "train.csv", val_labels: "val.csv" }, group, 1);
      await expect(failed).rejects.toThrow(
        new RegExp(String.raw`\.png: .*E_DATA_CHANGED\]\n {2}listed in .*${name}\.csv:\d+$`),
      );
    },
  );
});

describe("a pack", () => {
  const packed = { pack: "packs", split_leak: "allow" } as const;

  test.each(["raw", "jpeg"] as const)("of %s images is read by all ranks", async (pack_format) => {
    const options = { ...packed, pack_format };
    const alone = await train(options);
    const together = await train(options, group);
    expect(largestDistance(together.state, alone.state)).toBeLessThan(RANKS_TRAINED);
    expect(together.lines.join("\n")).not.toMatch(/reads the images themselves/);
    // What images themselves give.
    const read = await train({ ...packed, pack: false }, group);
    const distance = largestDistance(together.state, read.state);
    if (pack_format === "raw") expect(distance).toBe(0);
    else expect(distance).toBeGreaterThan(RANKS_TRAINED);
  });

  test.each([
    ["is not there", /^rank 1 reads the images themselves, .*no packed images here/m],
    ["holds other images", /^rank 1 reads the images themselves, .*other images than that of rank 0/m],
  ])("that %s for one rank: it reads the images, which rank 0 says", async (how, said) => {
    const whole = await train(packed, group);
    group.revise = (message) => {
      if (message.kind !== "pack") return message;
      const { handle } = message;
      return how === "is not there"
        ? { ...message, handle: { ...handle, folder: join(folder, "nowhere") } }
        : { ...message, digest: "0" };
    };
    const parted = await train(packed, group);
    expect(parted.lines.join("\n")).toMatch(said);
    expect(largestDistance(parted.state, whole.state)).toBe(0);
  });

  test("of JPEGs that one rank does not find is refused: files have other pixels", async () => {
    revise("pack", { digest: "0" });
    await expect(train({ ...packed, pack_format: "jpeg" }, group)).rejects.toThrow(
      /pack: rank 1 cannot read the packed images.*E_SHARD_META/s,
    );
  });
});

test("patience and the best checkpoint are those of one process", async () => {
  const more = { patience: 2, keep: "best", lr: 0.02 } as const;
  const alone = await train(more, undefined, 12);
  const together = await train(more, group, 12);
  expect(alone.history.length).toBeLessThan(12);
  expect(together.history.length).toBe(alone.history.length);
  const bestOf = async (logdir: string) => {
    await using run = await TrainedRun.open(logdir, { threads: 1 });
    return run.checkpoint.epoch;
  };
  expect(await bestOf(alone.logdir)).toBeLessThan(alone.history.length);
  expect(await bestOf(together.logdir)).toBe(await bestOf(alone.logdir));
});

test("probes change no bit", async () => {
  const table = rows.slice(TRAIN).map(({ filepath, hue, stripes }) => [filepath, hue, stripes].join(","));
  await writeFile(join(folder, "probes.csv"), `filepath,hue,stripes\n${table.join("\n")}\n`);
  const more = { image_root: folder };
  const plain = await train(more, group);
  const probes = {
    downstream_labels: { table: "probes.csv", columns: ["stripes", "hue"] },
    ...{ rotation_test: true, query_fig: 3, visualize_kernels: true },
  };
  const probed = await train({ ...more, ...probes }, group);
  expect(largestDistance(probed.state, plain.state)).toBe(0);
  expect(Object.keys(probed.history.at(-1)?.scalars ?? {}).length).toBeGreaterThan(
    Object.keys(plain.history.at(-1)?.scalars ?? {}).length,
  );
});

describe("what several ranks do not do", () => {
  // JavaScript callers have no types.
  const runtime = (): RuntimeOptions => ({ ranks: group }) as RuntimeOptions;

  test("other kernels on one rank are refused by name, before a step", async () => {
    let own: ChannelBlock | undefined;
    group.revise = (message) => {
      if (message.kind !== "open") return message;
      own = message.kernels.channelBlock;
      return { ...message, kernels: { ...message.kernels, channelBlock: own === 8 ? 16 : 8 } };
    };
    await expect(train({}, group)).rejects.toThrow(
      /this machine computes on cpu.*rank 0 on cpu by blocks of (8|16) channels.*E_RANKS/s,
    );
    expect(group.told).not.toContain("step");
  });

  test("a sweep, a cross-validation and a series are refused", async () => {
    const options = optionsFor({ val_labels: null });
    const refusal = /is for one process, found ranks.*E_USAGE/s;
    await expect(crossValidate(options, { runtime: runtime() })).rejects.toThrow(refusal);
    await expect(trainSeries([], { runtime: runtime() })).rejects.toThrow(refusal);
    const experiment = experimentFromOptions(options, {});
    const sweep = { directory: join(folder, "sweep"), axes: [], runtime: runtime() };
    await expect(runSweep(experiment, sweep as unknown as SweepOptions)).rejects.toThrow(refusal);
  });

  test("a test of rates is refused", async () => {
    const sources = { leader: { beginEpoch: () => undefined } } as unknown as Parameters<typeof testRates>[0];
    await expect(testRates(sources, { low: 1e-6, high: 1, steps: 5 })).rejects.toThrow(/E_USAGE/);
  });
});
