// Two processes that mpiexec starts train as one: the weights, the log and the reports of one process.
// Skipped by name where no MPI is (mttc setup-mpi brings one).
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { MultiTaskTrainer } from "../../runtime/train/multiTaskTrainer.ts";
import type { TrainerOptions } from "../../runtime/train/trainerOptions.ts";
import { PROJECT_ROOT } from "../projectRoot.ts";
import { RANKS_FACTORED, RANKS_FACTORS, RANKS_NORMED, RANKS_TRAINED } from "../tolerances.ts";
import { patternOptions, writePatternImages } from "../training/patternImages.ts";
import { mpichHere } from "./mpiPrograms.ts";
import { largestDistance, stateIn } from "./stateDistance.ts";
import type { TrainJob, TrainOutcome } from "./trainRank.ts";

const mpi = mpichHere();
const here = mpi ? "" : " (skipped: no MPI is here; `mttc setup-mpi` brings one)";
const TRAIN = 147;
const EPOCHS = 4;
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

/** Trains with two processes; what rank 0 says came of it. */
function trainRanks(job: TrainJob): TrainOutcome {
  const file = join(folder, "job.json");
  writeFileSync(file, JSON.stringify(job));
  const program = [process.execPath, join(PROJECT_ROOT, "dist", "test", "ranks", "trainRank.js"), file];
  const { status, stderr } = spawnSync(mpi!.mpiexec, [...mpi!.flags, "-n", "2", ...program], {
    env: { ...process.env, ...mpi!.environment },
    encoding: "utf8",
    timeout: 240_000,
  });
  expect(stderr).toBe("");
  expect(status).toBe(0);
  return JSON.parse(readFileSync(`${file}.outcome`, "utf8")) as TrainOutcome;
}

describe.skipIf(!mpi)(`two processes${here}`, () => {
  test.each<[string, number, Partial<TrainerOptions>]>([
    ["dropout, learned weights and missing labels", RANKS_TRAINED, { batchnorm: false }],
    ["batch norms", RANKS_NORMED, { batchnorm: true }],
    ["losses weighed by famo", RANKS_FACTORED, { ...FAMO, batchnorm: false }],
    ["famo, batch norms and augmentation", RANKS_FACTORED, { ...FAMO, augment: { brightness_delta: 0.2 } }],
  ])("with %s end with the weights of one", async (name, tolerance, more) => {
    const [alone, together] = [join(folder, `alone ${name}`), join(folder, `together ${name}`)];
    const lines: string[] = [];
    await using trainer = new MultiTaskTrainer({ ...base, ...more, logdir: alone });
    trainer.on("log", ({ message }) => lines.push(message));
    await trainer.fit(EPOCHS);
    const outcome = trainRanks({ options: { ...base, ...more, logdir: together }, epochs: EPOCHS });
    expect(outcome.fault).toBeUndefined();
    const { state } = await trainer.manifest();
    const factors = new Set(state.flatMap(({ name, group }) => (group === "factor" ? [name] : [])));
    const distance = async (isWanted: (name: string) => boolean) => {
      const wanted = async (logdir: string) =>
        new Map([...(await stateIn(logdir))].filter(([key]) => isWanted(key)));
      return largestDistance(await wanted(together), await wanted(alone));
    };
    expect(await distance((key) => !factors.has(key))).toBeLessThan(tolerance);
    if (factors.size > 0) expect(await distance((key) => factors.has(key))).toBeLessThan(RANKS_FACTORS);
    expect(outcome.history.length).toBe(EPOCHS);
    // The time that looking at images took is another, and so is the folder.
    const alike = (all: readonly string[], logdir: string) =>
      all.map((line) => line.replace(/\d+\.\d+ s/g, "s").replace(logdir, "logdir"));
    expect(alike(outcome.lines, together)).toEqual(alike(lines, alone));
  });

  test("with norms of their own rows end with the weights that as many micro-batches give one", async () => {
    const own = { ...base, batchnorm: true, sync_batchnorm: false };
    const [alone, together] = [join(folder, "micro-batches"), join(folder, "own norms")];
    await using trainer = new MultiTaskTrainer({ ...own, accumulate: 2, logdir: alone });
    await trainer.fit(1);
    const outcome = trainRanks({ options: { ...own, logdir: together }, epochs: 1 });
    expect(outcome.fault).toBeUndefined();
    const { state } = await trainer.manifest();
    const weights = new Set(state.flatMap(({ name, group }) => (group === "statistic" ? [] : [name])));
    expect(weights.size).toBeLessThan(state.length);
    const weightsIn = async (logdir: string) =>
      new Map([...(await stateIn(logdir))].filter(([name]) => weights.has(name)));
    expect(largestDistance(await weightsIn(together), await weightsIn(alone))).toBeLessThan(RANKS_NORMED);
  });
});
