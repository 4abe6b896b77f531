// The header of a label table: which column names images and which hold labels. In: the names of
// all columns. Out: positions; a header that is ambiguous or incomplete is refused as a whole.
import { suggestName } from "../../compiler/diagnostics.ts";
import { FaultList } from "./faultList.ts";
import { labelPlaces, type TableColumns } from "./labelTable.ts";

/** Names that are no columns: objects have them already. */
const FORBIDDEN_COLUMNS: ReadonlySet<string> = new Set(["__proto__", "constructor", "prototype"]);

/** Positions of the columns that matter. */
export interface ColumnPlaces {
  readonly filepath: number;
  /** In the order of labelPlaces. */
  readonly labels: readonly number[];
}

/**
 * Finds the path column and those of labels in the header; throws all faults of the header at once, as
 * E_CSV_HEADER.
 */
export function findColumns(
  header: readonly string[],
  columns: TableColumns,
  at: { readonly file: string; readonly line?: number },
): ColumnPlaces {
  const names = header.map((name) => name.trim().normalize("NFC"));
  const placeOf = (name: string): number => names.indexOf(name.normalize("NFC"));
  const faults = new FaultList();
  const { filepaths } = columns;
  const labels = labelPlaces(columns).map(({ column }) => column);
  for (const [place, name] of names.entries()) {
    if (FORBIDDEN_COLUMNS.has(name))
      faults.add({ code: "E_CSV_HEADER", message: `"${name}" cannot be a column's name`, at });
    if (name === "" || names.indexOf(name) === place) continue;
    faults.add({ code: "E_CSV_HEADER", message: `column "${name}" stands twice in the header`, at });
  }
  for (const name of new Set([filepaths, ...labels]))
    if (placeOf(name) === -1)
      faults.add({
        code: "E_CSV_HEADER",
        message: `no column "${name}"`,
        at,
        hint: suggestName(name, names),
      });
  faults.throwIfAny();
  return { filepath: placeOf(filepaths), labels: labels.map(placeOf) };
}
