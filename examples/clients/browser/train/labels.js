// @ts-check
// Cells of a table -> the labels of each task, as graphs take them (CONTRACT.md, Labels).
import { ClientError } from "../errors.js";

/**
 * @typedef {import("./bundle.js").Task} Task
 * @typedef {import("./table.js").Table} Table
 * @typedef {object} Labels of a task
 * @property {number} width numbers of a row
 * @property {Float64Array} values [rows, width], `missing` where there is none
 * @property {Int32Array} groups of each row its class (0 of other kinds), -1 without a label
 */

const FLAGS = new Map([
  ["false", 0],
  ["true", 1],
]);

/**
 * The labels of a task. E_CSV_HEADER for a column that lacks, E_LABEL for a cell that is no label of the
 * task.
 * @param {Task} task
 * @param {Table} table
 * @param {{ absent: ReadonlySet<string>, missing: number }} words cells without a label, and what stands
 * for it
 * @returns {Labels}
 */
export function readLabels(task, { columns, rows, file }, { absent, missing }) {
  const own = task.columns ?? [task.name];
  const lacking = own.find((name) => !columns.includes(name));
  if (lacking !== undefined)
    throw new ClientError("E_CSV_HEADER", `${file}: there is no column ${JSON.stringify(lacking)}`);
  const read = readerOf(task, { absent, missing });
  const labels = rows.map((row, i) => {
    const cells = own.map((name) => (row[name] ?? "").normalize("NFC").trim());
    try {
      return read(cells);
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      throw new ClientError(
        "E_LABEL",
        `${file}: row ${i + 1}: task ${JSON.stringify(task.name)}: ${error.message}`,
      );
    }
  });
  const width = labels[0]?.length ?? 0;
  const isKnown = (/** @type {number} */ value) => !Number.isNaN(value) && value !== missing;
  const groups = labels.map((row) =>
    row.some(isKnown) ? (task.kind === "classes" ? (row[0] ?? -1) : 0) : -1,
  );
  return { width, values: Float64Array.from(labels.flat()), groups: Int32Array.from(groups) };
}

/**
 * @param {Task} task
 * @param {{ absent: ReadonlySet<string>, missing: number }} words
 * @returns {(cells: readonly string[]) => readonly number[]} RangeError for what is no label
 */
function readerOf({ kind, classes = [], tags = [], columns, separator = "|" }, { absent, missing }) {
  if (kind === "classes") {
    const places = new Map(classes.map((name, place) => [name, place]));
    return ([cell = ""]) => {
      const place = placeOf(cell, places);
      if (place !== undefined) return [place];
      if (absent.has(cell)) return [missing];
      throw new RangeError(`${JSON.stringify(cell)} is no class of it`);
    };
  }
  if (kind === "number" || columns) {
    const isFlag = kind === "tags";
    return (cells) => cells.map((cell) => (absent.has(cell) ? missing : numberOf(cell, isFlag)));
  }
  const places = new Map(tags.map((name, place) => [name, place]));
  return ([cell = ""]) => {
    if (absent.has(cell)) return tags.map(() => missing);
    const flags = tags.map(() => 0);
    for (const name of namesOf(cell, separator)) {
      const place = placeOf(name, places);
      if (place === undefined) throw new RangeError(`${JSON.stringify(name)} is no tag of it`);
      flags[place] = 1;
    }
    return flags;
  };
}

/**
 * Numbers are compared as numbers: 1.0 is the class 1.
 * @param {string} cell
 * @param {ReadonlyMap<string, number>} places
 */
function placeOf(cell, places) {
  const exact = places.get(cell);
  if (exact !== undefined || cell === "" || !Number.isFinite(Number(cell))) return exact;
  return places.get(String(Number(cell)));
}

/** @param {string} cell @param {boolean} isFlag */
function numberOf(cell, isFlag) {
  const value =
    (isFlag ? FLAGS.get(cell.toLowerCase()) : undefined) ?? Number(cell === "" ? Number.NaN : cell);
  if (!Number.isFinite(value) || (isFlag && value !== 0 && value !== 1))
    throw new RangeError(`${JSON.stringify(cell)} is no ${isFlag ? "flag: 0 or 1" : "number"}`);
  return value;
}

/** Names of tags in a cell. @param {string} cell @param {string} separator @returns {readonly string[]} */
function namesOf(cell, separator) {
  if (!cell.startsWith("[")) return cell.split(separator).map((name) => name.trim());
  try {
    const names = JSON.parse(cell);
    if (Array.isArray(names)) return names.map(String);
  } catch {
    // Said below.
  }
  throw new RangeError(`${JSON.stringify(cell)} is no list of tags`);
}
