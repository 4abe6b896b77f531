// A table as rows of values, every column: for tables whose rows are no images yet. CSV, TSV and the like,
// JSON lines or an array, and Parquet, read as label tables are; objects in cells stay objects.
import { MttcError } from "../../compiler/diagnostics.ts";
import { DelimitedReader, headerDelimiter, MAX_RECORD_CHARACTERS } from "../tables/delimitedText.ts";
import { FaultList } from "../tables/faultList.ts";
import { IMAGE_NAME } from "../tables/folderTable.ts";
import { JsonTableReader } from "../tables/jsonLines.ts";
import { type Cell, MissingCells, textOf } from "../tables/labelCell.ts";
import { readParquetColumns } from "../tables/parquetTable.ts";
import { findColumns } from "../tables/tableHeader.ts";
import { fileForm, readTextTable, tableError } from "../tables/tableText.ts";

/** A row: its values that are no missing labels, by column. */
export interface TableRow {
  readonly values: ReadonlyMap<string, unknown>;
  /** "line 3". */
  readonly place: string;
}

export interface TableRows {
  /** Names of all columns, in order of appearance. */
  readonly columns: readonly string[];
  readonly rows: readonly TableRow[];
}

/** Reads a table. E_FILE, E_CSV_SHAPE, E_CSV_HEADER, E_CSV_LINE; all faults of its rows at once. */
export async function readTableRows(file: string): Promise<TableRows> {
  try {
    const table = fileForm(file) === "parquet" ? await parquetRows(file) : await textRows(file);
    if (table.rows.length > 0) return table;
    throw new MttcError({ code: "E_CSV_SHAPE", message: "the label table has no rows", at: { file } });
  } catch (cause) {
    throw tableError(cause, file);
  }
}

const MISSING = new MissingCells();

function labelIn(cell: Cell): string | undefined {
  return MISSING.has(cell) ? undefined : typeof cell === "string" ? cell.trim() : cell.word;
}

async function textRows(file: string): Promise<TableRows> {
  const rows: TableRow[] = [];
  const columns = new Set<string>();
  const faultList = new FaultList();
  const faults = {
    malformed: (message: string, line: number): void =>
      faultList.add({ code: "E_CSV_SHAPE", message, at: { file, line } }),
    tooLong: (line: number): never => {
      const message = `a line of over ${MAX_RECORD_CHARACTERS} characters`;
      throw new MttcError({ code: "E_CSV_LINE", message, at: { file, line } });
    },
  };
  let header: readonly string[] | undefined;
  const record = (cells: readonly Cell[], line: number): void => {
    if (header === undefined) {
      header = cells.map((name) => textOf(name).trim());
      findColumns(header, { tasks: [], filepaths: header[0] ?? "" }, { file, line });
      for (const name of header) columns.add(name);
      return;
    }
    if (cells.length !== header.length) {
      faults.malformed(`expected ${header.length} cells as in the header, found ${cells.length}`, line);
      return;
    }
    const values = header.map((name, place) => [name, labelIn(cells[place] ?? "")] as const);
    rows.push({ values: new Map(values.filter(([, value]) => value !== undefined)), place: `line ${line}` });
  };
  const object = (row: object, line: number): void => {
    for (const name of Object.keys(row)) columns.add(name);
    const values = Object.entries(row).filter(([, value]) => value !== null && value !== "");
    rows.push({ values: new Map(values), place: `line ${line}` });
  };
  const form = fileForm(file);
  const usual = form === "tabs" ? "\t" : ",";
  const reader =
    form === "lines"
      ? new JsonTableReader({ object, ...faults })
      : new DelimitedReader((line) => headerDelimiter(line, usual), { record, ...faults });
  await readTextTable(file, reader);
  faultList.throwIfAny();
  return { columns: [...columns], rows };
}

async function parquetRows(file: string): Promise<TableRows> {
  const columns = new Set<string>();
  const rows: { values: Map<string, unknown>; place: string }[] = [];
  for await (const { name, rowStart, rowCount, cell } of readParquetColumns(file)) {
    columns.add(name);
    for (let row = 0; row < rowCount; row++) {
      const index = rowStart + row;
      rows[index] ??= { values: new Map(), place: `row ${index + 1}` };
      const value = labelIn(cell(row) ?? "");
      if (value !== undefined) rows[index].values.set(name, value);
    }
  }
  return { columns: [...columns], rows };
}

/** Names that columns of image paths have where the paths do not end as images do. */
const PATH_NAME = /^(file_?paths?|paths?|files?|file_?names?|images?|image_?(id|path|name|file|url)s?)$/i;

/** The column of image paths: most of its values end as images do, or it is named as one. E_CSV_HEADER. */
export function findPathColumn({ columns, rows }: TableRows, file: string, given?: string): string {
  const endings = new Map<string, number>();
  for (const { values } of rows)
    for (const [name, value] of values)
      if (typeof value === "string" && IMAGE_NAME.test(value))
        endings.set(name, (endings.get(name) ?? 0) + 1);
  const [most] = [...endings].sort(([, a], [, b]) => b - a);
  const found = most !== undefined && most[1] >= rows.length / 2 ? most[0] : undefined;
  const name = given ?? found ?? columns.find((column) => PATH_NAME.test(column));
  if (name !== undefined && columns.includes(name)) return name;
  const message = name === undefined ? "no column looks like image paths" : `no column "${name}"`;
  const hint = `--filepaths names it; columns: ${columns.join(", ")}`;
  throw new MttcError({ code: "E_CSV_HEADER", message, at: { file, line: 1 }, hint });
}
