// Training that runs away is refused before anything of it is saved, and names the last finite checkpoint.
import { cp, mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { MttcError } from "../../compiler/diagnostics.ts";
import type { HostTensor } from "../../runtime/ort/ortHost.ts";
import { loadNewestCheckpoint, saveCheckpoint } from "../../runtime/runs/checkpoints.ts";
import { isFiniteTensor } from "../../runtime/runs/finiteTensors.ts";
import { MultiTaskTrainer } from "../../runtime/train/multiTaskTrainer.ts";
import type { TrainerOptions } from "../../runtime/train/trainerOptions.ts";
import { WeightWatch } from "../../runtime/train/weightWatch.ts";
import { faultsOfAsync } from "../spec/faultsOf.ts";
import { writePatternImages } from "./patternImages.ts";

let folder: string;
let options: TrainerOptions;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "mttc-diverge-"));
  const rows = await writePatternImages(join(folder, "images"), 24);
  options = {
    train_labels: rows.slice(0, 16),
    val_labels: rows.slice(16),
    tasks: ["hue", "stripes"],
    fcn: { layers: [4, "p"] },
    train_fcn: true,
    task_layers: [],
    imshape: [16, 16],
    // One step an epoch: what it does is seen at the epoch's end alone.
    batch_size: 16,
    seed: 3,
  };
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const checkpointsOf = async (logdir: string): Promise<string[]> => await readdir(join(logdir, "checkpoints"));

describe("an epoch whose last step spoils the weights", () => {
  // The decay of the weights multiplies them by 1e12 in each step.
  const growing = { optimizer: "momentum", lr: 1e6, weight_decay: 1e6 } as const;

  test("is E_DIVERGED, and the last finite checkpoint stays and is named", async () => {
    const logdir = join(folder, "late");
    await using trainer = new MultiTaskTrainer({ ...options, ...growing, logdir });
    const [fault] = await faultsOfAsync(() => trainer.fit(10));
    expect(fault?.code).toBe("E_DIVERGED");
    const done = trainer.history.length;
    expect(done).toBeGreaterThan(0);
    expect(done).toBeLessThan(10);
    const last = `epoch-000${done}`;
    expect(fault?.hint).toContain(
      `the last checkpoint, ${join(logdir, "checkpoints", last)}, is from before`,
    );
    expect((await checkpointsOf(logdir)).at(-1)).toBe(last);
    for (const tensor of (await loadNewestCheckpoint(logdir)).tensors.values())
      expect([tensor.name, isFiniteTensor(tensor)]).toEqual([tensor.name, true]);
    for (const { evaluation } of trainer.history)
      for (const { loss } of Object.values(evaluation?.tasks ?? {})) expect(loss).toBeLessThan(Infinity);
  });

  test("is E_DIVERGED without validation labels, and without a folder, too", async () => {
    await using trainer = new MultiTaskTrainer({ ...options, ...growing, val_labels: null, logdir: null });
    const [fault] = await faultsOfAsync(() => trainer.fit(10));
    expect([fault?.code, fault?.hint]).toEqual([
      "E_DIVERGED",
      expect.stringContaining("nothing was saved before"),
    ]);
  });

  test("in its first epoch leaves no checkpoint", async () => {
    const logdir = join(folder, "early");
    const most = { optimizer: "momentum", lr: 1e6, weight_decay: 1e30 } as const;
    await using trainer = new MultiTaskTrainer({ ...options, ...most, logdir });
    const faults = await faultsOfAsync(() => trainer.fit(3));
    expect(faults[0]?.code).toBe("E_DIVERGED");
    expect(trainer.history).toEqual([]);
    await expect(checkpointsOf(logdir)).rejects.toThrow("ENOENT");
  });

  test("is E_DIVERGED when Ctrl-C would save it", async () => {
    const abort = new AbortController();
    // The squares of adam's gradients overflow at once.
    const most = { optimizer: "adam", weight_decay: 1e30, batch_size: 8 } as const;
    await using trainer = new MultiTaskTrainer({ ...options, ...most, logdir: join(folder, "cut") });
    trainer.on("step", () => abort.abort());
    const error = await trainer.fit(3, { signal: abort.signal }).catch((thrown: MttcError) => thrown);
    expect((error as MttcError).code).toBe("E_DIVERGED");
  });
});

test("a checkpoint of an earlier version that is not finite is refused by name", async () => {
  const logdir = join(folder, "old");
  await using trainer = new MultiTaskTrainer({ ...options, logdir });
  await trainer.fit(2);
  await trainer.close();
  const { tensors, progress } = await loadNewestCheckpoint(logdir);
  const spoiled = [...tensors.values()].map((tensor, i) =>
    i === 0 ? { ...tensor, data: new Uint8Array(tensor.data.length).fill(0xff) } : tensor,
  );
  await cp(logdir, `${logdir}-copy`, { recursive: true });
  const path = await saveCheckpoint(logdir, { epoch: 3, tensors: spoiled, progress });
  await using again = new MultiTaskTrainer({ ...options, logdir });
  const [fault] = await faultsOfAsync(() => again.fit(4, { resume: true }));
  expect(fault).toMatchObject({ code: "E_DIVERGED", at: { file: path } });
});

