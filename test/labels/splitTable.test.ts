// The spec's `split` on tables: what stays together, what does not depend on the order of rows, what a record
// finds again when the table has grown, and what is told or refused.
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { SpecInput } from "../../compiler/spec/schema.ts";
import { SPLITS, type Split, SplitRecord } from "../../runtime/labels/splitRecord.ts";
import { type ReadSplits, readFolds, readSplits } from "../../runtime/runs/runSources.ts";
import { readSplitRecord, SPLIT_FILE, writeSplitRecord } from "../../runtime/runs/splitFile.ts";
import type { LabelRow } from "../../runtime/tables/labelTable.ts";
import { readTables, sourcesFromOptions } from "../../runtime/train/trainerOptions.ts";
import { faultsOfAsync } from "../spec/faultsOf.ts";
import { SUM_ORDER_FLOAT32 } from "../tolerances.ts";

const TASKS = ["species", { name: "tags", kind: "tags" }, { name: "age", kind: "number" }] as const;

/** 120 rows: three species of unequal size, tags, numbers, all with holes; three images a patient. */
const ROWS: readonly LabelRow[] = Array.from({ length: 120 }, (_, row) => ({
  filepath: `images/${row}.png`,
  species: row % 11 === 0 ? "" : row % 6 === 0 ? "lynx" : row % 3 === 0 ? "fox" : "hare",
  tags: row % 5 === 0 ? "" : row % 4 === 0 ? "wet|dark" : row % 7 === 0 ? "[]" : "dark",
  age: row % 8 === 0 ? "" : 1 + ((row * 37) % 90) / 10,
  patient: `p${Math.floor(row / 3)}`,
}));

type Options = Partial<Pick<SpecInput, "tasks" | "split">> & {
  readonly rows?: readonly LabelRow[];
  readonly record?: SplitRecord;
};

function sourcesOf({ rows = ROWS, record, ...keys }: Options) {
  const tasks = (keys.tasks ?? TASKS) as SpecInput["tasks"];
  return { ...sourcesFromOptions({ train_labels: rows, ...keys, tasks }), split: record };
}

const splitOf = (options: Options): Promise<ReadSplits> => readSplits(sourcesOf(options));

/** Paths by part, sorted. */
function pathsOf({ tables }: ReadSplits): Record<Split, string[]> {
  const paths = (split: Split): string[] => [...(tables[split]?.paths ?? [])].toSorted();
  return { train: paths("train"), val: paths("val"), test: paths("test") };
}

/** Deterministic shuffles. */
const shuffled = <T>(list: readonly T[], step: number): T[] =>
  list.map((_, i) => list[(i * step + 3) % list.length] as T);

const SPLIT = { val: 0.2, test: 0.15 };

