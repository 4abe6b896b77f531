// Label tables as programs save them: other delimiters, decimal commas, UTF-16, JSON arrays; and what is no
// text, refused by name with how to save it.
import { mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { formatFault } from "../../compiler/diagnostics.ts";
import { prepareLabels } from "../../runtime/labels/classes.ts";
import { headerDelimiter } from "../../runtime/tables/delimitedText.ts";
import { JsonArrayReader } from "../../runtime/tables/jsonArray.ts";
import { parseLabelTable, readLabelTable } from "../../runtime/tables/labelFiles.ts";
import type { LabelTable } from "../../runtime/tables/labelTable.ts";
import { writeReducedTable } from "../../runtime/tables/reducedTable.ts";
import { surveyTable } from "../../runtime/tables/tableSurvey.ts";
import { faultsOf, faultsOfAsync } from "../spec/faultsOf.ts";
import { tableCells } from "./tableCells.ts";

const CASES = join(import.meta.dirname, "..", "cases", "tables");
const columns = { tasks: ["a", "b"], filepaths: "filepath" };

function table(text: string | Uint8Array, file = "/data/t.csv"): LabelTable {
  return parseLabelTable(typeof text === "string" ? Buffer.from(text) : text, file, columns);
}

async function saved(name: string, content: string | Uint8Array): Promise<string> {
  const file = join(await mkdtemp(join(tmpdir(), "mttc-forms-")), name);
  await writeFile(file, content);
  return file;
}

function utf16(text: string, isBigEndian = false): Buffer {
  const bytes = Buffer.from(`\uFEFF${text}`, "utf16le");
  return isBigEndian ? bytes.swap16() : bytes;
}

describe("the delimiter", () => {
  it.each([";", "\t", "|", ","] as const)(
    "%j is that of the header, whatever the name ends in",
    (delimiter) => {
      const lines = ["filepath,a,b", 'x.png,"c,d;e|f",1', "y.png,g,"].map((line) =>
        line.replace(/"[^"]*"|,/g, (part) => (part === "," ? delimiter : part)),
      );
      for (const file of ["/data/t.csv", "/data/t.tsv", "/data/t.txt"]) {
        const read = table(lines.join("\r\n"), file);
        expect([...read.paths]).toEqual(["/data/x.png", "/data/y.png"]);
        expect(tableCells(read)).toEqual([
          ["c,d;e|f", "g"],
          ["1", null],
        ]);
      }
    },
  );

  it("is the one between the names that are wanted, then between the most", () => {
    expect(headerDelimiter("filepath;a, in cm, or so;b", ",", ["filepath", "b"])).toBe(";");
    expect(headerDelimiter('"a;b;c",d', ",")).toBe(",");
    expect(headerDelimiter('"filepath";"a"', ",", ["filepath", "a"])).toBe(";");
    expect(headerDelimiter("a,b;c", ";")).toBe(";");
    expect(headerDelimiter("filepath", "\t")).toBe("\t");
  });

  it("leaves the comma to numbers where it is another", () => {
    const read = table('filepath;a;b\nx.png;1,0;0,5\ny.png;1;"0,5"\nz.png;1.0;1,2,3\n');
    const { classes, warnings } = prepareLabels(read, undefined);
    expect(classes).toEqual({ a: ["1"], b: ["0,5", "0.5", "1,2,3"] });
    expect(warnings[0]).toBe(
      "2 numbers with a decimal comma in /data/t.csv, such as 1,0, are read as with a point",
    );
  });
});

describe("UTF-16 with a byte order mark", () => {
  it("is read, of either byte order, whatever the size of the pieces", async () => {
    const text = "filepath,a,b\nx.png,fuchs,ä€😀\n";
    for (const isBigEndian of [false, true])
      expect(tableCells(table(utf16(text, isBigEndian)))).toEqual([["fuchs"], ["ä€😀"]]);
    const rows = Array.from({ length: 60_000 }, (_, row) => `${row}.png,ä${row % 7},x`);
    const read = await readLabelTable(
      await saved("t.csv", utf16(`filepath,a,b\n${rows.join("\n")}`)),
      columns,
    );
    expect(read.paths.length).toBe(60_000);
  });

  it("of the case is read as it is", async () => {
    const read = await readLabelTable(join(CASES, "utf16.csv"), columns);
    expect(tableCells(read)).toEqual([
      ["x", "y", "x", "y"],
      ["u", "v", null, "u"],
    ]);
  });

  it("stays readable without some of its rows", async () => {
    const source = await saved("t.csv", utf16("filepath,a,b\nx.png,1,ä\ny.png,2,ö\n"));
    const { paths } = await readLabelTable(source, columns);
    const { path } = await writeReducedTable({ source, columns, paths }, new Set([0]));
    expect(tableCells(await readLabelTable(path, columns))).toEqual([["2"], ["ö"]]);
  });
});

describe("a JSON array", () => {
  const text =
    '[\n  {"filepath": "x,]}.png", "a": "q\\"]", "b": null},\n\n  {"filepath":"y.png","a":1.0}, {"filepath":"z.png","b":12345678901234567891}\n]\n';

  it.each([".json", ".jsonl", ".ndjson"])("is a table in a file ending in %s", async (ending) => {
    const read = table(text, `/data/t${ending}`);
    expect([...read.paths]).toEqual(["/data/x,]}.png", "/data/y.png", "/data/z.png"]);
    expect(tableCells(read)).toEqual([
      ['q"]', "1", null],
      [null, null, "12345678901234567891"],
    ]);
    expect([0, 1, 2].map((row) => read.locate(row).line)).toEqual([2, 4, 4]);
    const survey = await surveyTable(await saved(`t${ending}`, text));
    expect(survey.columns.map(({ name, labelled }) => [name, labelled])).toEqual([
      ["filepath", 3],
      ["a", 2],
      ["b", 1],
    ]);
  });

  it("gives the same elements whatever the size of its pieces", () => {
    const inPieces = (size: number): unknown[] => {
      const seen: unknown[] = [];
      const reader = new JsonArrayReader({
        element: (element, line) => seen.push([element, line]),
        malformed: (message, line) => seen.push([message, line]),
        tooLong: () => {
          throw new Error("too long");
        },
      });
      for (let start = 0; start < text.length; start += size) reader.push(text.slice(start, start + size));
      reader.end();
      return seen;
    };
    const whole = inPieces(text.length);
    expect(whole).toHaveLength(3);
    for (let size = 1; size < 30; size++) expect(inPieces(size), `pieces of ${size}`).toEqual(whole);
  });

  it.each([
    ['[{"filepath":"x.png"},]', "an element is missing", 1],
    ['[{"filepath":"x.png"}\n', "never closed", 2],
    ['[{"filepath":"x.png"}]\n{}', "outside of the array", 2],
    ['[{"filepath":"x.png"},\n5]', "expected an object", 2],
    ['[{"filepath":"x.png"\n"a":1}]', "no JSON", 1],
    ["[]", "has no rows", undefined],
  ])("%j is E_CSV_SHAPE with its line", (broken, message, line) => {
    const [fault] = faultsOf(() => table(broken, "/data/t.json"));
    expect([fault?.code, fault?.at?.line]).toEqual(["E_CSV_SHAPE", line]);
    expect(fault?.message).toContain(message);
  });

  it("without some of its rows is one, too", async () => {
    const source = await saved("t.json", text);
    const { paths } = await readLabelTable(source, columns);
    const { path } = await writeReducedTable({ source, columns, paths }, new Set([1]));
    expect(tableCells(await readLabelTable(path, columns))).toEqual([
      ['q"]', null],
      [null, "12345678901234567891"],
    ]);
  });

  it("that a labelling tool wrote is no table: `mttc labels` is named", async () => {
    const file = await saved("coco.json", '{\n"images": [],\n"annotations": []}');
    const faults = await faultsOfAsync(() => readLabelTable(file, columns));
    expect(faults.map(formatFault).join("\n")).toContain("mttc labels");
  });
});

describe("what is no UTF-8 text", () => {
  it.each([
    [
      "t.csv",
      Buffer.from("filepath,a,b\nx.png,caf\xe9,1\n", "latin1"),
      /:2: .*not UTF-8 text.*\n.*CSV UTF-8.*iconv -f WINDOWS-1252/,
    ],
    ["t.csv", Buffer.from("filepath,a,b\nx.png,1,2\n", "utf16le"), /zero bytes.*\n.*UTF-16LE/],
    ["t.csv", Buffer.from("PK\x03\x04rest", "latin1"), /Excel workbook.*\n.*CSV UTF-8/],
    ["t.csv", Buffer.from([0x1f, 0x8b, 8, 0]), /gzip.*\n.*gunzip/],
    ["t.csv", Buffer.from("PAR1...."), /Parquet.*\n.*\.parquet/],
    ["t.xlsx", Buffer.from("PK\x03\x04"), /spreadsheet.*\n.*CSV UTF-8/],
    ["t.XLS", Buffer.from("x"), /spreadsheet/],
    ["t.ods", Buffer.from("x"), /spreadsheet/],
  ])("%s %# is refused with how to save it", async (name, bytes, message) => {
    const file = await saved(name, bytes);
    for (const read of [() => readLabelTable(file, columns), () => surveyTable(file)])
      expect((await faultsOfAsync(read)).map(formatFault).join("\n")).toMatch(message);
  });
});

describe("several labels in one cell", () => {
  it("are refused with the name of the kind, however they are written", async () => {
    const tags = { tasks: ["tags"], filepaths: "image" };
    const faults = await faultsOfAsync(() => readLabelTable(join(CASES, "choices.csv"), tags));
    expect(faults.map(({ code, at }) => [code, at?.line])).toEqual(
      [2, 3, 5].map((line) => ["E_LABEL", line]),
    );
    expect(faults[0]?.message).toContain("tasks of the kind `tags`");
    const list = Buffer.from(`[{"image":"0.png","tags":["a","b"]}]`);
    expect(faultsOf(() => parseLabelTable(list, "t.json", tags))[0]?.message).toContain("kind `tags`");
  });
});
