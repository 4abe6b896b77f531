// A run whose spec splits its one table: trained, evaluated, gone on with, moved, its table reordered and
// grown; every part stays what it was.
import { cp, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { TrainedRun } from "../../runtime/mttc.ts";
import { loadNewestCheckpoint } from "../../runtime/runs/checkpoints.ts";
import { runCli } from "../cli/runCli.ts";
import { makeTinyData, type TinyData, tinySpec } from "../cli/tinyData.ts";
import { faultsOfAsync } from "../spec/faultsOf.ts";
import { train, trainerOfText } from "./trainedData.ts";

const SPLIT = { val_labels: "null", train_labels: "all.csv", split: "{val: 0.25, test: 0.2, by: patient}" };
let data: TinyData;

const table = (): string => join(data.folder, "all.csv");
const lines = async (): Promise<string[]> => (await readFile(table(), "utf8")).trim().split("\n");

/** Paths of a part, as the run has them now. */
async function pathsOf(
  split: "train" | "val" | "test",
  folder = join(data.folder, "run"),
): Promise<string[]> {
  await using run = await TrainedRun.open(folder);
  const { rows } = await run.labels({ split });
  return [...rows.paths].map((path) => path.replace(/.*images/, "images")).toSorted();
}

beforeEach(async () => {
  data = await makeTinyData();
  const [head, ...rows] = (await readFile(join(data.folder, "train.csv"), "utf8")).trim().split("\n");
  const grouped = rows.map((row, i) => `${row},p${Math.floor(i / 2)}`);
  await writeFile(table(), `${[`${head},patient`, ...grouped].join("\n")}\n`);
});
afterEach(() => data[Symbol.asyncDispose]());

test("each part is the same after the table was reordered and has grown, and new rows are told", async () => {
  await train(data.folder, 1, SPLIT);
  const before = { train: await pathsOf("train"), val: await pathsOf("val"), test: await pathsOf("test") };
  expect(new Set([...before.train, ...before.val, ...before.test]).size).toBe(36);
  const [head, ...rows] = await lines();
  await writeFile(table(), `${[head, ...rows.toReversed(), "images/val-0.png,red,dot,n,p99"].join("\n")}\n`);
  for (const split of ["train", "val", "test"] as const) expect(await pathsOf(split)).toEqual(before[split]);
  const { code, stdout, stderr } = await runCli(data.folder, [
    "evaluate",
    "run",
    "--ep",
    "cpu",
    "--test",
    "--json",
  ]);
  expect([code, JSON.parse(stdout).images, stderr]).toEqual([
    ...[0, before.test.length],
    expect.stringContaining("1 row of"),
  ]);
  // Without the column of groups, too: the record says where rows are.
  await writeFile(table(), `${(await lines()).map((line) => line.replace(/,[^,]*$/, "")).join("\n")}\n`);
  expect(await pathsOf("val")).toEqual(before.val);
  // A label that came with a new row is no fault of the run's.
  await writeFile(table(), `${(await readFile(table(), "utf8")).replace("val-0.png,red", "val-0.png,teal")}`);
  expect(await pathsOf("test")).toEqual(before.test);
}, 60_000);

test("a resume trains the recorded rows, whatever was added, to the same bits", async () => {
  await train(data.folder, 3, { ...SPLIT, logdir: "whole" });
  await train(data.folder, 1, SPLIT);
  const [head, ...rows] = await lines();
  await writeFile(table(), `${[head, ...rows, "images/val-0.png,red,dot,n,p99"].join("\n")}\n`);
  const log = await train(data.folder, 3, SPLIT, { resume: true });
  expect(log.join("\n")).toMatch(/1 row of .* came after the run had split it/);
  const [one, other] = await Promise.all(
    ["whole", "run"].map((name) => loadNewestCheckpoint(join(data.folder, name))),
  );
  for (const [name, tensor] of one?.tensors ?? [])
    expect(Buffer.from(other?.tensors.get(name)?.data ?? [])).toEqual(Buffer.from(tensor.data));
}, 60_000);

test("another split is another experiment; a lost record is made anew where the table is what it was", async () => {
  await train(data.folder, 1, SPLIT);
  const other = { ...SPLIT, split: "{val: 0.3, test: 0.2, by: patient}" };
  const refused = await faultsOfAsync(() => train(data.folder, 2, other, { resume: true }));
  expect(refused.map(({ at, message }) => `${at?.path ?? ""}: ${message}`)).toEqual([
    expect.stringContaining("split.val"),
    "split.val: was 0.25, is 0.3",
  ]);
  const before = await pathsOf("val");
  await rm(join(data.folder, "run", "split.json"));
  expect(await faultsOfAsync(() => TrainedRun.open(join(data.folder, "run")))).toMatchObject([
    { code: "E_FILE" },
  ]);
  await train(data.folder, 2, SPLIT, { resume: true });
  expect(await pathsOf("val")).toEqual(before);
}, 60_000);

test("a project that was moved whole finds its parts", async () => {
  await train(data.folder, 1, SPLIT);
  const before = await pathsOf("val");
  const moved = `${data.folder}-moved`;
  try {
    await cp(data.folder, moved, { recursive: true });
    expect(await pathsOf("val", join(moved, "run"))).toEqual(before);
  } finally {
    await rm(moved, { recursive: true, force: true });
  }
}, 60_000);

test("data check tries the whole table once, and writes it without bad rows", async () => {
  await writeFile(join(data.folder, "s.yml"), tinySpec(SPLIT));
  await writeFile(join(data.folder, "images", "train-7.png"), "no image");
  const { code, stdout, stderr } = await runCli(data.folder, ["data", "check", "s.yml", "--drop", "0.1"]);
  expect([code, stdout]).toEqual([0, expect.stringMatching(/36 images of 36 rows: 35 usable, 1 not/)]);
  expect(stderr).toContain("all.checked.csv");
  const kept = (await readFile(join(data.folder, "all.checked.csv"), "utf8")).trim().split("\n");
  expect(kept).toEqual((await lines()).filter((line) => !line.includes("train-7.png")));
});

test("copies of one image under several names stay together", async () => {
  const bytes = await readFile(join(data.folder, "images", "train-0.png"));
  for (let i = 1; i < 9; i++) await writeFile(join(data.folder, "images", `train-${i * 3}.png`), bytes);
  await train(data.folder, 1, { ...SPLIT, split: "{val: 0.25, test: 0.2}" });
  const parts = [await pathsOf("train"), await pathsOf("val"), await pathsOf("test")];
  const copies = Array.from({ length: 9 }, (_, i) => `images/train-${i * 3}.png`);
  expect(parts.filter((paths) => copies.some((path) => paths.includes(path)))).toHaveLength(1);
  expect((await runCli(data.folder, ["data", "check", "run"])).code).toBe(0);
}, 60_000);

test("a fold of the spec's own is trained like any split", async () => {
  await train(data.folder, 1, { ...SPLIT, split: "{folds: 3, fold: 2}" });
  expect((await pathsOf("val")).length).toBe(12);
  expect((await pathsOf("train")).length).toBe(24);
  await using trainer = trainerOfText(data.folder, tinySpec({ ...SPLIT, split: "{folds: 3, fold: 2}" }));
  expect(trainer.spec.split).toMatchObject({ folds: 3, fold: 2 });
}, 60_000);
