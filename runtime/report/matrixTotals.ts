// How many answers the rows of a matrix hold.
import type { MatrixPart } from "../../compiler/tasks/reportParts.ts";

export function rowTotals(pairs: MatrixPart["pairs"], length: number): Float64Array {
  const totals = new Float64Array(length);
  for (const [row, , count] of pairs) totals[row] = (totals[row] ?? 0) + count;
  return totals;
}
