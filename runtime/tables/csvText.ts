// Cells of a CSV as label tables read them again: a word that would mean a missing label, or that has blanks,
// commas or quotes, stands in quotes (RFC 4180).
import { MissingCells } from "./labelCell.ts";

const MISSING = new MissingCells();

/** A cell that is read as this very word; nothing for an empty one. */
export function csvCell(word: string): string {
  if (word === "") return "";
  const needsQuotes = /[",\r\n]/.test(word) || word !== word.trim() || MISSING.has(word);
  return needsQuotes ? quoted(word) : word;
}

/** The name of a column: what else could separate cells stands in quotes, too. */
export function csvName(name: string): string {
  return /[",;\t|\r\n]/.test(name) ? quoted(name) : name;
}

function quoted(text: string): string {
  return `"${text.replaceAll('"', '""')}"`;
}
