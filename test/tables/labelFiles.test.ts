// Label tables from files of every kind, in pieces of any size, and what hostile ones must give.
import { mkdir, mkdtemp, readFile, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import type { Fault } from "../../compiler/diagnostics.ts";
import { DelimitedReader } from "../../runtime/tables/delimitedText.ts";
import { textOf } from "../../runtime/tables/labelCell.ts";
import { parseLabelTable, readLabelTable } from "../../runtime/tables/labelFiles.ts";
import type { LabelTable } from "../../runtime/tables/labelTable.ts";
import { NumberList, StringTable } from "../../runtime/tables/stringTable.ts";
import { faultsOf, faultsOfAsync } from "../spec/faultsOf.ts";
import { tableCells } from "./tableCells.ts";

const FIXTURES = join(dirname(fileURLToPath(import.meta.url)), "../fixtures/data");
const columns = { tasks: ["a", "b"], filepaths: "filepath" };

function table(text: string, file = "/data/t.csv"): LabelTable {
  return parseLabelTable(new TextEncoder().encode(text), file, columns);
}

function codesAndLines(faults: readonly Fault[]): unknown[] {
  return faults.map(({ code, at }) => [code, at?.line]);
}

async function makeFolder(files: Readonly<Record<string, string>>): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "mttc-labels-"));
  for (const [name, text] of Object.entries(files)) {
    await mkdir(dirname(join(folder, name)), { recursive: true });
    await writeFile(join(folder, name), text);
  }
  return folder;
}

/** Records and faults of a text that comes in pieces of `size` characters. */
function readInPieces(text: string, size: number): unknown[] {
  const seen: unknown[] = [];
  const reader = new DelimitedReader(",", {
    record: (cells, line) => seen.push([line, ...cells.map(textOf)]),
    malformed: (message, line) => seen.push([line, message]),
    tooLong: () => {
      throw new Error("too long");
    },
  });
  for (let start = 0; start < text.length; start += size) reader.push(text.slice(start, start + size));
  reader.end();
  return seen;
}

describe("delimited text", () => {
  const text =
    'a,b\r\n"x, ""y""\r\nz",1\r\n\r\n\n,\nab"c,2\n"q"r,3\nlast,"4"\r\n"","é\n"\n"end",""\r\n5,"open\n6,7';

  it("gives the same records and lines whatever the size of its pieces", () => {
    const whole = readInPieces(text, text.length);
    expect(whole).toEqual([
      [1, "a", "b"],
      [2, 'x, "y"\r\nz', "1"],
      [6, "", ""],
      [7, "a quote within a cell that does not begin with one"],
      [8, "text after a closing quote"],
      [9, "last", "4"],
      [10, "", "é\n"],
      [12, "end", ""],
      [13, "a quote is opened and never closed"],
    ]);
    for (let size = 1; size < 20; size++)
      expect(readInPieces(text, size), `pieces of ${size}`).toEqual(whole);
  });
});

