// Training on an imported trunk, end to end on ONNX Runtime: PyTorch's export of a small residual network
// with its batch norms, and a Keras model. Frozen to the bit, trained whole, trained from a node on;
// exported with parity.
import { copyFile, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { interpret } from "../../compiler/ir/interpret.ts";
import { OPS } from "../../compiler/ops/table.ts";
import type { SpecInput } from "../../compiler/spec/schema.ts";
import { exportRun } from "../../runtime/export/exportRun.ts";
import { ImageReader } from "../../runtime/images/images.ts";
import { importKerasFile } from "../../runtime/models/kerasFile.ts";
import { MultiTaskTrainer } from "../../runtime/train/multiTaskTrainer.ts";
import type { TrainerOptions } from "../../runtime/train/trainerOptions.ts";
import { faultsOfAsync } from "../spec/faultsOf.ts";
import { writePatternImages } from "./patternImages.ts";

const RESIDUAL = resolve("test/fixtures/import/residual-17-training.onnx");
const FOLDED = resolve("test/fixtures/import/residual-11.onnx");
let folder: string;
let options: Omit<TrainerOptions, "fcn">;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "mttc-imported-"));
  const rows = await writePatternImages(join(folder, "images"), 24);
  options = {
    train_labels: rows.slice(0, 16),
    val_labels: rows.slice(16),
    tasks: ["hue", "stripes"],
    shared_layers: [6],
    task_layers: [4],
    imshape: [32, 32],
    batch_size: 8,
    lr: 0.01,
  };
});

afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

/** Parameters of the fcn before and after an epoch; the names of those that changed. */
async function changedByTraining(
  fcn: SpecInput["fcn"],
  train_fcn: SpecInput["train_fcn"],
): Promise<string[]> {
  await using trainer = new MultiTaskTrainer({ ...options, fcn, train_fcn });
  const before = await trainer.parameters();
  await trainer.fit(1);
  const after = await trainer.parameters();
  const own = [...before].filter(([name]) => name.startsWith("fcn."));
  expect(own.length).toBeGreaterThan(10);
  return own.flatMap(([name, values]) => (String(values) === String(after.get(name)) ? [] : [name]));
}

const isStatistic = (name: string): boolean => /running_(mean|var)$/.test(name);

describe("an imported trunk", () => {
  test("that is frozen does not change by a bit", async () => {
    expect(await changedByTraining(RESIDUAL, false)).toEqual([]);
  });

  test("trained whole with frozen batch norms changes all but the statistics", async () => {
    const changed = await changedByTraining(RESIDUAL, true);
    expect(changed.length).toBe(10);
    expect(changed.filter(isStatistic)).toEqual([]);
  });

  test("trained with its batch norms changes the statistics too", async () => {
    const changed = await changedByTraining({ path: RESIDUAL, batchnorm: "train" }, true);
    expect(changed.filter(isStatistic).length).toBeGreaterThan(3);
  });

  test("trained from a node on leaves what is before it", async () => {
    const whole = await changedByTraining(RESIDUAL, true);
    await using trainer = new MultiTaskTrainer({ ...options, fcn: RESIDUAL, train_fcn: true });
    const { graph } = (await trainer.trunk()) ?? { graph: undefined };
    const from = graph?.nodes.at(-4)?.outputs[0]?.name ?? "";
    const changed = await changedByTraining(RESIDUAL, { from });
    expect(changed.length).toBeGreaterThan(0);
    expect(changed.length).toBeLessThan(whole.length);
    expect(whole).toEqual(expect.arrayContaining(changed));
  });

  test("without batch norms says how to export one that has them", async () => {
    const messages: string[] = [];
    const fcn = { path: FOLDED, batchnorm: "train" } as const;
    await using trainer = new MultiTaskTrainer({ ...options, fcn, train_fcn: true });
    trainer.on("log", ({ message }) => messages.push(message));
    await trainer.fit(1);
    expect(messages.join("\n")).toMatch(/finds no batch norm.*optimize=False, dynamic_shapes=/);
  });

  test.each([
    ["ONNX, frozen", RESIDUAL, false],
    ["ONNX, trained", { path: RESIDUAL, batchnorm: "train", mean: [0.5, 0.4, 0.3], std: 0.2 } as const, true],
    ["Keras .h5", resolve("test/fixtures/keras/mobile.h5"), false],
    ["Keras .keras", resolve("test/fixtures/keras/mobile.keras"), true],
  ])("exports files that agree with the trainer: %s", async (name, fcn, train_fcn) => {
    const logdir = join(folder, name);
    await using trainer = new MultiTaskTrainer({ ...options, fcn, train_fcn, logdir });
    await trainer.fit(1);
    const report = await exportRun(trainer, { split: true });
    expect(report.checks.length).toBeGreaterThan(5);
    await trainer.close();
    await using again = await MultiTaskTrainer.fromRun(logdir);
    expect(await again.evaluate()).toEqual(trainer.history[0]?.evaluation);
  });

  test("whose file is replaced in training is not taken for the one that was trained", async () => {
    const path = join(folder, "replaced.onnx");
    await copyFile(RESIDUAL, path);
    await using trainer = new MultiTaskTrainer({ ...options, fcn: { path }, train_fcn: false });
    await trainer.fit(1);
    const before = await trainer.parameters();
    expect((await trainer.trunk())?.graph.name).toBeDefined();
    await copyFile(FOLDED, path);
    for (const read of [() => trainer.parameters(), () => trainer.trunk()])
      expect(await faultsOfAsync(read)).toMatchObject([{ code: "E_CKPT_MISMATCH", at: { path: "fcn" } }]);
    await copyFile(RESIDUAL, path);
    expect(String([...(await trainer.parameters())])).toBe(String([...before]));
  });

  test("of an unknown output names the nearest ones", async () => {
    await using trainer = new MultiTaskTrainer({ ...options, fcn: { path: RESIDUAL, output: "layer1" } });
    const [fault] = await faultsOfAsync(() => trainer.fit(1));
    expect(fault?.code).toBe("E_MODEL_OUTPUT");
    expect(fault?.hint).toMatch(/nearest names: /);
  });
});

