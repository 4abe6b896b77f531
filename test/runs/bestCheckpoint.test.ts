// A run whose validation falls later: the best epoch's checkpoint is kept, and evaluations, exports and
// predictions are of its weights, to the bit; patience ends training, and going on says how.
import { cp, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { decodeSafetensors } from "../../compiler/codec/safetensors.ts";
import { exportRun } from "../../runtime/export/exportRun.ts";
import { TrainedRun } from "../../runtime/infer/trainedRun.ts";
import { readCheckpoint } from "../../runtime/runs/checkpointChoice.ts";
import { MultiTaskTrainer } from "../../runtime/train/multiTaskTrainer.ts";
import { runCli } from "../cli/runCli.ts";
import { makeTinyData, type TinyData } from "../cli/tinyData.ts";
import { faultsOfAsync } from "../spec/faultsOf.ts";
import { FALLING, fallingData, trainFalling } from "./fallingRun.ts";
import { train, trainerOf } from "./trainedData.ts";

let data: TinyData;
let run: string;

beforeAll(async () => {
  data = await fallingData();
  run = join(data.folder, "run");
  await trainFalling(data, 6);
});
afterAll(() => data[Symbol.asyncDispose]());

const mttc = (...args: string[]) => runCli(data.folder, args);

/** The losses of the epochs, and the one that is least, from 1. */
async function losses(folder: string) {
  const { progress } = await readCheckpoint(folder, "newest");
  const history = progress.history as { evaluation: { tasks: { colour: { loss: number } } } }[];
  const all = history.map(({ evaluation }) => evaluation.tasks.colour.loss);
  return { all, best: all.indexOf(Math.min(...all)) + 1 };
}

/** Weights by name in a checkpoint as it was copied when it was saved. */
async function copied(epoch: number) {
  const file = join(data.folder, "copies", `epoch-000${epoch}`, "state.safetensors");
  return decodeSafetensors(await readFile(file), file).tensors;
}

describe("a run whose validation becomes worse", () => {
  test("keeps the best epoch's checkpoint beside the newest three", async () => {
    const { all, best } = await losses(run);
    expect(all).toHaveLength(6);
    // What follows tells nothing where the best is among the newest.
    expect(best).toBeLessThan(4);
    const names = (await readdir(join(run, "checkpoints"))).toSorted();
    expect(names).toEqual([`epoch-000${best}`, "epoch-0004", "epoch-0005", "epoch-0006"]);
  });

  test("exports and evaluates the best epoch's weights, to the bit", async () => {
    const { best, all } = await losses(run);
    await using trained = await TrainedRun.open(run, { threads: 1 });
    expect(trained.checkpoint.choice).toMatchObject({
      epoch: best,
      isBest: true,
      isNewest: false,
      newest: 6,
    });
    const [there, newest] = [await copied(best), await copied(6)];
    const parameters = await trained.parameters();
    let differing = 0;
    for (const [name, values] of parameters) {
      const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
      expect(Buffer.compare(bytes, there.get(name)?.data ?? new Uint8Array())).toBe(0);
      differing += Buffer.compare(bytes, newest.get(name)?.data ?? new Uint8Array()) === 0 ? 0 : 1;
    }
    expect([parameters.size > 5, differing > 5]).toEqual([true, true]);
    const report = await trained.evaluate(await trained.labels());
    expect(report.tasks.colour?.loss).toBe(all[best - 1]);
    const { directory } = await exportRun(trained, { directory: join(data.folder, "exported") });
    const list = JSON.parse(await readFile(join(directory, "export.json"), "utf8"));
    expect(list.models["model.onnx"].origin.epoch).toBe(best);
  });

  test("is read at another checkpoint where it is told to, by every command, which say which", async () => {
    const { best } = await losses(run);
    const plain = await mttc("evaluate", "run");
    expect(plain.stdout).toMatch(
      new RegExp(`epoch-000${best}\\nepoch ${best}, the best; the newest is 6\\n`),
    );
    const newest = JSON.parse((await mttc("evaluate", "run", "--checkpoint", "newest", "--json")).stdout);
    expect(newest).toMatchObject({ epoch: 6, best: false });
    const fifth = await mttc("evaluate", "run", "--checkpoint", "5");
    expect(fifth.stdout).toContain(`epoch 5; the newest is 6, the best is ${best}`);
    const exported = await mttc("export", "run", "--checkpoint", "epoch-0004", "-o", "fourth");
    expect(exported.stdout).toContain("The weights are of epoch 4;");
    const inspected = await mttc("inspect", "run");
    expect(inspected.stdout).toMatch(
      new RegExp(`epoch-000${best} +${best} +\\d\\.\\d+ +best, taken by evaluate`),
    );
    expect(JSON.parse((await mttc("inspect", "run", "--json")).stdout).checkpoints.taken.epoch).toBe(best);
    for (const args of [
      ["evaluate", "run", "--checkpoint", "77"],
      ["export", "run", "--checkpoint", "bset"],
      ["inspect", "run", "--checkpoint", "epoch-0077"],
      ["inspect", "spec.yml", "--checkpoint", "best"],
      ["predict", "exported/model.onnx", "images", "--checkpoint", "best"],
    ]) {
      const { code, stderr } = await mttc(...args);
      expect([args, code, stderr]).toEqual([args, 2, expect.stringMatching(/\[E_(CKPT_NONE|USAGE)\]/)]);
    }
  });

  test("predicts with the best, its export's or one made for the call", async () => {
    const { best } = await losses(run);
    const image = ["images/val-0.png", "--json", "--ep", "cpu"];
    const made = await mttc("predict", "run", ...image);
    expect([made.code, made.stderr]).toEqual([0, expect.stringContaining(`epoch ${best}, the best`)]);
    const newest = await mttc("predict", "run", ...image, "--checkpoint", "newest");
    expect(newest.stdout).not.toBe(made.stdout);
    expect((await mttc("export", "run")).code).toBe(0);
    const exported = await mttc("predict", "run", ...image);
    expect([exported.stderr, exported.stdout]).toEqual(["", made.stdout]);
    expect(await readdir(run)).toContain("export");
  });

  test("is gone on with from the newest, and the best stays", async () => {
    const { best } = await losses(run);
    await using trainer = await MultiTaskTrainer.fromRun(run, { threads: 1 });
    expect(trainer.history).toHaveLength(6);
    await trainer.fit(8);
    await trainer.close();
    expect((await readdir(join(run, "checkpoints"))).toSorted()).toEqual([
      `epoch-000${best}`,
      "epoch-0006",
      "epoch-0007",
      "epoch-0008",
    ]);
    expect((await readCheckpoint(run)).choice.best).toBe(best);
    const { progress } = await readCheckpoint(run, "newest");
    const history = progress.history as { scalars?: Record<string, number>; evaluation: { tasks: object } }[];
    expect(history.every(({ scalars }) => typeof scalars?.gain === "number")).toBe(true);
    // Of the best by the monitor, and of the newest, the confusion matrix is there.
    const matrices = history.map(({ evaluation }) => JSON.stringify(evaluation).includes("pairs"));
    expect(matrices.flatMap((has, i) => (has ? [i + 1] : []))).toEqual([best, 8]);
  });

  test("under another monitor, of the checkpoints that stand the best is taken up", async () => {
    const logdir = "other";
    await cp(run, join(data.folder, logdir), { recursive: true });
    const lines = await train(data.folder, 9, { ...FALLING, logdir, monitor: "gain" }, { resume: true });
    const { choice } = await readCheckpoint(join(data.folder, logdir));
    expect(choice.best).toBeDefined();
    expect(lines.join("\n")).toMatch(/resumed from .*epoch-0008/);
  });
});

test("keep: newest keeps the newest three alone, and readers take the newest", async () => {
  await trainFalling(data, 5, { logdir: "newest", keep: "newest" });
  const folder = join(data.folder, "newest");
  expect((await readdir(join(folder, "checkpoints"))).toSorted()).toEqual([
    "epoch-0003",
    "epoch-0004",
    "epoch-0005",
  ]);
  await using trained = await TrainedRun.open(folder, { threads: 1 });
  expect(trained.checkpoint.epoch).toBe(5);
});

describe("patience", () => {
  test("ends training, says why and which epoch is the best, and a resume says how to go on", async () => {
    const keys = { ...FALLING, logdir: "patient", patience: "2" };
    const lines = await trainFalling(data, 40, keys);
    const folder = join(data.folder, "patient");
    const { all, best } = await losses(folder);
    expect(all).toHaveLength(best + 2);
    expect(lines.at(-1)).toMatch(
      new RegExp(
        `^stopped after epoch ${best + 2}: colour/loss has not fallen for 2 epochs .*epoch ${best}, `,
      ),
    );
    const again = await train(data.folder, 40, keys, { resume: true });
    expect(again.at(-1)).toMatch(/^nothing is trained: the run stopped .*larger `patience`.*--resume --lr/);
    expect((await losses(folder)).all).toHaveLength(best + 2);
    await train(data.folder, 40, { ...keys, patience: "3" }, { resume: true });
    expect((await losses(folder)).all).toHaveLength(best + 3);
    // Another rate is given as many epochs again.
    const lower = await train(data.folder, 40, { ...keys, patience: "3" }, { resume: true, lr: 0.001 });
    expect((await losses(folder)).all.length).toBeGreaterThanOrEqual(best + 6);
    expect(lower.join("\n")).toContain(
      `lr: 0.02 until the end of epoch ${best + 3}, 0.001 from epoch ${best + 4} on`,
    );
  });

  test("of the command line ends with the best epoch, and exit code 0", async () => {
    const keys = { ...FALLING, logdir: "patient-cli", patience: "1", epochs: "50" };
    await using other = await makeTinyData(keys);
    await cp(join(data.folder, "val.csv"), join(other.folder, "val.csv"));
    const { code, stdout, stderr } = await runCli(other.folder, ["train", "spec.yml"]);
    expect([code, stderr]).toEqual([0, expect.stringMatching(/stopped after epoch \d: colour\/loss/)]);
    expect(stdout).toMatch(/The best: +epoch \d, colour\/loss \d\.\d+: evaluate and export take it\n/);
    expect(stdout).toMatch(/\d epochs are trained of 50/);
  });
});

describe("what cannot be is refused before anything is written", () => {
  test.each([
    [{ monitor: "colour/accurracy" }, "monitor", /colour\/accuracy/],
    [{ patience: "2", val_labels: "null" }, "patience", /val_labels/],
    [{ monitor: "colour/loss", val_labels: "null" }, "monitor", /val_labels/],
  ])("%j", async (changes, path, hint) => {
    const keys = { ...changes, logdir: "refused" };
    const faults = await faultsOfAsync(() => train(data.folder, 1, keys));
    expect(faults).toMatchObject([{ code: "E_CONFIG", at: { path }, hint: expect.stringMatching(hint) }]);
    expect(await readdir(data.folder)).not.toContain("refused");
  });

  test("a monitored task that no validation row has", async () => {
    await using other = await makeTinyData({ monitor: "colour/loss" });
    const table = join(other.folder, "val.csv");
    await writeFile(table, (await readFile(table, "utf8")).replace(/,(blue|red),/g, ",,"));
    await using trainer = trainerOf(other.folder, { monitor: "colour/loss" });
    expect(await faultsOfAsync(() => trainer.fit(1))).toMatchObject([
      { code: "E_CONFIG", message: expect.stringContaining("no row of the validation labels") },
    ]);
  });
});

test("without validation labels the newest is taken, and that is said", async () => {
  await using other = await makeTinyData({ val_labels: "null" });
  const { stdout } = await runCli(other.folder, ["train", "spec.yml"]);
  expect(stdout).toContain("Evaluate and export take the newest epoch: none was validated");
  const evaluated = await runCli(other.folder, ["evaluate", "run"]);
  expect(evaluated.stdout).toContain("epoch 2, the newest\n");
  const best = await runCli(other.folder, ["evaluate", "run", "--checkpoint", "best"]);
  expect([best.code, best.stderr]).toEqual([2, expect.stringContaining("--checkpoint newest")]);
});
