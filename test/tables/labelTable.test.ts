// Label tables: CSV and rows in memory, missing labels, classes, and every fault with its line.
import { mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { describe, expect, it } from "vitest";
import { formatFault } from "../../compiler/diagnostics.ts";
import { sortClasses } from "../../compiler/tasks/classTask.ts";
import { openTasks } from "../../compiler/tasks/openTask.ts";
import type { Task } from "../../compiler/tasks/task.ts";
import { encodeLabels, prepareLabels } from "../../runtime/labels/classes.ts";
import { parseLabelTable, readLabelTable } from "../../runtime/tables/labelFiles.ts";
import {
  type LabelRow,
  type LabelTable,
  labelTableFromRows,
  type TableColumns,
} from "../../runtime/tables/labelTable.ts";
import { rowMajor } from "../labels/classLabels.ts";
import { faultsOf, faultsOfAsync, printedFaults } from "../spec/faultsOf.ts";
import { tableCells } from "./tableCells.ts";

/** Tasks a and b of these classes. */
function tasksOf(a: readonly string[], b: readonly string[]): Task[] {
  return openTasks([
    { task: "a", classes: a },
    { task: "b", classes: b },
  ]);
}

const columns: TableColumns = { tasks: ["a", "b"], filepaths: "filepath" };

function table(text: string, more = columns): LabelTable {
  return parseLabelTable(new TextEncoder().encode(text), "/data/train.csv", more);
}

describe("a CSV label table", () => {
  it("may have a BOM, CRLF, quotes, embedded newlines, blank lines, other columns and any column order", () => {
    const read = table(
      '\ufeffb,extra,"filepath", a \r\nx,1,one.png,"cat, big"\r\n\r\n"two\nlines",,"sub/""q"".png", dog \r\n,,/abs/3.png,NA\r\n',
    );
    expect([...read.paths]).toEqual([
      resolve("/data/one.png"),
      resolve('/data/sub/"q".png'),
      resolve("/abs/3.png"),
    ]);
    expect(tableCells(read)).toEqual([
      ["cat, big", "dog", null],
      ["x", "two\nlines", null],
    ]);
    expect([0, 1, 2].map(read.locate)).toEqual([2, 4, 6].map((line) => ({ file: "/data/train.csv", line })));
  });

  it("takes empty cells and None, NaN, nan, null, NULL, NA and N/A as missing, spelled exactly so", () => {
    const words = ["", '""', '"  "', "None", "NaN", "nan", " null", "NULL", "NA ", "N/A"];
    const kept = ["none", "na", "n/a", "Nan", "#N/A", "<NA>", "0", "-1", "nano", "N", "false"];
    const rows = [...words, ...kept].map((word) => `x.png,${word},1`);
    const read = table(`filepath,a,b\n${rows.join("\n")}\n`);
    expect(tableCells(read)[0]).toEqual([...words.map(() => null), ...kept]);
    expect(read.columns[0]?.missing).toEqual(
      new Map([
        ["", 3],
        ...["None", "NaN", "nan", "null", "NULL", "NA", "N/A"].map((word) => [word, 1] as const),
      ]),
    );
    expect(read.columns[1]?.missing).toEqual(new Map());
  });

  it("takes what stands in quotes as it stands, beside the same without", () => {
    const read = table(
      'filepath,a,b\nx.png,"NA",1\nx.png,NA,1\nx.png," fox ",1\nx.png, fox ,1\n"x.png",fox,1\n',
    );
    expect(tableCells(read)[0]).toEqual(["NA", null, " fox ", "fox", "fox"]);
  });

  it("takes the words and numbers of `missing` in their place, but for those that are listed as classes", () => {
    const text = "filepath,a,b\nx.png,-1,NA\nx.png,-1.0,\nx.png,NA,no\nx.png,unknown,n/a\n";
    const missing = [-1, "unknown", "n/a"];
    const read = table(text, { ...columns, missing, classes: { b: ["no", "n/a"] } });
    expect(tableCells(read)).toEqual([
      [null, null, "NA", null],
      ["NA", null, "no", "n/a"],
    ]);
  });

  it("is read from a file, and a file that is not there is E_FILE", async () => {
    const folder = await mkdtemp(join(tmpdir(), "mttc-table-"));
    const file = join(folder, "t.csv");
    await writeFile(file, "path,a\nx.png,1\n");
    const read = await readLabelTable(file, { tasks: ["a"], filepaths: "path" });
    expect([...read.paths]).toEqual([join(folder, "x.png")]);
    const [fault] = await faultsOfAsync(() => readLabelTable(join(folder, "none.csv"), columns));
    expect(fault?.code).toBe("E_FILE");
  });

  it("reports all faults of the header at once, with the nearest name", () => {
    expect(printedFaults(() => table("file_path,a,a,bb\n1,2,3,4\n"))).toEqual([
      '/data/train.csv:1: column "a" stands twice in the header [E_CSV_HEADER]',
      '/data/train.csv:1: no column "filepath" [E_CSV_HEADER]\n  did you mean "file_path"?',
      '/data/train.csv:1: no column "b" [E_CSV_HEADER]\n  did you mean "bb"?',
    ]);
  });

  it("reports ragged rows and bad paths at once with their lines", () => {
    const text = 'filepath,a,b\nx.png,1\n,1,2\nhttp://x/y.png,1,2\nx.png,1,2,3\n"a\nb.png",1,2\n';
    expect(faultsOf(() => table(text)).map((fault) => [fault.code, fault.at?.line])).toEqual([
      ["E_CSV_SHAPE", 2],
      ["E_CSV_PATH", 3],
      ["E_PATH_ESCAPE", 4],
      ["E_CSV_SHAPE", 5],
      ["E_CSV_PATH", 6],
    ]);
  });

  it("stops listing after twenty faults and says how many there are", () => {
    const faults = faultsOf(() => table(`filepath,a,b\n${",1,2\n".repeat(100)}`));
    expect(faults).toHaveLength(21);
    expect(faults.at(-1)?.message).toBe("and 80 more faults");
  });

  it.each([
    ["nothing", new Uint8Array(0)],
    ["a header alone", new TextEncoder().encode("filepath,a,b\n")],
    ["bytes that are no text", Uint8Array.from([0x66, 0xff, 0xfe, 0x0a])],
    ["an unclosed quote", new TextEncoder().encode('filepath,a,b\n"x.png,1,2\n')],
  ])("is E_CSV_SHAPE if it holds %s", (_, bytes) => {
    expect(faultsOf(() => parseLabelTable(bytes, "t.csv", columns))[0]?.code).toBe("E_CSV_SHAPE");
  });
});

describe("rows in memory", () => {
  it("give the same table as a file", () => {
    const rows: LabelRow[] = [
      { filepath: "x.png", a: 3, b: "q" },
      { filepath: "/y.png", a: null, b: "NaN" },
      { filepath: "z.png", b: true },
    ];
    const made = labelTableFromRows(rows, columns, "/data", "train_labels");
    const read = table("filepath,a,b\nx.png,3,q\n/y.png,,\nz.png,,true\n");
    expect([[...made.paths], tableCells(made)]).toEqual([[...read.paths], tableCells(read)]);
    expect(made.locate(2)).toEqual({ path: "train_labels[2]" });
  });

  it("without a task's key, without a path, or without any row are refused", () => {
    const codes = (rows: LabelRow[]): string[] =>
      faultsOf(() => labelTableFromRows(rows, columns)).map((fault) => fault.code);
    expect(codes([{ filepath: "x", a: 1 }, { a: 2 }])).toEqual(["E_CSV_HEADER", "E_CSV_PATH"]);
    expect(codes([])).toEqual(["E_CSV_SHAPE"]);
  });
});

describe("classes", () => {
  const train = table("filepath,a,b\n1.png,10,y\n2.png,9,\n3.png,,x\n4.png,,\n");

  it("are sorted, as numbers where all are numbers, and do not depend on the order of rows", () => {
    expect(sortClasses(["10", "9", "-1.5"])).toEqual(["-1.5", "9", "10"]);
    expect(sortClasses(["10", "9", "x"])).toEqual(["10", "9", "x"]);
    expect(sortClasses(["b", "a", "B", "ä"])).toEqual(["B", "a", "b", "ä"]);
    const { classes, train: rows } = prepareLabels(train, undefined);
    expect(classes).toEqual({ a: ["9", "10"], b: ["x", "y"] });
    expect(rowMajor(rows.labels)).toEqual([1, 1, 0, -1, -1, 0, -1, -1]);
    for (const { values } of rows.labels) expect(values).toBeInstanceOf(Int32Array);
  });

  it("may be listed by the spec, whose order counts", () => {
    const { classes, train: rows, warnings } = prepareLabels(train, undefined, { b: ["y", "z", "x"] });
    expect(classes.b).toEqual(["y", "z", "x"]);
    expect(rowMajor(rows.labels)).toEqual([1, 0, 0, -1, -1, 2, -1, -1]);
    expect(warnings).toContain('task "b": no training label of z');
  });

  it("that only the validation table has are refused, listed with their lines", () => {
    const val = table("filepath,a,b\nv1.png,11,\nv2.png,9.0,q\nv3.png,11,x\n");
    expect(faultsOf(() => prepareLabels(train, val)).map(formatFault)).toEqual([
      '/data/train.csv:2: task "a": "11" is not one of the classes that the training labels have (line 2, line 4) [E_LABEL]\n' +
        '  did you mean "10"?; `unknown_val_classes: ignore` leaves such labels out',
      '/data/train.csv:3: task "b": "q" is not one of the classes that the training labels have (line 3) [E_LABEL]\n' +
        '  did you mean "x"?; `unknown_val_classes: ignore` leaves such labels out',
    ]);
  });

  it("that only the validation table has are missing labels, counted, with unknown_val_classes: ignore", () => {
    const val = table("filepath,a,b\nv1.png,11,\nv2.png,9.0,q\nv3.png,11,x\n");
    const { val: rows, warnings } = prepareLabels(train, val, {}, { unknownVal: "ignore" });
    expect(rowMajor(rows?.labels ?? [])).toEqual([-1, -1, 0, -1, -1, 0]);
    expect(warnings.slice(-2)).toEqual([
      'task "a": 2 validation rows have no label, theirs are no class: 11 (2)',
      'task "b": 1 validation rows have no label, theirs are no class: q (1)',
    ]);
    const alien = table("filepath,a,b\n1.png,9,y\n2.png,12,y\n");
    expect(faultsOf(() => prepareLabels(alien, val, { a: ["9"] }, { unknownVal: "ignore" }))).toHaveLength(1);
  });

  it("that the spec does not list are refused in the training table too; a listed word is a class", () => {
    const words = table("filepath,a,b\n1.png,9,\n2.png,none,\n3.png,10,y\n");
    const faults = faultsOf(() => prepareLabels(words, undefined, { a: ["9", "none"] }));
    expect(faults.map((fault) => fault.code)).toEqual(["E_LABEL"]);
    expect(faults[0]?.message).toContain('"10" is not one of the classes that the spec lists (line 4)');
    const listed = { a: ["NA", "9"], b: ["y", "n"] };
    const read = table("filepath,a,b\n1.png,9,NA\n2.png,NA,y\n", { ...columns, classes: listed });
    expect(rowMajor(prepareLabels(read, undefined, listed).train.labels)).toEqual([1, -1, 0, 0]);
  });

  it("are one where they are one number, or the same letters; ids of many digits are not rounded", () => {
    const text =
      "filepath,a,b\n1.png,1.0,caf\u00e9\n2.png,1,cafe\u0301\n3.png,+1e0,x\n4.png,0.50,x\n5.png,.5,\n";
    const { classes, train: rows, warnings } = prepareLabels(table(text), undefined);
    expect(classes).toEqual({ a: ["0.5", "1"], b: ["caf\u00e9", "x"] });
    expect([...(rows.labels[0]?.values ?? [])]).toEqual([1, 1, 1, 0, 0]);
    expect(warnings).toContain('task "b": one class, written in several Unicode forms: "caf\u00e9" (2 rows)');
    const ids = table("filepath,a,b\n1.png,9007199254740993,1\n2.png,9007199254740992,2\n");
    expect(prepareLabels(ids, undefined).classes.a).toEqual(["9007199254740992", "9007199254740993"]);
  });

  it("of a run keep the spelling that the run gave them, two that are one number now among them", () => {
    const { labels } = encodeLabels(
      table("filepath,a,b\n1.png,1,x\n2.png,1.0,x\n3.png,0,x\n"),
      tasksOf(["0.0", "1", "1.0"], ["x"]),
    );
    expect([...(labels[0]?.values ?? [])]).toEqual([1, 2, 0]);
  });

  it("of a task without any label are an error that names every such task", () => {
    const empty = table("filepath,a,b\n1.png,,\n2.png,NaN,None\n");
    expect(faultsOf(() => prepareLabels(empty, undefined)).map((fault) => fault.code)).toEqual([
      "E_TASK_EMPTY",
      "E_TASK_EMPTY",
    ]);
  });

  it("give warnings where the tables are odd but usable", () => {
    const val = table("filepath,a,b\n1.png,9,\n");
    expect(prepareLabels(train, val).warnings).toEqual([
      'task "a": no validation label of 10',
      'task "b" has no label in /data/train.csv',
      "1 training rows have no label at all",
      "1 validation rows name images that are training images too",
    ]);
    const single = table("filepath,a,b\n1.png,-1,x\n2.png,-1,y\n");
    expect(prepareLabels(single, undefined).warnings).toEqual([
      'task "a" has a single class: there is nothing to learn',
      'task "a" has a class "-1"; missing labels are empty cells',
    ]);
  });

  it("give warnings where they look alike, where they may mean no label, and where words were missing", () => {
    const names = ["Fox", "fox", "none", "#N/A", "n/a", "NA", "NA", "None", "?"];
    const odd = table(
      `filepath,a,b\n${names.map((name, row) => `${row}.png,${name},1`).join("\n")}\n9.png," fox",2\n`,
    );
    expect(prepareLabels(odd, undefined).warnings).toEqual([
      'task "a": taken as missing in /data/train.csv: 2 NA, 1 None (`missing` in the spec lists the words)',
      'task "a": classes that differ in case or outer blanks alone: "Fox" (1 row), "fox" (1 row), " fox" (1 row)',
      'task "a": classes that may mean no label (list them under `missing` if they do): ' +
        '"none" (1 row), "#N/A" (1 row), "n/a" (1 row), "?" (1 row)',
    ]);
    const uncertain = table("filepath,a,b\n1.png,-1.0,x\n2.png,0.0,y\n3.png,1.0,y\n");
    expect(prepareLabels(uncertain, undefined).warnings).toEqual([
      'task "a" has a class "-1" beside 0 and 1; if it means uncertain or unlabelled: `missing: [-1]`',
    ]);
  });

  it("of a single row give a warning with what balancing makes of it", () => {
    const rows = Array.from({ length: 8 }, (_, row) => `${row}.png,${row % 2},${row === 0 ? "x" : ""}`);
    const batch = { batch_size: 4, balance_probs: true, balance_classes: false };
    const read = table(`filepath,a,b\n${rows.join("\n")}\n`);
    const given = { b: ["x", "y"] };
    const warning = 'task "b" has a class of one training row: x';
    const { warnings } = prepareLabels(read, undefined, given, { batch });
    expect(warnings).toContain(`${warning}; balancing draws such a row 2.3 times for every batch of 4`);
    const plain = prepareLabels(read, undefined, given, { batch: { ...batch, balance_probs: false } });
    expect(plain.warnings).toContain(warning);
  });

  it("that are unknown by the thousand are refused in a moment", () => {
    const many = (first: number): LabelTable => {
      const rows = Array.from({ length: 20_000 }, (_, row) => `${row}.png,name ${first + row},1`);
      return table(`filepath,a,b\n${rows.join("\n")}\n`);
    };
    const start = performance.now();
    expect(faultsOf(() => prepareLabels(many(0), many(1_000_000))).at(-1)?.message).toBe(
      "and 19980 more faults",
    );
    expect(performance.now() - start).toBeLessThan(10_000);
  });

  it("that are known already number a table of their own", () => {
    expect(rowMajor(encodeLabels(train, tasksOf(["10", "9"], ["y", "x"])).labels).slice(0, 4)).toEqual([
      0, 0, 1, -1,
    ]);
    expect(faultsOf(() => encodeLabels(train, tasksOf(["10"], ["y", "x"])))).toHaveLength(1);
  });
});