describe("a teacher", () => {
  test("pulls the heads towards its probabilities", async () => {
    const logdir = join(folder, "teacher");
    await using teacher = new MultiTaskTrainer({ ...options, fcn: { layers: [4] }, train_fcn: true, logdir });
    await teacher.fit(6);
    await exportRun(teacher);
    const paths = [...(await teacher.evaluationRows()).paths];
    const theirs = await teacher.predict(paths);
    const student = async (file?: string): Promise<Map<string, Float32Array>> => {
      const distilled =
        file === undefined ? {} : { teacher: join(logdir, "export", file), distill_weight: 20 };
      const network = { fcn: { layers: [4] }, train_fcn: true };
      await using trainer = new MultiTaskTrainer({ ...options, ...network, seed: 9, ...distilled });
      await trainer.fit(6);
      return await trainer.predict(paths);
    };
    const plain = await student();
    expect(divergence(theirs, await student("model.onnx"))).toBeLessThan(divergence(theirs, plain) / 2);
    // The file of one task calls its output otherwise, and says in its metadata whose it is.
    const hue = (all: ReadonlyMap<string, Float32Array>) =>
      new Map([["hue", all.get("hue") ?? new Float32Array()]]);
    const ofHue = divergence(hue(theirs), hue(await student("hue.onnx")));
    expect(ofHue).toBeLessThan(divergence(hue(theirs), hue(plain)) / 2);
  });

  test("may be a Keras model whose output has the task's name", async () => {
    const rows = Array.isArray(options.train_labels) ? options.train_labels : [];
    const labelled = rows.map((row, i) => ({
      filepath: String(row.filepath),
      classes: "abcd"[i % 4] ?? "a",
    }));
    const student = {
      train_labels: labelled,
      tasks: ["classes"],
      fcn: { layers: [8, "p", 8] },
      train_fcn: true,
      task_layers: [8],
      imshape: [13, 11],
      batch_size: 8,
      lr: 0.01,
    } satisfies TrainerOptions;
    const teacher = resolve("test/fixtures/keras/sequential.h5");
    const probabilities = async (more: Partial<TrainerOptions>): Promise<Float32Array> => {
      await using trainer = new MultiTaskTrainer({ ...student, ...more });
      await trainer.fit(8);
      return (
        (await trainer.predict(labelled.map(({ filepath }) => filepath))).get("classes") ?? new Float32Array()
      );
    };
    const theirs = await probabilitiesOfKeras(
      teacher,
      labelled.map(({ filepath }) => filepath),
    );
    const far = divergence(new Map([["classes", theirs]]), new Map([["classes", await probabilities({})]]));
    const distilled = await probabilities({ teacher, distill_weight: 50 });
    expect(divergence(new Map([["classes", theirs]]), new Map([["classes", distilled]]))).toBeLessThan(
      far / 2,
    );
  });

  test("without the tasks' outputs is refused", async () => {
    const spec = { ...options, fcn: { layers: [4] }, teacher: RESIDUAL, distill_weight: 1 } as const;
    await using trainer = new MultiTaskTrainer(spec);
    const [fault] = await faultsOfAsync(() => trainer.fit(1));
    expect(fault?.code).toBe("E_MODEL_OUTPUT");
  });
});

/** Probabilities of a Keras classifier on image files, by the float64 interpreter on pixels / 255. */
async function probabilitiesOfKeras(file: string, paths: readonly string[]): Promise<Float32Array> {
  const { graph, imageInput } = await importKerasFile(file, { ops: OPS, imshape: [13, 11], batch: 1 });
  const reader = new ImageReader({ height: 13, width: 11, channels: 3, greyscale: false });
  const rows: number[] = [];
  for (const path of paths) {
    const pixels = new Uint8Array(13 * 11 * 3);
    await reader.read(path, pixels);
    const data = Float64Array.from({ length: pixels.length }, (_, i) => {
      const [channel, place] = [Math.floor(i / (13 * 11)), i % (13 * 11)];
      return (pixels[place * 3 + channel] ?? 0) / 255;
    });
    const feeds = new Map([[imageInput, { dtype: "float32", shape: [1, 3, 13, 11], data } as const]]);
    rows.push(...(interpret(graph, feeds).values().next().value?.data ?? []));
  }
  return Float32Array.from(rows);
}

/** Summed KL(p || q) over all rows and tasks. */
function divergence(p: ReadonlyMap<string, Float32Array>, q: ReadonlyMap<string, Float32Array>): number {
  let sum = 0;
  for (const [task, values] of p)
    values.forEach((value, i) => {
      sum += value * Math.log(value / (q.get(task)?.[i] ?? Number.NaN));
    });
  return sum;
}
