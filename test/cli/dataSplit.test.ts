// `mttc data split`: parts as tables whose rows are what they were, in every form; of a spec, of a run, of a
// table alone; into another folder; what is in the way and what cannot be.
import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { TrainedRun } from "../../runtime/mttc.ts";
import { train } from "../runs/trainedData.ts";
import { type ProgramResult, runCli } from "./runCli.ts";
import { makeTinyData, type TinyData, tinySpec } from "./tinyData.ts";

let data: TinyData;
const split = (...args: string[]): Promise<ProgramResult> => runCli(data.folder, ["data", "split", ...args]);
const lines = async (name: string): Promise<string[]> =>
  (await readFile(join(data.folder, name), "utf8")).trim().split("\n");

beforeEach(async () => {
  data = await makeTinyData();
  const [head, ...rows] = await lines("train.csv");
  const grouped = rows.map((row, i) => `${row},p${i % 12}`);
  await writeFile(join(data.folder, "all.csv"), `${[`${head},patient`, ...grouped].join("\n")}\n`);
});
afterEach(() => data[Symbol.asyncDispose]());

test("writes each row of a table to one part, as it was, groups together", async () => {
  const { code, stdout } = await split("all.csv", "--val", "0.25", "--test", "0.25", "--by", "patient");
  expect([code, stdout]).toEqual([
    0,
    expect.stringMatching(/^train_labels: all\.train\.csv {2}# 18 rows\nval_labels: /),
  ]);
  const [head, ...rows] = await lines("all.csv");
  const parts = await Promise.all(["train", "val", "test"].map((name) => lines(`all.${name}.csv`)));
  expect(parts.every(([first]) => first === head)).toBe(true);
  expect(parts.flatMap(([, ...own]) => own).toSorted()).toEqual(rows.toSorted());
  const patients = parts.map(([, ...own]) => new Set(own.map((row) => row.split(",").at(-1))));
  expect(patients.reduce((sum, { size }) => sum + size, 0)).toBe(12);
  // What was written trains as it stands.
  const spec = { train_labels: "all.train.csv", val_labels: "all.val.csv", test_labels: "all.test.csv" };
  await train(data.folder, 1, { ...spec, logdir: "parts" });
}, 60_000);

test("takes the split of a spec, and a run's own rows", async () => {
  const keys = { val_labels: "null", train_labels: "all.csv", split: "{val: 0.25, by: patient}" };
  await writeFile(join(data.folder, "s.yml"), tinySpec(keys));
  expect((await split("s.yml")).code).toBe(0);
  const bySpec = await lines("all.val.csv");
  await train(data.folder, 1, keys);
  await using run = await TrainedRun.open(join(data.folder, "run"));
  const { rows } = await run.labels();
  const paths = [...rows.paths].map((path) => path.slice(data.folder.length + 1));
  expect(bySpec.slice(1).map((row) => row.split(",")[0])).toEqual(paths);
  const json = JSON.parse((await split("run", "--json")).stdout);
  expect([json.val.rows, Object.keys(json)]).toEqual([paths.length, ["train", "val"]]);
  expect(await lines("all.val.csv")).toEqual(bySpec);
  // Flags go before the spec's own.
  const other = JSON.parse((await split("s.yml", "--val", "0.5", "--json")).stdout);
  expect(other.val.rows).toBe(18);
}, 60_000);

test("writes to another folder what a spec must then say of paths", async () => {
  const { stdout } = await split("all.csv", "--val", "0.25", "-o", "out/tables");
  expect(stdout).toMatch(/val_labels: out\/tables\/all\.val\.csv .*\npath_prefix: \.\.\/\.\.\/ {2}# /);
  expect((await readdir(join(data.folder, "out/tables"))).toSorted()).toEqual([
    "all.train.csv",
    "all.val.csv",
  ]);
  const spec = { train_labels: "out/tables/all.train.csv", val_labels: "out/tables/all.val.csv" };
  await train(data.folder, 1, { ...spec, path_prefix: "../../", logdir: "moved" });
}, 60_000);

test("keeps JSON Lines as they are, and makes a CSV of a folder", async () => {
  const rows = (await lines("all.csv")).slice(1).map((row) => {
    const [file, colour, , , patient] = row.split(",");
    return JSON.stringify({ patient, file, colour: colour || null, more: { deep: 1 } });
  });
  await writeFile(join(data.folder, "t.jsonl"), `${rows.join("\n")}\n`);
  expect((await split("t.jsonl", "--val", "0.25", "--tasks", "colour", "--filepaths", "file")).code).toBe(0);
  expect([...(await lines("t.train.jsonl")), ...(await lines("t.val.jsonl"))].toSorted()).toEqual(
    rows.toSorted(),
  );
  for (const name of ["red", "blue"]) {
    await mkdir(join(data.folder, "tree", name), { recursive: true });
    for (let i = 0; i < 4; i++) await writeFile(join(data.folder, "tree", name, `${i}.png`), `${name}${i}`);
  }
  const tree = await split("tree", "--val", "0.25");
  expect([tree.code, await lines("tree.val.csv")]).toEqual([0, expect.arrayContaining(["filepath,class"])]);
  expect((await lines("tree.train.csv")).length - 1).toBe(6);
});

test("replaces only its own, and says what cannot be", async () => {
  await writeFile(join(data.folder, "all.val.csv"), "mine\n");
  const inTheWay = await split("all.csv", "--val", "0.2");
  expect([inTheWay.code, inTheWay.stderr]).toEqual([2, expect.stringContaining("[E_RUN_EXISTS]")]);
  expect(await lines("all.val.csv")).toEqual(["mine"]);
  expect((await split("all.csv", "--val", "0.2", "--overwrite")).code).toBe(0);
  expect((await split("all.csv", "--val", "0.3")).code).toBe(0);
  await rm(join(data.folder, "all.val.csv"));
  const refused: [string[], RegExp][] = [
    [["all.csv"], /--val 0\.2 \(and --test 0\.1\)/],
    [["spec.yml"], /--val 0\.2/],
    [["all.csv", "--val", "1.5"], /expected a share above 0 and below 1/],
    [["all.csv", "--val", "0.6", "--test", "0.6"], /leave no rows to train/],
    [["all.csv", "--val", "0.2", "--by", "patientt"], /no column "patientt"[^\n]*\n.*did you mean "patient"/],
    [["spec.yml", "--val", "0.2"], /val_labels/],
    [["none.csv", "--val", "0.2"], /\[E_FILE\]/],
  ];
  for (const [args, message] of refused) {
    const { code, stderr } = await split(...args);
    expect([code, stderr], args.join(" ")).toEqual([2, expect.stringMatching(message)]);
  }
}, 60_000);
