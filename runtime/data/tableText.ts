// What a label table is by its name, and the text of one: bytes of a file, piece by piece -> UTF-8 text, so
// that memory never depends on the size of the file.
import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { extname } from "node:path";
import { MttcError } from "../../compiler/diagnostics.ts";
import { failureText, nearbyName, systemCode } from "../checkpoint/fileSystem.ts";

/** Bytes that are decoded at once. */
const PIECE_BYTES = 2 ** 20;

/** Forms of a label table: a folder of folders, Parquet, JSON Lines, or cells between tabs or commas. */
export type TableForm = "folder" | "parquet" | "lines" | "tabs" | "commas";

const FORMS: Readonly<Record<string, TableForm>> = {
  ".parquet": "parquet",
  ".jsonl": "lines",
  ".ndjson": "lines",
  ".tsv": "tabs",
  ".tab": "tabs",
};

/** The form of a file by its name's ending; a name that says nothing is taken for CSV. */
export function fileForm(file: string): Exclude<TableForm, "folder"> {
  const form = FORMS[extname(file).toLowerCase()] ?? "commas";
  return form === "folder" ? "commas" : form;
}

/** The form of what lies at `path`; what node:fs throws where nothing does. */
export async function tableForm(path: string): Promise<TableForm> {
  return (await stat(path)).isDirectory() ? "folder" : fileForm(path);
}

/** Takes text piece by piece. */
export interface TextReader {
  push(text: string): void;
  end(): void;
}

/** Bytes -> a TextReader. E_CSV_SHAPE for bytes that are no UTF-8. */
class TextPieces {
  readonly #file: string;
  readonly #reader: TextReader;
  readonly #decoder = new TextDecoder("utf-8", { fatal: true });

  /** `file` names the table in messages. */
  constructor(file: string, reader: TextReader) {
    this.#file = file;
    this.#reader = reader;
  }

  push(bytes: Uint8Array): void {
    this.#reader.push(this.#decode(bytes));
  }

  end(): void {
    this.#reader.push(this.#decode());
    this.#reader.end();
  }

  #decode(bytes?: Uint8Array): string {
    try {
      return bytes ? this.#decoder.decode(bytes, { stream: true }) : this.#decoder.decode();
    } catch (cause) {
      const message = "the label table is not UTF-8 text";
      throw new MttcError({ code: "E_CSV_SHAPE", message, at: { file: this.#file } }, { cause });
    }
  }
}

/** Reads bytes to their end; `file` names the table in messages. E_CSV_SHAPE. */
export function readTextBytes(bytes: Uint8Array, file: string, reader: TextReader): void {
  const pieces = new TextPieces(file, reader);
  for (let start = 0; start < bytes.length; start += PIECE_BYTES)
    pieces.push(bytes.subarray(start, start + PIECE_BYTES));
  pieces.end();
}

/** Reads a file to its end. E_CSV_SHAPE; what node:fs throws. */
export async function readTextTable(file: string, reader: TextReader): Promise<void> {
  const pieces = new TextPieces(file, reader);
  for await (const piece of createReadStream(file, { highWaterMark: PIECE_BYTES })) pieces.push(piece);
  pieces.end();
}

/** What is wrong with reading a table, as an E_FILE; an MttcError stays as it is. */
export function tableError(cause: unknown, file: string): MttcError {
  if (cause instanceof MttcError) return cause;
  const fault = {
    code: "E_FILE",
    message: `cannot read the label table: ${failureText(cause)}`,
    at: { file },
  } as const;
  const hint = systemCode(cause) === "ENOENT" ? nearbyName(file) : undefined;
  return new MttcError(hint === undefined ? fault : { ...fault, hint }, { cause });
}
