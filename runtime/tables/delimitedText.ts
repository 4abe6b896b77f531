// CSV and TSV text, in pieces of any size -> records with their lines (RFC 4180: quotes, doubled quotes,
// delimiters and newlines within quotes, LF or CRLF). Memory: one piece and one record, whatever the file
// holds. Records without quotes, nearly all, take a path without a character loop.
import type { Cell } from "./labelCell.ts";

/** The longest record, in characters. */
export const MAX_RECORD_CHARACTERS = 1_000_000;

/** What a reader reports; lines count from 1. */
export interface RecordSink {
  record(cells: readonly Cell[], line: number): void;
  /** A record that breaks the rules of quoting; reading goes on with the next line. */
  malformed(message: string, line: number): void;
  /** A record over MAX_RECORD_CHARACTERS; must throw. */
  tooLong(line: number): never;
}

/** What may stand between cells. */
export type Delimiter = "," | ";" | "\t" | "|";

const DELIMITERS: readonly Delimiter[] = [",", ";", "\t", "|"];

/**
 * The delimiter of a table by its first line: the one between the most of the names that are `wanted`, then
 * the one between the most cells; `usual` where that leaves several.
 */
export function headerDelimiter(line: string, usual: Delimiter, wanted: readonly string[] = []): Delimiter {
  // What stands in quotes may hold any of them.
  const plain = line.replace(/"(?:[^"]|"")*"/g, (cell) => cell.replace(/[,;\t|]/g, " "));
  const rank = (delimiter: Delimiter): readonly [number, number] => {
    const names = plain.split(delimiter).map((name) => name.trim().replace(/^"(.*)"$/, "$1"));
    return [wanted.filter((name) => names.includes(name)).length, names.length];
  };
  return [usual, ...DELIMITERS].reduce((best, delimiter) => {
    const [[found, cells], [bestFound, bestCells]] = [rank(delimiter), rank(best)];
    return found > bestFound || (found === bestFound && cells > bestCells) ? delimiter : best;
  });
}

/** A number with a decimal comma, in tables whose cells are not separated by commas, with a point. */
export function decimalPoint(cell: Cell, delimiter: Delimiter): Cell {
  if (delimiter === "," || typeof cell !== "string" || !/^\s*[+-]?\d*,\d+(e[+-]?\d+)?\s*$/i.test(cell))
    return cell;
  return cell.replace(",", ".");
}

/** Takes text piece by piece. Blank lines are no records. */
export class DelimitedReader {
  readonly #choose: (header: string) => Delimiter;
  readonly #sink: RecordSink;
  #delimiter: Delimiter | undefined;
  #rest = "";
  #line = 1;

  /** The delimiter, or what tells it by the first line. */
  constructor(delimiter: Delimiter | ((header: string) => Delimiter), sink: RecordSink) {
    this.#choose = typeof delimiter === "function" ? delimiter : () => delimiter;
    this.#sink = sink;
  }

  /** What stands between the cells; a comma before there is any. */
  get delimiter(): Delimiter {
    return this.#delimiter ?? ",";
  }

  /** Reads what `text` completes. */
  push(text: string): void {
    this.#rest = this.#read(this.#rest + text, false);
    if (this.#rest.length > MAX_RECORD_CHARACTERS) this.#sink.tooLong(this.#line);
  }

  /** Reads the last record, which needs no newline. */
  end(): void {
    this.#read(this.#rest, true);
    this.#rest = "";
  }

  /** Reads all whole records and returns the rest. */
  #read(text: string, isLast: boolean): string {
    let position = 0;
    while (position < text.length) {
      const newline = text.indexOf("\n", position);
      if (newline === -1 && !isLast) break;
      const end = newline === -1 ? text.length : newline;
      if (end - position > MAX_RECORD_CHARACTERS) this.#sink.tooLong(this.#line);
      const line = text.slice(position, text[end - 1] === "\r" && end > position ? end - 1 : end);
      if (this.#delimiter === undefined && line !== "") this.#delimiter = this.#choose(line);
      if (!line.includes('"')) {
        if (line !== "") this.#sink.record(line.split(this.delimiter), this.#line);
        this.#line++;
        position = end + 1;
        continue;
      }
      const next = this.#readQuoted(text, position, isLast);
      if (next === undefined) break;
      position = next;
    }
    return text.slice(position);
  }

  /** Reads the record with quotes at `start`; returns what follows it, undefined if `text` ends too early. */
  #readQuoted(text: string, start: number, isLast: boolean): number | undefined {
    const cells: Cell[] = [];
    let position = start;
    for (;;) {
      const cell = readCell(text, position, this.delimiter);
      if (cell === undefined) {
        if (!isLast) return undefined;
        return this.#refuse("a quote is opened and never closed", text, start, text.length);
      }
      if (cell.fault !== undefined) {
        const isWhole = isLast || text.includes("\n", cell.end);
        return isWhole ? this.#refuse(cell.fault, text, start, cell.end) : undefined;
      }
      if (cell.end >= text.length && !isLast) return undefined;
      cells.push(text[position] === '"' ? { word: cell.text } : cell.text);
      if (text[cell.end] === this.delimiter) {
        position = cell.end + 1;
        continue;
      }
      const after = cell.end + (text.startsWith("\r\n", cell.end) ? 2 : 1);
      if (after - start > MAX_RECORD_CHARACTERS) this.#sink.tooLong(this.#line);
      this.#sink.record(cells, this.#line);
      this.#line += newlines(text, start, Math.min(after, text.length));
      return after;
    }
  }

  /** Reports a fault and skips the line in which it lies. */
  #refuse(message: string, text: string, start: number, fault: number): number {
    this.#sink.malformed(message, this.#line);
    const newline = text.indexOf("\n", fault);
    const after = newline === -1 ? text.length : newline + 1;
    this.#line += newlines(text, start, after);
    return after;
  }
}

interface CellSpan {
  readonly text: string;
  /** Position of the delimiter or line end that follows. */
  readonly end: number;
  readonly fault?: string;
}

/** The cell at `start`; undefined where its closing quote, or what follows it, is not in the text yet. */
function readCell(text: string, start: number, delimiter: string): CellSpan | undefined {
  if (text[start] !== '"') {
    let end = start;
    while (end < text.length && text[end] !== delimiter && text[end] !== "\n") {
      if (text[end] === '"')
        return { text: "", end, fault: "a quote within a cell that does not begin with one" };
      end++;
    }
    const isCrLf = text[end] === "\n" && text[end - 1] === "\r" && end > start;
    return { text: text.slice(start, isCrLf ? end - 1 : end), end: isCrLf ? end - 1 : end };
  }
  let close = text.indexOf('"', start + 1);
  while (close !== -1 && text[close + 1] === '"') close = text.indexOf('"', close + 2);
  if (close === -1) return undefined;
  const end = close + 1;
  const content = text.slice(start + 1, close).replaceAll('""', '"');
  const isEnd =
    end >= text.length || text[end] === delimiter || text[end] === "\n" || text.startsWith("\r\n", end);
  // A lone \r at the end of a piece may be half of a line end.
  if (!isEnd && text[end] === "\r" && end + 1 === text.length) return { text: content, end: end + 1 };
  return isEnd ? { text: content, end } : { text: "", end, fault: "text after a closing quote" };
}

function newlines(text: string, from: number, to: number): number {
  let count = 0;
  for (let at = text.indexOf("\n", from); at !== -1 && at < to; at = text.indexOf("\n", at + 1)) count++;
  return count;
}
