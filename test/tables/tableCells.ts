// The labels of a table as text, for comparisons: `cells[task][row]`, null = missing.
import type { LabelTable } from "../../runtime/tables/labelTable.ts";

/** `cells[task][row]`: the label, null where it is missing. */
export function tableCells({ columns }: LabelTable): (string | null)[][] {
  return columns.map(({ names, codes }) => Array.from(codes, (code) => names[code] ?? null));
}