describe("a learned weight", () => {
  const watched = (s: Record<string, number>) => ({
    readState: async (): Promise<Map<string, HostTensor>> => {
      reads += 1;
      return new Map(
        Object.entries(s).map(([task, value]) => [
          `tasks.${task}.log_variance`,
          { dtype: "float32", shape: [], data: Float32Array.of(value) },
        ]),
      );
    },
  });
  let reads = 0;
  const at = { epoch: 3, step: 7, last: "runs/a/checkpoints/epoch-0002" };

  test("is told of when it passes 20, once for each task", async () => {
    const said: string[] = [];
    const watch = new WeightWatch(["a", "b"], 1, (message) => said.push(message));
    for (const s of [1, -2.9, -3, -3.1, -4]) await watch.look(watched({ a: s, b: 1 }), at);
    await watch.look(watched({ a: -4, b: -5 }), at);
    expect(said).toEqual([
      expect.stringMatching(
        /^task "a": its learned weight is 20\.1 \(epoch 3, step 7\).*\(max_task_weight: 20 holds it there, /,
      ),
      expect.stringMatching(/^task "b": its learned weight is 148\.4 /),
    ]);
  });

  test("that is bounded is told to come to its bound", async () => {
    const said: string[] = [];
    const watch = new WeightWatch(["a"], 1, (message) => said.push(message), 150);
    await watch.look(watched({ a: -4 }), at);
    expect(said).toEqual([
      expect.stringMatching(/^task "a": .* 54\.6 .* up to max_task_weight, 150; until then/),
    ]);
  });

  test("is E_DIVERGED, with its task, far below float32's end", async () => {
    const watch = new WeightWatch(["a", "b"], 1e-3, () => undefined);
    const faults = await faultsOfAsync(() => watch.look(watched({ a: 0, b: -41.5 }), at));
    expect(faults).toEqual([
      {
        code: "E_DIVERGED",
        message: "the task's learned weight became 1.1e+18 in epoch 3, step 7",
        at: { path: "tasks.b" },
        hint: expect.stringContaining("runs/a/checkpoints/epoch-0002, is from before"),
      },
    ]);
    await expect(watch.look(watched({ a: Number.NaN, b: 0 }), at)).rejects.toThrow("tasks.a");
  });

  test.each([1e-3, 0.04, 0.5, 8])("falling as fast as lr %f allows, is seen in time", async (lr) => {
    const watch = new WeightWatch(["a"], lr, () => undefined);
    let [s, steps] = [1, 0];
    reads = 0;
    const fall = async (): Promise<void> => {
      for (; s > -88 && steps < 1e6; s -= 5 * lr, steps++) await watch.afterStep(watched({ a: s }), at);
    };
    await expect(fall()).rejects.toThrow("E_DIVERGED");
    // Within one step of the bound, 1e18.
    expect(s).toBeGreaterThan(-Math.log(1e18) - 5 * lr);
    expect(reads).toBeLessThan(20 + steps / 4);
  });

  test("of a solved task ends the run before the other task is spoiled", async () => {
    // Every row has the same hue: a task that is solved at once.
    const rows = (options.train_labels as Record<string, string | null>[]).map((row) => ({
      ...row,
      hue: row.hue === null ? null : "red",
    }));
    const classes = { hue: ["red", "green"] };
    const adaptive = { train_labels: rows, val_labels: null, classes, task_weights: "adaptive" } as const;
    const said: string[] = [];
    await using trainer = new MultiTaskTrainer({ ...options, ...adaptive, lr: 0.04, batch_size: 2 });
    trainer.on("log", ({ message }) => said.push(message));
    const faults = await faultsOfAsync(() => trainer.fit(300));
    expect(faults.map(({ code, at: place }) => [code, place?.path])).toEqual([["E_DIVERGED", "tasks.hue"]]);
    expect(said.filter((line) => line.includes('task "hue": its learned weight'))).toHaveLength(1);
    const { taskWeights, trainLoss } = trainer.history.at(-1) ?? {};
    expect(taskWeights?.hue).toBeLessThan(1e18);
    expect(trainLoss?.stripes).toBeLessThan(10);
  });
});

test("tensors of floats are looked at to the last number, others are not", () => {
  const bytes = (values: Float32Array): Uint8Array => new Uint8Array(values.buffer);
  const tensor = (values: number[]) => ({
    dtype: "float32" as const,
    data: bytes(Float32Array.from(values)),
  });
  expect(isFiniteTensor(tensor([0, 3.4e38]))).toBe(true);
  for (const bad of [Number.NaN, Infinity, -Infinity]) expect(isFiniteTensor(tensor([0, bad]))).toBe(false);
  const shifted = new Uint8Array(9);
  shifted.set(bytes(Float32Array.of(1, Number.NaN)), 1);
  expect(isFiniteTensor({ dtype: "float32", data: shifted.subarray(1) })).toBe(false);
  expect(isFiniteTensor({ dtype: "int64", data: new Uint8Array(8).fill(0xff) })).toBe(true);
});
