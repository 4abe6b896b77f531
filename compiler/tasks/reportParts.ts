// What a kind shows of its tasks beside figures, as plain data: a report page, or whoever else shows it,
// draws each part by its form and knows no kind.
import type { Reliability } from "./reliability.ts";
import type { DetailTable } from "./report.ts";

interface Titled {
  readonly title: string;
  /** What it shows, in a sentence. */
  readonly note?: string;
}

/** Numbers and names in rows. */
export interface TablePart extends Titled, Omit<DetailTable, "title"> {
  readonly form: "table";
  /** Columns of shares from 0 to 1, which are shown as bars, too. */
  readonly shares?: readonly number[];
}

/** How often what was said for what; of many names only the pairs that occur. */
export interface MatrixPart extends Titled {
  readonly form: "matrix";
  readonly names: readonly string[];
  readonly rowsAre: string;
  readonly columnsAre: string;
  readonly pairs: readonly (readonly [row: number, column: number, count: number])[];
}

/** Certainties beside what came true. */
export interface ReliabilityPart extends Titled {
  readonly form: "reliability";
  readonly reliability: Reliability;
  /** What a certainty is the probability of: "the predicted class is right". */
  readonly of: string;
}

/** Points in a plane whose axes have one unit: what was predicted over what is true. */
export interface PointsPart extends Titled {
  readonly form: "points";
  readonly xAxis: string;
  readonly yAxis: string;
  readonly points: readonly (readonly [x: number, y: number])[];
}

/** Counts in ranges of a number. */
export interface HistogramPart extends Titled {
  readonly form: "histogram";
  readonly axis: string;
  readonly bins: readonly { readonly from: number; readonly to: number; readonly rows: number }[];
}

/** One image of those that were looked at, and what was said of it. */
export interface ShownRow {
  /** Place among the rows that the part was made of. */
  readonly row: number;
  readonly predicted: string;
  readonly label: string;
  /** How sure the answer was, or how far off: "0.98". */
  readonly certainty: string;
  readonly isRight: boolean;
}

/** Images to be looked at. */
export interface RowsPart extends Titled {
  readonly form: "rows";
  readonly rows: readonly ShownRow[];
  readonly empty: string;
}

export type ReportPart = TablePart | MatrixPart | ReliabilityPart | PointsPart | HistogramPart | RowsPart;

/** Images of a part, at most. */
export const SHOWN_ROWS = 12;

/** The `most` places with the largest numbers, largest first; places whose number is no number never. */
export function largestPlaces(numbers: ArrayLike<number>, most = SHOWN_ROWS): number[] {
  const found: number[] = [];
  for (let place = 0; place < numbers.length; place++) {
    const value = numbers[place] ?? Number.NaN;
    const least = numbers[found.at(-1) ?? -1] ?? -Infinity;
    if (Number.isNaN(value) || (found.length === most && value <= least)) continue;
    const before = found.findIndex((other) => (numbers[other] ?? 0) < value);
    found.splice(before < 0 ? found.length : before, 0, place);
    if (found.length > most) found.pop();
  }
  return found;
}
