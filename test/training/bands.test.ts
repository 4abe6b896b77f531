// Images of five bands of 16 bits and of floats, end to end: a training run that can only go well by the
// fifth band, its export with the parity check, predictions from the file, `mttc data check`, packed images.
import { mkdir, mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { resolveSpec } from "../../compiler/spec/parseSpec.ts";
import type { SpecInput } from "../../compiler/spec/schema.ts";
import { exportRun } from "../../runtime/export/exportRun.ts";
import { PARITY_TOLERANCE } from "../../runtime/export/parity.ts";
import { Predictor } from "../../runtime/export/predictor.ts";
import { MultiTaskTrainer } from "../../runtime/train/multiTaskTrainer.ts";
import { runCli } from "../cli/runCli.ts";
import { tiffFile } from "../images/tiffFile.ts";
import { faultsOfAsync } from "../spec/faultsOf.ts";

const SIDE = 12;
const BANDS = 5;
const ROWS = 32;

/** Noise up to 4000 in all bands; wet images have the fifth a thousand higher. */
function bandImage(row: number): Buffer {
  let state = row + 1;
  const numbers = Uint16Array.from({ length: SIDE * SIDE * BANDS }, (_, i) => {
    state = (state * 1_103_515_245 + 12_345) % 2 ** 31;
    return (state % 4_000) + (i % BANDS === 4 && row % 2 === 1 ? 3_000 : 0);
  });
  return tiffFile(numbers, [SIDE, SIDE, BANDS]);
}

async function makeBandData(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "mttc-bands-"));
  await mkdir(join(folder, "images"));
  const lines = ["filepath,ground"];
  for (let row = 0; row < ROWS; row++) {
    await writeFile(join(folder, "images", `${row}.tif`), bandImage(row));
    lines.push(`images/${row}.tif,${row % 2 === 1 ? "wet" : "dry"}`);
  }
  await writeFile(join(folder, "train.csv"), `${lines.join("\n")}\n`);
  return folder;
}

const SPEC: SpecInput = {
  train_labels: "train.csv",
  tasks: ["ground"],
  imshape: [SIDE, SIDE],
  num_channels: BANDS,
  bit_depth: 16,
  norm: 8_000,
  fcn: { layers: [6, "p"] },
  train_fcn: true,
  task_layers: [4],
  global_pooling: "average",
  batch_size: 8,
  lr: 0.02,
  logdir: "run",
};

async function trainerOf(folder: string, changes: Partial<SpecInput> = {}): Promise<MultiTaskTrainer> {
  const spec = resolveSpec({ ...SPEC, ...changes });
  const tables = { trainRows: undefined, valRows: undefined, classes: undefined };
  return new MultiTaskTrainer({ spec, baseDirectory: folder, ...tables });
}

test("a net learns from the fifth of five bands of 16 bits, and its export agrees and predicts", async () => {
  const folder = await makeBandData();
  await using trainer = await trainerOf(folder, { pack: true });
  const epochs = await trainer.fit(8);
  const losses = epochs.map(({ trainLoss }) => trainLoss.ground ?? Number.NaN);
  expect(losses.at(-1)).toBeLessThan((losses[0] ?? 0) / 2);
  const { checks } = await exportRun(trainer, { split: true });
  expect(checks.length).toBeGreaterThan(2);
  for (const { largestDifference, passed } of checks) {
    expect(passed).toBe(true);
    expect(largestDifference).toBeLessThanOrEqual(PARITY_TOLERANCE);
  }
  await using predictor = await Predictor.open(join(folder, "run", "export", "model.onnx"));
  expect(predictor.metadata.preprocessing).toMatchObject({ channels: 5, dtype: "uint16", norm: 8_000 });
  const paths = Array.from({ length: ROWS }, (_, row) => join(folder, "images", `${row}.tif`));
  const found: string[] = [];
  for await (const prediction of predictor.predict(paths)) found.push(String(prediction.class));
  const right = found.filter((name, row) => name === (row % 2 === 1 ? "wet" : "dry")).length;
  expect(right).toBeGreaterThan(0.9 * ROWS);
});

test("bit_depth 32 trains on the same numbers as 16: the same losses to the bit", async () => {
  const folder = await makeBandData();
  const lossesOf = async (bit_depth: 16 | 32): Promise<unknown> => {
    await using trainer = await trainerOf(folder, { bit_depth, logdir: `run${bit_depth}` });
    return (await trainer.fit(2)).map(({ trainLoss }) => trainLoss.ground);
  };
  expect(await lossesOf(32)).toEqual(await lossesOf(16));
});

test("augmentation takes norm for white: bands brought to levels of 255 are augmented the same", async () => {
  const folder = await makeBandData();
  const augment = { flip_left_right: true, brightness_delta: 0.2, gaussian_noise: 0.5, mask: 0.3 } as const;
  await using trainer = await trainerOf(folder, { augment, logdir: "augmented" });
  const losses = (await trainer.fit(8)).map(({ trainLoss }) => trainLoss.ground ?? Number.NaN);
  expect(losses.every(Number.isFinite)).toBe(true);
  expect(losses.at(-1)).toBeLessThan(losses[0] ?? 0);
});

test("a file of another number of bands stops the run with its name and row", async () => {
  const folder = await makeBandData();
  await writeFile(
    join(folder, "images", "3.tif"),
    tiffFile(new Uint16Array(3 * SIDE * SIDE), [SIDE, SIDE, 3]),
  );
  await using trainer = await trainerOf(folder);
  const faults = await faultsOfAsync(() => trainer.fit(1));
  expect(faults).toMatchObject([
    {
      code: "E_IMG_CHANNELS",
      message: "the image has 3 bands, num_channels 5 expects 5",
      at: { file: join(folder, "images", "3.tif") },
      hint: `listed in ${join(folder, "train.csv")}:5`,
    },
  ]);
});

test("mttc data check accepts the bands of a spec, and names a file that does not fit", async () => {
  const folder = await makeBandData();
  const lines = Object.entries({ ...SPEC, fcn: "{layers: [6, p]}", tasks: "[ground]" });
  const text = lines.map(([key, value]) => `${key}: ${Array.isArray(value) ? `[${value}]` : value}\n`);
  await writeFile(join(folder, "spec.yml"), text.join(""));
  const sound = await runCli(folder, ["data", "check", "spec.yml"]);
  expect(sound.stdout).toContain("32 usable");
  expect(sound.code).toBe(0);
  await writeFile(
    join(folder, "images", "3.tif"),
    tiffFile(new Uint16Array(3 * SIDE * SIDE), [SIDE, SIDE, 3]),
  );
  const faulty = await runCli(folder, ["data", "check", "spec.yml"]);
  expect(faulty.code).toBe(2);
  expect(faulty.stdout).toMatch(/E_IMG_CHANNELS\s+images\/3.tif\s+train.csv:5/);
});
