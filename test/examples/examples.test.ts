// The examples, run as a user runs them, at reduced size: the demo's core in a copy of the repository's
// layout, and the port of patchwork's example as a process of its own (from dist/, which npm test builds
// first).
import { spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import sharp from "sharp";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { compile } from "../../compiler/compile.ts";
import { parseSpec } from "../../compiler/spec/parseSpec.ts";
import { specWarnings } from "../../compiler/spec/specWarnings.ts";
import type { TaskReport } from "../../compiler/tasks/report.ts";
import { type AnsweredImage, answerText, goalsMissed } from "../../examples/demo/demoReport.ts";
import { type DemoResult, runDemo } from "../../examples/demo/demoRun.ts";
import { SHEET_IMAGES, sheetSvg } from "../../examples/demo/predictionSheet.ts";
import { coloursOf, tagCell } from "../../examples/mixed/mixedTables.ts";
import { PARITY_TOLERANCE } from "../../runtime/export/parity.ts";
import { runCli } from "../cli/runCli.ts";

const repository = join(import.meta.dirname, "..", "..");
/** Emojis of the reduced demo: enough that every task has labels in train and val. */
const IMAGES = 240;
const TASKS = ["group", "subgroup", "skin_tone"];

describe("the demo", () => {
  const root = mkdtempSync(join(tmpdir(), "mttc-demo-"));
  const lines: string[] = [];
  let result: DemoResult;
  beforeAll(async () => {
    cpSync(join(repository, "examples", "two-heads"), join(root, "examples", "two-heads"), {
      recursive: true,
    });
    result = await runDemo({ root, limit: IMAGES, epochs: 1, print: (text) => lines.push(text) });
  });
  afterAll(() => rmSync(root, { recursive: true, force: true }));

  it("trains by the spec, evaluates every task and asks no goals of a reduced run", () => {
    expect(Object.keys(result.evaluation.tasks)).toEqual(TASKS);
    for (const { labelled, accuracy } of Object.values(result.evaluation.tasks)) {
      expect(labelled).toBeGreaterThan(0);
      expect(accuracy).toBeGreaterThanOrEqual(0);
    }
    expect(result.missed).toEqual([]);
    const log = readFileSync(join(result.directory, "log.jsonl"), "utf8").trim().split("\n");
    expect(log.map((line) => JSON.parse(line).epoch)).toEqual([1]);
  });

  it("exports the whole model and a file per task, each compared with the trainer", () => {
    const { directory, files, checks } = result.exported;
    expect(files.map(({ kind }) => kind)).toEqual(["model", "task", "task", "task"]);
    for (const { file } of files) expect(existsSync(join(directory, file))).toBe(true);
    for (const check of checks) expect(check.largestDifference).toBeLessThanOrEqual(PARITY_TOLERANCE);
    expect(new Set(checks.map(({ task }) => task))).toEqual(new Set(TASKS));
  });

  it("predicts on held-out images only and draws them", async () => {
    const heldOut = readFileSync(join(root, "demo", "openmoji", "val.csv"), "utf8");
    expect(result.answers.length).toBeGreaterThan(10);
    for (const { path, answers } of result.answers) {
      expect(heldOut).toContain(basename(path));
      expect(answers.map(({ task }) => task)).toEqual(TASKS);
      expect(answers.every(({ predicted }) => predicted !== "")).toBe(true);
    }
    const sheet = readFileSync(result.sheet); // after the runtime's reader, sharp reads no files any more
    const { width, height } = await sharp(sheet).metadata();
    expect([width, height]).toEqual([1300, 1300]);
    // A blank sheet would have no variance.
    expect((await sharp(sheet).stats()).channels[0]?.stdev).toBeGreaterThan(10);
  });

  it("says where everything lies", () => {
    const text = lines.join("\n");
    for (const folder of ["openmoji", "runs/1/export", "predictions.png", "augmentation.png"])
      expect(text).toContain(folder);
    expect(text).toContain("CC BY-SA 4.0");
    const named = [...text.matchAll(/^ {2}(\S+?)\/? {2}/gm)].map(([, path]) => path ?? "");
    expect(named.length).toBeGreaterThanOrEqual(4);
    for (const path of named) expect(existsSync(path)).toBe(true);
  });

  it("takes a fresh folder the next time and uses the images again", async () => {
    const again: string[] = [];
    const second = await runDemo({ root, limit: IMAGES, epochs: 1, print: (text) => again.push(text) });
    expect(again.join("\n")).toContain("drawn by an earlier run");
    expect(readdirSync(join(root, "demo", "runs")).sort()).toEqual(["1", "2"]);
    expect(second.evaluation).toEqual(result.evaluation);
  });

  it("stops when it is told to, with E_INTERRUPTED", async () => {
    const signal = AbortSignal.abort();
    const stopped = runDemo({ root, limit: IMAGES, epochs: 1, print: () => undefined, signal });
    await expect(stopped).rejects.toMatchObject({ code: "E_INTERRUPTED", exitCode: 130 });
  });
});

describe("the demo's report", () => {
  const figures = { labelled: 9, loss: 1, macroRecall: 0.2, majority: 0.5, majorityRecall: 0.1 };
  const task = (accuracy: number): TaskReport => ({ ...figures, accuracy, classes: [], confusion: [] });

  it("names each goal that is missed, by a margin above the majority for group", () => {
    const tasks = { group: task(0.579), subgroup: task(0.4), skin_tone: task(0.699) };
    const missed = goalsMissed({ images: 9, tasks });
    expect(missed).toHaveLength(2);
    expect(missed[0]).toMatch(/group: 0.579, at least 0.580/);
    expect(missed[1]).toMatch(/skin_tone: 0.699, at least 0.700/);
    expect(goalsMissed({ images: 9, tasks: { ...tasks, group: task(0.58), skin_tone: task(0.7) } })).toEqual(
      [],
    );
  });

  it("counts a task that is missing, or not a number, as missed", () => {
    const tasks = { group: task(Number.NaN), subgroup: task(1) };
    expect(goalsMissed({ images: 9, tasks })).toHaveLength(2);
  });

  it("shows the label where it differs, and where there is none", () => {
    expect(answerText({ task: "t", predicted: "a", label: "a" })).toBe("a");
    expect(answerText({ task: "t", predicted: "a", label: "b" })).toBe("a (label: b)");
    expect(answerText({ task: "t", predicted: "a", label: undefined })).toBe("a (no label)");
  });

  it("draws no more images than the sheet holds, and escapes what they are called", () => {
    const image: AnsweredImage = { path: "x.png", answers: [{ task: "t", predicted: "<&>", label: "<&>" }] };
    const images = Array.from({ length: SHEET_IMAGES + 1 }, () => image);
    const svg = sheetSvg(
      images,
      images.map(() => "AAAA"),
    );
    expect(svg.match(/<image /g)).toHaveLength(SHEET_IMAGES);
    expect(svg).toContain("&lt;&amp;&gt;</text>");
  });
});

describe("the spec to copy", () => {
  const file = join(repository, "examples", "two-heads", "spec.yml");

  it("has no faults and no warnings, and compiles", () => {
    const spec = parseSpec(readFileSync(file, "utf8"), file);
    expect(specWarnings(spec)).toEqual([]);
    const classes = spec.tasks.map((task) => ({ task, classes: ["a", "b", "c"] }));
    expect([...compile(spec, classes).files.keys()]).toContain("train.onnx");
  });
});

describe("the port of patchwork's example", () => {
  const folder = mkdtempSync(join(tmpdir(), "mttc-patchwork-"));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  const own = join("examples", "patchwork");

  it("runs as it stands, on a Keras extractor, and reports both tasks", () => {
    cpSync(join(repository, own), join(folder, own), { recursive: true });
    const script = join(repository, "dist", own, "patchwork.js");
    const options = { cwd: folder, encoding: "utf8" } as const;
    const { status, stdout, stderr } = spawnSync(
      process.execPath,
      [script, "--images", "100", "--epochs", "1"],
      options,
    );
    expect([status, stderr]).toEqual([0, ""]);
    expect(stdout).toMatch(/^epoch 1 {2}group: loss \d+\.\d+, weight 0\.\d+, accuracy/m);
    expect(stdout).toMatch(/^epoch 1 {2}skin_tone: /m);
    expect(stdout).toMatch(/^epoch 1 {2}a linear probe of group: 0\.\d+/m);
    const probes = join(folder, /the fcn: (\S+)$/m.exec(stdout)?.[1] ?? "");
    for (const name of ["query.png", "kernels.png", "confusion-group.png", "downstream.json"])
      expect(existsSync(join(probes, "epoch-0001", name))).toBe(true);
  });

  it("is a spec too, which the command line shows and trains on the same images", async () => {
    const spec = join(own, "spec.yml");
    const shown = await runCli(folder, ["inspect", spec, "--json"]);
    expect([shown.code, shown.stderr]).toEqual([0, ""]);
    const facts = JSON.parse(shown.stdout);
    expect(facts.layers[0]).toMatchObject({ layer: "imported", shape: [64, 4, 4] });
    expect(facts.parts[0]).toMatchObject({ part: "fcn", trained: 0, statistics: 240 });
    const trained = await runCli(folder, ["train", spec, "--epochs", "1"]);
    expect(trained.code).toBe(0);
    const log = readFileSync(join(folder, "demo", "patchwork", "runs", "initial", "log.jsonl"), "utf8");
    expect(Object.keys(JSON.parse(log).evaluation.tasks)).toEqual(["group", "skin_tone"]);
  });
});

describe("the example of three kinds of task", () => {
  const folder = mkdtempSync(join(tmpdir(), "mttc-mixed-"));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  it("names the palette's colours, each once; a drawing without any is labelled, too", () => {
    const drawing = '<path fill="#EA5A47"/><path style="fill:#92d3f5"/><path stroke="#d22f27" fill="none"/>';
    expect(coloursOf(drawing)).toEqual(["blue", "red"]);
    expect([tagCell(["blue", "red"]), tagCell([])]).toEqual(["blue|red", "[]"]);
  });

  it("makes tables with holes, trains, exports and predicts each kind by the commands that it prints", () => {
    const own = join("examples", "mixed");
    cpSync(join(repository, own), join(folder, own), { recursive: true });
    const script = join(repository, "dist", own, "mixed.js");
    const options = { cwd: folder, encoding: "utf8" } as const;
    const run = spawnSync(process.execPath, [script, "--limit", "240", "--epochs", "1"], options);
    expect([run.status, run.stderr.includes("rror")]).toEqual([0, false]);
    const commands = [...run.stdout.matchAll(/^\$ npx mttc (\w+)/gm)].map(([, command]) => command);
    expect(commands).toEqual(["train", "evaluate", "export", "predict"]);
    const cells = readFileSync(join(folder, "demo", "openmoji", "mixed-train.csv"), "utf8")
      .trimEnd()
      .split("\n")
      .slice(1)
      .map((line) => line.split(","));
    for (const column of [2, 3]) {
      const holes = cells.filter((row) => row[column] === "").length;
      expect(holes).toBeGreaterThan(0);
      expect(holes).toBeLessThan(cells.length / 2);
    }
    expect(cells.some((row) => row[2] === "[]")).toBe(true);
    for (const task of ["group", "colours", "covered"]) {
      expect(existsSync(join(folder, "demo", "mixed", "export", `${task}.onnx`))).toBe(true);
      expect(run.stdout.split("$ npx mttc predict")[1]).toContain(` ${task} `);
    }
  });

  it("says what it takes", () => {
    const script = join(repository, "dist", "examples", "mixed", "mixed.js");
    const run = spawnSync(process.execPath, [script, "--limit", "none"], { encoding: "utf8" });
    expect(run.status).toBe(2);
    expect(run.stderr).toContain("npm run example:mixed");
  });
});
