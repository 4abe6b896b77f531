// Parquet label tables, row group by row group and column by column: of a file with many columns only those
// of the path and the tasks are read. Pages may be uncompressed, Snappy, gzip or Brotli.
import { dirname } from "node:path";
import { brotliDecompressSync, gunzipSync } from "node:zlib";
import {
  asyncBufferFromFile,
  type Compressors,
  type ParquetScan,
  parquetScan,
  parquetSchema,
} from "hyparquet";
import { MttcError } from "../../compiler/diagnostics.ts";
import { cellText } from "./jsonLines.ts";
import {
  type LabelTable,
  LabelTableBuilder,
  labelPlaces,
  NESTED_CELL,
  type TableColumns,
} from "./labelTable.ts";
import { findColumns } from "./tableHeader.ts";

/** Rows of a group are in memory together; writers make groups of about a million. */
const MAX_GROUP_ROWS = 16_777_216;

// A page that inflates beyond what its header says is an error, not memory.
const COMPRESSORS: Compressors = {
  GZIP: (input, outputLength) => gunzipSync(input, { maxOutputLength: outputLength }),
  BROTLI: (input, outputLength) => brotliDecompressSync(input, { maxOutputLength: outputLength }),
};

/**
 * Reads the columns of a Parquet file. Faults name rows from 1 as lines, as of a file without header. Throws
 * E_CSV_SHAPE (no Parquet, or a cell that is a list or an object), E_CSV_HEADER, E_CSV_PATH, E_LABEL.
 */
export async function readParquetTable(file: string, columns: TableColumns): Promise<LabelTable> {
  const scan = await openScan(file);
  const names = parquetSchema(scan.metadata).children.map(({ element }) => element.name);
  findColumns(names, columns, { file });
  const builder = new LabelTableBuilder(file, columns, (line) => ({
    file,
    ...(line > 0 ? { line } : {}),
  }));
  const wanted = [columns.filepaths, ...labelPlaces(columns).map(({ column }) => column)];
  for (const { rowStart, rowEnd } of scan.ranges) {
    if (rowEnd - rowStart > MAX_GROUP_ROWS)
      throw notParquet(file, `a row group of ${rowEnd - rowStart} rows`);
    const cells: ArrayLike<unknown>[] = [];
    for (const column of wanted) cells.push(await readColumn(scan, file, { column, rowStart, rowEnd }));
    const named = wanted.map((name, i) => ({
      ...{ name, cells: cells[i] ?? [] },
      takesLists: columns.lists?.includes(name) === true,
    }));
    addRows(builder, named, rowStart);
  }
  return builder.finish(dirname(file));
}

/** A column of a row group. */
export interface ParquetColumn {
  readonly name: string;
  /** Rows of the file before this group. */
  readonly rowStart: number;
  readonly rowCount: number;
  /** Whether the cells are lists. */
  readonly isList: boolean;
  /** The cell of a row of the group as text, a list as JSON writes it; undefined for objects and dates. */
  readonly cell: (row: number) => string | undefined;
}

/**
 * All columns of a Parquet file, row group by row group: one column of one group is in memory at a time.
 * Throws E_CSV_SHAPE, E_CSV_HEADER.
 */
export async function* readParquetColumns(file: string): AsyncGenerator<ParquetColumn> {
  const scan = await openScan(file);
  const { children } = parquetSchema(scan.metadata);
  const names = children.map(({ element }) => element.name);
  findColumns(names, { tasks: [], filepaths: names[0] ?? "" }, { file });
  for (const { rowStart, rowEnd } of scan.ranges) {
    const rowCount = rowEnd - rowStart;
    if (rowCount > MAX_GROUP_ROWS) throw notParquet(file, `a row group of ${rowCount} rows`);
    for (const { element, children: parts } of children) {
      const { name, converted_type: converted, logical_type: logical } = element;
      const isList = converted === "LIST" || logical?.type === "LIST";
      const isRead = isList || parts.length === 0;
      const cells = isRead ? await readColumn(scan, file, { column: name, rowStart, rowEnd }) : [];
      const cell = (row: number) => (isRead ? cellText(cells[row], isList) : undefined);
      yield { name, rowStart, rowCount, isList, cell };
    }
  }
}

async function openScan(file: string): Promise<ParquetScan> {
  try {
    return await parquetScan({ file: await asyncBufferFromFile(file), compressors: COMPRESSORS });
  } catch (error) {
    throw notParquet(file, error);
  }
}

async function readColumn(
  scan: ParquetScan,
  file: string,
  range: Parameters<ParquetScan["readColumn"]>[0],
): Promise<ArrayLike<unknown>> {
  try {
    const cells = await scan.readColumn(range);
    if (cells.length === range.rowEnd - range.rowStart) return cells;
  } catch (error) {
    throw notParquet(file, error);
  }
  throw notParquet(file, `column "${range.column}" has not as many rows as its group`);
}

/** A column of a row group, and whether its cells may be lists. */
interface GroupColumn {
  readonly name: string;
  readonly cells: ArrayLike<unknown>;
  readonly takesLists: boolean;
}

/** Adds the rows of a group; the column of paths comes first. */
function addRows(builder: LabelTableBuilder, columns: readonly GroupColumn[], rowStart: number): void {
  for (let row = 0; row < (columns[0]?.cells.length ?? 0); row++) {
    const place = rowStart + row + 1;
    const texts = columns.map(({ cells, takesLists }) => cellText(cells[row], takesLists));
    const wrong = texts.indexOf(undefined);
    if (wrong === -1) builder.add(texts[0] ?? "", texts.slice(1).map(String), place);
    else builder.fault("E_CSV_SHAPE", `"${columns[wrong]?.name}": ${NESTED_CELL}`, place);
  }
}

function notParquet(file: string, cause: unknown): MttcError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  const message = `cannot read the label table as Parquet: ${reason}`;
  return new MttcError({ code: "E_CSV_SHAPE", message, at: { file } }, { cause });
}
