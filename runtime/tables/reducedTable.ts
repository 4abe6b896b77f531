// A label table without some of its rows, as a new file beside it. CSV, TSV and JSON Lines keep their form,
// and the rows that stay their bytes; Parquet and folders, which are no text, become CSV that is read alike.
import { readFile } from "node:fs/promises";
import { basename, dirname, extname, relative } from "node:path";
import { MttcError } from "../../compiler/diagnostics.ts";
import { writeFileAtomically } from "../files/atomicDirectory.ts";
import { fileError, systemCode } from "../files/fileSystem.ts";
import { inTheWay } from "../files/ownOutput.ts";
import { csvCell, csvName } from "./csvText.ts";
import { DelimitedReader, headerDelimiter } from "./delimitedText.ts";
import { JsonArrayReader } from "./jsonArray.ts";
import { JsonLinesReader } from "./jsonLines.ts";
import type { TableColumns } from "./labelTable.ts";
import { readParquetColumns } from "./parquetTable.ts";
import { NumberList } from "./stringTable.ts";
import {
  markedEncoding,
  readTextBytes,
  type TableForm,
  type TextReader,
  tableError,
  tableForm,
} from "./tableText.ts";

/** A table as it was read: its file or folder, its columns, and the path of every row. */
export interface ReadTable {
  readonly source: string;
  readonly columns: TableColumns;
  readonly paths: Iterable<string> & { readonly length: number };
}

/** What was written. */
export interface ReducedTable {
  readonly path: string;
  /** Columns of objects and the like, which no cell of a CSV can hold and which were left out. */
  readonly lostColumns: readonly string[];
}

const NEWLINE = 0x0a;
const FIRST_BYTES = 1_000;

/**
 * Writes `<table>.checked<ending>` without the rows numbered in `dropped`; the ending is the table's own, or
 * .csv where the table is no text. E_FILE, E_DISK; E_DATA_CHANGED where the table is not what was read.
 */
export async function writeReducedTable(
  table: ReadTable,
  dropped: ReadonlySet<number>,
): Promise<ReducedTable> {
  return await writeTableWithout(table, dropped, await besideTable(table.source, "checked"));
}

/** `<table>.<word><ending>` beside a table: its own ending where it is text, else .csv. E_FILE. */
export async function besideTable(source: string, word: string): Promise<string> {
  try {
    return besideAs(source, word, await tableForm(source));
  } catch (cause) {
    throw tableError(cause, source);
  }
}

/** The same as `path`, an ending that `besideTable` gave. */
export async function writeTableWithout(
  table: ReadTable,
  dropped: ReadonlySet<number>,
  path: string,
): Promise<ReducedTable> {
  const { source } = table;
  try {
    const form = await tableForm(source);
    const { bytes, lostColumns = [] } = await reducedBytes(table, form, dropped);
    await writeFileAtomically(path, bytes);
    return { path, lostColumns };
  } catch (cause) {
    throw tableError(cause, source);
  }
}

/** refuseForeignPart for what writeReducedTable would replace. */
export async function refuseForeignReduction(table: ReadTable): Promise<void> {
  await refuseForeignPart(table, await besideTable(table.source, "checked"));
}

/**
 * E_RUN_EXISTS where a file stands at `path` that has a line which the table lacks: it is no earlier part of
 * it, and something would be lost. E_FILE.
 */
export async function refuseForeignPart(table: ReadTable, path: string): Promise<void> {
  try {
    const form = await tableForm(table.source);
    const before = await readFile(path).catch((error: unknown) => {
      if (systemCode(error) === "ENOENT") return undefined;
      throw fileError(error, path, "read");
    });
    if (before === undefined) return;
    const lines = linesOf(before);
    for (const line of linesOf((await reducedBytes(table, form, new Set())).bytes)) lines.delete(line);
    if (lines.size > 0) throw inTheWay(path, "exists already, and has lines that the table lacks");
  } catch (cause) {
    throw tableError(cause, table.source);
  }
}

function linesOf(bytes: Uint8Array): Set<string> {
  return new Set(Buffer.from(bytes).toString("latin1").split(/\r?\n/).filter(Boolean));
}

function besideAs(source: string, word: string, form: TableForm): string {
  const own = form === "folder" ? "" : extname(source);
  const stem = source.slice(0, source.length - own.length);
  return `${stem}.${word}${isText(form) ? own : ".csv"}`;
}

function isText(form: TableForm): boolean {
  return form !== "parquet" && form !== "folder";
}

async function reducedBytes(
  table: ReadTable,
  form: TableForm,
  dropped: ReadonlySet<number>,
): Promise<{ bytes: Uint8Array; lostColumns?: readonly string[] }> {
  if (form === "parquet") return await parquetAsCsv(table, dropped);
  if (form === "folder") return { bytes: folderAsCsv(table, dropped) };
  return { bytes: reducedText(await readFile(table.source), form, table, dropped) };
}