describe("parts of one table", () => {
  test("have every row once, alike in classes, tags and numbers", async () => {
    const read = await splitOf({ split: SPLIT });
    const { train, val, test: held } = pathsOf(read);
    const asked = [78, 24, 18];
    for (const [i, paths] of [train, val, held].entries())
      expect(Math.abs(paths.length - (asked[i] ?? 0))).toBeLessThanOrEqual(1);
    expect(new Set([...train, ...val, ...held]).size).toBe(120);
    expect(read.notes).toEqual([]);
    const labels = await readTables(sourcesOf({ split: SPLIT }));
    expect(labels.warnings).toEqual([]);
    const share = (name: string, split: Split): number =>
      pathsOf(read)[split].filter((path) => ROWS[Number(/(\d+)\.png/.exec(path)?.[1])]?.species === name)
        .length;
    for (const [name, rows] of [
      ["lynx", 18],
      ["fox", 18],
      ["hare", 73],
    ] as const)
      expect(Math.abs(share(name, "val") - 0.2 * rows), name).toBeLessThanOrEqual(2);
  });

  test("are the same whatever the order of the rows, others for another seed", async () => {
    for (const by of [null, "patient"]) {
      const split = { ...SPLIT, by };
      const first = pathsOf(await splitOf({ split }));
      for (const step of [7, 11, 119])
        expect(pathsOf(await splitOf({ split, rows: shuffled(ROWS, step) }))).toEqual(first);
      expect(pathsOf(await splitOf({ split: { ...split, seed: 1 } }))).not.toEqual(first);
    }
  });

  test("keep groups together, and rows of one image", async () => {
    const twice = ROWS.map((row) => ({ ...row, filepath: `images/${row.filepath}` }));
    // An image of two patients joins them.
    const rows: LabelRow[] = [
      ...ROWS,
      { ...ROWS[0], patient: "p39" },
      ...twice.slice(0, 2),
      ...twice.slice(0, 2),
    ];
    const read = await splitOf({ split: { ...SPLIT, by: "patient" }, rows });
    const partOf = new Map<string, Set<Split>>();
    for (const split of SPLITS)
      for (const path of pathsOf(read)[split]) {
        const row = rows.find(({ filepath }) => path.endsWith(`/${filepath}`));
        for (const name of [`${row?.patient}`, path])
          partOf.set(name, (partOf.get(name) ?? new Set()).add(split));
      }
    expect([...partOf.values()].every(({ size }) => size === 1)).toBe(true);
    expect(partOf.get("p0")).toEqual(partOf.get("p39"));
  });

  test("may be grouped by a task's own column", async () => {
    const read = await splitOf({ split: { val: 0.3, by: "species" } });
    expect(read.notes.join("\n")).toMatch(/11 rows of train_labels have no "species": each is dealt/);
    expect(read.tables.train?.columns).toHaveLength(3);
  });

  test("may hold tasks of several columns, one of which may name the groups", async () => {
    const rows = ROWS.map((row, i) => ({
      ...row,
      wet: i % 3 === 0 ? "" : i % 2,
      dark: i % 5 === 0 ? 1 : 0,
      x: i,
      y: -i,
    }));
    const tasks: SpecInput["tasks"] = [
      { name: "parts", kind: "tags", columns: ["wet", "dark"] },
      { name: "place", kind: "number", columns: ["x", "y"] },
    ];
    const { tables } = await splitOf({ rows, tasks, split: { val: 0.25, by: "patient" } });
    expect(tables.train?.columns.map(({ column }) => column)).toEqual(["wet", "dark", "x", "y"]);
    expect(Math.abs((tables.val?.paths.length ?? 0) - 30)).toBeLessThanOrEqual(3);
    const { notes } = await splitOf({ rows, tasks, split: { val: 0.25, by: "wet" } });
    expect(notes.join("\n")).toMatch(/40 rows of train_labels have no "wet"/);
    const prepared = await readTables(sourcesOf({ rows, tasks, split: { val: 0.25, by: "patient" } }));
    expect(prepared.val?.labels.map(({ width }) => width)).toEqual([2, 2]);
  });

  test("are folds in turn, each row validated once", async () => {
    const seen: string[] = [];
    const tested = new Set<string>();
    for (let fold = 1; fold <= 4; fold++) {
      const { train, val, test: held } = pathsOf(await splitOf({ split: { folds: 4, fold, test: 0.1 } }));
      expect(train.length + val.length + held.length).toBe(120);
      expect(Math.abs(held.length - 12)).toBeLessThanOrEqual(1);
      expect(Math.abs(val.length - 27)).toBeLessThanOrEqual(1);
      tested.add(held.join());
      seen.push(...val);
    }
    expect(tested.size).toBe(1);
    expect(seen.length + [...tested].join().split(",").length).toBe(120);
    expect(new Set(seen).size).toBe(seen.length);
    const { records } = await readFolds(sourcesOf({}), {
      ...{ val: null, test: 0.1, by: null, seed: 0 },
      folds: 4,
      fold: 1,
    });
    for (const [i, record] of records.entries()) {
      const dealt = pathsOf(await splitOf({ split: { folds: 4, fold: i + 1, test: 0.1 } }));
      expect(pathsOf(await splitOf({ split: { folds: 4, fold: i + 1, test: 0.1 }, record }))).toEqual(dealt);
    }
  });

  test("take the mean of numbers from training rows alone", async () => {
    const { tasks, train } = await readTables(sourcesOf({ split: SPLIT }));
    const numbers = [...(train.labels[2]?.values ?? [])].filter((value) => !Number.isNaN(value));
    const mean = numbers.reduce((sum, value) => sum + value, 0) / numbers.length;
    const described = tasks[2]?.mean as number[];
    expect(Math.abs((described[0] ?? 0) - mean)).toBeLessThan(SUM_ORDER_FLOAT32 * mean);
  });
});

describe("what is told", () => {
  test("rare classes, groups without a name, and parts of another size", async () => {
    const rows = ROWS.map((row, i) => ({
      ...row,
      species: i === 5 ? "wolf" : row.species,
      patient: i < 60 ? "big" : i < 70 ? "" : row.patient,
    }));
    const { notes } = await splitOf({ rows, split: { val: 0.6, by: "patient" } });
    expect(notes.join("\n")).toMatch(/10 rows of train_labels have no "patient": each is dealt for itself/);
    expect(notes.join("\n")).toMatch(
      /task "species": in fewer groups of "patient" than the 2 parts.*: wolf \(1\)/,
    );
    const skewed = await splitOf({ rows, split: { val: 0.2, test: 0.6, by: "patient" } });
    expect(skewed.tables.val?.paths.length).toBeGreaterThan(0);
    const one = rows.map((row, i) => ({ ...row, patient: i < 110 ? "big" : `p${i}` }));
    const told = (await splitOf({ rows: one, split: { val: 0.4, by: "patient" } })).notes.join("\n");
    expect(told).toMatch(/the validation part has \d+ of 120 rows of train_labels, 48 were asked for/);
    expect(told).toContain('rows of one "patient" stay together, 110 at most');
  });

  test("cells that mean missing, of the whole table once", async () => {
    const rows = ROWS.map((row, i) => (i % 20 === 0 ? { ...row, species: "NA" } : row));
    const { missing, warnings } = await readTables(sourcesOf({ rows, split: SPLIT }));
    expect(warnings.filter((line) => line.includes("6 NA"))).toHaveLength(1);
    expect(missing.filter(({ spelling }) => spelling === "NA")).toEqual([
      { task: "species", split: "table", spelling: "NA", cells: 6 },
    ]);
  });
});

