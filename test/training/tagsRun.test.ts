// A run of a class and of tags from label tables to predictions: what training, evaluation, export,
// prediction and resumption say of sets of tags; and the forms in which tables hold them.
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
import { type KindRow, kindSpec, PIXELS, ROWS, writeKindData } from "./kindRun.ts";

const COLOURS = ["red", "green", "blue"];
/** The colours of a row's picture: all sets of them, the empty one, too. */
const coloursOf = (row: number): string[] => COLOURS.filter((_, i) => (row >> i) & 1);
/** Every fifth row has no colours that anybody noted. */
const cellOf = (row: number): string => (row % 5 === 4 ? "" : coloursOf(row).join("|") || "[]");
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "mttc-test-"));
  await writeKindData(folder, SPEC, "colours", rowOf);
}, 60_000);
afterAll(() => rm(folder, { recursive: true, force: true }));

const SPEC = kindSpec("{name: colours, kind: tags}");

/** Dark pictures, brighter in every second row, with a band of each colour that a row has. */
function rowOf(row: number): KindRow {
  return {
    channel: (at) => {
      const [band, channel] = [Math.floor(at / PIXELS), at % 3];
      const has = band === channel && coloursOf(row).includes(COLOURS[channel] ?? "");
      return (row % 16 < 8 ? 20 : 60) + (has ? 190 : 0) + Math.floor(((row * (at + 1)) % 101) / 20);
    },
    tint: row % 7 === 6 ? "" : row % 16 < 8 ? "dark" : "light",
    cell: cellOf(row),
  };
}

/** What is read of a stored evaluation. */
type Perhaps = Readonly<Record<string, { readonly perTag: readonly { readonly threshold: number }[] }>>;

/** The lines of a table as objects. */
async function rowsOf(name: string): Promise<{ file: string; tint: string; colours: string }[]> {
  const [, ...lines] = (await readFile(join(folder, `${name}.csv`), "utf8")).trim().split("\n");
  return lines.map((line) => {
    const [file = "", tint = "", colours = ""] = line.split(",");
    return { file, tint, colours };
  });
}

