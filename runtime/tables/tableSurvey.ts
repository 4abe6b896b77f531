// A first look at a label table whose columns nobody has named yet: every column with its values and how
// often each occurs. Any form that readLabelTable reads, read as it reads it; memory is bounded, however many
// rows and values there are. What the columns are for, others decide.
import { type ErrorCode, MttcError } from "../../compiler/diagnostics.ts";
import { classKey } from "../../compiler/spec/classKey.ts";
import { DelimitedReader, decimalPoint, headerDelimiter, MAX_RECORD_CHARACTERS } from "./delimitedText.ts";
import { FaultList } from "./faultList.ts";
import { IMAGE_NAME } from "./folderTable.ts";
import { JsonTableReader, jsonCell } from "./jsonLines.ts";
import { type Cell, labelOf, MissingCells, textOf } from "./labelCell.ts";
import { readParquetColumns } from "./parquetTable.ts";
import { findColumns } from "./tableHeader.ts";
import { fileForm, readTextTable, type TextReader, tableError } from "./tableText.ts";

/** Different values of a column that are told apart; of more only the rows are counted. */
export const MAX_VALUES = 10_000;
const FIRST_CELLS = 16;
const MAX_COLUMNS = 10_000;

/** One column, seen as a whole. */
export interface SurveyedColumn {
  readonly name: string;
  /** Cells that hold something: no missing-value word, no object. */
  readonly labelled: number;
  /** Rows of each value, as a class is spelled, lists as JSON writes them; at most MAX_VALUES of them. */
  readonly values: ReadonlyMap<string, number>;
  /** Whether there are more values than that. */
  readonly hasMore: boolean;
  /** Cells that are lists, and those that are objects or lists of what is no label. */
  readonly lists: number;
  readonly nested: number;
  /** Cells that end as the name of an image does. */
  readonly imageNames: number;
  /** The first cells that hold something. */
  readonly first: readonly string[];
}

/** A table, seen as a whole. */
export interface TableSurvey {
  readonly rows: number;
  readonly columns: readonly SurveyedColumn[];
}

/**
 * Surveys a CSV, TSV, JSON Lines or Parquet file. Columns that have no name count as one. Throws E_FILE, and
 * E_CSV_HEADER, E_CSV_SHAPE, E_CSV_LINE for what is no table.
 */
export async function surveyTable(file: string): Promise<TableSurvey> {
  const survey = new Survey(file);
  try {
    if (fileForm(file) === "parquet") await surveyParquet(file, survey);
    else await readTextTable(file, textReader(file, survey));
  } catch (cause) {
    throw tableError(cause, file);
  }
  return survey.finish();
}

/** Columns as they fill. */
class Survey {
  rows = 0;
  readonly #file: string;
  readonly #columns = new Map<string, ColumnCounter>();
  readonly #faults = new FaultList();

  constructor(file: string) {
    this.#file = file;
  }

  /** Counts a cell; undefined stands for an object. */
  count(name: string, cell: Cell | undefined, isList = false): void {
    let counter = this.#columns.get(name);
    if (counter === undefined) {
      if (this.#columns.size === MAX_COLUMNS) this.stop("E_CSV_SHAPE", `more than ${MAX_COLUMNS} columns`);
      counter = new ColumnCounter();
      this.#columns.set(name, counter);
    }
    counter.add(cell, isList);
  }

  refuse(message: string, line: number): void {
    this.#faults.add({ code: "E_CSV_SHAPE", message, at: { file: this.#file, line } });
  }

  /** Gives up, with what was wrong before. */
  stop(code: ErrorCode, message: string, line?: number): never {
    const at = { file: this.#file, ...(line === undefined ? {} : { line }) };
    this.#faults.add({ code, message, at });
    this.#faults.throwIfAny();
    throw new MttcError({ code, message, at });
  }

  finish(): TableSurvey {
    this.#faults.throwIfAny();
    if (this.rows === 0) this.stop("E_CSV_SHAPE", "the label table has no rows");
    return { rows: this.rows, columns: [...this.#columns].map(([name, counter]) => counter.finish(name)) };
  }
}

async function surveyParquet(file: string, survey: Survey): Promise<void> {
  for await (const { name, rowStart, rowCount, isList, cell } of readParquetColumns(file)) {
    for (let row = 0; row < rowCount; row++) survey.count(name, cell(row), isList);
    survey.rows = rowStart + rowCount;
  }
}

/** Text of a table -> its survey. */
function textReader(file: string, survey: Survey): TextReader {
  let header: readonly string[] | undefined;
  const form = fileForm(file);
  const faults = {
    malformed: (message: string, line: number) => survey.refuse(message, line),
    tooLong: (line: number): never =>
      survey.stop("E_CSV_LINE", `a line of over ${MAX_RECORD_CHARACTERS} characters`, line),
  };
  const object = (row: object): void => {
    survey.rows++;
    for (const [name, value] of Object.entries(row))
      survey.count(name, jsonCell(value, true), Array.isArray(value));
  };
  const record = (cells: readonly Cell[], line: number): void => {
    if (header === undefined) {
      header = cells.map((name) => textOf(name).trim());
      findColumns(header, { tasks: [], filepaths: header[0] ?? "" }, { file, line });
      return;
    }
    if (cells.length === header.length) {
      survey.rows++;
      for (const [place, name] of header.entries())
        survey.count(name, decimalPoint(cells[place] ?? "", reader.delimiter));
    } else survey.refuse(`expected ${header.length} cells as in the header, found ${cells.length}`, line);
  };
  if (form === "lines") return new JsonTableReader({ object, ...faults });
  const reader: DelimitedReader = new DelimitedReader(
    (line) => headerDelimiter(line, form === "tabs" ? "\t" : ","),
    { record, ...faults },
  );
  return reader;
}

/** Counts of one column. */
class ColumnCounter {
  readonly #missing = new MissingCells();
  readonly #values = new Map<string, number>();
  readonly #first: string[] = [];
  #hasMore = false;
  #labelled = 0;
  #lists = 0;
  #nested = 0;
  #imageNames = 0;

  add(cell: Cell | undefined, isList: boolean): void {
    if (cell === undefined) this.#nested++;
    if (cell === undefined || this.#missing.has(cell)) return;
    if (isList) this.#lists++;
    const value = classKey(labelOf(cell));
    this.#labelled++;
    if (IMAGE_NAME.test(value)) this.#imageNames++;
    if (this.#first.length < FIRST_CELLS) this.#first.push(labelOf(cell));
    const rows = this.#values.get(value);
    if (rows !== undefined) this.#values.set(value, rows + 1);
    else if (this.#values.size === MAX_VALUES) this.#hasMore = true;
    // A copy: a slice of the text that was read would keep all of it in memory.
    else this.#values.set(Buffer.from(value).toString(), 1);
  }

  finish(name: string): SurveyedColumn {
    return {
      name,
      labelled: this.#labelled,
      values: this.#values,
      hasMore: this.#hasMore,
      lists: this.#lists,
      nested: this.#nested,
      imageNames: this.#imageNames,
      first: this.#first,
    };
  }
}
