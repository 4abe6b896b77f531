// A run of a class, of tags in columns of 0 and 1 and of two numbers, each with holes of its own, from label
// tables to predictions: what training, evaluation, export, prediction and resumption say of them.
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { NumberReport } from "../../compiler/tasks/numberEvaluation.ts";
import { figureOf } from "../../compiler/tasks/report.ts";
import type { TagReport } from "../../compiler/tasks/tagEvaluation.ts";
import { exportRun } from "../../runtime/export/exportRun.ts";
import { PARITY_TOLERANCE } from "../../runtime/export/parity.ts";
import { Predictor } from "../../runtime/export/predictor.ts";
import type { EvaluationReport } from "../../runtime/infer/evaluationReport.ts";
import { TrainedRun } from "../../runtime/infer/trainedRun.ts";
import { labelsOfRows } from "../../runtime/labels/taskLabels.ts";
import { MultiTaskTrainer } from "../../runtime/train/multiTaskTrainer.ts";
import { runCli } from "../cli/runCli.ts";
import { faultsOfAsync } from "../spec/faultsOf.ts";
import { type KindRow, kindSpec, PIXELS, ROWS, writeKindData } from "./kindRun.ts";

const COLOURS = ["red", "green", "blue"];
const COLUMNS = [...COLOURS, "light", "depth"];
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "mttc-test-"));
  await writeKindData(folder, SPEC, COLUMNS.join(","), rowOf);
}, 60_000);
afterAll(() => rm(folder, { recursive: true, force: true }));

const SPEC = kindSpec(
  "{name: colours, kind: tags, columns: [red, green, blue]}, {name: size, kind: number, columns: [light, depth]}",
);

const hasColour = (row: number, colour: number): boolean => ((row >> colour) & 1) === 1;
const lightOf = (row: number): number => (row % 16 < 8 ? 20 : 60);
const depthOf = (row: number): number => -0.5 + (hasColour(row, 0) ? 0.25 : 0);

/** Dark pictures, brighter in half of the rows, a band of each colour; cells are missing each for itself. */
function rowOf(row: number): KindRow {
  const flags = COLOURS.map((_, i) => (row % 5 === i || row % 9 === 8 ? "" : Number(hasColour(row, i))));
  const numbers = [row % 4 === 3 ? "" : lightOf(row), row % 3 === 2 || row % 4 === 3 ? "" : depthOf(row)];
  return {
    channel: (at) => {
      const [band, channel] = [Math.floor(at / PIXELS), at % 3];
      const has = band === channel && hasColour(row, channel);
      return lightOf(row) + (has ? 190 : 0) + Math.floor(((row * (at + 1)) % 101) / 20);
    },
    tint: row % 7 === 6 ? "" : row % 16 < 8 ? "dark" : "light",
    cell: [...flags, ...numbers].join(","),
  };
}

/** Validation rows in which `isThere`. */
function countVal(isThere: (row: number) => boolean): number {
  return Array.from({ length: ROWS / 2 }, (_, i) => ROWS + i).filter(isThere).length;
}

