// Parts of a table's rows, and what a table of their labels says of them.
import type { Task } from "../../compiler/tasks/task.ts";
import { type LabelledRows, labelsByTask } from "../labels/classes.ts";
import { hasClasses, hasFlags, hasLabel, isMissing, type TaskLabels } from "../labels/taskLabels.ts";
import type { ImageRows } from "../tables/imageRows.ts";
import { evenlySpread } from "../tables/rowOrder.ts";
import type { ProbeLabels } from "./probeLabels.ts";

/** At most `most` of the rows, evenly spread, with their numbers among all. */
export function someRows(
  rows: ImageRows,
  most: number,
): { readonly rows: ImageRows; readonly places: number[] } {
  const places = evenlySpread(most, rows.paths.length);
  if (places.length === rows.paths.length) return { rows, places };
  const placeOf = (row: number): number => places[row] ?? 0;
  return {
    places,
    rows: {
      paths: places.map((place) => rows.paths.at(place) ?? ""),
      locate: (row) => rows.locate(placeOf(row)),
      ...(rows.stamps && { stamps: Uint32Array.from(places, (place) => rows.stamps?.[place] ?? 0) }),
    },
  };
}

/** A table of texts. */
export interface RowTable {
  readonly columns: readonly string[];
  readonly values: readonly (readonly string[])[];
}

/** Labels of a probe's rows, and which part each is in, as patchwork's projector has it. */
export function downstreamTable(
  { columns, heldOut, rows }: ProbeLabels,
  places: readonly number[],
): RowTable {
  const names = columns.map(({ name }) => name);
  const values = places.map((row) => [
    ...columns.map(({ classes, labels }) => classes[labels[row] ?? -1] ?? ""),
    heldOut[row] === 1 ? "test" : "train",
    rows.paths.at(row) ?? "",
  ]);
  return { columns: [...names, "traintest", "file"], values };
}

/** Labels of validation rows. */
export function validationTable(
  val: LabelledRows,
  tasks: readonly Task[],
  places: readonly number[],
): RowTable {
  const byTask = labelsByTask(val);
  const labels = tasks.map((task) => ({ task, of: byTask.get(task.name) }));
  const values = places.map((row) => [
    ...labels.map(({ task, of }) => (of ? labelText(task, of, row) : "")),
    val.paths.at(row) ?? "",
  ]);
  return { columns: [...tasks.map(({ name }) => name), "file"], values };
}

/** The label of a row as text: a class, tags with | between, or a number; "" where there is none. */
function labelText({ numbers }: Task, labels: TaskLabels, row: number): string {
  if (!hasLabel(labels, row)) return "";
  const { values, width } = labels;
  const own = values.subarray(row * width, (row + 1) * width);
  if (hasClasses(labels)) return numbers[own[0] ?? -1] ?? "";
  if (hasFlags(labels)) return numbers.filter((_, i) => own[i] === 1).join("|");
  return Array.from(own, (value, i) => (isMissing(values, row * width + i) ? "" : String(value))).join("|");
}

/** Tab-separated, a head and a line a row; what would break a line is a blank. */
export function tsvText({ columns, values }: RowTable): string {
  const line = (cells: readonly string[]): string =>
    cells.map((cell) => cell.replace(/[\t\r\n]+/g, " ")).join("\t");
  return `${[columns, ...values].map(line).join("\n")}\n`;
}
