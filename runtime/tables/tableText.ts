// What a label table is by its name, and the text of one: bytes of a file, piece by piece -> UTF-8 text, so
// that memory never depends on the size of the file.
import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { basename, extname } from "node:path";
import { MttcError } from "../../compiler/diagnostics.ts";
import { failureText, nearbyName, systemCode } from "../files/fileSystem.ts";

/** Bytes that are decoded at once. */
const PIECE_BYTES = 2 ** 20;

/**
 * Forms of a label table: a folder of folders, Parquet, JSON (lines or an array), or cells between tabs or
 * commas, or what else the first line has between them.
 */
export type TableForm = "folder" | "parquet" | "lines" | "tabs" | "commas";

const FORMS: Readonly<Record<string, TableForm>> = {
  ".parquet": "parquet",
  ".jsonl": "lines",
  ".ndjson": "lines",
  ".json": "lines",
  ".tsv": "tabs",
  ".tab": "tabs",
};

const SPREADSHEET = /\.(xlsx|xlsm|xlsb|xls|ods|numbers)$/i;

/** Whether the name is of a spreadsheet, which is no text. */
export function isSpreadsheet(file: string): boolean {
  return SPREADSHEET.test(file);
}

/**
 * The form of a file by its name's ending; a name that says nothing is taken for CSV. E_CSV_SHAPE for a
 * spreadsheet.
 */
export function fileForm(file: string): Exclude<TableForm, "folder"> {
  if (isSpreadsheet(file)) throw notText(file, "is a spreadsheet", SAVE_AS_CSV);
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

const SAVE_AS_CSV = "save its sheet as a text file: File, Save As, CSV UTF-8";

function notText(file: string, what: string, hint: string, at: { line?: number } = {}): MttcError {
  return new MttcError({
    code: "E_CSV_SHAPE",
    message: `the label table ${what}`,
    at: { file, ...at },
    hint,
  });
}

/** What files that are no text begin with. */
const SIGNATURES: readonly (readonly [number[], string, string])[] = [
  [[0x50, 0x4b, 0x03, 0x04], "is a ZIP archive or an Excel workbook, no text", SAVE_AS_CSV],
  [[0xd0, 0xcf, 0x11, 0xe0], "is an old Excel workbook, no text", SAVE_AS_CSV],
  [[0x1f, 0x8b], "is compressed (gzip)", "unpack it with gunzip"],
  [[0x50, 0x41, 0x52, 0x31], "is Parquet by its content", "let its name end in .parquet"],
];

type Decoder = InstanceType<typeof TextDecoder>;

/** Bytes -> a TextReader: UTF-8, or UTF-16 where a byte order mark says so. E_CSV_SHAPE for other bytes. */
class TextPieces {
  readonly #file: string;
  readonly #reader: TextReader;
  #decoder: Decoder | undefined;

  /** `file` names the table in messages. */
  constructor(file: string, reader: TextReader) {
    this.#file = file;
    this.#reader = reader;
  }

  push(bytes: Uint8Array): void {
    this.#decoder ??= this.#begin(bytes);
    this.#reader.push(this.#decode(this.#decoder, bytes));
  }

  end(): void {
    if (this.#decoder !== undefined) this.#reader.push(this.#decode(this.#decoder));
    this.#reader.end();
  }

  #begin(bytes: Uint8Array): Decoder {
    for (const [start, what, hint] of SIGNATURES)
      if (start.every((byte, index) => bytes[index] === byte)) throw notText(this.#file, what, hint);
    // A letter of UTF-16 without a mark; no name of a column begins so.
    if (bytes.length > 1 && (bytes[0] === 0 || bytes[1] === 0))
      throw notText(this.#file, "is not UTF-8 text: it has zero bytes", saveAsUtf8(this.#file, "UTF-16LE"));
    return new TextDecoder(markedEncoding(bytes) ?? "utf-8", { fatal: true });
  }

  #decode(decoder: Decoder, bytes?: Uint8Array): string {
    try {
      return bytes ? decoder.decode(bytes, { stream: true }) : decoder.decode();
    } catch (cause) {
      if (decoder.encoding !== "utf-8")
        throw notText(
          this.#file,
          "is not UTF-8 text, nor UTF-16 as it begins",
          saveAsUtf8(this.#file, "UTF-16"),
        );
      const { message, line } = firstFault(bytes ?? new Uint8Array());
      const fault = notText(
        this.#file,
        message,
        saveAsUtf8(this.#file, "WINDOWS-1252"),
        line ? { line } : {},
      );
      throw new MttcError(fault.faults, { cause });
    }
  }
}

/** UTF-16 as its byte order mark says; undefined for other bytes. */
export function markedEncoding(bytes: Uint8Array): "utf-16le" | "utf-16be" | undefined {
  if (bytes[0] === 0xff && bytes[1] === 0xfe) return "utf-16le";
  return bytes[0] === 0xfe && bytes[1] === 0xff ? "utf-16be" : undefined;
}

function saveAsUtf8(file: string, encoding: string): string {
  const [from, to] = [JSON.stringify(basename(file)), JSON.stringify(`utf8-${basename(file)}`)];
  return `save it as UTF-8 (Excel: Save As, CSV UTF-8), or: iconv -f ${encoding} -t UTF-8 ${from} > ${to}`;
}

/** Where bytes stop being UTF-8: the line is known in the first piece of a file. */
function firstFault(bytes: Uint8Array): { message: string; line?: number } {
  const text = new TextDecoder().decode(bytes);
  const place = text.indexOf("\uFFFD");
  const message = "is not UTF-8 text";
  if (place === -1) return { message };
  return { message, line: text.slice(0, place).split("\n").length };
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