describe.sequential("a class and the colours of each picture", () => {
  const logdir = () => join(folder, "run");

  test("are trained far above what constant answers reach, and the epoch's table shows both", async () => {
    const { code, stdout, stderr } = await runCli(folder, ["train", "spec.yml"]);
    expect([code, stderr]).toEqual([0, expect.not.stringContaining("error")]);
    expect(stdout).toMatch(/task +weight +loss +F1 +val loss +val mAP +constant +micro F1/);
    const log = (await readFile(join(logdir(), "log.jsonl"), "utf8")).trim().split("\n");
    const last = JSON.parse(log.at(-1) ?? "{}");
    expect(Object.keys(last.trainFigures)).toEqual(["colours"]);
    const { colours } = last.evaluation.tasks;
    expect(colours.meanAveragePrecision).toBeGreaterThan(0.9);
    expect(colours.constantPrecision).toBeLessThan(0.6);
    expect(colours.microF1).toBeGreaterThan(0.8);
    expect(colours.labelled).toBe((await rowsOf("val")).filter((row) => row.colours !== "").length);
  }, 120_000);

  test("are evaluated by the run as they were while it trained, each tag for itself, too", async () => {
    const { code, stdout } = await runCli(folder, ["evaluate", "run", "--checkpoint", "newest", "--json"]);
    expect(code).toBe(0);
    const log = (await readFile(join(logdir(), "log.jsonl"), "utf8")).trim().split("\n");
    const { colours } = JSON.parse(log.at(-1) ?? "{}").evaluation.tasks;
    const { tasks } = JSON.parse(stdout);
    for (const name of ["loss", "meanAveragePrecision", "microF1", "macroF1", "constantMicroF1"])
      expect(Math.abs(tasks.colours[name] / colours[name] - 1)).toBeLessThan(PARITY_TOLERANCE);
    const text = await runCli(folder, ["evaluate", "run"]);
    expect(text.stdout).toMatch(/mAP .*\(constant\) .*micro F1 .*\(constant\) .*macro F1/);
    expect(text.stdout).toMatch(/tag .*images .*AP .*F1/);
    expect(text.stdout).toMatch(/green +\d+ +[01]\.\d+/);
  }, 60_000);

  test("are exported at parity and predicted in every form of output", async () => {
    await using run = await TrainedRun.open(logdir());
    const exported = await exportRun(run, { split: true });
    expect(exported.checks.every(({ passed }) => passed)).toBe(true);
    const rows = [1, 3, 8].map((row) => ROWS + row);
    const images = rows.map((row) => join(folder, `val-${row}.png`));
    await using predictor = await Predictor.open(join(logdir(), "export", "model.onnx"));
    expect(predictor.metadata.version).toBe(2);
    const thresholds = predictor.metadata.tasks.find(({ name }) => name === "colours")?.thresholds;
    const { history } = run.checkpoint.progress as { history: { evaluation: { tasks: Perhaps } }[] };
    const fitted = history.at(-1)?.evaluation.tasks.colours?.perTag.map(({ threshold }) => threshold);
    expect(fitted).toHaveLength(COLOURS.length);
    expect(thresholds).toEqual(fitted);
    const found: unknown[] = [];
    for await (const row of predictor.predict(images))
      if (row.task === "colours") found.push([...(row.tags as string[])].sort());
    expect(found).toEqual(rows.map((row) => coloursOf(row).sort()));
    await using alone = await Predictor.open(join(logdir(), "export", "colours.onnx"));
    for await (const row of alone.predict(images.slice(0, 1))) expect(row.tags).toEqual(["red"]);
    const csv = await runCli(folder, ["predict", "run", ...images, "--csv"]);
    const [head, , second] = csv.stdout.split("\r\n");
    expect(head).toBe("file,task,class,probability,probabilities,tags");
    expect(second).toMatch(/val-65\.png,colours,,,"\{""blue"":0[^}]*\}",red$/);
    const wide = await runCli(folder, ["predict", "run", ...images, "--wide"]);
    const names = "colours,colours: blue,colours: green,colours: red";
    expect(wide.stdout.split("\r\n")[0]).toBe(`file,tint,tint: dark,tint: light,${names}`);
    expect(wide.stdout.split("\r\n")[3]).toMatch(/,\[\],0/);
    const json = JSON.parse((await runCli(folder, ["predict", "run", ...images, "--json"])).stdout);
    expect(Object.keys(json[1])).toEqual(["file", "task", "tags", "probabilities"]);
    expect([json[1].tags, json[5].tags]).toEqual([["red"], []]);
    const table = await runCli(folder, ["predict", "run", ...images]);
    expect(table.stdout).toMatch(/red [01]\.\d\d/);
    expect(table.stdout).toMatch(/colours +none/);
  }, 120_000);

  test("go on from a checkpoint under the tags of then", async () => {
    const run = JSON.parse(await readFile(join(logdir(), "run.json"), "utf8"));
    expect(run.tasks.colours).toMatchObject({ kind: "tags", tags: ["blue", "green", "red"] });
    const trainer = await MultiTaskTrainer.fromRun(logdir());
    try {
      const history = await trainer.fit(16);
      expect(history).toHaveLength(16);
      expect(figureOf(history.at(-1)?.evaluation?.tasks.colours, "meanAveragePrecision")).toBeGreaterThan(
        0.9,
      );
    } finally {
      await trainer.close();
    }
    expect(JSON.parse(await readFile(join(logdir(), "run.json"), "utf8")).tasks).toEqual(run.tasks);
  }, 60_000);

  test("are counted by tag, inspected, checked, and drawn", async () => {
    const stats = await runCli(folder, ["data", "stats", "spec.yml", "--output", "stats.png"]);
    expect(stats.code, stats.stderr).toBe(0);
    expect(stats.stdout).toMatch(/colours .*blue/s);
    expect((await runCli(folder, ["data", "check", "spec.yml"])).code).toBe(0);
    expect((await runCli(folder, ["inspect", "spec.yml"])).code).toBe(0);
    await writeFile(join(folder, "augmented.yml"), `${SPEC}augment: true\n`);
    expect((await runCli(folder, ["augplot", "augmented.yml", "-o", "sheet.png"])).code).toBe(0);
  }, 60_000);

  test("in micro-batches, weighted, are trained to the same losses", async () => {
    const weighted = `${SPEC}class_weights: balanced\n`;
    const spec = weighted.replace("run\n", "whole\n").replace("epochs: 15", "epochs: 2");
    await writeFile(join(folder, "whole.yml"), spec);
    await writeFile(join(folder, "micro.yml"), `${spec.replace("whole\n", "micro\n")}accumulate: 4\n`);
    const lossesOf = async (name: string) => {
      const { code, stderr } = await runCli(folder, ["train", `${name}.yml`]);
      expect(code, stderr).toBe(0);
      const log = (await readFile(join(folder, name, "log.jsonl"), "utf8")).trim().split("\n");
      return JSON.parse(log.at(-1) ?? "{}").evaluation.tasks.colours.loss;
    };
    expect(Math.abs((await lossesOf("micro")) / (await lossesOf("whole")) - 1)).toBeLessThan(
      PARITY_TOLERANCE,
    );
  }, 60_000);
});

describe("tables of tags", () => {
  test("a tag that training lacks, and a cell that is no set, are named with their lines", async () => {
    const text = await readFile(join(folder, "val.csv"), "utf8");
    await writeFile(
      join(folder, "odd.csv"),
      text.replace("red|green\n", "red|grene\n").replace("[]\n", "red||blue\n"),
    );
    await writeFile(join(folder, "odd.yml"), SPEC.replace("val.csv", "odd.csv").replace("run\n", "odd\n"));
    const { code, stderr } = await runCli(folder, ["train", "odd.yml"]);
    expect(code).toBe(2);
    expect(stderr).toMatch(/odd\.csv:5: .*"grene" is not one of the tags that the training labels have/);
    expect(stderr).toContain('did you mean "green"?');
    expect(stderr).toMatch(/odd\.csv:10: .*"red\|\|blue" is not a set of tags \(a\|b, or \[\] for none\)/);
  });

  test("of JSON Lines hold lists, and give the labels that cells give", async () => {
    for (const name of ["train", "val"]) {
      const rows = (await rowsOf(name)).map(({ file, tint, colours }) => ({
        ...{ file, tint: tint === "" ? null : tint },
        colours: colours === "" ? null : colours === "[]" ? [] : colours.split("|"),
      }));
      await writeFile(join(folder, `${name}.jsonl`), rows.map((row) => `${JSON.stringify(row)}\n`).join(""));
    }
    await writeFile(join(folder, "lists.yml"), SPEC.replaceAll(".csv", ".jsonl"));
    const [lists, cells] = await Promise.all(
      ["lists.yml", "spec.yml"].map((spec) => runCli(folder, ["data", "stats", spec, "--json"])),
    );
    expect(lists?.code, lists?.stderr).toBe(0);
    expect(lists?.stdout).toBe(cells?.stdout);
  });
});
