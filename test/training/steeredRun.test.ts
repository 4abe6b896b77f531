// Runs on image files with schedules, bounded gradients, averages, rates by layer and bounded task weights:
// cut in the middle and resumed they end with the bits of an uninterrupted run, whatever reads weights reads
// the averages, and a schedule that the run has no steps for is told.
import { createHash } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { averageName } from "../../compiler/step/averages.ts";
import { learningRateAt, scheduleOf } from "../../compiler/step/schedules.ts";
import { exportRun } from "../../runtime/export/exportRun.ts";
import { TrainedRun } from "../../runtime/infer/trainedRun.ts";
import { loadNewestCheckpoint } from "../../runtime/runs/checkpoints.ts";
import type { EpochReport, StepEvent } from "../../runtime/train/events.ts";
import { MultiTaskTrainer } from "../../runtime/train/multiTaskTrainer.ts";
import type { TrainerOptions } from "../../runtime/train/trainerOptions.ts";
import { faultsOfAsync } from "../spec/faultsOf.ts";
import { BOUND_FLOAT32, SCHEDULE_FLOAT64 } from "../tolerances.ts";
import { patternOptions, writePatternImages } from "./patternImages.ts";

let folder: string;
let options: TrainerOptions;

/** Steps of an epoch: 28 rows in batches of 8. */
const STEPS = 4;
const STEERED: Partial<TrainerOptions> = {
  ...{ lr: 0.01, warmup: 3, lr_decay: 4, decay_type: "cosine" },
  ...{ clip_norm: 0.5, ema: 0.9, layer_lr: 0.5, max_task_weight: 0.38 },
};

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "mttc-steer-"));
  const rows = await writePatternImages(join(folder, "images"), 40);
  options = patternOptions(rows, 28);
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** What a run has ended with. */
interface Ended {
  readonly hash: string;
  readonly said: readonly string[];
  readonly history: readonly EpochReport[];
  readonly rates: readonly number[];
}

async function trainTo(
  more: Partial<TrainerOptions>,
  epochs: number,
  { resume = false, stopAt = Number.POSITIVE_INFINITY, plannedEpochs = epochs } = {},
): Promise<Ended> {
  await using trainer = new MultiTaskTrainer({ ...options, ...more });
  const abort = new AbortController();
  const [said, rates]: [string[], number[]] = [[], []];
  trainer.on("log", ({ message }) => said.push(message));
  trainer.on("step", ({ epoch, step, learningRate }: StepEvent) => {
    rates.push(learningRate);
    if ((epoch - 1) * STEPS + step === stopAt) abort.abort();
  });
  const fit = trainer.fit(epochs, { resume, signal: abort.signal, plannedEpochs });
  if (stopAt === Number.POSITIVE_INFINITY) await fit;
  else expect((await faultsOfAsync(() => fit))[0]?.code).toBe("E_INTERRUPTED");
  const { tensors } = await loadNewestCheckpoint(more.logdir ?? "");
  const hash = createHash("sha256");
  for (const [name, { data }] of tensors) hash.update(name).update(data);
  return { hash: hash.digest("hex"), said, history: [...trainer.history], rates };
}

describe("a steered run", () => {
  test.each<[string, Partial<TrainerOptions>]>([
    ["with all of it", {}],
    ["in micro-batches", { accumulate: 2 }],
    ["with a frozen fcn", { train_fcn: false, layer_lr: 1 }],
    [
      "with a frozen fcn on features, in micro-batches",
      { train_fcn: false, layer_lr: 1, cache_features: true, accumulate: 2 },
    ],
    [
      "of lars in one cycle",
      { optimizer: "lars", lr: 0.5, warmup: null, lr_decay: 0, decay_type: "exponential", one_cycle: true },
    ],
    ["of adamw on a staircase", { optimizer: "adamw", weight_decay: 0.1, decay_type: "staircase" }],
    ["of momentum after a rise, with a cosine to 1 %", { optimizer: "momentum", decay_type: "warmupcosine" }],
  ])("%s, cut in its middle, resumes to the same bits", async (name, more) => {
    const keys = { ...STEERED, ...more };
    const whole = await trainTo({ ...keys, logdir: join(folder, `${name} whole`) }, 3);
    const logdir = join(folder, `${name} cut`);
    const cut = await trainTo({ ...keys, logdir }, 3, { stopAt: STEPS + 2 });
    const rest = await trainTo({ ...keys, logdir }, 3, { resume: true });
    expect(rest.hash).toBe(whole.hash);
    expect(cut.hash).not.toBe(whole.hash);
    expect([...cut.rates, ...rest.rates]).toEqual(whole.rates);
    const ratesOf = ({ history }: Ended) => history.map(({ scalars }) => scalars?.lr);
    expect(ratesOf(rest)).toEqual(ratesOf(whole));
  });

  test("reports the rate that each epoch ended with", async () => {
    const { history, rates } = await trainTo({ ...STEERED, logdir: join(folder, "rates") }, 3);
    await using trainer = new MultiTaskTrainer({ ...options, ...STEERED });
    const schedule = scheduleOf(trainer.spec);
    expect(rates).toEqual(Array.from({ length: 3 * STEPS }, (_, step) => learningRateAt(schedule, step, 0)));
    expect(history.map(({ scalars }) => scalars?.lr)).toEqual([rates[3], rates[7], rates[11]]);
    expect(new Set(rates).size).toBeGreaterThan(6);
    const plain = await trainTo({ logdir: join(folder, "constant") }, 1);
    expect(plain.history[0]?.scalars?.lr).toBe(0.001);
  });

  test("holds learned weights at max_task_weight", async () => {
    const { history } = await trainTo({ ...STEERED, lr: 0.05, logdir: join(folder, "bounded") }, 3);
    const weights = history.flatMap(({ taskWeights }) => Object.values(taskWeights));
    for (const weight of weights) expect(weight).toBeLessThanOrEqual(0.38 + BOUND_FLOAT32);
    expect(weights.some((weight) => weight > 0.379)).toBe(true);
  });
});

