// Label tables from files, by the name's ending: CSV, TSV, JSON Lines (.jsonl, .ndjson), Parquet, or a folder
// with a folder of images per class. Text is read in pieces, so that memory is what the table itself needs.
import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { dirname, extname } from "node:path";
import { MttcError } from "../../compiler/diagnostics.ts";
import { DelimitedReader, MAX_RECORD_CHARACTERS } from "./delimitedText.ts";
import { readFolderTable } from "./folderTable.ts";
import { JsonLinesReader } from "./jsonLines.ts";
import { type LabelTable, LabelTableBuilder, type TableColumns } from "./labelTable.ts";
import { readParquetTable } from "./parquetTable.ts";
import { type ColumnPlaces, findColumns } from "./tableHeader.ts";

const PIECE_BYTES = 2 ** 20;

/**
 * Reads a label table. Relative image paths are relative to the table's folder. Throws E_FILE, E_CSV_HEADER,
 * E_CSV_SHAPE, E_CSV_LINE, E_CSV_PATH, E_LABEL; all faults of the rows at once.
 */
export async function readLabelTable(file: string, columns: TableColumns): Promise<LabelTable> {
  try {
    if ((await stat(file)).isDirectory()) return await readFolderTable(file, columns);
    if (extname(file).toLowerCase() === ".parquet") return await readParquetTable(file, columns);
    const reader = new TextTableReader(file, columns);
    for await (const piece of createReadStream(file, { highWaterMark: PIECE_BYTES })) reader.push(piece);
    return reader.finish();
  } catch (cause) {
    if (cause instanceof MttcError) throw cause;
    const message = `cannot read the label table: ${cause instanceof Error ? cause.message : String(cause)}`;
    throw new MttcError({ code: "E_FILE", message, at: { file } }, { cause });
  }
}

/** A text table from bytes; `file` names it in messages and is what relative paths start from. */
export function parseLabelTable(bytes: Uint8Array, file: string, columns: TableColumns): LabelTable {
  const reader = new TextTableReader(file, columns);
  for (let start = 0; start < bytes.length; start += PIECE_BYTES)
    reader.push(bytes.subarray(start, start + PIECE_BYTES));
  return reader.finish();
}

/** Bytes of a text table, piece by piece -> the table. */
class TextTableReader {
  readonly #file: string;
  readonly #builder: LabelTableBuilder;
  readonly #decoder = new TextDecoder("utf-8", { fatal: true });
  readonly #records: { push(text: string): void; end(): void };
  #hasHeader = false;

  constructor(file: string, columns: TableColumns) {
    this.#file = file;
    this.#builder = new LabelTableBuilder(file, columns.tasks, (line) => ({
      file,
      ...(line > 0 ? { line } : {}),
    }));
    const ending = extname(file).toLowerCase();
    const isLines = ending === ".jsonl" || ending === ".ndjson";
    this.#hasHeader = isLines;
    const tooLong = (line: number): never => this.#stop("E_CSV_LINE", line);
    this.#records = isLines
      ? new JsonLinesReader(columns, this.#builder, tooLong)
      : new DelimitedReader(ending === ".tsv" || ending === ".tab" ? "\t" : ",", {
          ...this.#rows(columns),
          malformed: (message, line) => this.#builder.fault("E_CSV_SHAPE", message, line),
          tooLong,
        });
  }

  push(bytes: Uint8Array): void {
    this.#records.push(this.#decode(bytes));
  }

  finish(): LabelTable {
    this.#records.push(this.#decode());
    this.#records.end();
    this.#builder.faults.throwIfAny();
    if (this.#builder.rows === 0) {
      const message = `the label table ${this.#hasHeader ? "has no rows" : "is empty"}`;
      throw new MttcError({ code: "E_CSV_SHAPE", message, at: { file: this.#file } });
    }
    return this.#builder.finish(dirname(this.#file));
  }

  #decode(bytes?: Uint8Array): string {
    try {
      return bytes ? this.#decoder.decode(bytes, { stream: true }) : this.#decoder.decode();
    } catch (cause) {
      const message = "the label table is not UTF-8 text";
      throw new MttcError({ code: "E_CSV_SHAPE", message, at: { file: this.#file } }, { cause });
    }
  }

  /** Nothing after an endless record can be trusted to be a record. */
  #stop(code: "E_CSV_LINE", line: number): never {
    const message = `a line of over ${MAX_RECORD_CHARACTERS} characters; is a quote never closed?`;
    this.#builder.fault(code, message, line);
    this.#builder.faults.throwIfAny();
    throw new MttcError({ code, message, at: { file: this.#file, line } });
  }

  #rows(columns: TableColumns): { record(cells: readonly string[], line: number): void } {
    let places: ColumnPlaces | undefined;
    let width = 0;
    return {
      record: (cells, line) => {
        if (places === undefined) {
          places = findColumns(cells, columns, { file: this.#file, line });
          width = cells.length;
          this.#hasHeader = true;
          return;
        }
        if (cells.length !== width) {
          const message = `expected ${width} cells as in the header, found ${cells.length}`;
          this.#builder.fault("E_CSV_SHAPE", message, line);
          return;
        }
        const labels = places.tasks.map((place) => cells[place] ?? "");
        this.#builder.add(cells[places.filepath] ?? "", labels, line);
      },
    };
  }
}
