// Predictions as text, row by row: CSV (a row per image and task, or with --wide per image), a JSON list,
// and the table that people read. What was written first is a whole file at any moment but for its last
// line.
import type { AnswerForm, AnswerValue } from "../compiler/tasks/answer.ts";
import type { Task } from "../compiler/tasks/task.ts";
import type { Prediction } from "../runtime/export/predictor.ts";

/** Text of a file, piece by piece. */
export interface RowFormat {
  readonly begin: string;
  /** The text of one image's rows, all tasks. */
  image(rows: readonly Prediction[]): string;
  readonly end: string;
}

const LINE_END = "\r\n";
/** What Excel knows UTF-8 by. */
export const BYTE_ORDER_MARK = "\uFEFF";

/** The tasks of a model, by name: how their answers are written. */
export type AnsweredTasks = readonly Pick<Task, "name" | "answers">[];

/** Columns of the long CSV: file, task, and those of the tasks' kinds, each once. */
function longColumns(tasks: AnsweredTasks): string[] {
  return [...new Set(tasks.flatMap(({ answers }) => answers.columns))];
}

/** CSV rows: file, task, and what the task's kind answers; `excel` puts a byte order mark in front. */
export function longCsv(tasks: AnsweredTasks, excel: boolean): RowFormat {
  const columns = longColumns(tasks);
  return {
    begin: `${excel ? BYTE_ORDER_MARK : ""}${csvLine(["file", "task", ...columns])}${LINE_END}`,
    image: (rows) =>
      rows
        .map((row) => {
          const values = new Map(valuesOf(row, tasks));
          const cells = columns.map((column) => cellOf(values.get(column) ?? ""));
          return `${csvLine([row.file, row.task, ...cells])}${LINE_END}`;
        })
        .join(""),
    end: "",
  };
}

/** One CSV row per image: the file, then what each task answers, of classes the probability of each, too. */
export function wideCsv(tasks: AnsweredTasks, excel: boolean): RowFormat {
  const head = tasks.flatMap(({ name, answers }) =>
    answers.wide.map((column) => (column === "" ? name : `${name}: ${column}`)),
  );
  return {
    begin: `${excel ? BYTE_ORDER_MARK : ""}${csvLine(["file", ...head])}${LINE_END}`,
    image: (rows) => {
      const cells = rows.flatMap((row) => formOf(row, tasks)?.wideValues(row) ?? []);
      return `${csvLine([rows[0]?.file ?? "", ...cells])}${LINE_END}`;
    },
    end: "",
  };
}

/** A JSON list of the rows, numbers by name in the model's order whatever they are called. */
export function jsonList(tasks: AnsweredTasks): RowFormat {
  let isFirst = true;
  return {
    begin: "[",
    image: (rows) =>
      rows
        .map((row) => {
          const comma = isFirst ? "" : ",";
          isFirst = false;
          return `${comma}\n${jsonRow(row, tasks)}`;
        })
        .join(""),
    end: "\n]\n",
  };
}

/** As JSON.stringify(row, null, 1) within a list. */
function jsonRow(row: Prediction, tasks: AnsweredTasks): string {
  const fields = [["file", row.file] as const, ["task", row.task] as const, ...valuesOf(row, tasks)];
  const lines = fields.map(([key, value]) => `  ${JSON.stringify(key)}: ${jsonValue(value)}`);
  return ` {\n${lines.join(",\n")}\n }`;
}

function jsonValue(value: AnswerValue): string {
  if (typeof value !== "object") return JSON.stringify(value);
  if ("list" in value) return JSON.stringify(value.list);
  const entries = value.map(([name, number]) => `   ${JSON.stringify(name)}: ${JSON.stringify(number)}`);
  return `{\n${entries.join(",\n")}\n  }`;
}

/** A value as a cell of a table. */
export function cellOf(value: AnswerValue): string | number {
  if (typeof value === "boolean") return String(value);
  if (typeof value !== "object") return value;
  if ("list" in value) return value.text;
  return `{${value.map(([name, number]) => `${JSON.stringify(name)}:${JSON.stringify(number)}`).join(",")}}`;
}

function formOf({ task }: Prediction, tasks: AnsweredTasks): AnswerForm | undefined {
  return tasks.find(({ name }) => name === task)?.answers;
}

/** Column and value of what a row's task answers. */
function valuesOf(row: Prediction, tasks: AnsweredTasks): [string, AnswerValue][] {
  const form = formOf(row, tasks);
  const values = form?.values(row) ?? [];
  return (form?.columns ?? []).map((column, i) => [column, values[i] ?? ""]);
}

/** Numbers are written as they are: a spreadsheet may compute what begins with their sign. */
function csvLine(cells: readonly (string | number)[]): string {
  return cells.map((cell) => (typeof cell === "number" ? String(cell) : csvCell(cell))).join(",");
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
