// Predictions as text, row by row: CSV (a row per image and task, or with --wide per image), a JSON list,
// and the table that people read. What was written first is a whole file at any moment but for its last
// line.
import type { ModelMetadata } from "../compiler/export/modelMetadata.ts";
import type { Prediction } from "../runtime/export/predictor.ts";

/** A row to be written; without `classes` the probabilities come in JavaScript's order of their names. */
export type PredictionRow = Omit<Prediction, "classes"> & Partial<Pick<Prediction, "classes">>;

/** Text of a file, piece by piece. */
export interface RowFormat {
  readonly begin: string;
  /** The text of one image's rows, all tasks. */
  image(rows: readonly PredictionRow[]): string;
  readonly end: string;
}

/** First cells of every CSV of predictions. */
export const CSV_HEAD = ["file", "task", "class", "probability", "probabilities"] as const;
const LINE_END = "\r\n";
/** What Excel knows UTF-8 by. */
export const BYTE_ORDER_MARK = "\uFEFF";

/** A CSV of `rows` with its header, RFC 4180. */
export function predictionsCsv(rows: readonly PredictionRow[]): string {
  return [[...CSV_HEAD], ...rows.map(cellsOf)].map(csvLine).join(LINE_END);
}

/** CSV rows file, task, class, probability, probabilities; `excel` puts a byte order mark in front. */
export function longCsv(excel: boolean): RowFormat {
  return {
    begin: `${excel ? BYTE_ORDER_MARK : ""}${csvLine(CSV_HEAD)}${LINE_END}`,
    image: (rows) => rows.map((row) => `${csvLine(cellsOf(row))}${LINE_END}`).join(""),
    end: "",
  };
}

/** One CSV row per image: the file, then of every task its class and the probability of each class. */
export function wideCsv({ tasks }: Pick<ModelMetadata, "tasks">, excel: boolean): RowFormat {
  const head = [
    "file",
    ...tasks.flatMap(({ name, classes }) => [name, ...classes.map((c) => `${name}: ${c}`)]),
  ];
  return {
    begin: `${excel ? BYTE_ORDER_MARK : ""}${csvLine(head)}${LINE_END}`,
    image: (rows) => {
      const cells = rows.flatMap((row) => [row.class, ...ordered(row).map(([, value]) => String(value))]);
      return `${csvLine([rows[0]?.file ?? "", ...cells])}${LINE_END}`;
    },
    end: "",
  };
}

/** A JSON list of the rows, classes in the model's order whatever they are called. */
export function jsonList(): RowFormat {
  let isFirst = true;
  return {
    begin: "[",
    image: (rows) =>
      rows
        .map((row) => {
          const comma = isFirst ? "" : ",";
          isFirst = false;
          return `${comma}\n${jsonRow(row)}`;
        })
        .join(""),
    end: "\n]\n",
  };
}

/** As JSON.stringify(row, null, 1) within a list. */
function jsonRow(row: PredictionRow): string {
  const fields = (["file", "task", "class", "probability"] as const).map(
    (key) => `  ${JSON.stringify(key)}: ${JSON.stringify(row[key])}`,
  );
  const values = ordered(row).map(([name, value]) => `   ${JSON.stringify(name)}: ${JSON.stringify(value)}`);
  return ` {\n${fields.join(",\n")},\n  "probabilities": {\n${values.join(",\n")}\n  }\n }`;
}

function cellsOf(row: PredictionRow): string[] {
  const values = ordered(row).map(([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value)}`);
  return [row.file, row.task, row.class, String(row.probability), `{${values.join(",")}}`];
}

/** Class and probability, in the model's order. */
function ordered({ classes, probabilities }: PredictionRow): [string, number][] {
  const names = classes ?? Object.keys(probabilities);
  return names.map((name) => [name, probabilities[name] ?? Number.NaN]);
}

function csvLine(cells: readonly string[]): string {
  return cells.map(csvCell).join(",");
}

/** Whether a spreadsheet would take a cell for a formula. */
export function isFormula(text: string): boolean {
  return /^[=+\-@\t\r]/.test(text);
}

/**
 * A cell that spreadsheets take for text: one that begins like a formula (= + - @, tab, return) gets an
 * apostrophe in front (OWASP, CSV injection), and is quoted; so is one with commas, quotes or line breaks.
 */
export function csvCell(text: string): string {
  if (!isFormula(text) && !/[",\r\n]/.test(text)) return text;
  return `"${isFormula(text) ? "'" : ""}${text.replaceAll('"', '""')}"`;
}
