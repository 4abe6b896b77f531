// Some rows of a label table as a table of their own: a part of a split, say. Dictionaries of labels stay as
// they are, so that the parts of one table know the same ones.
import { type LabelColumn, type LabelTable, NO_NAME } from "./labelTable.ts";
import { StringTable } from "./stringTable.ts";

/**
 * The rows numbered in `rows`, in that order; `source` names them in messages. Which words were taken as
 * missing is known of whole tables only: here none are listed.
 */
export function chosenRows(table: LabelTable, rows: ArrayLike<number>, source: string): LabelTable {
  const paths = new StringTable();
  for (let i = 0; i < rows.length; i++) paths.push(table.paths.at(rows[i] ?? 0) ?? "");
  return {
    ...{ source, tasks: table.tasks, paths, notes: [] },
    columns: table.columns.map((column) => chosenCells(column, rows)),
    locate: (row) => table.locate(rows[row] ?? 0),
  };
}

function chosenCells(column: LabelColumn, rows: ArrayLike<number>): LabelColumn {
  const { codes } = column;
  const chosen = Int32Array.from({ length: rows.length }, (_, i) => codes[rows[i] ?? 0] ?? NO_NAME);
  return { ...column, codes: chosen, missing: new Map() };
}
