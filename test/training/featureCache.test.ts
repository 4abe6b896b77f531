// Runs that read features computed once, on real (small) image files: the same losses and weights, to the
// bit, as runs that put every image through the frozen trunk in every epoch; what is on the disk is used
// again, and never silently where an image, or the trunk, is another.
import { existsSync } from "node:fs";
import { copyFile, mkdtemp, readdir, rm, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { imageSize } from "../../compiler/augment/augmentGraph.ts";
import { MttcError } from "../../compiler/diagnostics.ts";
import { trunkParts } from "../../compiler/model/importedTrunk.ts";
import { augmentSettings } from "../../compiler/spec/augmentKeys.ts";
import { drawAugmentRows } from "../../runtime/augment/augmentRows.ts";
import type { ImageStreams } from "../../runtime/batches/imageStreams.ts";
import { BatchLoader } from "../../runtime/batches/loader.ts";
import { evaluationOrder } from "../../runtime/tables/rowOrder.ts";
import { FeatureCache, type FeatureContext } from "../../runtime/train/featureCache.ts";
import { MultiTaskTrainer } from "../../runtime/train/multiTaskTrainer.ts";
import { experimentFromOptions, type TrainerOptions } from "../../runtime/train/trainerOptions.ts";
import { TrainingSession } from "../../runtime/train/trainingSession.ts";
import { faultsOfAsync } from "../spec/faultsOf.ts";
import { patternOptions, writePatternImages } from "./patternImages.ts";
import { withoutClock } from "./withoutClock.ts";

const RESIDUAL = resolve("test/fixtures/import/residual-17-training.onnx");
const ROWS = 22;
let folder: string;
let options: TrainerOptions;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "mttc-features-"));
  const rows = await writePatternImages(join(folder, "images"), 32);
  options = { ...patternOptions(rows, ROWS), fcn: { layers: [4, "p", 8] }, train_fcn: false };
});

afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

interface Outcome {
  readonly history: readonly ReturnType<typeof withoutClock>[];
  readonly weights: ReadonlyMap<string, Float32Array>;
  readonly messages: readonly string[];
}

/** Trains until `epochs` are done and tells what came of it, without what a clock says. */
async function train(more: Partial<TrainerOptions>, epochs = 2, resume = false): Promise<Outcome> {
  await using trainer = new MultiTaskTrainer({ ...options, ...more });
  const messages: string[] = [];
  trainer.on("log", ({ message }) => messages.push(message));
  const reports = await trainer.fit(epochs, { resume });
  return { history: reports.map(withoutClock), weights: await trainer.parameters(), messages };
}

const READS = /^training reads the features of/;

function expectSame(cached: Outcome, plain: Outcome): void {
  expect(cached.messages.filter((message) => READS.test(message))).toHaveLength(1);
  expect(plain.messages.filter((message) => READS.test(message))).toEqual([]);
  expect(cached.history).toEqual(plain.history);
  expect([...cached.weights.keys()]).toEqual([...plain.weights.keys()]);
  for (const [name, values] of plain.weights) expect(cached.weights.get(name), name).toEqual(values);
}

describe("a run on features computed once", () => {
  test.each<[string, Partial<TrainerOptions>]>([
    ["with balanced draws and dropout", {}],
    ["in micro-batches", { accumulate: 2 }],
    ["on a permutation, with class weights", { balance_probs: false, class_weights: "balanced" }],
    ["without validation", { val_labels: null }],
    ["on an imported trunk", { fcn: RESIDUAL, imshape: [32, 32], batchnorm: false }],
  ])("ends with the bits of a run on images, %s", async (_, more) => {
    const plain = await train({ ...more, cache_features: false });
    const cached = await train(more);
    expectSame(cached, plain);
    const computed = more.val_labels === null ? ROWS : 32;
    expect(cached.messages.at(-1)).toMatch(`${computed} images were computed now`);
  });

  test("does so where only a part of the trunk is frozen", async () => {
    const more = { fcn: RESIDUAL, imshape: [32, 32], batchnorm: false } satisfies Partial<TrainerOptions>;
    const from = await cuttableNode(more);
    const plain = await train({ ...more, train_fcn: { from }, cache_features: false });
    const cached = await train({ ...more, train_fcn: { from }, cache_features: true });
    expectSame(cached, plain);
    const changed = [...cached.weights].filter(([name]) => name.startsWith("fcn."));
    const frozen = (await train({ ...more, cache_features: false })).weights;
    expect(
      changed.filter(([name, values]) => String(values) !== String(frozen.get(name))).length,
    ).toBeGreaterThan(0);
  });

  test.each([1, 2])(
    "interrupted in its middle goes on to the same bits, in %i micro-batches",
    async (accumulate) => {
      const plain = await train({ accumulate, cache_features: false });
      const logdir = join(folder, `cut-${accumulate}`);
      const abort = new AbortController();
      await using trainer = new MultiTaskTrainer({ ...options, accumulate, logdir });
      trainer.on("step", ({ epoch, step }) => {
        if (epoch === 2 && step === 2) abort.abort();
      });
      await expect(trainer.fit(2, { signal: abort.signal })).rejects.toThrow(/E_INTERRUPTED/);
      await trainer.close();
      const rest = await train({ accumulate, logdir }, 2, true);
      expect(rest.messages.find((message) => READS.test(message))).not.toMatch("computed now");
      expectSame(rest, plain);
    },
  );

  test("evaluates, predicts and exports from images as before", async () => {
    await using trainer = new MultiTaskTrainer({ ...options, logdir: join(folder, "served") });
    await trainer.fit(2);
    const { paths } = await trainer.evaluationRows();
    const before = [await trainer.evaluate(), await trainer.predict([...paths])];
    await trainer.close();
    await using again = await MultiTaskTrainer.fromRun(join(folder, "served"));
    expect([await again.evaluate(), await again.predict([...paths])]).toEqual(before);
  });
});

