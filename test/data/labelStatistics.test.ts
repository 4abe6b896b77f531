// Statistics of labels by hand-counted tables, and the command that prints them.
import { mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Command } from "commander";
import { expect, test } from "vitest";
import { addDataStatsCommand } from "../../cli/dataStatsCommand.ts";
import { processTerminal } from "../../cli/terminal.ts";
import type { LabelledRows } from "../../runtime/data/classes.ts";
import { batchShares, classCounts, labelledTogether } from "../../runtime/data/labelStatistics.ts";
import { SUM_FLOAT64 } from "../tolerances.ts";

const rows: LabelledRows = {
  tasks: ["a", "b"],
  paths: ["1", "2", "3", "4"],
  labels: Int32Array.from([0, -1, 1, -1, 1, 0, -1, -1]),
  locate: () => ({}),
};

test("rows are counted per class, and per pair of tasks", () => {
  expect(classCounts(rows, { a: ["x", "y"], b: ["z", "w"] })).toEqual({ a: [1, 2], b: [1, 0] });
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

test("mttc data stats prints them as tables and as JSON", async () => {
  const folder = await mkdtemp(join(tmpdir(), "mttc-stats-"));
  await writeFile(join(folder, "t.csv"), "filepath,a,b\n1.png,x,\n2.png,y,\n3.png,y,z\n4.png,,w\n");
  const spec = join(folder, "spec.yml");
  await writeFile(spec, "train_labels: t.csv\ntasks: [a, b]\nfcn: {layers: [4]}\nbatch_size: 2\n");
  const stats = async (...more: string[]): Promise<string> => {
    const lines: string[] = [];
    const data = new Command("data");
    addDataStatsCommand(data, {
      ...processTerminal(),
      isTerminal: false,
      out: (text) => void lines.push(text),
    });
    await data.parseAsync(["stats", spec, ...more], { from: "user" });
    return lines.join("\n");
  };
  const facts = JSON.parse(await stats("--json"));
  expect([facts.rows, facts.train]).toEqual([
    { train: 4, val: 0 },
    { a: [1, 2], b: [1, 1] },
  ]);
  const text = await stats();
  for (const part of [/a +y +2 +-/, /labelled together +a +b/, /in a batch of 2/]) expect(text).toMatch(part);
});
