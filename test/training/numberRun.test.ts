// A run of tasks of both kinds from label tables to predictions: what training, evaluation, export,
// prediction and resumption say of a number beside a class, in the number's own unit.
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { figureOf } from "../../compiler/tasks/report.ts";
import { exportRun } from "../../runtime/export/exportRun.ts";
import { PARITY_TOLERANCE } from "../../runtime/export/parity.ts";
import { Predictor } from "../../runtime/export/predictor.ts";
import { TrainedRun } from "../../runtime/infer/trainedRun.ts";
import { MultiTaskTrainer } from "../../runtime/train/multiTaskTrainer.ts";
import { runCli } from "../cli/runCli.ts";
import { faultsOfAsync } from "../spec/faultsOf.ts";
import { type KindRow, kindSpec, ROWS, writeKindData } from "./kindRun.ts";

/** What a row's picture weighs: from 1,000 on by its brightness. */
const weightOf = (row: number): number => 1_000 + 10 * ((row * 37) % 200);
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "mttc-test-"));
  await writeKindData(folder, SPEC, "weight", rowOf);
}, 60_000);
afterAll(() => rm(folder, { recursive: true, force: true }));

const SPEC = kindSpec("{name: weight, kind: number, loss: huber}");

/** Grey pictures, tinted red in every second row; every fifth row has no weight, every seventh no tint. */
function rowOf(row: number): KindRow {
  const level = 20 + (weightOf(row) - 1_000) / 10;
  return {
    channel: (at) => (at % 3 === 0 && row % 2 === 1 ? level + 30 : level),
    tint: row % 7 === 6 ? "" : (["grey", "red"][row % 2] ?? ""),
    cell: row % 5 === 4 ? "" : String(weightOf(row)),
  };
}

