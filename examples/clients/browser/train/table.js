// @ts-check
// A label table: CSV text -> rows of cells by column.
import { ClientError } from "../errors.js";

/**
 * @typedef {{ columns: readonly string[], rows: readonly Readonly<Record<string, string>>[], file: string
 * }} Table
 */

/**
 * Rows of a CSV file: commas, cells in double quotes may hold anything. E_CSV_SHAPE for one without rows or
 * with rows of another length, E_CSV_HEADER for columns of one name.
 * @param {string} text
 * @param {string} file for messages
 * @returns {Table}
 */
export function parseCsv(text, file) {
  const [head = [], ...lines] = linesOf(text.replace(/^\uFEFF/, ""), file);
  const columns = head.map((name) => name.trim());
  if (new Set(columns).size < columns.length)
    throw new ClientError("E_CSV_HEADER", `${file}: two columns have one name`);
  if (lines.length === 0) throw new ClientError("E_CSV_SHAPE", `${file}: has no rows`);
  const rows = lines.map((cells, i) => {
    if (cells.length !== columns.length)
      throw new ClientError(
        "E_CSV_SHAPE",
        `${file}: row ${i + 1} has ${cells.length} cells, the first line ${columns.length}`,
      );
    return Object.fromEntries(columns.map((name, at) => [name, cells[at] ?? ""]));
  });
  return { columns, rows, file };
}

/** @param {string} text @param {string} file */
function linesOf(text, file) {
  const lines = [];
  /** @type {string[]} */
  let cells = [];
  // A cell, quoted or not, and what ends it.
  const cell = /(?:"((?:[^"]|"")*)"|([^",\r\n]*))(,|\r?\n|$)/y;
  while (cell.lastIndex < text.length || cells.length > 0) {
    const match = cell.exec(text);
    if (!match)
      throw new ClientError("E_CSV_SHAPE", `${file}: line ${lines.length + 1} has a quote within a cell`);
    const [, quoted, plain = "", end] = match;
    cells.push(quoted === undefined ? plain : quoted.replaceAll('""', '"'));
    if (end === ",") continue;
    if (cells.length > 1 || cells[0] !== "") lines.push(cells);
    cells = [];
    if (end === "") break;
  }
  return lines;
}