describe("averaged weights", () => {
  test("are what is evaluated, exported and given as parameters, in training and of the run", async () => {
    const logdir = join(folder, "averaged");
    await using trainer = new MultiTaskTrainer({ ...options, ...STEERED, logdir });
    const history = await trainer.fit(2);
    const { tensors } = await loadNewestCheckpoint(logdir);
    const floats = (name: string): number[] => {
      const data = tensors.get(name)?.data ?? new Uint8Array();
      return [...new Float32Array(Uint8Array.from(data).buffer)];
    };
    await using run = await TrainedRun.open(logdir);
    const [live, stored] = [await trainer.parameters(), await run.parameters()];
    const { parameters } = await trainer.manifest();
    const trained = parameters.filter((each) => each.trained && each.role !== "log_variance");
    expect(trained.some(({ role }) => role === "running_var")).toBe(true);
    for (const { name } of trained) {
      expect([...(live.get(name) ?? [])], name).toEqual(floats(averageName(name)));
      expect([...(stored.get(name) ?? [])], name).toEqual(floats(averageName(name)));
      expect(floats(averageName(name)), name).not.toEqual(floats(name));
    }
    expect(await run.evaluate(await run.labels())).toEqual(history.at(-1)?.evaluation);
    const { checks } = await exportRun(run, { directory: join(folder, "export") });
    expect(checks.length).toBeGreaterThan(0);
    for (const { passed } of checks) expect(passed).toBe(true);
  });

  test("leave the training of the raw weights as it is without them, to the bit", async () => {
    const weightsOf = async (ema: number): Promise<Map<string, string>> => {
      const logdir = join(folder, `raw ${ema}`);
      await trainTo({ ...STEERED, ema, logdir }, 2);
      const { tensors } = await loadNewestCheckpoint(logdir);
      return new Map([...tensors].map(([name, { data }]) => [name, Buffer.from(data).toString("hex")]));
    };
    const [without, averaged] = [await weightsOf(0), await weightsOf(0.9)];
    expect(averaged.size).toBeGreaterThan(without.size);
    for (const [name, bytes] of without) expect(averaged.get(name), name).toBe(bytes);
  });
});

describe("what is said of a schedule", () => {
  test("that the run has no steps for is said once, when training begins", async () => {
    const logdir = join(folder, "long");
    const keys = { warmup: 100, logdir };
    const said = (lines: readonly string[]) => lines.filter((line) => line.startsWith("warmup"));
    const first = await trainTo(keys, 2, { stopAt: 3 });
    expect(said(first.said)).toEqual([
      "warmup: 100 steps are not fewer than the run's 8 (2 epochs of 4): the rate comes to 0.00007 of 0.001",
    ]);
    expect(said((await trainTo(keys, 2, { resume: true })).said)).toEqual([]);
    expect(said((await trainTo(keys, 3, { resume: true })).said)).toHaveLength(1);
  });

  test("over the whole run keeps what the run began with, and says so", async () => {
    const logdir = join(folder, "cycle");
    const keys = { one_cycle: true, lr: 0.01, logdir } as const;
    const first = await trainTo(keys, 2);
    expect(Math.abs((first.rates.at(-1) ?? 1) - 0.01 / 250_000)).toBeLessThan(SCHEDULE_FLOAT64);
    const more = await trainTo(keys, 3, { resume: true });
    expect(more.said.filter((line) => line.startsWith("one_cycle"))).toEqual([
      "one_cycle: spans the 8 steps that the run was begun with; the 4 after them train at a rate of 4e-8 " +
        "(a new run has a cycle over all)",
    ]);
    expect(more.rates).toEqual(Array(STEPS).fill(first.rates.at(-1)));
  });

  test("trained in pieces spans what was planned", async () => {
    const keys = { one_cycle: true, lr: 0.01 } as const;
    const whole = await trainTo({ ...keys, logdir: join(folder, "one piece") }, 3);
    const logdir = join(folder, "pieces");
    const first = await trainTo({ ...keys, logdir }, 1, { plannedEpochs: 3 });
    const rest = await trainTo({ ...keys, logdir }, 3, { resume: true });
    expect([...first.rates, ...rest.rates]).toEqual(whole.rates);
    expect(rest.hash).toBe(whole.hash);
    await using trainer = new MultiTaskTrainer(options);
    const faults = await faultsOfAsync(() => trainer.fit(3, { plannedEpochs: 2 }));
    expect(faults[0]).toMatchObject({ code: "E_USAGE", message: expect.stringContaining("plannedEpochs") });
  });
});