describe("a trunk that is trained from within a block", () => {
  test("has no single value to keep: auto says so, and asking for it is refused", async () => {
    const more = { fcn: RESIDUAL, imshape: [32, 32], batchnorm: false } satisfies Partial<TrainerOptions>;
    await using whole = new MultiTaskTrainer({ ...options, ...more });
    const nodes = (await whole.trunk())?.graph.nodes ?? [];
    // The last node is the activation after a sum, one of whose terms passes by.
    const from = nodes.at(-3)?.outputs[0]?.name ?? "";
    const { messages } = await train({ ...more, train_fcn: { from } }, 2);
    expect(messages.join("\n")).toMatch(/the frozen part of the fcn runs in every epoch: no single value/);
    const asked = { ...options, ...more, train_fcn: { from }, cache_features: true };
    await using trainer = new MultiTaskTrainer(asked);
    const [fault] = await faultsOfAsync(() => trainer.fit(1));
    expect(fault).toMatchObject({ code: "E_CONFIG", at: { path: "cache_features" } });
  });
});

/** The last node of the trunk that training can begin at with one value passing, and weights behind it. */
async function cuttableNode(more: Partial<TrainerOptions>): Promise<string> {
  await using trainer = new MultiTaskTrainer({ ...options, ...more });
  const trunk = await trainer.trunk();
  if (!trunk) throw new Error("the trunk is not imported");
  const names = trunk.graph.nodes.map((node) => node.outputs[0]?.name ?? "");
  const found = names.findLast((from) => {
    const parts = trunkParts(trunk, { ...trainer.spec, train_fcn: { from } });
    return parts?.trained.graph.nodes.some((node) => node.op.name === "Conv");
  });
  if (found === undefined) throw new Error("the trunk cannot be cut");
  return found;
}

describe("features with augmentation", () => {
  const augment = { flip_left_right: true, gaussian_noise: 0.5 } as const;

  test("are not kept, and that is said, unless a number of draws is given", async () => {
    const { messages } = await train({ augment }, 2);
    expect(messages.join("\n")).toMatch(/frozen fcn runs in every epoch: .*cache_features: \{draws: 4\}/);
    expect((await train({ augment, cache_features: false }, 2)).messages.join("\n")).not.toMatch(
      "every epoch",
    );
  });

  test("are those of the draws, in turn", async () => {
    const drawn = { ...options, augment, cache_features: { draws: 2 }, balance_probs: false } as const;
    const experiment = experimentFromOptions(drawn, {});
    await using session = await TrainingSession.open(experiment, { existing: true, trains: true });
    const messages: string[] = [];
    await session.prepareInputs({ epochsLeft: 3, log: (message: string) => void messages.push(message) });
    expect(messages.join()).toMatch(`${ROWS} images, 2 augmented forms of each`);
    const order = evaluationOrder(ROWS, 8);
    const first = async (epoch: number): Promise<Float32Array> => {
      const batch = await session.features?.epoch(epoch, order, 8, 1).next();
      expect([...(batch?.rows ?? [])]).toEqual([8, 9, 10, 11, 12, 13, 14, 15]);
      return batch?.features.slice() ?? new Float32Array();
    };
    const [one, two, three] = [await first(1), await first(2), await first(3)];
    expect(three).toEqual(one);
    expect(two).not.toEqual(one);
    const { reader, labels } = session;
    await using loader = new BatchLoader({ rows: labels.train, order, batchSize: 8, reader, startBatch: 1 });
    const pixels = (await loader.next())?.images ?? new Uint8Array();
    const settings = augmentSettings(session.experiment.spec.augment) ?? {};
    const draws = { settings, size: imageSize(session.experiment.spec), seed: 5, epoch: 2 };
    const rows = Float32Array.from([...drawAugmentRows(draws, 8, 8)]);
    expect(await session.device.features(pixels, rows)).toEqual(two);
    const rest = await train({ augment, cache_features: { draws: 2 } }, 4);
    expect(rest.history).toHaveLength(4);
    expect(Object.keys(rest.history[3]?.evaluation?.tasks ?? {})).toEqual(["hue", "stripes"]);
  });
});

