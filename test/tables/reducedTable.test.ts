// Label tables written again without some rows: each form stays what it is, or becomes a CSV that is read
// alike.
import { copyFile, readFile, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { describe, expect, it } from "vitest";
import { readLabelTable } from "../../runtime/tables/labelFiles.ts";
import { writeReducedTable } from "../../runtime/tables/reducedTable.ts";
import { makeFolder } from "../images/imageFixtures.ts";
import { faultsOfAsync } from "../spec/faultsOf.ts";
import { tableCells } from "./tableCells.ts";

const FIXTURES = join(import.meta.dirname, "../fixtures/data");
const columns = { tasks: ["a"], filepaths: "filepath" };

/** The text of a table that was written as `name` and is written again without rows. */
async function reduced(name: string, text: string, dropped: readonly number[]): Promise<string> {
  const source = join(await makeFolder(), name);
  await writeFile(source, text);
  const { paths } = await readLabelTable(source, columns);
  const { path } = await writeReducedTable({ source, columns, paths }, new Set(dropped));
  expect(await readFile(source, "utf8")).toBe(text);
  expect(basename(path)).toBe(name.replace(/(?=\.)|$/, ".checked"));
  return await readFile(path, "utf8");
}

describe("a table of text without some rows", () => {
  it("keeps the bytes of the other rows: quotes, line ends, blank lines, the byte order mark", async () => {
    const rows = ['"x\ny","a.png"\r\n', "\r\n", '1,"b "".png"\n', "2,c.png\n\n", "3,d.png"];
    const table = `\uFEFFa,filepath\r\n${rows.join("")}`;
    expect(await reduced("t.csv", table, [])).toBe(table);
    expect(await reduced("t.csv", table, [1])).toBe(table.replace(rows[2] ?? "", ""));
    expect(await reduced("t.csv", table, [0, 3])).toBe(`\uFEFFa,filepath\r\n${rows[2]}${rows[3]}`);
    expect(await reduced("t", "filepath,a\nx.png,1\ny.png,2\n", [0])).toBe("filepath,a\ny.png,2\n");
  });

  it("is TSV where it was TSV, and JSON Lines where it was JSON Lines, whose first line is a row", async () => {
    expect(await reduced("t.tsv", 'filepath\ta\nx\t"1\t2"\nz, w\t2\n', [0])).toBe("filepath\ta\nz, w\t2\n");
    const lines = ['{"filepath":"x.png","a":1}\n\n', '{"a":null,"filepath":"y.png"}\n', '{"filepath":"z"}'];
    expect(await reduced("t.jsonl", lines.join(""), [0])).toBe(lines.slice(1).join(""));
    expect(await reduced("t.jsonl", lines.join(""), [1, 2])).toBe(lines[0]);
  });

  it("is E_DATA_CHANGED where the table has other rows than when it was read", async () => {
    const source = join(await makeFolder(), "t.csv");
    await writeFile(source, "filepath,a\nx.png,1\n");
    const { paths } = await readLabelTable(source, columns);
    const codes = async (text: string): Promise<string[]> => {
      await writeFile(source, text);
      const faults = await faultsOfAsync(() => writeReducedTable({ source, columns, paths }, new Set([0])));
      return faults.map(({ code }) => code);
    };
    expect(await codes("filepath,a\nx.png,1\ny.png,2\n")).toEqual(["E_DATA_CHANGED"]);
    expect(await codes('filepath,a\n"x.png,1\n')).toEqual(["E_DATA_CHANGED"]);
  });
});

describe("a Parquet table without some rows", () => {
  it("is a CSV with the same paths and labels, lists among them", async () => {
    const wanted = { tasks: ["a", "b", "c", "list"], filepaths: "filepath", lists: ["list"] };
    const source = join(await makeFolder(), "labels.parquet");
    await copyFile(join(FIXTURES, "labels_snappy.parquet"), source);
    const before = await readLabelTable(source, wanted);
    const dropped = new Set([0, 5]);
    const written = await writeReducedTable({ source, columns: wanted, paths: before.paths }, dropped);
    expect(basename(written.path)).toBe("labels.checked.csv");
    expect(written.lostColumns).toEqual([]);
    const after = await readLabelTable(written.path, wanted);
    const kept = <T>(rows: Iterable<T>): T[] => [...rows].filter((_, row) => !dropped.has(row));
    expect([...after.paths]).toEqual(kept(before.paths));
    expect(tableCells(after)).toEqual(tableCells(before).map(kept));
    expect(await readFile(source)).toEqual(await readFile(join(FIXTURES, "labels_snappy.parquet")));
  });

  it("keeps sets of tags, and says which columns it cannot hold", async () => {
    const wanted = { tasks: ["colours", "sharp"], filepaths: "filepath", lists: ["colours"] };
    const source = join(await makeFolder(), "labels.parquet");
    await copyFile(join(FIXTURES, "labels_nested.parquet"), source);
    const before = await readLabelTable(source, wanted);
    const written = await writeReducedTable({ source, columns: wanted, paths: before.paths }, new Set([1]));
    expect(written.lostColumns).toEqual(["detail"]);
    const after = await readLabelTable(written.path, wanted);
    const cells = tableCells(before);
    expect(cells[0]?.slice(0, 4)).toEqual(['["red"]', '["red","blue"]', "[]", null]);
    expect(tableCells(after)).toEqual(cells.map((column) => column.filter((_, row) => row !== 1)));
  });
});