/** A row reaches from its line to that of the next row: quoted newlines and blank lines belong to it. */
function reducedText(
  written: Buffer,
  form: TableForm,
  table: ReadTable,
  dropped: ReadonlySet<number>,
): Uint8Array {
  // Lines end in one byte only in UTF-8.
  const encoding = markedEncoding(written);
  const bytes = encoding ? Buffer.from(new TextDecoder(encoding).decode(written)) : written;
  if (form === "lines" && /^\s*\[/.test(bytes.toString("utf8", 0, FIRST_BYTES)))
    return reducedArray(bytes, table, dropped);
  const starts = new NumberList();
  const changed = (): never => {
    throw tableChanged(table);
  };
  const faults = { malformed: changed, tooLong: changed };
  const reader: TextReader =
    form === "lines"
      ? new JsonLinesReader({ object: (_, line) => starts.push(line), ...faults })
      : new DelimitedReader((header) => headerDelimiter(header, form === "tabs" ? "\t" : ","), {
          record: (_, line) => starts.push(line),
          ...faults,
        });
  readTextBytes(bytes, table.source, reader);
  const lines = form === "lines" ? starts.values() : starts.values().subarray(1);
  if (lines.length !== table.paths.length) return changed();
  return withoutLines(bytes, lines, dropped);
}

/** The elements that stay, each as it was written, on a line of its own. */
function reducedArray(bytes: Buffer, table: ReadTable, dropped: ReadonlySet<number>): Uint8Array {
  const elements: string[] = [];
  const changed = (): never => {
    throw tableChanged(table);
  };
  const reader = new JsonArrayReader({
    element: (text) => elements.push(text),
    malformed: changed,
    tooLong: changed,
  });
  readTextBytes(bytes, table.source, reader);
  if (elements.length !== table.paths.length) return changed();
  return Buffer.from(`[\n${elements.filter((_, row) => !dropped.has(row)).join(",\n")}\n]\n`);
}

/** `firstLines`: the line of each row, from 1. */
function withoutLines(bytes: Buffer, firstLines: Int32Array, dropped: ReadonlySet<number>): Uint8Array {
  const kept: Uint8Array[] = [];
  let [keptFrom, position, line] = [0, 0, 1];
  const goTo = (target: number): void => {
    for (; line < target && position < bytes.length; line++) {
      const newline = bytes.indexOf(NEWLINE, position);
      position = newline === -1 ? bytes.length : newline + 1;
    }
  };
  for (const row of [...dropped].sort((a, b) => a - b)) {
    goTo(firstLines[row] ?? 1);
    kept.push(bytes.subarray(keptFrom, position));
    goTo(firstLines[row + 1] ?? Number.POSITIVE_INFINITY);
    keptFrom = position;
  }
  kept.push(bytes.subarray(keptFrom));
  return Buffer.concat(kept);
}

async function parquetAsCsv(
  table: ReadTable,
  dropped: ReadonlySet<number>,
): Promise<{ bytes: Uint8Array; lostColumns: readonly string[] }> {
  const lost = new Set<string>();
  const names = new Set<string>();
  for await (const { name, rowCount, cell } of readParquetColumns(table.source)) {
    names.add(name);
    for (let row = 0; row < rowCount && !lost.has(name); row++) if (cell(row) === undefined) lost.add(name);
  }
  const kept = [...names].filter((name) => !lost.has(name));
  const parts = [csvText([kept])];
  let rows = 0;
  let group: string[][] = [];
  // A row group comes column by column.
  for await (const { name, rowStart, rowCount, cell } of readParquetColumns(table.source)) {
    if (rowStart === rows) {
      parts.push(csvText(group));
      group = Array.from({ length: rowCount }, () => []);
      rows += rowCount;
    }
    if (lost.has(name)) continue;
    for (const [row, cells] of group.entries()) if (!dropped.has(rowStart + row)) cells.push(cell(row) ?? "");
  }
  if (rows !== table.paths.length) throw tableChanged(table);
  parts.push(csvText(group));
  return { bytes: Buffer.concat(parts), lostColumns: [...lost] };
}

/** The class is the folder's name, paths start beside the folder. */
function folderAsCsv({ source, columns, paths }: ReadTable, dropped: ReadonlySet<number>): Uint8Array {
  const rows = Array.from(paths, (path, row) =>
    dropped.has(row) ? [] : [csvCell(relative(dirname(source), path)), csvCell(basename(dirname(path)))],
  );
  return csvLines([[columns.filepaths, columns.tasks[0] ?? ""].map(csvName), ...rows]);
}

/** Plain cells as records of RFC 4180; records without cells are left out. */
function csvText(records: readonly (readonly string[])[]): Buffer {
  const cellText = (cell: string): string =>
    /[",\r\n]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell;
  return csvLines(records.map((cells) => cells.map(cellText)));
}

function csvLines(records: readonly (readonly string[])[]): Buffer {
  const lines = records.filter((cells) => cells.length > 0).map((cells) => cells.join(","));
  return Buffer.from(lines.map((line) => `${line}\n`).join(""));
}

function tableChanged({ source }: ReadTable): MttcError {
  const message = "the label table has changed while its images were checked";
  return new MttcError({ code: "E_DATA_CHANGED", message, at: { file: source } });
}