describe("a text table", () => {
  it("ending in .tsv is separated by tabs", () => {
    const read = table('filepath\ta\tb\nx,1.png\tcat, big\t"tab\there"\n', "/data/t.TSV");
    expect([[...read.paths], tableCells(read)]).toEqual([["/data/x,1.png"], [["cat, big"], ["tab\there"]]]);
  });

  it("ending in .jsonl has an object per line; numbers, null and missing keys are labels too", () => {
    const lines = [
      '\ufeff{"filepath": "x.png", "a": "cat", "b": 1.0, "more": [1]}',
      "",
      '{"a":null,"filepath":"y.png"}\r',
    ];
    const read = table(`${lines.join("\n")}\n{"filepath":"z.png","a":true,"b":"NaN"}`, "/data/t.jsonl");
    expect([...read.paths]).toEqual(["/data/x.png", "/data/y.png", "/data/z.png"]);
    expect(tableCells(read)).toEqual([
      ["cat", null, "true"],
      ["1", null, "NaN"],
    ]);
    expect([0, 1, 2].map((row) => read.locate(row).line)).toEqual([1, 3, 4]);
  });

  it("ending in .jsonl keeps ids of many digits, and does not look for them in text", () => {
    const read = table(
      '{"filepath":"12345678901234567890.png","a":12345678901234567891,"b":"1, 12345678901234567890"}',
      "t.jsonl",
    );
    expect(tableCells(read)).toEqual([["12345678901234567891"], ["1, 12345678901234567890"]]);
  });

  it("of JSON lines reports all faults with their lines", () => {
    const text =
      '{"filepath":"x.png"\n[1]\n{"filepath":"x.png","a":{}}\n{"a":"cat"}\n{"filepath":"x.png","__proto__":{"a":1}}\n';
    expect(codesAndLines(faultsOf(() => table(text, "t.ndjson")))).toEqual([
      ["E_CSV_SHAPE", 1],
      ["E_CSV_SHAPE", 2],
      ["E_CSV_SHAPE", 3],
      ["E_CSV_PATH", 4],
    ]);
  });

  it.each(["t.csv", "t.jsonl"])(
    "%s with a line over a million characters is E_CSV_LINE with its line",
    (file) => {
      const header = file === "t.csv" ? "filepath,a,b\n" : '{"filepath":"x.png"}\n';
      for (const more of ["", "\n"])
        expect(
          codesAndLines(faultsOf(() => table(`${header}${"x".repeat(2_000_000)}${more}`, file))),
        ).toEqual([["E_CSV_LINE", 2]]);
      if (file === "t.csv")
        expect(codesAndLines(faultsOf(() => table(`${header}x.png,"${"1,2\n".repeat(500_000)}`)))).toEqual([
          ["E_CSV_LINE", 2],
        ]);
    },
  );

  it.each(["__proto__", "constructor", "prototype"])("with a column %s is refused, used or not", (name) => {
    expect(faultsOf(() => table(`filepath,a,b,${name}\nx.png,1,2,3\n`))[0]?.code).toBe("E_CSV_HEADER");
  });

  it("refuses labels that are no finite numbers, with lines; names that merely look so are labels", () => {
    const rows = ["1e400,x", "-1e999,x", "Infinity,x", "-inf,x", "infrared,1e3x", "1e40,info"];
    const faults = faultsOf(() => table(`filepath,a,b\n${rows.map((row) => `x.png,${row}`).join("\n")}\n`));
    expect(codesAndLines(faults)).toEqual([2, 3, 4, 5].map((line) => ["E_LABEL", line]));
  });

  it("refuses a column of more different labels than 65,536, and labels of over a thousand characters", () => {
    const many = Array.from({ length: 65_540 }, (_, row) => `x.png,${row},1`).join("\n");
    expect(faultsOf(() => table(`filepath,a,b\n${many}\n`))).toHaveLength(4);
    expect(faultsOf(() => table(`filepath,a,b\nx.png,${"y".repeat(1_001)},1\n`))[0]?.code).toBe("E_LABEL");
  });

  it("refuses paths with NUL or newlines and paths over 4,096 characters", () => {
    const paths = ["a\0b.png", '"a\nb.png"', "x".repeat(4_097)];
    const faults = faultsOf(() => table(`filepath,a,b\n${paths.map((path) => `${path},1,2`).join("\n")}\n`));
    expect(codesAndLines(faults)).toEqual([
      ["E_CSV_PATH", 2],
      ["E_CSV_PATH", 3],
      ["E_CSV_PATH", 5],
    ]);
  });
});