test("auto leaves features that are much larger than the images, or than the disk, and says so", async () => {
  const spec = experimentFromOptions(options, {}).spec;
  const paths = Array.from({ length: 3_000 }, (_, i) => `/nowhere/${i}.png`);
  const rows = { paths, locate: () => ({}) };
  const openWith = async (shape: readonly number[], side: number) => {
    const messages: string[] = [];
    const context: FeatureContext = {
      experiment: { spec, baseDirectory: folder },
      labels: { train: rows, val: undefined },
      manifest: { features: { shape, draws: 0 }, files: {} },
      host: { version: "1", provider: { kind: "cpu" } },
      device: { features: () => Promise.reject(new Error("nothing is to be computed")) },
      directory: folder,
    };
    const reader = { format: { height: side, width: side, channels: 3, greyscale: false } } as ImageStreams;
    const log = (message: string) => void messages.push(message);
    const cache = await FeatureCache.open(context, { epochsLeft: 2, reader, pixels: "", log });
    expect(cache).toBeUndefined();
    return messages.join("\n");
  };
  expect(await openWith([64, 32, 32], 16)).toMatch("its features are 341 times as large as the images");
  // 3.2 TB in all.
  expect(await openWith([2 ** 28], 8192)).toMatch(/its features take \d+\.\d+ GB of .* GB that are free/);
});

describe("kept features", () => {
  test("are used by the next run, and computed again where the trunk is another", async () => {
    const shared = { pack: join(folder, "shared") };
    const first = await train({ ...shared, cache_features: true }, 1);
    const second = await train({ ...shared, lr: 0.5 }, 1);
    expect(first.messages.at(-1)).toMatch(/32 images were computed now/);
    expect(second.messages.at(-1)).toMatch(READS);
    expect(second.messages.at(-1)).not.toMatch("computed now");
    expect((await train({ ...shared, seed: 9, cache_features: true }, 1)).messages.at(-1)).toMatch(
      /computed now/,
    );
  });

  test("are refused where an image or a shard has changed", async () => {
    const rows = await writePatternImages(join(folder, "changing"), 12);
    const files = rows.map(({ filepath }) => String(filepath));
    const more = {
      train_labels: rows,
      val_labels: null,
      logdir: join(folder, "changed"),
      cache_features: true,
    };
    await train(more, 1);
    const now = new Date();
    await utimes(files[3] ?? "", now, now);
    expect((await train(more, 2, true)).history).toHaveLength(2);
    await copyFile(files[4] ?? "", files[3] ?? "");
    const [fault] = await faultsOfAsync(() => train(more, 3, true));
    expect(fault).toMatchObject({ code: "E_DATA_CHANGED", at: { file: files[3] } });
    expect(fault?.hint).toMatch(/remove .*features-/);
    await writePatternImages(join(folder, "changing"), 12);
    const cache = join(folder, "changed", "cache");
    const [name = ""] = await readdir(cache);
    await writeFile(join(cache, name, "shard-00000.bin"), new Uint8Array(9), { flag: "r+" });
    expect((await faultsOfAsync(() => train(more, 3, true)))[0]?.code).toBe("E_SHARD_META");
  });

  test("that were being computed when the run was interrupted are kept, and nothing half-written", async () => {
    const logdir = join(folder, "early");
    let asked = 0;
    // Aborts after a few looks while features are computed: after the images were looked at, before any step.
    const isBegun = (): boolean => existsSync(join(logdir, "cache"));
    const signal = Object.defineProperty(new AbortController().signal, "aborted", {
      get: () => isBegun() && asked++ > 3,
    });
    await using trainer = new MultiTaskTrainer({ ...options, logdir, batch_size: 4 });
    const error = await trainer.fit(3, { signal }).then(
      () => undefined,
      (thrown: unknown) => thrown,
    );
    expect(error).toBeInstanceOf(MttcError);
    expect(String(error)).toMatch(/the features of \d+ of 32 images.*E_INTERRUPTED/);
    await trainer.close();
    const [name = ""] = await readdir(join(logdir, "cache"));
    expect((await readdir(join(logdir, "cache", name))).sort()).toEqual([
      "shard-00000.bin",
      "shard-00000.json",
    ]);
    const { messages } = await train({ logdir, batch_size: 4 }, 2);
    const computed = Number(/those of (\d+) images were computed now/.exec(messages.join())?.[1]);
    expect(computed).toBeGreaterThan(0);
    expect(computed).toBeLessThan(32);
  });
});
