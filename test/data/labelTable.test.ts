// Label tables: CSV and rows in memory, missing labels, classes, and every fault with its line.
import { mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { describe, expect, it } from "vitest";
import { formatFault } from "../../compiler/diagnostics.ts";
import { encodeLabels, prepareLabels, sortClasses } from "../../runtime/data/classes.ts";
import { parseLabelTable, readLabelTable } from "../../runtime/data/labelFiles.ts";
import { type LabelRow, type LabelTable, labelTableFromRows } from "../../runtime/data/labelTable.ts";
import { faultsOf, faultsOfAsync, printedFaults } from "../spec/faultsOf.ts";
import { tableCells } from "./tableCells.ts";

const columns = { tasks: ["a", "b"], filepaths: "filepath" };

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

  it("takes empty, None, NaN, null and NA as missing, in any case, and nothing else", () => {
    const words = ["", '""', "None", "none", "NaN", "nan", "null", "NULL", "NA", " na "];
    const kept = ["0", "-1", "nano", "N", "false"];
    const rows = [...words, ...kept].map((word) => `x.png,${word},1`);
    const [cells] = tableCells(table(`filepath,a,b\n${rows.join("\n")}\n`));
    expect(cells).toEqual([...words.map(() => null), ...kept]);
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
    expect(printedFaults(() => table("filepath;a;b\n1;2;3\n"))[0]).toContain(
      'commas (.tsv: tabs), found ";"',
    );
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
    expect([...rows.labels]).toEqual([1, 1, 0, -1, -1, 0, -1, -1]);
    expect(rows.labels).toBeInstanceOf(Int32Array);
  });

  it("may be listed by the spec, whose order counts", () => {
    const { classes, train: rows, warnings } = prepareLabels(train, undefined, { b: ["y", "z", "x"] });
    expect(classes.b).toEqual(["y", "z", "x"]);
    expect([...rows.labels]).toEqual([1, 0, 0, -1, -1, 2, -1, -1]);
    expect(warnings).toContain('task "b": no training label of z');
  });

  it("that only the validation table has are refused, listed with their lines", () => {
    const val = table("filepath,a,b\nv1.png,11,\nv2.png,9.0,q\nv3.png,11,x\n");
    expect(faultsOf(() => prepareLabels(train, val)).map(formatFault)).toEqual([
      '/data/train.csv:3: task "a": "9.0" is not one of the classes that the training labels have (line 3) [E_LABEL]\n' +
        '  it equals the class "9" as a number: write both alike',
      '/data/train.csv:2: task "a": "11" is not one of the classes that the training labels have (line 2, line 4) [E_LABEL]\n' +
        '  did you mean "10"?',
      '/data/train.csv:3: task "b": "q" is not one of the classes that the training labels have (line 3) [E_LABEL]\n' +
        '  did you mean "x"?',
    ]);
  });

  it("that the spec does not list are refused in the training table too, and so is a missing-value word", () => {
    const faults = faultsOf(() => prepareLabels(train, undefined, { a: ["9", "none"] }));
    expect(faults.map((fault) => fault.code)).toEqual(["E_LABEL", "E_LABEL"]);
    expect(faults[0]?.message).toContain('"none" stands for a missing label');
    expect(faults[1]?.message).toContain('"10" is not one of the classes that the spec lists (line 2)');
  });

  it("of a task without any label are an error that names every such task", () => {
    const empty = table("filepath,a,b\n1.png,,\n2.png,NaN,none\n");
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

  it("that are known already number a table of their own", () => {
    expect([...encodeLabels(train, { a: ["10", "9"], b: ["y", "x"] }).labels].slice(0, 4)).toEqual([
      0, 0, 1, -1,
    ]);
    expect(faultsOf(() => encodeLabels(train, { a: ["10"], b: ["y", "x"] }))).toHaveLength(1);
  });
});