describe("what is refused", () => {
  test("a column that is not there, with the nearest, and one that is empty", async () => {
    const typo = await faultsOfAsync(() => splitOf({ split: { val: 0.2, by: "patientt" } }));
    expect(typo).toMatchObject([{ code: "E_CSV_HEADER", hint: 'did you mean "patient"?' }]);
    const rows = ROWS.map((row) => ({ ...row, site: "" }));
    const empty = await faultsOfAsync(() => splitOf({ rows, split: { val: 0.2, by: "site" } }));
    expect(empty).toMatchObject([
      { code: "E_CONFIG", message: /"site" of train_labels is empty/, at: { path: "split.by" } },
    ]);
  });

  test("fewer groups than parts, and rows in memory for a part", async () => {
    const rows = ROWS.map((row, i) => ({ ...row, patient: `p${i % 2}` }));
    const few = await faultsOfAsync(() => splitOf({ rows, split: { ...SPLIT, by: "patient" } }));
    expect(few).toMatchObject([
      { code: "E_CONFIG", message: /2 groups of "patient" .* cannot make 3 parts/ },
    ]);
    const both = await faultsOfAsync(() =>
      readSplits(
        sourcesFromOptions({
          ...{ train_labels: ROWS, val_labels: ROWS },
          tasks: ["species"],
          split: { val: 0.2 },
        }),
      ),
    );
    expect(both).toMatchObject([{ code: "E_CONFIG", message: /val_labels names the rows already/ }]);
  });
});

describe("a record", () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "mttc-split-"));
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  test("finds the very rows again in a table that grew, and tells of what is new or gone", async () => {
    const first = await splitOf({ split: SPLIT });
    const grown = [{ ...ROWS[0], filepath: "images/new.png" }, ...shuffled(ROWS, 7)].filter(
      ({ filepath }) => filepath !== "images/3.png",
    );
    const { record } = first;
    const again = await splitOf({ split: SPLIT, rows: grown, ...(record && { record }) });
    const without = (paths: string[]): string[] => paths.filter((path) => !path.endsWith("/images/3.png"));
    const before = pathsOf(first);
    expect(pathsOf(again)).toEqual({
      ...{ train: without(before.train), val: without(before.val), test: without(before.test) },
    });
    expect(again.notes.join("\n")).toMatch(
      /1 of the \d+ \w+ rows of the run's split are no more in train_labels/,
    );
    expect(again.notes.join("\n")).toMatch(/1 row of train_labels came after the run had split it: left out/);
    const other = ROWS.map((row) => ({ ...row, filepath: `moved/${row.filepath}` }));
    const lost = await faultsOfAsync(() => splitOf({ split: SPLIT, rows: other, ...(record && { record }) }));
    expect(lost.map(({ code }) => code)).toEqual(["E_DATA_CHANGED", "E_DATA_CHANGED", "E_DATA_CHANGED"]);
  });

  test("holds for a table that was moved with its images, and for images elsewhere", async () => {
    const parts: Record<Split, string[]>[] = [];
    let record: SplitRecord | undefined;
    for (const name of ["one", "two"]) {
      await mkdir(join(folder, name));
      const lines = ROWS.map(
        ({ species }, i) => `${i < 60 ? `images/${i}.png` : `/far/${i}.png`},${species}`,
      );
      const table = join(folder, name, "t.csv");
      await writeFile(table, `filepath,species\n${lines.join("\n")}\n`);
      const read = await readSplits({
        ...sourcesFromOptions({ train_labels: table, tasks: ["species"], split: SPLIT }),
        split: record,
      });
      ({ record } = read);
      expect(read.notes).toEqual([]);
      const short = (paths: string[]): string[] => paths.map((path) => path.replace(join(folder, name), ""));
      const paths = pathsOf(read);
      parts.push({ train: short(paths.train), val: short(paths.val), test: short(paths.test) });
    }
    expect(parts[1]).toEqual(parts[0]);
  });

  test("is read from its file as it was written, or refused", async () => {
    const { record, tables } = await splitOf({ split: SPLIT });
    if (!record) throw new Error("no record");
    await writeSplitRecord(folder, record);
    const read = await readSplitRecord(folder);
    const sizes = SPLITS.map((split) => read.rowsOf(split));
    expect(sizes).toEqual(SPLITS.map((split) => tables[split]?.paths.length));
    expect(read.rows).toBe(120);
    expect(read.bytes().equals(record.bytes())).toBe(true);
    const bad = [
      "",
      "{}",
      '{"format":"mttc-split","version":1,"rows":{"train":1,"val":0,"test":0},"images":"AAAA"}',
    ];
    for (const text of bad) {
      await writeFile(join(folder, SPLIT_FILE), text);
      expect(await faultsOfAsync(() => readSplitRecord(folder))).toMatchObject([{ code: "E_BUNDLE" }]);
    }
    expect(SplitRecord.from(Buffer.from([...record.bytes()].reverse()))).toBeUndefined();
  });
});
