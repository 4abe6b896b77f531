// A cell of a label table, and which cells mean "no label". A plain cell may be a missing-value word; a quoted
// cell of a CSV and a string of JSON or Parquet is a word as it stands, blanks included.
import { classKey } from "../../compiler/spec/classKey.ts";
import { DEFAULT_MISSING } from "../../compiler/spec/labelKeys.ts";

/** A cell that is taken as it stands. */
export interface Word {
  readonly word: string;
}

/** Plain text, numbers among it, or a word. */
export type Cell = string | Word;

/** The label in a cell: of plain text without its outer blanks. */
export function labelOf(cell: Cell): string {
  return typeof cell === "string" ? cell.trim() : cell.word;
}

/** The text of a cell as it was written. */
export function textOf(cell: Cell): string {
  return typeof cell === "string" ? cell : cell.word;
}

/** Which cells of a column mean "no label". */
export class MissingCells {
  readonly #keys: ReadonlySet<string>;
  readonly #isFolded: boolean;

  /**
   * `entries`: words and numbers (the spec's `missing`), but for those that `classes` names. `isFolded`: in
   * any case, as runs took them that were written before there was such a list.
   */
  constructor(
    entries: readonly (string | number)[] = DEFAULT_MISSING,
    classes: readonly string[] = [],
    isFolded = false,
  ) {
    const keys = new Set(entries.map((entry) => this.#fold(classKey(String(entry)), isFolded)));
    for (const name of classes) keys.delete(this.#fold(classKey(name), isFolded));
    this.#keys = keys;
    this.#isFolded = isFolded;
  }

  /** Whether the cell is empty, or a plain one that spells a missing-value word. */
  has(cell: Cell): boolean {
    const label = textOf(cell).trim();
    if (label === "") return true;
    if (typeof cell !== "string") return false;
    return this.#keys.has(this.#fold(classKey(label), this.#isFolded));
  }

  #fold(key: string, isFolded: boolean): string {
    return isFolded ? key.toLowerCase() : key;
  }
}
