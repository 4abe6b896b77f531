// JSON -> objects with their lines, one object per line or all in an array: a table whose cells stand under
// their columns' names. A label may be text, a number or true/false; null, or no such key, is a missing one.
import { MAX_RECORD_CHARACTERS } from "./delimitedText.ts";
import { JsonArrayReader } from "./jsonArray.ts";
import type { Cell } from "./labelCell.ts";

/** What a reader reports; lines count from 1. */
export interface ObjectSink {
  object(row: object, line: number): void;
  /** A line that holds no JSON object; reading goes on with the next. */
  malformed(message: string, line: number): void;
  /** A line over MAX_RECORD_CHARACTERS; must throw. */
  tooLong(line: number): never;
}

/** Takes text piece by piece. Blank lines are no rows. */
export class JsonLinesReader {
  readonly #sink: ObjectSink;
  #rest = "";
  #line = 1;

  constructor(sink: ObjectSink) {
    this.#sink = sink;
  }

  push(text: string): void {
    const all = this.#rest + text;
    let position = 0;
    for (let end = all.indexOf("\n"); end !== -1; end = all.indexOf("\n", position)) {
      this.#readLine(all.slice(position, end));
      position = end + 1;
    }
    this.#rest = all.slice(position);
    if (this.#rest.length > MAX_RECORD_CHARACTERS) this.#sink.tooLong(this.#line);
  }

  end(): void {
    this.#readLine(this.#rest);
    this.#rest = "";
  }

  #readLine(text: string): void {
    const line = this.#line++;
    if (text.length > MAX_RECORD_CHARACTERS) this.#sink.tooLong(line);
    if (text.trim() !== "") readObject(text, line, this.#sink);
  }
}

/** An array of objects, or objects line by line: the first character decides. */
export class JsonTableReader {
  readonly #sink: ObjectSink;
  #blank = "";
  #reader: JsonLinesReader | JsonArrayReader | undefined;

  constructor(sink: ObjectSink) {
    this.#sink = sink;
  }

  push(text: string): void {
    if (this.#reader === undefined) {
      const all = this.#blank + text;
      const first = /\S/.exec(all)?.[0];
      if (first === undefined) {
        if (all.length > MAX_RECORD_CHARACTERS) this.#sink.tooLong(1);
        this.#blank = all;
        return;
      }
      const sink = this.#sink;
      this.#reader =
        first === "["
          ? new JsonArrayReader({
              element: (element, line) => readObject(element, line, sink),
              malformed: (message, line) => sink.malformed(message, line),
              tooLong: (line) => sink.tooLong(line),
            })
          : new JsonLinesReader(sink);
      this.#reader.push(all);
    } else this.#reader.push(text);
  }

  end(): void {
    this.#reader?.end();
  }
}

function readObject(text: string, line: number, sink: ObjectSink): void {
  let row: unknown;
  try {
    row = JSON.parse(exactNumbers(text));
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    sink.malformed(`no JSON: ${error.message}`, line);
    return;
  }
  if (typeof row === "object" && row !== null && !Array.isArray(row)) sink.object(row, line);
  else sink.malformed("expected an object per line, or an array of objects", line);
}

/** JSON whose whole numbers of sixteen digits and more, which a double may not hold, are strings. */
function exactNumbers(text: string): string {
  if (!/\d{16}/.test(text)) return text;
  return text.replace(/"(?:[^"\\]|\\.)*"|-?\d{16,}(?![\d.eE])/g, (part) =>
    part.startsWith('"') ? part : `"${part}"`,
  );
}

/** A value as a cell: strings are words as they stand; undefined for lists and objects. */
export function jsonCell(value: unknown, takesLists = false): Cell | undefined {
  if (typeof value === "string") return { word: value };
  const text = cellText(value, takesLists);
  return text !== undefined && typeof value === "object" && value !== null ? { word: text } : text;
}

/** Lists, and what Label Studio writes for one. */
function isList(value: unknown): boolean {
  return Array.isArray(value) || (typeof value === "object" && value !== null && "choices" in value);
}

/** A value as a CSV would hold it; undefined for lists and objects, unless they are taken as JSON. */
export function cellText(value: unknown, takesLists = false): string | undefined {
  if (takesLists && isList(value))
    return JSON.stringify(value, (_, entry) => (typeof entry === "bigint" ? String(entry) : entry));
  if (value === undefined || value === null) return "";
  return typeof value === "object" || typeof value === "function" ? undefined : String(value);
}
