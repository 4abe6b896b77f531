// Two processes that mpiexec starts train as one: the weights, the log and the reports of one process.
// Skipped by name where no MPI is (mttc setup-mpi brings one).
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { epochOrder } from "../../runtime/labels/sampler.ts";
import type { LabelRow } from "../../runtime/tables/labelTable.ts";
import { MultiTaskTrainer } from "../../runtime/train/multiTaskTrainer.ts";
import {
  experimentFromOptions,
  readLabels,
  type TrainerOptions,
} from "../../runtime/train/trainerOptions.ts";
import { RANKS_FACTORED, RANKS_FACTORS, RANKS_NORMED, RANKS_TRAINED } from "../tolerances.ts";
import { patternOptions, writePatternImages } from "../training/patternImages.ts";
import { FailingRun, type FailingStart } from "./failingJob.ts";
import type { FailingNews } from "./failingRank.ts";
import { mpichHere } from "./mpiPrograms.ts";
import { largestDistance, type StateNumbers, stateIn } from "./stateDistance.ts";

const mpi = mpichHere();
const here = mpi ? "" : " (skipped: no MPI is here; `mttc setup-mpi` brings one)";
const TRAIN = 147;
const EPOCHS = 4;
const CLASSES = { hue: ["red", "green", "blue"], stripes: ["level", "upright"] };
const FAMO = { combine: "famo", task_weights: null } as const;

let folder: string;
let base: TrainerOptions;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "mttc-rank-processes-"));
  const all = await writePatternImages(join(folder, "images"), 240);
  // Among classes of one size the gradients of a bias cancel, and rounding is a large part of what is left.
  const rows = all.filter(({ stripes, hue }, i) => (stripes !== "upright" && hue !== "red") || i % 2 === 0);
  base = { ...patternOptions(rows, TRAIN), batch_size: 12, lr: 5e-4 };
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Trains with several processes, which end well; what they told. */
async function trainRanks(
  options: TrainerOptions,
  { size = 2, epochs = EPOCHS, resume = false }: { size?: number; epochs?: number; resume?: boolean } = {},
): Promise<readonly FailingNews[]> {
  const run = start({ size, options, epochs, resume, delays: [] });
  expect(await run.ends(), run.said).toBe(0);
  expect(run.said).toBe("");
  expect(run.news.filter(({ kind }) => kind === "fault")).toEqual([]);
  return run.news;
}

const started: FailingRun[] = [];

function start(more: Omit<FailingStart, "mpi" | "folder">): FailingRun {
  // As patient as a run of a user.
  const run = new FailingRun({ mpi: mpi!, folder, channel: {}, ...more });
  started.push(run);
  return run;
}

afterEach(async () => {
  for (const run of started.splice(0)) await run.cleanUp();
});

/** Tensors of a state by what they are. */
function those(state: StateNumbers, names: ReadonlySet<string>): StateNumbers {
  return new Map([...state].filter(([name]) => names.has(name)));
}

