// @ts-check
// Where the image of a table's row is said to be.
import { ClientError } from "../errors.js";

/**
 * The path in a row, with the spec's prefix and suffix. E_CSV_HEADER where the table has no paths.
 * @param {Readonly<Record<string, string>>} row
 * @param {import("./table.js").Table} table
 * @param {import("./bundle.js").Spec} spec
 */
export function rowPath(row, { columns, file }, { filepaths, path_prefix, path_suffix }) {
  const path = row[filepaths];
  if (path === undefined || !columns.includes(filepaths))
    throw new ClientError(
      "E_CSV_HEADER",
      `${file}: there is no column ${JSON.stringify(filepaths)} of paths`,
    );
  return `${path_prefix ?? ""}${path.trim()}${path_suffix ?? ""}`;
}