describe("a Parquet table", () => {
  it.each(["snappy", "gzip", "brotli"])("written with %s gives the rows of all its groups", async (form) => {
    const file = join(FIXTURES, `labels_${form}.parquet`);
    const read = await readLabelTable(file, { tasks: ["c", "a", "b"], filepaths: "filepath" });
    expect([...read.paths]).toEqual([0, 1, 2, 3, 4, 5, 6].map((row) => join(FIXTURES, `im/${row}.png`)));
    expect(tableCells(read)).toEqual([
      ["0", "1", null, "1", "0", "1", "9007199254740993"],
      ["cat", null, "dog", "cat", null, null, null],
      ["1", null, "2", null, "2", "1.5", "1"],
    ]);
    expect(read.locate(4)).toEqual({ file, line: 5 });
  });

  it("is refused by name where a column is missing, holds lists, or the file is damaged", async () => {
    const file = join(FIXTURES, "labels_snappy.parquet");
    const faults = (tasks: string[], path = file) =>
      faultsOfAsync(() => readLabelTable(path, { tasks, filepaths: "filepath" }));
    expect(codesAndLines(await faults(["aa"]))).toEqual([["E_CSV_HEADER", undefined]]);
    expect(codesAndLines(await faults(["list"]))).toEqual(
      [1, 2, 4, 5, 6, 7].map((line) => ["E_CSV_SHAPE", line]),
    );
    // Where lists may be labels, they are, as JSON writes them.
    const lists = { tasks: ["list"], filepaths: "filepath", lists: ["list"] };
    const cells = tableCells(await readLabelTable(file, lists));
    expect(cells).toEqual([['["1"]', '["2"]', null, '["3"]', '["4"]', '["5"]', '["6"]']]);
    const bytes = await readFile(file);
    const folder = await makeFolder({});
    const cut = join(folder, "cut.parquet");
    for (const damaged of [bytes.subarray(0, 900), bytes.subarray(0, 0), Buffer.alloc(4_000, "PAR1")]) {
      await writeFile(cut, damaged);
      expect((await faults(["a"], cut)).map(({ code }) => code)).toEqual(["E_CSV_SHAPE"]);
    }
  });
});

describe("a folder of classes", () => {
  const tree = {
    "dog/2.PNG": "",
    "dog/1.jpg": "",
    "cat/1.jpg": "",
    "cat/notes.txt": "",
    ".hidden/x.png": "",
  };
  const species = { tasks: ["species"], filepaths: "filepath" };

  it("labels one task, in the order of the names; hidden and other files are left out", async () => {
    const root = await makeFolder(tree);
    const read = await readLabelTable(root, species);
    expect([...read.paths]).toEqual(["cat/1.jpg", "dog/1.jpg", "dog/2.PNG"].map((path) => join(root, path)));
    expect(tableCells(read)).toEqual([["cat", "dog", "dog"]]);
    expect(read.notes).toEqual([`1 files in ${root} are no images by their names (left out)`]);
    expect(read.locate(2)).toEqual({ file: join(root, "dog/2.PNG") });
  });

  it("takes a folder called none, or NA, as a class like any other", async () => {
    const root = await makeFolder({ "none/1.png": "", "NA/1.png": "" });
    expect(tableCells(await readLabelTable(root, species))).toEqual([["NA", "none"]]);
  });

  it("is refused for two tasks, with images or folders out of place, and without images", async () => {
    const root = await makeFolder({ ...tree, "stray.png": "", "cat/deep/1.png": "" });
    expect((await faultsOfAsync(() => readLabelTable(root, columns)))[0]?.code).toBe("E_CONFIG");
    const faults = await faultsOfAsync(() => readLabelTable(root, species));
    expect(faults.map(({ at }) => at?.file)).toEqual([join(root, "cat/deep"), join(root, "stray.png")]);
    const empty = await makeFolder({ "cat/readme.md": "" });
    expect((await faultsOfAsync(() => readLabelTable(empty, species)))[0]?.code).toBe("E_CSV_SHAPE");
  });
});

describe("tables of strings and numbers", () => {
  it("give back what was put in, across blocks and growth", () => {
    const strings = Array.from({ length: 5_000 }, (_, i) =>
      i % 7 === 0 ? "" : `é-${i}-${"x".repeat(i % 900)}`,
    );
    const list = new StringTable();
    const numbers = new NumberList();
    for (const [i, text] of strings.entries()) {
      list.push(text);
      numbers.push(i - 2_500);
    }
    expect([...list]).toEqual(strings);
    expect([list.at(4_999), list.at(5_000), list.at(-1)]).toEqual([strings[4_999], undefined, undefined]);
    expect([...numbers.values()]).toEqual(strings.map((_, i) => i - 2_500));
  });
});
