// examples/clients/python/train.py: its size, and what it refuses. What it draws and trains is compared with
// mttc in test/clients/trainers/. Skipped, saying so, where no Python has its packages.
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import sharp from "sharp";
import { expect, type TestContext, test } from "vitest";
import { runCli } from "../cli/runCli.ts";
import { makeTinyData } from "../cli/tinyData.ts";
import { FAULTY_SPEC, TRAINER_FAULTS } from "../clients/trainers/trainerFaults.ts";
import { caseData } from "../clients/trainers/trainingCases.ts";
import { pythonWith } from "../python.ts";

const DRIVER = join(import.meta.dirname, "..", "..", "examples", "clients", "python", "train.py");
const MAX_LINES = 200;
/** Reads a table's cells for the driver. */
const LABELS = join(dirname(DRIVER), "labels.py");
const MAX_LABEL_LINES = 40;
/** Reads, checks and writes states for the driver. */
const STATE = join(dirname(DRIVER), "state.py");
const MAX_STATE_LINES = 35;
/** Random numbers, and numbers by formulas. */
const NUMBERS = ["streams.py", "formulas.py"].map((name) => join(dirname(DRIVER), name));
const MAX_NUMBER_LINES = 50;
const python = pythonWith("onnxruntime", "numpy", "PIL");

/** Skips the test where there is no Python for the driver. */
function driverPython(context: TestContext): string {
  if (python !== undefined) return python;
  return context.skip("no python3 with onnxruntime, numpy and pillow");
}

/** Runs Python in a folder. */
function runPython(program: string, args: readonly string[], cwd: string) {
  const own = { ORT_DISABLE_TELEMETRY: "1", PYTHONDONTWRITEBYTECODE: "1", PYTHONPATH: dirname(DRIVER) };
  const env = { ...process.env, ...own };
  return spawnSync(program, args, { cwd, env, encoding: "utf8", maxBuffer: 2 ** 27 });
}

test(`the driver has at most ${MAX_LINES} lines and three packages`, () => {
  const linesOf = (file: string) => readFileSync(file, "utf8").trimEnd().split("\n");
  const [driver, labels, state] = [linesOf(DRIVER), linesOf(LABELS), linesOf(STATE)];
  expect(driver.length).toBeLessThanOrEqual(MAX_LINES);
  expect(labels.length).toBeLessThanOrEqual(MAX_LABEL_LINES);
  expect(state.length).toBeLessThanOrEqual(MAX_STATE_LINES);
  const numbers = NUMBERS.map(linesOf);
  for (const lines of numbers) expect(lines.length).toBeLessThanOrEqual(MAX_NUMBER_LINES);
  const imported = [...driver, ...labels, ...state, ...numbers.flat()].flatMap(
    (line) => /^(?:from|import) (.+)/.exec(line)?.[1]?.split(/ import .*|, /) ?? [],
  );
  const standard = ["collections", "csv", "json", "math", "sys", "pathlib"];
  const own = [...standard, "labels", "state", "streams", "formulas"];
  const others = new Set(imported.filter((name) => name !== "" && !own.includes(name)));
  expect([...others]).toEqual(["numpy as np", "onnxruntime", "PIL"]);
});

test("the driver refuses what it cannot train on to the bit, saying what", async (context) => {
  const program = driverPython(context);
  await using data = await makeTinyData();
  const { folder } = data;
  expect((await runCli(folder, ["compile", "spec.yml", "-o", "bundle"])).code).toBe(0);
  const refusal = (): string => {
    const { status, stderr } = runPython(program, [DRIVER, "bundle", "train.csv", "out"], folder);
    expect(status).toBe(1);
    return stderr;
  };
  const path = join(folder, "images", "train-3.png");
  const original = readFileSync(path);
  const alpha = await sharp(original).ensureAlpha(0.5).png().toBuffer();
  for (const changed of [await sharp(original).resize(17, 16).png().toBuffer(), alpha]) {
    writeFileSync(path, changed);
    expect(refusal()).toMatch(
      /^images\/train-3\.png: expected a plain image of mode L or RGB and size \(16, 16\)\n$/,
    );
  }
  writeFileSync(path, original);
  const manifest = JSON.parse(readFileSync(join(folder, "bundle", "manifest.json"), "utf8"));
  const [task, ...tasks] = manifest.tasks;
  for (const change of [{ version: 99 }, { tasks: [{ ...task, kind: "ordinal" }, ...tasks] }]) {
    writeFileSync(join(folder, "bundle", "manifest.json"), JSON.stringify({ ...manifest, ...change }));
    expect(refusal()).toBe("bundle: expected a bundle of version 2 with tasks of classes, numbers or tags\n");
  }
});

test.for(["a state that is not there", "a next state of nothing", "a sum that no graph makes"])(
  "the driver refuses %s, and writes nothing",
  async (fault, context) => {
    const program = driverPython(context);
    await using data = await caseData(FAULTY_SPEC);
    const { folder } = data;
    expect((await runCli(folder, ["compile", "spec.yml", "-o", "bundle"])).code).toBe(0);
    TRAINER_FAULTS.find(({ name }) => name === fault)?.plant(folder);
    const { status, stderr } = runPython(program, [DRIVER, "bundle", "train.csv", "out"], folder);
    expect([status, stderr]).toEqual([1, "this driver does not know the state nowhere\n"]);
    expect(existsSync(join(folder, "out"))).toBe(false);
  },
);

test("the driver refuses sums of losses whose graphs are not there, saying which", async (context) => {
  const program = driverPython(context);
  await using data = await caseData(FAULTY_SPEC);
  const { folder } = data;
  expect((await runCli(folder, ["compile", "spec.yml", "-o", "bundle"])).code).toBe(0);
  const path = join(folder, "bundle", "manifest.json");
  const original = readFileSync(path);
  const told = TRAINER_FAULTS.filter(({ name }) => name.startsWith("sums of losses")).map(({ plant }) => {
    writeFileSync(path, original);
    plant(folder);
    return runPython(program, [DRIVER, "bundle", "train.csv", "out"], folder).stderr;
  });
  const lacking = (purpose: string) => `bundle: expected a graph of the purpose ${purpose}\n`;
  expect(told).toEqual([lacking("losses"), lacking("factors")]);
});
