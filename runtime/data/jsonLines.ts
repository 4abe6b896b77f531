// JSON Lines -> rows of a label table: one object per line, the path and the labels under their columns'
// names. A label may be text, a number or true/false; null, or no such key, is a missing label.
import { MAX_RECORD_CHARACTERS } from "./delimitedText.ts";
import type { LabelTableBuilder, TableColumns } from "./labelTable.ts";

/** Takes text piece by piece. Faults: E_CSV_SHAPE (no object, a label that is a list or an object). */
export class JsonLinesReader {
  readonly #columns: TableColumns;
  readonly #builder: LabelTableBuilder;
  readonly #tooLong: (line: number) => never;
  #rest = "";
  #line = 1;

  constructor(columns: TableColumns, builder: LabelTableBuilder, tooLong: (line: number) => never) {
    this.#columns = columns;
    this.#builder = builder;
    this.#tooLong = tooLong;
  }

  push(text: string): void {
    const all = this.#rest + text;
    let position = 0;
    for (let end = all.indexOf("\n"); end !== -1; end = all.indexOf("\n", position)) {
      this.#readLine(all.slice(position, end));
      position = end + 1;
    }
    this.#rest = all.slice(position);
    if (this.#rest.length > MAX_RECORD_CHARACTERS) this.#tooLong(this.#line);
  }

  end(): void {
    this.#readLine(this.#rest);
    this.#rest = "";
  }

  #readLine(text: string): void {
    const line = this.#line++;
    if (text.length > MAX_RECORD_CHARACTERS) this.#tooLong(line);
    if (text.trim() === "") return;
    let row: unknown;
    try {
      row = JSON.parse(text);
    } catch (error) {
      if (!(error instanceof SyntaxError)) throw error;
      this.#builder.fault("E_CSV_SHAPE", `no JSON: ${error.message}`, line);
      return;
    }
    if (typeof row !== "object" || row === null || Array.isArray(row)) {
      this.#builder.fault("E_CSV_SHAPE", "expected an object per line", line);
      return;
    }
    const cells = [this.#columns.filepaths, ...this.#columns.tasks].map((name) => {
      const value: unknown = Object.getOwnPropertyDescriptor(row, name)?.value;
      const cell = cellText(value);
      if (cell === undefined)
        this.#builder.fault("E_CSV_SHAPE", `"${name}": expected text, a number or null`, line);
      return cell ?? null;
    });
    if (cells.every((cell) => cell !== null)) this.#builder.add(cells[0] ?? "", cells.slice(1), line);
  }
}

/** A value as a CSV would hold it; undefined for lists and objects. */
export function cellText(value: unknown): string | undefined {
  if (value === undefined || value === null) return "";
  return typeof value === "object" || typeof value === "function" ? undefined : String(value);
}
