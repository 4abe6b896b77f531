// Label tables from files, by the name's ending: CSV, TSV, JSON (.jsonl, .ndjson, .json), Parquet, a folder
// with a folder of images per class. Text is read in pieces, so that memory is what the table itself needs.
import { dirname } from "node:path";
import { type Fault, MttcError } from "../../compiler/diagnostics.ts";
import {
  DelimitedReader,
  type Delimiter,
  decimalPoint,
  headerDelimiter,
  MAX_RECORD_CHARACTERS,
} from "./delimitedText.ts";
import { readFolderTable } from "./folderTable.ts";
import { JsonTableReader, jsonCell } from "./jsonLines.ts";
import { type Cell, textOf } from "./labelCell.ts";
import {
  type LabelTable,
  LabelTableBuilder,
  labelPlaces,
  NESTED_CELL,
  type TableColumns,
} from "./labelTable.ts";
import { readParquetTable } from "./parquetTable.ts";
import { type ColumnPlaces, findColumns } from "./tableHeader.ts";
import {
  fileForm,
  readTextBytes,
  readTextTable,
  type TextReader,
  tableError,
  tableForm,
} from "./tableText.ts";

/**
 * Reads a label table. Relative image paths are relative to the table's folder. Throws E_FILE, E_CSV_HEADER,
 * E_CSV_SHAPE, E_CSV_LINE, E_CSV_PATH, E_LABEL; all faults of the rows at once.
 */
export async function readLabelTable(file: string, columns: TableColumns): Promise<LabelTable> {
  try {
    const form = await tableForm(file);
    if (form === "folder") return await readFolderTable(file, columns);
    if (form === "parquet") return await readParquetTable(file, columns);
    const table = new TextTable(file, columns);
    await readTextTable(file, table.reader);
    return table.finish();
  } catch (cause) {
    throw withLabelsHint(tableError(cause, file), file);
  }
}

/** Files of labelling tools are JSON, too, and no tables. */
function withLabelsHint(error: MttcError, file: string): MttcError {
  if (!/\.json$/i.test(file) || !error.code.startsWith("E_CSV")) return error;
  const hint =
    "`mttc labels FILE -o train.csv` makes a table of an export of Label Studio, or of COCO's form";
  return new MttcError([...error.faults.slice(0, -1), { hint, ...error.faults.slice(-1)[0] } as Fault], {
    cause: error,
  });
}

/** A text table from bytes; `file` names it in messages and is what relative paths start from. */
export function parseLabelTable(bytes: Uint8Array, file: string, columns: TableColumns): LabelTable {
  const table = new TextTable(file, columns);
  readTextBytes(bytes, file, table.reader);
  return table.finish();
}

/** Names of the columns that are read: that of paths, then those of labels. */
function wantedColumns(columns: TableColumns): string[] {
  return [columns.filepaths, ...labelPlaces(columns).map(({ column }) => column)];
}

/** Text of a table, piece by piece -> the table. */
class TextTable {
  /** Takes the text. */
  readonly reader: TextReader;
  readonly #file: string;
  readonly #builder: LabelTableBuilder;
  /** The column of paths, then those of labels. */
  readonly #wanted: readonly string[];
  #hasHeader = false;
  #decimalCommas = 0;
  #exampleComma: string | undefined;

  constructor(file: string, columns: TableColumns) {
    this.#file = file;
    this.#builder = new LabelTableBuilder(file, columns, (line) => ({
      file,
      ...(line > 0 ? { line } : {}),
    }));
    const form = fileForm(file);
    this.#hasHeader = form === "lines";
    const faults = {
      malformed: (message: string, line: number) => this.#builder.fault("E_CSV_SHAPE", message, line),
      tooLong: (line: number): never => this.#stop("E_CSV_LINE", line),
    };
    this.#wanted = wantedColumns(columns);
    if (form === "lines") {
      this.reader = new JsonTableReader({
        object: (row, line) => this.#addObject(row, columns.lists ?? [], line),
        ...faults,
      });
      return;
    }
    const choose = (header: string): Delimiter =>
      headerDelimiter(header, form === "tabs" ? "\t" : ",", this.#wanted);
    const reader: DelimitedReader = new DelimitedReader(choose, {
      ...this.#rows(columns, () => reader.delimiter),
      ...faults,
    });
    this.reader = reader;
  }

  /** The table, once all text is read. */
  finish(): LabelTable {
    this.#builder.faults.throwIfAny();
    if (this.#builder.rows === 0) {
      const message = `the label table ${this.#hasHeader ? "has no rows" : "is empty"}`;
      throw new MttcError({ code: "E_CSV_SHAPE", message, at: { file: this.#file } });
    }
    const commas = `${this.#decimalCommas} numbers with a decimal comma in ${this.#file}, such as ${this.#exampleComma}`;
    const notes = this.#decimalCommas > 0 ? [`${commas}, are read as with a point`] : [];
    return this.#builder.finish(dirname(this.#file), notes);
  }

  #addObject(row: object, lists: readonly string[], line: number): void {
    const cells = this.#wanted.map((name) => {
      const cell = jsonCell(Object.getOwnPropertyDescriptor(row, name)?.value, lists.includes(name));
      if (cell === undefined) this.#builder.fault("E_CSV_SHAPE", `"${name}": ${NESTED_CELL}`, line);
      return cell ?? null;
    });
    if (!cells.every((cell) => cell !== null)) return;
    const [path = "", ...labels] = cells;
    this.#builder.add(textOf(path), labels, line);
  }

  /** Nothing after an endless record can be trusted to be a record. */
  #stop(code: "E_CSV_LINE", line: number): never {
    const message = `a line of over ${MAX_RECORD_CHARACTERS} characters; is a quote never closed?`;
    this.#builder.fault(code, message, line);
    this.#builder.faults.throwIfAny();
    throw new MttcError({ code, message, at: { file: this.#file, line } });
  }

  #label(cell: Cell, delimiter: Delimiter): Cell {
    const label = decimalPoint(cell, delimiter);
    if (label !== cell) {
      this.#decimalCommas++;
      this.#exampleComma ??= textOf(cell).trim();
    }
    return label;
  }

  #rows(
    columns: TableColumns,
    delimiter: () => Delimiter,
  ): { record(cells: readonly Cell[], line: number): void } {
    let places: ColumnPlaces | undefined;
    let width = 0;
    return {
      record: (cells, line) => {
        if (places === undefined) {
          places = findColumns(cells.map(textOf), columns, { file: this.#file, line });
          width = cells.length;
          this.#hasHeader = true;
          return;
        }
        if (cells.length !== width) {
          const message = `expected ${width} cells as in the header, found ${cells.length}`;
          this.#builder.fault("E_CSV_SHAPE", message, line);
          return;
        }
        const labels = places.labels.map((place) => this.#label(cells[place] ?? "", delimiter()));
        this.#builder.add(textOf(cells[places.filepath] ?? ""), labels, line);
      },
    };
  }
}
