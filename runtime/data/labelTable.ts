// Label tables: CSV text or rows in memory -> image paths and, per task, a cell per row (null = missing).
// Nothing is interpreted here beyond the missing-value words; classes.ts turns cells into class numbers.
// All faults of a table are reported at once, each with its line.
import { readFile } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { CsvError, parse } from "csv-parse/sync";
import { type Location, MttcError, suggestName } from "../../compiler/diagnostics.ts";
import { FaultList } from "./faultList.ts";

const MAX_RECORD_CHARACTERS = 1_000_000;
const MAX_PATH_CHARACTERS = 4_096;
const MISSING_WORDS: ReadonlySet<string> = new Set(["", "none", "nan", "null", "na"]);

/** A label table as read: paths and cells, without classes. */
export interface LabelTable {
  /** Name for messages: the file, or what the caller calls the rows. */
  readonly source: string;
  readonly tasks: readonly string[];
  /** Absolute path of each row's image. */
  readonly paths: readonly string[];
  /** `cells[task][row]`: the trimmed label, null where it is missing. */
  readonly cells: readonly (readonly (string | null)[])[];
  /** Where a row stands: file and line, or the position in the list of rows. */
  readonly locate: (row: number) => Location;
}

/** Which columns of a table matter. */
export interface TableColumns {
  readonly tasks: readonly string[];
  /** Column of image paths. */
  readonly filepaths: string;
}

/** A row in memory: the path under the name of the path column, a label or nothing under each task's name. */
export type LabelRow = Readonly<Record<string, string | number | boolean | null | undefined>>;

/**
 * Whether a cell means "no label": empty, None, NaN, null or NA, in any case and with any blanks around it.
 */
export function isMissing(cell: string): boolean {
  return MISSING_WORDS.has(cell.trim().toLowerCase());
}

/**
 * Reads a CSV file (RFC 4180: quotes, embedded newlines, LF or CRLF, UTF-8 with or without BOM). Relative
 * image paths are relative to the table's folder. Throws E_FILE, E_CSV_HEADER, E_CSV_SHAPE, E_CSV_PATH.
 */
export async function readLabelTable(file: string, columns: TableColumns): Promise<LabelTable> {
  let bytes: Buffer;
  try {
    bytes = await readFile(file);
  } catch (cause) {
    const message = `cannot read the label table: ${cause instanceof Error ? cause.message : String(cause)}`;
    throw new MttcError({ code: "E_FILE", message, at: { file } }, { cause });
  }
  return parseLabelTable(bytes, file, columns);
}

/** The same from bytes; `file` names the table in messages and is what relative paths start from. */
export function parseLabelTable(bytes: Uint8Array, file: string, columns: TableColumns): LabelTable {
  const records = parseCsv(decodeText(bytes, file), file);
  const [header, ...body] = records;
  if (header === undefined) throw shapeError("the label table is empty", { file });
  const places = findColumns(header.cells, columns, file);
  if (body.length === 0) throw shapeError("the label table has a header but no rows", { file });
  const faults = new FaultList();
  for (const { cells, line } of body) {
    if (cells.length === header.cells.length) continue;
    const message = `expected ${header.cells.length} cells as in the header, found ${cells.length}`;
    faults.add({ code: "E_CSV_SHAPE", message, at: { file, line } });
  }
  const table: LabelTable = {
    source: file,
    tasks: columns.tasks,
    paths: body.map(({ cells }) => cells[places.filepath] ?? ""),
    cells: places.tasks.map((place) => body.map(({ cells }) => presentOrNull(cells[place] ?? ""))),
    locate: (row) => ({ file, line: body[row]?.line ?? 1 }),
  };
  return finishTable(table, dirname(file), faults);
}

/**
 * A table from rows in memory, for the API; relative paths start from `folder`, `source` names it in
 * messages. Throws E_CSV_SHAPE for no rows, E_CSV_HEADER where no row has a task's key, E_CSV_PATH.
 */