describe.sequential("a class, tags in columns and two numbers of each picture", () => {
  const logdir = () => join(folder, "run");

  test("are trained, each on the cells that are there", async () => {
    const { code, stdout, stderr } = await runCli(folder, ["train", "spec.yml"]);
    expect([code, stderr]).toEqual([0, expect.not.stringContaining("error")]);
    expect(stdout).toMatch(/task +weight +loss +F1 +val loss +val mAP/);
    expect(stdout).toMatch(/task +weight +loss +MAE +val loss +val MAE/);
    const log = (await readFile(join(logdir(), "log.jsonl"), "utf8")).trim().split("\n");
    const { colours, size } = JSON.parse(log.at(-1) ?? "{}").evaluation.tasks;
    expect(colours.meanAveragePrecision).toBeGreaterThan(0.9);
    expect(size.r2).toBeGreaterThan(0.8);
    expect(colours.labelled).toBe(countVal((row) => row % 9 !== 8));
    expect(size.labelled).toBe(countVal((row) => row % 4 !== 3));
  }, 120_000);

  test("are evaluated by the run as they were while it trained, each column for itself, too", async () => {
    const { code, stdout } = await runCli(folder, ["evaluate", "run", "--checkpoint", "newest", "--json"]);
    expect(code).toBe(0);
    const log = (await readFile(join(logdir(), "log.jsonl"), "utf8")).trim().split("\n");
    const { colours, size } = JSON.parse(log.at(-1) ?? "{}").evaluation.tasks;
    const { tasks } = JSON.parse(stdout);
    for (const name of ["loss", "mae", "rmse", "r2", "meanMae"])
      expect(Math.abs(tasks.size[name] / size[name] - 1)).toBeLessThan(PARITY_TOLERANCE);
    for (const name of ["loss", "meanAveragePrecision", "microF1", "fittedF1"])
      expect(Math.abs(tasks.colours[name] / colours[name] - 1)).toBeLessThan(PARITY_TOLERANCE);
    const counts = tasks.size.perNumber.map(({ labelled }: { labelled: number }) => labelled);
    expect(counts).toEqual([size.labelled, countVal((row) => row % 4 !== 3 && row % 3 !== 2)]);
    const text = await runCli(folder, ["evaluate", "run"]);
    expect(text.stdout).toMatch(/number .*labelled .*MAE .*\(mean\) .*RMSE .*\(mean\) .*R2/);
    expect(text.stdout).toMatch(/depth +\d+ +0\.\d+/);
  }, 60_000);

  test("are exported at parity and predicted by name, in every form of output", async () => {
    await using run = await TrainedRun.open(logdir());
    const exported = await exportRun(run, { split: true });
    expect(exported.checks.every(({ passed }) => passed)).toBe(true);
    const rows = [1, 3, 8].map((row) => ROWS + row);
    const images = rows.map((row) => join(folder, `val-${row}.png`));
    await using predictor = await Predictor.open(join(logdir(), "export", "model.onnx"));
    const found: unknown[] = [];
    for await (const row of predictor.predict(images)) {
      if (row.task === "colours") found.push([...(row.tags as string[])].sort());
      if (row.task !== "size") continue;
      const { light = Number.NaN, depth = Number.NaN } = row.values as Record<string, number>;
      const wanted = rows[Math.floor(found.length - 1)] ?? 0;
      expect(Math.abs(light - lightOf(wanted))).toBeLessThan(15);
      expect(Math.abs(depth - depthOf(wanted))).toBeLessThan(0.2);
    }
    expect(found).toEqual(rows.map((row) => COLOURS.filter((_, i) => hasColour(row, i)).sort()));
    const csv = (await runCli(folder, ["predict", "run", ...images, "--csv"])).stdout.split("\r\n");
    expect(csv[0]).toBe("file,task,class,probability,probabilities,tags,values");
    expect(csv[3]).toMatch(/val-65\.png,size,,,,,"\{""light"":\d+[^}]*,""depth"":-0[^}]*\}"$/);
    const wide = await runCli(folder, ["predict", "run", ...images, "--wide"]);
    expect(wide.stdout.split("\r\n")[0]).toMatch(
      /colours: red,colours: green,colours: blue,size: light,size: depth$/,
    );
    const json = JSON.parse((await runCli(folder, ["predict", "run", ...images, "--json"])).stdout);
    expect(Object.keys(json[2].values)).toEqual(["light", "depth"]);
    const table = await runCli(folder, ["predict", "run", ...images]);
    expect(table.stdout).toMatch(/light \d+\.\d+, depth -0\.\d+/);
  }, 120_000);

  test("are evaluated on other rows by the thresholds that validation has fitted", async () => {
    await using run = await TrainedRun.open(logdir());
    const { rows } = await run.labels();
    const some = [2, 5, 6, 7];
    const report = await run.evaluate({
      rows: {
        ...{ tasks: rows.tasks, labels: rows.labels.map((labels) => labelsOfRows(labels, some)) },
        paths: some.map((row) => rows.paths.at(row) ?? ""),
        locate: (row) => rows.locate(some[row] ?? 0),
      },
    });
    const thresholdsOf = (evaluated: EvaluationReport) =>
      (evaluated.tasks.colours as TagReport | undefined)?.perTag?.map(({ threshold }) => threshold);
    const { history } = run.checkpoint.progress as { history: { evaluation: EvaluationReport }[] };
    const fitted = history.at(-1);
    expect(thresholdsOf(report)).toEqual(fitted && thresholdsOf(fitted.evaluation));
    expect(report.tasks.colours?.labelled).toBeLessThanOrEqual(some.length);
  }, 60_000);

  test("are distilled: with a teacher few labels teach what none would", async () => {
    // Six rows have labels; the others are images for the teacher to speak of.
    const [head = "", ...lines] = (await readFile(join(folder, "train.csv"), "utf8")).trim().split("\n");
    const few = lines.map((line, row) => (row % 11 === 0 ? line : line.replace(/,.*/, ",,,,,,")));
    await writeFile(join(folder, "few.csv"), `${[head, ...few].join("\n")}\n`);
    const lossesOf = async (name: string, more: string) => {
      const spec = SPEC.replace("train.csv", "few.csv").replace("run\n", `${name}\n`);
      await writeFile(join(folder, `${name}.yml`), `${spec}balance_probs: false\nseed: 3\n${more}`);
      const { code, stderr } = await runCli(folder, ["train", `${name}.yml`]);
      expect(code, stderr).toBe(0);
      const log = (await readFile(join(folder, name, "log.jsonl"), "utf8")).trim().split("\n");
      const { tasks } = JSON.parse(log.at(-1) ?? "{}").evaluation;
      return [tasks.colours.loss, tasks.size.loss, tasks.tint.loss] as number[];
    };
    const alone = await lossesOf("alone", "");
    const taught = await lossesOf("taught", "teacher: run/export/model.onnx\ndistill_weight: 4\n");
    for (const [i, loss] of taught.entries()) expect(loss).toBeLessThan(alone[i] ?? Number.NaN);
  }, 180_000);

  test("go on from a checkpoint under the columns and scales of then, and not under others", async () => {
    const run = JSON.parse(await readFile(join(logdir(), "run.json"), "utf8"));
    expect(run.tasks.colours).toMatchObject({ kind: "tags", tags: COLOURS, columns: COLOURS });
    expect(run.tasks.size).toMatchObject({ kind: "number", columns: ["light", "depth"] });
    for (const [before, now] of [
      ["columns: [light, depth]", "columns: [depth, light]"],
      ["columns: [light, depth]", "columns: [light]"],
      ["columns: [red, green, blue]", "columns: [red, green]"],
    ] as const) {
      await writeFile(join(folder, "other.yml"), SPEC.replace(before, now));
      const { code, stderr } = await runCli(folder, ["train", "other.yml", "--resume"]);
      expect([code, stderr]).toEqual([2, expect.stringContaining("task_kinds")]);
    }
    const trainer = await MultiTaskTrainer.fromRun(logdir());
    try {
      const history = await trainer.fit(16);
      expect(history).toHaveLength(16);
      const size = history.at(-1)?.evaluation?.tasks.size as NumberReport | undefined;
      expect(figureOf(size, "r2")).toBeGreaterThan(0.8);
      expect(size?.perNumber).toHaveLength(2);
    } finally {
      await trainer.close();
    }
    expect(JSON.parse(await readFile(join(logdir(), "run.json"), "utf8")).tasks).toEqual(run.tasks);
  }, 180_000);

  test("with other losses, stopped in the middle and gone on with, end at the same bits", async () => {
    const more = "label_smoothing: 0.1\nfocal_gamma: 1.5\nclass_weights: balanced\naugment: true\n";
    for (const [name, ...parts] of [
      ["straight", 4],
      ["parted", 2, 4],
    ] as const) {
      await writeFile(join(folder, `${name}.yml`), `${SPEC.replace("run\n", `${name}\n`)}${more}`);
      for (const [part, epochs] of parts.entries()) {
        const goOn = part > 0 ? ["--resume"] : [];
        const args = ["train", `${name}.yml`, "--epochs", String(epochs), ...goOn];
        const { code, stderr } = await runCli(folder, args);
        expect(code, stderr).toBe(0);
      }
    }
    const stateOf = (name: string) =>
      readFile(join(folder, name, "checkpoints", "epoch-0004", "state.safetensors"));
    expect(Buffer.compare(await stateOf("straight"), await stateOf("parted"))).toBe(0);
    await writeFile(
      join(folder, "parted.yml"),
      `${SPEC.replace("run\n", "parted\n")}${more}`.replace("1.5", "2"),
    );
    const { code, stderr } = await runCli(folder, ["train", "parted.yml", "--resume"]);
    expect([code, stderr]).toEqual([2, expect.stringContaining("focal_gamma")]);
  }, 180_000);

  test("are counted, inspected, checked, and drawn", async () => {
    const stats = await runCli(folder, ["data", "stats", "spec.yml", "--output", "stats.png"]);
    expect(stats.code, stats.stderr).toBe(0);
    expect(stats.stdout).toMatch(/colours .*blue/s);
    expect(stats.stdout).toMatch(/size +light \d+ to/);
    expect(stats.stdout).toMatch(/colours: green +train +\(empty\) +\d+/);
    expect((await runCli(folder, ["data", "check", "spec.yml"])).code).toBe(0);
    const facts = await runCli(folder, ["inspect", "spec.yml"]);
    expect(facts.stdout).toMatch(/tint +2 +cross-entropy +adaptive/);
    expect(facts.stdout).toMatch(/size +2 +l2 +adaptive/);
    await writeFile(join(folder, "augmented.yml"), `${SPEC}augment: true\n`);
    expect((await runCli(folder, ["augplot", "augmented.yml", "-o", "sheet.png"])).code).toBe(0);
  }, 60_000);

  test("in micro-batches, weighted and with other losses, are trained to the same losses", async () => {
    const more =
      "class_weights: {colours: {red: 3}, tint: {dark: 0.5}}\nlabel_smoothing: 0.1\nfocal_gamma: 1.5\n";
    const spec = `${SPEC}${more}`.replace("run\n", "whole\n").replace("epochs: 15", "epochs: 2");
    await writeFile(join(folder, "whole.yml"), spec);
    await writeFile(join(folder, "micro.yml"), `${spec.replace("whole\n", "micro\n")}accumulate: 4\n`);
    const lossesOf = async (name: string) => {
      const { code, stderr } = await runCli(folder, ["train", `${name}.yml`]);
      expect(code, stderr).toBe(0);
      const log = (await readFile(join(folder, name, "log.jsonl"), "utf8")).trim().split("\n");
      const { colours, size, tint } = JSON.parse(log.at(-1) ?? "{}").evaluation.tasks;
      return [colours.loss, size.loss, tint.loss] as number[];
    };
    const [whole, micro] = [await lossesOf("whole"), await lossesOf("micro")];
    for (const [i, loss] of micro.entries())
      expect(Math.abs(loss / (whole[i] ?? Number.NaN) - 1)).toBeLessThan(PARITY_TOLERANCE);
  }, 60_000);
});

test("a cell of a group that is none, in the table that validates, is named with its column and line", async () => {
  const text = await readFile(join(folder, "val.csv"), "utf8");
  const [head = "", first = "", ...lines] = text.split("\n");
  const cells = first.split(",");
  cells[2] = "2";
  await writeFile(join(folder, "odd.csv"), [head, cells.join(","), ...lines].join("\n"));
  await writeFile(join(folder, "odd.yml"), SPEC.replace("val.csv", "odd.csv").replace("run\n", "odd\n"));
  const { code, stderr } = await runCli(folder, ["train", "odd.yml"]);
  expect(code).toBe(2);
  expect(stderr).toMatch(/odd\.csv:2: .*column "red": "2" is not 0, 1 or empty/);
  const [fault] = await faultsOfAsync(() => TrainedRun.open(join(folder, "odd")));
  expect(fault?.code).toBe("E_FILE");
}, 60_000);
