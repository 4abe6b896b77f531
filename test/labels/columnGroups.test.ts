// Tasks of several columns in label tables of every form: which cells are read, what is missing, and what is
// said of a cell that is none of the task's.
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openTasks } from "../../compiler/tasks/openTask.ts";
import { encodeLabels, prepareLabels } from "../../runtime/labels/classes.ts";
import { labelStatistics } from "../../runtime/labels/labelStatistics.ts";
import { countLabelled } from "../../runtime/labels/taskLabels.ts";
import { readLabelTable } from "../../runtime/tables/labelFiles.ts";
import { type LabelTable, labelTableFromRows } from "../../runtime/tables/labelTable.ts";
import { faultsOf, faultsOfAsync } from "../spec/faultsOf.ts";

const NONE = Number.NaN;
const COLUMNS = {
  ...{ tasks: ["kind", "colours", "box"], filepaths: "file", measured: ["colours", "box"] },
  groups: { colours: ["red", "green", "blue"], box: ["x", "y"] },
};
const KINDS = {
  colours: { kind: "tags", separator: "|", columns: COLUMNS.groups.colours },
  box: { kind: "number", loss: "l2", columns: COLUMNS.groups.box },
};
/** The columns stand in another order than the spec names them. */
const HEAD = ["y", "file", "blue", "kind", "red", "x", "green"];
const ROWS = [
  [0.5, "a.png", 0, "cat", 1, 10, null],
  [null, "b.png", 1, "dog", 0, 30, 1],
  [1.5, "c.png", null, null, null, null, null],
  [null, "d.png", null, "cat", null, null, null],
] as const;
const FLAGS = [1, 255, 0, 0, 1, 1, 255, 255, 255, 255, 255, 255];
const NUMBERS = [10, 0.5, 30, NONE, NONE, 1.5, NONE, NONE];
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "mttc-test-"));
  const delimited = (delimiter: string) =>
    [HEAD, ...ROWS].map((cells) => cells.map((cell) => cell ?? "").join(delimiter)).join("\n");
  await writeFile(join(folder, "t.csv"), delimited(","));
  await writeFile(join(folder, "t.tsv"), delimited("\t"));
  await writeFile(
    join(folder, "t.jsonl"),
    objects()
      .map((row) => JSON.stringify(row))
      .join("\n"),
  );
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** The rows as objects, flags as true and false, missing cells null or left out. */
function objects() {
  return ROWS.map((cells, row) => {
    const entries = cells.map((cell, i) => {
      const name = HEAD[i] ?? "";
      return [name, COLUMNS.groups.colours.includes(name) && cell !== null ? cell === 1 : cell] as const;
    });
    return Object.fromEntries(row % 2 === 0 ? entries : entries.filter(([, cell]) => cell !== null));
  });
}

function numbersOf(table: LabelTable) {
  const prepared = prepareLabels(table, undefined, {}, { kinds: KINDS });
  return { prepared, labels: prepared.train.labels };
}

describe("the labels of a group", () => {
  test.each(["t.csv", "t.tsv", "t.jsonl"])("are read from %s by their columns' names", async (name) => {
    const { prepared, labels } = numbersOf(await readLabelTable(join(folder, name), COLUMNS));
    expect(labels.map(({ width }) => width)).toEqual([1, 3, 2]);
    expect(labels.map(({ values }) => [...values])).toEqual([[0, 1, -1, 0], FLAGS, NUMBERS]);
    // A row is labelled where one of its cells is.
    expect(labels.map((ofTask) => countLabelled(ofTask))).toEqual([3, 2, 3]);
    expect(prepared.tasks[1]).toMatchObject({ tags: ["red", "green", "blue"] });
    expect(prepared.tasks[2]).toMatchObject({ mean: [20, 1], deviation: [10, 0.5], columns: ["x", "y"] });
  });

  test("are those of rows in memory, and of a table that is read under what a run knows", () => {
    const table = labelTableFromRows(objects() as never, COLUMNS);
    const { prepared, labels } = numbersOf(table);
    expect(labels.map(({ values }) => [...values])).toEqual([[0, 1, -1, 0], FLAGS, NUMBERS]);
    const again = encodeLabels(table, openTasks(prepared.tasks));
    expect(again.labels).toEqual(labels);
  });

  test("are counted with their holes: missing cells by column, labels by group, rows by task", () => {
    const { prepared } = numbersOf(labelTableFromRows(objects() as never, COLUMNS));
    const counts = prepared.missing.map(({ task, column, cells }) => [task, column, cells]);
    expect(counts).toEqual([
      ["kind", undefined, 1],
      ["colours", "red", 2],
      ["colours", "green", 3],
      ["colours", "blue", 2],
      ["box", "x", 2],
      ["box", "y", 2],
    ]);
    const options = { batch_size: 2, balance_probs: true, balance_classes: false };
    const { train, together, batch, tasks } = labelStatistics(prepared, options);
    expect(tasks).toEqual({
      kind: { text: "2 classes", areClasses: true, areOrdered: false, labelled: { train: 3, val: 0 } },
      colours: { text: "3 tags", areClasses: false, areOrdered: false, labelled: { train: 2, val: 0 } },
      box: {
        ...{ text: "2 numbers, by ranges", areClasses: false, areOrdered: true },
        labelled: { train: 3, val: 0 },
      },
    });
    expect(train.colours).toEqual([1, 1, 1, 0]);
    expect(together[2]).toEqual([2, 2, 3]);
    expect(batch.map(({ labelled }) => labelled)).toEqual([3, 2, 3]);
  });
});

