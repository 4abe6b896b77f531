// `mttc cross-validate`: folds that validate every row once, the same numbers again, what is finished is not
// trained again, Ctrl-C saves, features of a frozen trunk are computed once for all folds; what is refused.
import { readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { parseWritten } from "../../compiler/spec/parseSpec.ts";
import { type CrossValidationOptions, crossValidate, TrainedRun } from "../../runtime/mttc.ts";
import { meanDeviation } from "../../runtime/series/meanDeviation.ts";
import { experimentFromSpec } from "../../runtime/train/experiment.ts";
import { runCli } from "../cli/runCli.ts";
import { makeTinyData, type TinyData, tinySpec } from "../cli/tinyData.ts";
import { faultsOfAsync } from "../spec/faultsOf.ts";
import { SUM_FLOAT64 } from "../tolerances.ts";

let data: TinyData;
beforeEach(async () => {
  data = await makeTinyData();
});
afterEach(() => data[Symbol.asyncDispose]());

const KEYS = { val_labels: "null", logdir: "cv" };

function experimentOf(changes: Readonly<Record<string, string>> = {}) {
  const file = join(data.folder, "spec.yml");
  const { spec, given } = parseWritten(tinySpec({ ...KEYS, ...changes }), file);
  return experimentFromSpec(spec, file, given);
}

const validate = (options: CrossValidationOptions = {}, changes: Readonly<Record<string, string>> = {}) =>
  crossValidate(experimentOf(changes), { folds: 3, ...options, runtime: { threads: 1 } });

test("mean and deviation are those of a sample, by hand; holes are left out", () => {
  const { mean, deviation, count } = meanDeviation([1, 2, Number.NaN, 6]);
  expect([mean, count]).toEqual([3, 3]);
  expect(Math.abs(deviation - Math.sqrt(7))).toBeLessThan(SUM_FLOAT64);
  expect(meanDeviation([4]).deviation).toBeNaN();
  expect(meanDeviation([]).mean).toBeNaN();
});

describe("folds", () => {
  test("validate every row once, and give the same numbers again", async () => {
    const report = await validate();
    expect(report.folds.map(({ name, wasFinished }) => [name, wasFinished])).toEqual([
      ["fold-1", false],
      ["fold-2", false],
      ["fold-3", false],
    ]);
    const seen: string[] = [];
    for (const { directory } of report.folds) {
      await using run = await TrainedRun.open(directory);
      const rows = await run.labels();
      seen.push(...rows.rows.paths);
      const log = (await readFile(join(directory, "log.jsonl"), "utf8")).trim().split("\n");
      const { colour } = JSON.parse(log.at(-1) ?? "").evaluation.tasks;
      const fold = report.folds.findIndex((each) => each.directory === directory);
      for (const { name, values } of report.tasks.colour?.figures ?? [])
        expect(values[fold]).toBe(colour[name]);
      expect(report.tasks.colour?.labelled[fold]).toBe(colour.labelled);
    }
    expect([seen.length, new Set(seen).size]).toEqual([36, 36]);
    const again = await validate({}, { logdir: "again" });
    expect(again.tasks).toEqual(report.tasks);
    const file = JSON.parse(await readFile(join(data.folder, "cv", "cross-validation.json"), "utf8"));
    expect(file.tasks).toEqual(JSON.parse(JSON.stringify(report.tasks)));
  }, 120_000);

  test("that are finished are read only; one that was stopped goes on to the same bits", async () => {
    const controller = new AbortController();
    const names: string[] = [];
    const stopped = await faultsOfAsync(() =>
      validate({
        signal: controller.signal,
        onTrainer: (trainer, { name }) => {
          names.push(name);
          const off = trainer.on("epoch", () => name === "fold-2" && controller.abort());
          return off;
        },
      }),
    );
    expect(stopped).toMatchObject([
      { code: "E_INTERRUPTED", message: expect.stringMatching(/^fold-2: .*saved in/) },
    ]);
    expect(names).toEqual(["fold-1", "fold-2"]);
    const state = join(data.folder, "cv", "fold-1", "checkpoints", "epoch-0002", "state.safetensors");
    const { mtimeMs } = await stat(state);
    const resumed = await validate();
    expect(resumed.folds.map(({ wasFinished }) => wasFinished)).toEqual([true, false, false]);
    expect((await stat(state)).mtimeMs).toBe(mtimeMs);
    expect((await validate({}, { logdir: "whole" })).tasks).toEqual(resumed.tasks);
    expect((await validate()).tasks).toEqual(resumed.tasks);
  }, 120_000);

  test("that patience has ended are finished, too", async () => {
    const changes = { patience: "1", lr: "1e-12", logdir: "patient" };
    const first = await validate({ folds: 2, epochs: 9 }, changes);
    const again = await validate({ folds: 2, epochs: 9 }, changes);
    expect(first.folds.map(({ wasFinished }) => wasFinished)).toEqual([false, false]);
    expect(again.folds.map(({ wasFinished }) => wasFinished)).toEqual([true, true]);
    expect(again.tasks).toEqual(first.tasks);
  }, 60_000);

  test("share the features of a frozen trunk", async () => {
    const frozen = { train_fcn: "false", cache_features: "true", task_weights: "null" };
    const lines: string[] = [];
    await validate(
      { onTrainer: (trainer) => trainer.on("log", ({ message }) => void lines.push(message)) },
      frozen,
    );
    expect(await readdir(join(data.folder, "cv", "cache"))).toHaveLength(1);
    expect(lines.filter((line) => line.includes("were computed now"))).toHaveLength(1);
    expect(lines.filter((line) => line.includes("training reads the features of 36 images"))).toHaveLength(3);
  }, 120_000);
});

describe("the command", () => {
  test("prints one table, groups and holds out as the spec says", async () => {
    const text = await readFile(join(data.folder, "train.csv"), "utf8");
    const rows = text
      .trim()
      .split("\n")
      .map((line, i) => `${line},${i === 0 ? "site" : `s${i % 9}`}`);
    await writeFile(join(data.folder, "train.csv"), `${rows.join("\n")}\n`);
    const spec = tinySpec({ ...KEYS, split: "{val: 0.2, test: 0.2, by: site}" });
    await writeFile(join(data.folder, "s.yml"), spec);
    const { code, stdout, stderr } = await runCli(data.folder, [
      "cross-validate",
      "s.yml",
      "--folds",
      "2",
      "--ep",
      "cpu",
    ]);
    expect([code, stderr]).toEqual([0, expect.stringMatching(/^fold-1$/m)]);
    expect(stdout).toMatch(/task +figure +mean +deviation +fold 1 +fold 2/);
    expect(stdout).toMatch(/colour +labelled/);
    const again = await runCli(data.folder, [
      "cross-validate",
      "s.yml",
      "--folds",
      "2",
      "--json",
      "--ep",
      "cpu",
    ]);
    expect(again.stderr).toContain("fold-2 is finished");
    const { tasks } = JSON.parse(again.stdout);
    expect(tasks.colour.figures[0]).toMatchObject({ name: "loss", count: 2 });
    // Copies of one image join their sites: what is held out is the same in every fold, and more than asked.
    const tested: string[][] = [];
    for (const fold of ["cv/fold-1", "cv/fold-2"]) {
      await using run = await TrainedRun.open(join(data.folder, fold));
      tested.push([...(await run.labels({ split: "test" })).rows.paths]);
    }
    expect(tested[1]).toEqual(tested[0]);
    expect(tested[0]?.length).toBe(12);
  }, 120_000);

  test("refuses what cannot be, before anything is trained", async () => {
    const cross = (...args: string[]) => runCli(data.folder, ["cross-validate", ...args]);
    const refused: [string[], RegExp][] = [
      [["spec.yml"], /val_labels: cross-validation splits train_labels/],
      [["s.yml", "--folds", "1"], /expected an integer from 2 to 100/],
      [["s.yml", "--by", "colors"], /no column "colors".*\n.*did you mean "colour"/],
      [["s.yml", "--folds", "40"], /30 images in .*train\.csv cannot make 40 parts/],
      [["none.yml"], /\[E_FILE\]/],
      [["nolog.yml"], /logdir: missing/],
    ];
    await writeFile(join(data.folder, "s.yml"), tinySpec(KEYS));
    await writeFile(join(data.folder, "nolog.yml"), tinySpec({ ...KEYS, logdir: "null" }));
    for (const [args, message] of refused) {
      const { code, stderr } = await cross(...args, "--ep", "cpu");
      expect([code, stderr], args.join(" ")).toEqual([2, expect.stringMatching(message)]);
    }
    expect(await readdir(data.folder)).not.toContain("cv");
  }, 60_000);

  test("refuses a folder of another cross-validation, of a run, and a changed spec", async () => {
    await validate({ folds: 2, epochs: 1 });
    const codes = async (options: CrossValidationOptions, changes = {}): Promise<string[]> =>
      (await faultsOfAsync(() => validate({ epochs: 1, ...options }, changes))).map(({ code }) => code);
    expect(await codes({ folds: 3 })).toEqual(["E_DATA_CHANGED"]);
    expect(await codes({ folds: 2 }, { split: "{val: 0.2, seed: 4}" })).toEqual(["E_DATA_CHANGED"]);
    expect(await codes({ folds: 2 }, { lr: "0.5" })).toEqual(["E_CKPT_MISMATCH", "E_CKPT_MISMATCH"]);
    expect(await codes({ folds: 2 }, { logdir: "cv/fold-1" })).toEqual(["E_RUN_EXISTS"]);
    await rm(join(data.folder, "cv", "cross-validation.json"));
    await writeFile(join(data.folder, "cv", "cross-validation.json"), "mine");
    expect(await codes({ folds: 2 })).toEqual(["E_RUN_EXISTS"]);
  }, 60_000);
});