export function labelTableFromRows(
  rows: readonly LabelRow[],
  columns: TableColumns,
  folder: string = process.cwd(),
  source = "rows",
): LabelTable {
  if (rows.length === 0) throw shapeError("no rows", { path: source });
  const faults = new FaultList();
  const keys = new Set(rows.flatMap((row) => Object.keys(row)));
  for (const task of columns.tasks) {
    if (keys.has(task)) continue;
    const hint = suggestName(task, [...keys]);
    faults.add({ code: "E_CSV_HEADER", message: `no row has a label "${task}"`, at: { path: source }, hint });
  }
  const cellOf = (row: LabelRow, name: string): string => {
    const value = Object.hasOwn(row, name) ? row[name] : undefined;
    return value === undefined || value === null ? "" : String(value);
  };
  const table: LabelTable = {
    source,
    tasks: columns.tasks,
    paths: rows.map((row) => cellOf(row, columns.filepaths)),
    cells: columns.tasks.map((task) => rows.map((row) => presentOrNull(cellOf(row, task)))),
    locate: (row) => ({ path: `${source}[${row}]` }),
  };
  return finishTable(table, folder, faults);
}

function presentOrNull(cell: string): string | null {
  return isMissing(cell) ? null : cell.trim();
}

/** Checks the paths, makes them absolute and throws what was collected. */
function finishTable(table: LabelTable, folder: string, faults: FaultList): LabelTable {
  for (const [row, path] of table.paths.entries()) {
    const message = pathFault(path);
    if (message !== undefined) faults.add({ code: "E_CSV_PATH", message, at: table.locate(row) });
  }
  faults.throwIfAny();
  return { ...table, paths: table.paths.map((path) => resolve(folder, path)) };
}

function pathFault(path: string): string | undefined {
  if (path.trim() === "") return "the image path is empty";
  if (path.length > MAX_PATH_CHARACTERS)
    return `the image path is longer than ${MAX_PATH_CHARACTERS} characters`;
  if (/\p{Cc}/u.test(path)) return `the image path has control characters: ${JSON.stringify(path)}`;
  if (/^[a-z][a-z0-9+.-]+:/i.test(path)) return `expected the path of a file, found an address: ${path}`;
  return undefined;
}

interface CsvRecord {
  readonly cells: readonly string[];
  readonly line: number;
}

function shapeError(message: string, at: Location, cause?: unknown): MttcError {
  return new MttcError({ code: "E_CSV_SHAPE", message, at }, { cause });
}

function decodeText(bytes: Uint8Array, file: string): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (cause) {
    throw shapeError("the label table is not UTF-8 text", { file }, cause);
  }
}

function parseCsv(text: string, file: string): CsvRecord[] {
  const records: CsvRecord[] = [];
  try {
    parse(text, {
      relax_column_count: true,
      skip_empty_lines: true,
      max_record_size: MAX_RECORD_CHARACTERS,
      on_record: (cells: string[], { lines }) => {
        // `lines` counts to the record's end; quoted cells may span several lines.
        const spanned = cells.reduce((count, cell) => count + cell.split("\n").length - 1, 0);
        records.push({ cells, line: lines - spanned });
        return null;
      },
    });
  } catch (cause) {
    if (!(cause instanceof CsvError)) throw cause;
    const line = typeof cause.lines === "number" ? { line: cause.lines } : {};
    throw shapeError(cause.message, { file, ...line }, cause);
  }
  return records;
}

interface ColumnPlaces {
  readonly filepath: number;
  readonly tasks: readonly number[];
}

/** Finds the path column and the tasks' columns in the header; throws all faults of the header at once. */
function findColumns(
  header: readonly string[],
  { tasks, filepaths }: TableColumns,
  file: string,
): ColumnPlaces {
  const names = header.map((name) => name.trim());
  const faults = new FaultList();
  const at = { file, line: 1 };
  for (const [place, name] of names.entries()) {
    if (name === "" || names.indexOf(name) === place) continue;
    faults.add({ code: "E_CSV_HEADER", message: `column "${name}" stands twice in the header`, at });
  }
  const [only] = names;
  const separator = names.length === 1 && only !== undefined ? /[;\t|]/.exec(only)?.[0] : undefined;
  for (const name of [filepaths, ...tasks]) {
    if (names.includes(name)) continue;
    const hint =
      separator === undefined
        ? suggestName(name, names)
        : `cells must be separated by commas, found ${JSON.stringify(separator)}`;
    faults.add({ code: "E_CSV_HEADER", message: `no column "${name}"`, at, hint });
  }
  faults.throwIfAny();
  return { filepath: names.indexOf(filepaths), tasks: tasks.map((task) => names.indexOf(task)) };
}
