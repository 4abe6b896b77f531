// Statistics of labels by hand-counted tables, and the command that prints them.
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Command } from "commander";
import sharp from "sharp";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { addDataStatsCommand } from "../../cli/dataStatsCommand.ts";
import { processTerminal } from "../../cli/terminal.ts";
import { openTasks } from "../../compiler/tasks/openTask.ts";
import type { LabelledRows } from "../../runtime/labels/classes.ts";
import { batchShares, groupCounts, labelledTogether } from "../../runtime/labels/labelStatistics.ts";
import { dataStats, dataStatsPlot } from "../../runtime/mttc.ts";
import { faultsOfAsync } from "../spec/faultsOf.ts";
import { SUM_FLOAT64 } from "../tolerances.ts";
import { classLabels } from "./classLabels.ts";

const rows: LabelledRows = {
  tasks: ["a", "b"],
  paths: ["1", "2", "3", "4"],
  labels: classLabels([0, -1, 1, -1, 1, 0, -1, -1], 2),
  locate: () => ({}),
};

test("rows are counted per class, and per pair of tasks", () => {
  const tasks = openTasks([
    { task: "a", classes: ["x", "y"] },
    { task: "b", classes: ["z", "w"] },
  ]);
  expect(groupCounts(rows, tasks)).toEqual({ a: [1, 2], b: [1, 0] });
  expect(labelledTogether(rows)).toEqual([
    [3, 1],
    [1, 1],
  ]);
});

test("shares of a batch are those of draws with replacement, or of a permutation", () => {
  const shares = (balanced: boolean, size: number) =>
    batchShares(rows, { batch_size: size, balance_probs: balanced, balance_classes: false }).flatMap(
      ({ perBatch, chanceOfNone }) => [perBatch, chanceOfNone],
    );
  // p = [1/6, 1/6, 1/6 + 1/2, 0]: q = 1 and 2/3. Permutation: C(3,2)/C(4,2) = 1/2 for b, 0 for a.
  const wanted = [2, 0, 4 / 3, 1 / 9, 1.5, 0, 0.5, 0.5];
  [...shares(true, 2), ...shares(false, 2)].forEach((value, i) => {
    expect(Math.abs(value - (wanted[i] ?? Number.NaN)), `number ${i}`).toBeLessThan(SUM_FLOAT64);
  });
  expect(shares(false, 4)[3]).toBe(0);
});

describe("mttc data stats", () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "mttc-stats-"));
    await writeFile(join(folder, "t.csv"), "filepath,a,b\n1.png,x,\n2.png,y,\n3.png,y,z\n4.png,,w\n");
    await writeFile(
      join(folder, "spec.yml"),
      "train_labels: t.csv\ntasks: [a, b]\nfcn: {layers: [4]}\nbatch_size: 2\n",
    );
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  async function stats(...args: string[]): Promise<{ out: string; notes: string }> {
    const [out, notes]: [string[], string[]] = [[], []];
    const data = new Command("data");
    addDataStatsCommand(data, {
      ...processTerminal(),
      data: () => undefined,
      isTerminal: false,
      out: (text) => void out.push(text),
      note: (text) => void notes.push(text),
    });
    await data.parseAsync(["stats", ...args], { from: "user" });
    return { out: out.join("\n"), notes: notes.join("\n") };
  }

  test("prints them as tables and as JSON", async () => {
    const spec = join(folder, "spec.yml");
    const facts = JSON.parse((await stats(spec, "--json")).out);
    expect([facts.rows, facts.train]).toEqual([
      { train: 4, val: 0, test: 0 },
      { a: [1, 2], b: [1, 1] },
    ]);
    const { out } = await stats(spec);
    for (const part of [/a +y +2 +-/, /labelled together +a +b/, /in a batch of 2/])
      expect(out).toMatch(part);
  });

  test("takes a label table without a spec, and says what it does not count", async () => {
    const head = "id,im,a,b\n";
    const rows = Array.from({ length: 8 }, (_, i) => `${i}n,${i}.png,${i % 2 ? "x" : "=cmd()"},${i % 4}\n`);
    await writeFile(join(folder, "free.csv"), head + rows.join(""));
    const { out, notes } = await stats(join(folder, "free.csv"), "--batch-size", "4");
    expect(notes).toBe("not counted: id (8 different values in 8 rows)");
    for (const part of [/a +=cmd\(\) +4 +-/, /b +3 +2 +-/, /in a batch of 4/]) expect(out).toMatch(part);
    const one = await stats(join(folder, "free.csv"), "--tasks", "id", "--val", join(folder, "free.csv"));
    expect(one.out).toMatch(/id +7n +1 +1/);
    const lines = rows.map((row) => JSON.stringify({ im: row.split(",")[1], a: row.split(",")[2] }));
    await writeFile(join(folder, "free.jsonl"), lines.join("\n"));
    expect((await stats(join(folder, "free.jsonl"))).out).toMatch(/a +x +4/);
  });

  test("takes a folder of classes, and a name that is no path column is refused", async () => {
    for (const name of ["cat", "dog"]) {
      await mkdir(join(folder, "tree", name), { recursive: true });
      await writeFile(join(folder, "tree", name, "1.png"), "");
    }
    expect((await stats(join(folder, "tree"))).out).toMatch(/class +dog +1/);
    const wrong = stats(join(folder, "t.csv"), "--filepaths", "file");
    await expect(wrong).rejects.toThrow(/E_CSV_HEADER/);
    await expect(stats(join(folder, "gone.csv"))).rejects.toThrow(/E_FILE/);
    await expect(stats(join(folder, "gone"))).rejects.toThrow(/E_FILE/);
  });

  test("writes a picture with -o, and obeys no escape sequence of a label", async () => {
    await writeFile(
      join(folder, "esc.csv"),
      "file,a\n1.png,\u001B[31mred\n2.png,\u001B[31mred\n3.png,b\n4.png,b\n",
    );
    const png = join(folder, "stats.png");
    const { out, notes } = await stats(join(folder, "esc.csv"), "-o", png);
    expect(notes).toContain("stats.png");
    expect(out).toContain("\\u001b[31mred");
    expect(out).not.toContain("\u001B");
    expect((await sharp(await readFile(png)).metadata()).format).toBe("png");
  });
});

test("the API counts rows in memory and draws them", async () => {
  const train_labels = [
    { filepath: "1.png", a: "x" },
    { filepath: "2.png", a: null },
  ];
  const statistics = await dataStats({ train_labels, tasks: ["a"], batch_size: 1 });
  expect(statistics.batch).toEqual([{ task: "a", labelled: 1, perBatch: 1, chanceOfNone: 0 }]);
  expect((await sharp(await dataStatsPlot(statistics)).metadata()).format).toBe("png");
});

test("the API asks for labels alone: their keys are checked, those of a network are not looked at", async () => {
  const train_labels = [
    { filepath: "1.png", a: "x" },
    { filepath: "2.png", a: "-" },
    { filepath: "3.png", a: "y" },
  ];
  const labels = { train_labels, tasks: ["a"], missing: ["-"], classes: { a: ["y", "x"] } };
  const whole = { ...labels, fcn: { layers: [] }, lr: -1 };
  expect((await dataStats(whole)).train).toEqual({ a: [1, 1] });
  const wrong = { ...labels, classes: { b: ["x", "y"] }, batch_size: 0, fcm: 1 };
  const faults = await faultsOfAsync(() => dataStats(wrong));
  expect(faults.map(({ at }) => at?.path)).toEqual(["fcm", "batch_size", "classes.b"]);
});
