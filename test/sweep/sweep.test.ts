// `mttc sweep` as a user runs it, on the tiny data set: the best run is found, a sweep that was stopped goes
// on to the same end, and bad input is refused before anything trains.
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { runCli } from "../cli/runCli.ts";
import { makeTinyData, type TinyData } from "../cli/tinyData.ts";

describe("mttc sweep", () => {
  let data: TinyData;
  const over = ["--over", "lr=[0.01, 1e-9]", "shared_layers=[[6], [2]]"];
  beforeAll(async () => {
    data = await makeTinyData({ epochs: "4", train_fcn: "false", dropout_rate: "0" });
  });
  afterAll(() => data[Symbol.asyncDispose]());

  function stateOf(folder: string): { runs: { epochs: number; gains: number[]; point: { lr: number } }[] } {
    return JSON.parse(readFileSync(join(data.folder, folder, "sweep.json"), "utf8"));
  }

  it("stops bad runs early, says which did best, and draws it", async () => {
    const args = ["sweep", "spec.yml", ...over, "--grid", "--halving", "2", "--threads", "1"];
    const { code, stdout, stderr } = await runCli(data.folder, args);
    expect([code, stderr]).toEqual([0, expect.stringContaining("round 3 of 3: until epoch 4")]);
    expect(stdout).toMatch(/stopping bad runs early saved \d+/);
    const { runs } = stateOf("run-sweep");
    expect(runs).toHaveLength(4);
    expect(runs.map(({ epochs }) => epochs).toSorted()).toEqual([1, 1, 2, 4]);
    const winner = runs.find(({ epochs }) => epochs === 4);
    expect(winner?.point.lr).toBe(0.01);
    expect(stdout.split("\n")[1]).toMatch(/^run-00\d +0\.01/);
    const png = readFileSync(join(data.folder, "run-sweep", "sweep.png"));
    expect(png.subarray(1, 4).toString()).toBe("PNG");
  });

  it("the features of a frozen trunk lie in one place for all runs", () => {
    expect(existsSync(join(data.folder, "run-sweep", "cache"))).toBe(true);
    expect(existsSync(join(data.folder, "run-sweep", "run-001", "cache"))).toBe(false);
  });

  it("does not begin again where a sweep lies; --resume trains nothing twice", async () => {
    const again = await runCli(data.folder, ["sweep", "spec.yml", ...over, "--grid"]);
    expect([again.code, again.stderr]).toEqual([2, expect.stringContaining("--resume")]);
    const before = readFileSync(join(data.folder, "run-sweep", "sweep.json"), "utf8");
    const { code, stdout } = await runCli(data.folder, ["sweep", "spec.yml", "--resume", "--json"]);
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toHaveLength(4);
    expect(readFileSync(join(data.folder, "run-sweep", "sweep.json"), "utf8")).toBe(before);
  });

  it("interrupted and gone on with it ends as one that was not", async () => {
    const args = ["sweep", "spec.yml", ...over, "--grid", "--halving", "2", "--threads", "1", "-o", "cut"];
    const cut = await runCli(data.folder, args, { interruptAt: "run 3 of 4" });
    expect([cut.code, cut.stderr]).toEqual([130, expect.stringContaining("-o cut --resume")]);
    const { code } = await runCli(data.folder, [
      "sweep",
      "spec.yml",
      "-o",
      "cut",
      "--resume",
      "--threads",
      "1",
    ]);
    expect(code).toBe(0);
    const gains = (folder: string) => stateOf(folder).runs.map(({ gains }) => gains);
    expect(gains("cut")).toEqual(gains("run-sweep"));
  });

  it("a run that diverges drops out, and the others go on", async () => {
    const args = ["sweep", "spec.yml", "--over", "lr=[0.01, 1e6]", "--grid", "--halving", "1", "-o", "wild"];
    const { code, stdout, stderr } = await runCli(data.folder, [...args, "--epochs", "2"]);
    expect(code).toBe(0);
    const { runs } = stateOf("wild");
    const failed = (runs[1] as { failed?: string }).failed;
    // Where the arithmetic survives such a rate, the run is only bad.
    expect(failed === undefined ? runs[1]?.epochs : stderr).toEqual(
      failed === undefined ? 2 : expect.stringContaining("drops out"),
    );
    expect(stdout.split("\n")[1]).toMatch(/^run-001/);
  });

  it.each([
    [["--over", "lrr=1..2"], "E_USAGE", '"lr"'],
    [["--over", "lr=[1, 2]", "--resume", "-o", "run-sweep"], "E_USAGE", "leave --over away"],
    [["--over", "lr=1e-4..1e-2:log", "--grid", "-o", "fresh"], "E_USAGE", "how many points lr"],
    [["--over", "batch_size=[0, 4]", "--grid", "-o", "fresh"], "E_CONFIG", "batch_size 0"],
    [[], "E_USAGE", "nothing to vary"],
    [["--over", "lr=[1, 2]", "-o", "images"], "E_RUN_EXISTS", "empty or new"],
    [["--resume", "-o", "nowhere"], "E_CKPT_NONE", "no sweep"],
  ])("%j is refused", async (more, errorCode, text) => {
    const { code, stderr } = await runCli(data.folder, ["sweep", "spec.yml", ...more]);
    expect([code, stderr]).toEqual([2, expect.stringContaining(errorCode)]);
    expect(stderr).toContain(text);
  });

  it("another spec is no other half of a sweep; a damaged record is named", async () => {
    const other = readFileSync(join(data.folder, "spec.yml"), "utf8").replace("epochs: 4", "epochs: 5");
    writeFileSync(join(data.folder, "other.yml"), other);
    const changed = await runCli(data.folder, [
      "sweep",
      "other.yml",
      "-o",
      "run-sweep",
      "--resume",
      "--epochs",
      "7",
    ]);
    expect([changed.code, changed.stderr]).toEqual([2, expect.stringContaining("E_CKPT_MISMATCH")]);
    mkdirSync(join(data.folder, "bad"));
    writeFileSync(join(data.folder, "bad", "sweep.json"), "{");
    const damaged = await runCli(data.folder, ["sweep", "spec.yml", "-o", "bad", "--resume"]);
    expect([damaged.code, damaged.stderr]).toEqual([2, expect.stringContaining("sweep.json")]);
    rmSync(join(data.folder, "bad"), { recursive: true });
  });

  it("needs validation labels", async () => {
    const text = readFileSync(join(data.folder, "spec.yml"), "utf8").replace("val_labels: val.csv\n", "");
    writeFileSync(join(data.folder, "blind.yml"), text);
    const { code, stderr } = await runCli(data.folder, ["sweep", "blind.yml", ...over, "-o", "blind"]);
    expect([code, stderr]).toEqual([2, expect.stringContaining("val_labels")]);
    expect(existsSync(join(data.folder, "blind"))).toBe(false);
  });
});