describe.sequential("a class and a number of each picture", () => {
  const logdir = () => join(folder, "run");

  test("are trained: the number far better than its mean, and the epoch's table shows both", async () => {
    const { code, stdout, stderr } = await runCli(folder, ["train", "spec.yml"]);
    expect([code, stderr.includes("error")]).toEqual([0, false]);
    expect(stdout).toMatch(/task +weight +loss +acc +val loss +val acc/);
    expect(stdout).toMatch(/task +weight +loss +MAE +val loss +val MAE +mean +RMSE +mean +R2/);
    const log = (await readFile(join(logdir(), "log.jsonl"), "utf8")).trim().split("\n");
    const last = JSON.parse(log.at(-1) ?? "{}");
    expect(Object.keys(last.trainAccuracy)).toEqual(["tint"]);
    expect(Object.keys(last.trainFigures)).toEqual(["weight"]);
    expect(last.evaluation.tasks.weight.r2).toBeGreaterThan(0.8);
    expect(last.evaluation.tasks.weight.mae).toBeLessThan(last.evaluation.tasks.weight.meanMae / 2);
    expect(last.evaluation.tasks.weight.labelled).toBe(25);
  }, 120_000);

  test("are evaluated by the run as they were while it trained", async () => {
    const { code, stdout } = await runCli(folder, ["evaluate", "run", "--checkpoint", "newest", "--json"]);
    expect(code).toBe(0);
    const log = (await readFile(join(logdir(), "log.jsonl"), "utf8")).trim().split("\n");
    const { weight } = JSON.parse(log.at(-1) ?? "{}").evaluation.tasks;
    const { tasks } = JSON.parse(stdout);
    for (const name of ["loss", "mae", "rmse", "r2", "meanMae"])
      expect(Math.abs(tasks.weight[name] / weight[name] - 1)).toBeLessThan(PARITY_TOLERANCE);
    const text = await runCli(folder, ["evaluate", "run"]);
    expect(text.stdout).toMatch(/task .*labelled .*loss .*MAE .*\(mean\) .*RMSE .*\(mean\) .*R2/);
  }, 60_000);

  test("are exported at parity and predicted in the labels' unit, in every form of output", async () => {
    await using run = await TrainedRun.open(logdir());
    const exported = await exportRun(run, { split: true });
    expect(exported.checks.every(({ passed }) => passed)).toBe(true);
    const images = [1, 2, 3].map((row) => join(folder, `val-${ROWS + row}.png`));
    const served = (await run.predict(images)).get("weight") ?? new Float32Array();
    await using predictor = await Predictor.open(join(logdir(), "export", "model.onnx"));
    expect(predictor.metadata.version).toBe(2);
    const found: number[] = [];
    for await (const row of predictor.predict(images))
      if (row.task === "weight") found.push(Number(row.value));
    found.forEach((value, i) => {
      expect(Math.abs(value / (served[i] ?? Number.NaN) - 1)).toBeLessThan(PARITY_TOLERANCE);
      expect(Math.abs(value - weightOf(ROWS + i + 1))).toBeLessThan(400);
    });
    await using alone = await Predictor.open(join(logdir(), "export", "weight.onnx"));
    for await (const row of alone.predict(images.slice(0, 1)))
      expect(Math.abs(Number(row.value) / (found[0] ?? Number.NaN) - 1)).toBeLessThan(PARITY_TOLERANCE);
    const csv = await runCli(folder, ["predict", "run", ...images, "--csv"]);
    const [head, , second] = csv.stdout.split("\r\n");
    expect(head).toBe("file,task,class,probability,probabilities,value");
    expect(second).toMatch(/val-65\.png,weight,,,,\d+(\.\d+)?$/);
    const wide = await runCli(folder, ["predict", "run", ...images, "--wide"]);
    expect(wide.stdout.split("\r\n")[0]).toBe("file,tint,tint: grey,tint: red,weight");
    const json = JSON.parse((await runCli(folder, ["predict", "run", ...images, "--json"])).stdout);
    expect(Object.keys(json[1])).toEqual(["file", "task", "value"]);
    const table = await runCli(folder, ["predict", "run", ...images]);
    expect(table.stdout).toMatch(/file .*task .*class or value .*probability/);
  }, 120_000);

  test("go on from a checkpoint under the numbers' mean and deviation of then", async () => {
    const run = JSON.parse(await readFile(join(logdir(), "run.json"), "utf8"));
    expect(run.tasks.weight).toMatchObject({ task: "weight", kind: "number", loss: "huber" });
    const trainer = await MultiTaskTrainer.fromRun(logdir());
    try {
      const history = await trainer.fit(16);
      expect(history).toHaveLength(16);
      expect(figureOf(history.at(-1)?.evaluation?.tasks.weight, "r2")).toBeGreaterThan(0.8);
      expect(history[3]?.evaluation?.tasks.weight).toMatchObject({ labelled: 25 });
    } finally {
      await trainer.close();
    }
    expect(JSON.parse(await readFile(join(logdir(), "run.json"), "utf8")).tasks).toEqual(run.tasks);
  }, 60_000);

  test("are counted by ranges, inspected, checked, and drawn", async () => {
    const stats = await runCli(folder, ["data", "stats", "spec.yml", "--output", "stats.png"]);
    expect(stats.code).toBe(0);
    expect(stats.stdout).toMatch(/weight .*\d+ to \d+/);
    expect((await runCli(folder, ["data", "check", "spec.yml"])).code).toBe(0);
    const facts = await runCli(folder, ["inspect", "spec.yml"]);
    expect(facts.code).toBe(0);
    await writeFile(join(folder, "augmented.yml"), `${SPEC}augment: true\n`);
    expect((await runCli(folder, ["augplot", "augmented.yml", "-o", "sheet.png"])).code).toBe(0);
  }, 60_000);

  test("a word among the numbers is named with its line", async () => {
    const text = await readFile(join(folder, "train.csv"), "utf8");
    await writeFile(join(folder, "odd.csv"), text.replace(/,1370\n/, ",heavy\n"));
    await writeFile(join(folder, "odd.yml"), SPEC.replace("train.csv", "odd.csv").replace("run\n", "odd\n"));
    const { code, stderr } = await runCli(folder, ["train", "odd.yml"]);
    expect([code, stderr]).toEqual([2, expect.stringMatching(/odd\.csv:3: .*"heavy" is not a number/)]);
    const [fault] = await faultsOfAsync(() => TrainedRun.open(join(folder, "odd")));
    expect(fault?.code).toBe("E_FILE");
  }, 60_000);
});