describe("what is wrong with a group", () => {
  const refused = (change: (rows: Record<string, unknown>[]) => void) => {
    const rows = objects();
    change(rows);
    return faultsOf(() => numbersOf(labelTableFromRows(rows as never, COLUMNS)));
  };

  test("a cell that says neither 0 nor 1, or no number, is named with its column", () => {
    const faults = refused((rows) => {
      Object.assign(rows[1] ?? {}, { green: 2, y: "wide" });
      Object.assign(rows[2] ?? {}, { green: 2 });
    });
    expect(faults.map(({ message }) => message)).toEqual([
      expect.stringMatching(
        /^task "colours", column "green": "2" is not 0, 1 or empty .*\(rows\[1\], rows\[2\]\)/,
      ),
      expect.stringMatching(/^task "box", column "y": "wide" is not a number \(rows\[1\]\)/),
    ]);
  });

  test("a column that is not there is named with what is near", async () => {
    const columns = { ...COLUMNS, groups: { ...COLUMNS.groups, box: ["x", "yy"] } };
    for (const read of [
      () => readLabelTable(join(folder, "t.csv"), columns),
      async () => labelTableFromRows(objects() as never, columns),
    ]) {
      const [fault] = await faultsOfAsync(read);
      expect(fault?.code).toBe("E_CSV_HEADER");
      expect(fault?.message).toContain('"yy"');
      expect(fault?.hint).toContain('"y"');
    }
  });

  test("a group without any label is a task without; a column without, or with one value, is told", () => {
    const without = refused((rows) => {
      for (const row of rows) Object.assign(row, { x: null, y: null });
    });
    expect(without[0]).toMatchObject({ code: "E_TASK_EMPTY", message: expect.stringContaining('"box"') });
    const rows = objects().map((row) => ({ ...row, y: null, blue: row.blue === undefined ? null : 0 }));
    const { prepared } = numbersOf(labelTableFromRows(rows as never, COLUMNS));
    expect(prepared.warnings).toEqual([
      'task "colours", column "green" has one value only (true): there is nothing to learn',
      'task "colours", column "blue" has one value only (0): there is nothing to learn',
      'task "box", column "y" has no training label',
    ]);
  });

  test("balancing of classes where there are none is told", () => {
    const table = labelTableFromRows(objects() as never, COLUMNS);
    const warningsFor = (balance_classes: boolean) =>
      prepareLabels(
        table,
        undefined,
        {},
        {
          ...{ kinds: KINDS, batch: { batch_size: 2, balance_probs: true, balance_classes } },
        },
      ).warnings.filter((warning) => warning.startsWith("balance_classes"));
    expect(warningsFor(false)).toEqual([]);
    expect(warningsFor(true)).toEqual([
      'balance_classes does nothing for "colours", "box": no classes, so that labelled rows are drawn alike',
    ]);
  });

  test("words for nothing are told by column", () => {
    const rows = objects().map((row) => ({ ...row, red: "NaN" }));
    const { prepared } = numbersOf(labelTableFromRows(rows as never, COLUMNS));
    expect(prepared.warnings[0]).toMatch(/^task "colours", column "red": taken as missing in rows: 4 NaN/);
  });
});
