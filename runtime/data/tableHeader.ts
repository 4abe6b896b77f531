// The header of a label table: which column names images and which hold the tasks' labels. In: the names of
// all columns. Out: positions; a header that is ambiguous or incomplete is refused as a whole.
import { suggestName } from "../../compiler/diagnostics.ts";
import { FaultList } from "./faultList.ts";
import type { TableColumns } from "./labelTable.ts";

/** Names that are no columns: objects have them already. */
const FORBIDDEN_COLUMNS: ReadonlySet<string> = new Set(["__proto__", "constructor", "prototype"]);

/** Positions of the columns that matter. */
export interface ColumnPlaces {
  readonly filepath: number;
  readonly tasks: readonly number[];
}

/**
 * Finds the path column and the tasks' columns in the header; throws all faults of the header at once, as
 * E_CSV_HEADER.
 */
export function findColumns(
  header: readonly string[],
  { tasks, filepaths }: TableColumns,
  at: { readonly file: string; readonly line?: number },
): ColumnPlaces {
  const names = header.map((name) => name.trim());
  const faults = new FaultList();
  for (const [place, name] of names.entries()) {
    if (FORBIDDEN_COLUMNS.has(name))
      faults.add({ code: "E_CSV_HEADER", message: `"${name}" cannot be a column's name`, at });
    if (name === "" || names.indexOf(name) === place) continue;
    faults.add({ code: "E_CSV_HEADER", message: `column "${name}" stands twice in the header`, at });
  }
  const [only] = names;
  const separator = names.length === 1 && only !== undefined ? /[,;\t|]/.exec(only)?.[0] : undefined;
  for (const name of [filepaths, ...tasks]) {
    if (names.includes(name)) continue;
    const hint =
      separator === undefined
        ? suggestName(name, names)
        : `cells must be separated by commas (.tsv: tabs), found ${JSON.stringify(separator)}`;
    faults.add({ code: "E_CSV_HEADER", message: `no column "${name}"`, at, hint });
  }
  faults.throwIfAny();
  return { filepath: names.indexOf(filepaths), tasks: tasks.map((task) => names.indexOf(task)) };
}