describe.skipIf(!mpi)(`two processes${here}`, () => {
  test.each<[string, number, Partial<TrainerOptions>]>([
    ["dropout, learned weights and missing labels", RANKS_TRAINED, { batchnorm: false }],
    ["batch norms", RANKS_NORMED, { batchnorm: true }],
    ["losses weighed by famo", RANKS_FACTORED, { ...FAMO, batchnorm: false }],
    ["famo in micro-batches", RANKS_FACTORED, { ...FAMO, batchnorm: true, accumulate: 2 }],
    ["famo, batch norms and augmentation", RANKS_FACTORED, { ...FAMO, augment: { brightness_delta: 0.2 } }],
  ])("with %s end with the weights of one", async (name, tolerance, more) => {
    const [alone, together] = [join(folder, `alone ${name}`), join(folder, `together ${name}`)];
    const lines: string[] = [];
    await using trainer = new MultiTaskTrainer({ ...base, ...more, logdir: alone });
    trainer.on("log", ({ message }) => lines.push(message));
    await trainer.fit(EPOCHS);
    const news = await trainRanks({ ...base, ...more, logdir: together });
    const { state } = await trainer.manifest();
    const factors = new Set(state.flatMap(({ name, group }) => (group === "factor" ? [name] : [])));
    const distance = async (isWanted: (name: string) => boolean) => {
      const wanted = async (logdir: string) =>
        new Map([...(await stateIn(logdir))].filter(([key]) => isWanted(key)));
      return largestDistance(await wanted(together), await wanted(alone));
    };
    expect(await distance((key) => !factors.has(key))).toBeLessThan(tolerance);
    if (factors.size > 0) expect(await distance((key) => factors.has(key))).toBeLessThan(RANKS_FACTORS);
    expect(news.filter(({ kind }) => kind === "epoch").length).toBe(EPOCHS);
    const logged = news.flatMap((told) => (told.kind === "log" ? [told.text] : []));
    // The time that looking at images took is another, and so is the folder.
    const alike = (all: readonly string[], logdir: string) =>
      all.map((line) => line.replace(/\d+\.\d+ s/g, "s").replace(logdir, "logdir"));
    expect(alike(logged, together)).toEqual(alike(lines, alone));
  });

  test("with norms of their own rows end with the weights that as many micro-batches give one", async () => {
    const own = { ...base, batchnorm: true, sync_batchnorm: false };
    const [alone, together] = [join(folder, "micro-batches"), join(folder, "own norms")];
    await using trainer = new MultiTaskTrainer({ ...own, accumulate: 2, logdir: alone });
    await trainer.fit(1);
    await trainRanks({ ...own, logdir: together }, { epochs: 1 });
    const { state } = await trainer.manifest();
    const weights = new Set(state.flatMap(({ name, group }) => (group === "statistic" ? [] : [name])));
    expect(weights.size).toBeLessThan(state.length);
    const weightsIn = async (logdir: string) => those(await stateIn(logdir), weights);
    expect(largestDistance(await weightsIn(together), await weightsIn(alone))).toBeLessThan(RANKS_NORMED);
  });

  test("with norms of their own rows have the mean of their statistics", async () => {
    // One step; without dropout norms know nothing but their images and the first weights.
    const norms = { batchnorm: true, sync_batchnorm: false, shared_layers: [6], balance_probs: false };
    const step = { ...base, ...norms, classes: CLASSES, val_labels: null };
    const rows = (base.train_labels as readonly LabelRow[]).slice(0, 12);
    const options = { ...step, train_labels: rows, logdir: join(folder, "one step") };
    await trainRanks(options, { epochs: 1 });
    const { labels } = (await readLabels(experimentFromOptions(options, {}))).train;
    const order = epochOrder({ labels, batchSize: 12, seed: 5, epoch: 1, balanced: false });
    const statistics = new Set<string>();
    const halves: StateNumbers[] = [];
    for (const first of [0, 6]) {
      const ofRank = Array.from(order.subarray(first, first + 6), (row) => rows[row]!);
      const logdir = join(folder, `half ${first}`);
      const half = { ...step, train_labels: ofRank, batch_size: 6, sync_batchnorm: true, logdir };
      await using trainer = new MultiTaskTrainer(half);
      await trainer.fit(1);
      const { state } = await trainer.manifest();
      for (const { name, group } of state) if (group === "statistic") statistics.add(name);
      halves.push(those(await stateIn(logdir), statistics));
    }
    const [first, second] = halves as [StateNumbers, StateNumbers];
    expect(statistics.size).toBeGreaterThan(0);
    const means = new Map(
      [...first].map(([name, values]) => {
        const other = second.get(name) as Float32Array;
        return [name, (values as Float32Array).map((value, i) => (value + other[i]!) / 2)];
      }),
    );
    const together = those(await stateIn(options.logdir), statistics);
    expect(largestDistance(together, means)).toBeLessThan(RANKS_TRAINED);
    // The halves are not alike: the mean is of both.
    for (const half of halves) expect(largestDistance(together, half)).toBeGreaterThan(RANKS_NORMED);
  });

  test("with batch norms are gone on with by three in mid-epoch, then by one, to the same end", async () => {
    const norms = { ...base, batchnorm: true };
    const [alone, parts] = [join(folder, "whole"), join(folder, "parts")];
    await using trainer = new MultiTaskTrainer({ ...norms, cache_features: false, logdir: alone });
    await trainer.fit(EPOCHS);
    const first = start({ size: 2, options: { ...norms, logdir: parts }, epochs: EPOCHS });
    await first.hears("step", { epoch: 2, step: 3 });
    await first.kill(0, "SIGINT");
    expect(await first.hears("fault", { rank: 0 })).toMatchObject({ code: "E_INTERRUPTED" });
    await first.ends();
    await trainRanks({ ...norms, logdir: parts }, { size: 3, epochs: 3, resume: true });
    await using last = new MultiTaskTrainer({ ...norms, cache_features: false, logdir: parts });
    expect((await last.fit(EPOCHS, { resume: true })).length).toBe(EPOCHS);
    expect(largestDistance(await stateIn(parts), await stateIn(alone))).toBeLessThan(RANKS_NORMED);
  });
});
