// What a report shows of a task of numbers beside its figures: predicted over true numbers, how errors are
// spread, and the images with the largest ones.
import type { ReportForm } from "./report.ts";
import { type HistogramPart, largestPlaces, type PointsPart, type ReportPart } from "./reportParts.ts";

/** Points of a picture; of more rows as many are drawn, evenly spread. */
const MOST_POINTS = 1_000;
/** Numbers of a row that have pictures. */
const MOST_NUMBERS = 6;
const BINS = 21;
const DIGITS = 4;

/** Of the numbers with these names. */
export function numberParts(names: readonly string[]): Required<Pick<ReportForm, "rowParts">> {
  return {
    rowParts: (served, labels) => {
      const shown = names.slice(0, MOST_NUMBERS);
      const pictures = shown.flatMap((name, i) => {
        const pairs = pairsOf(served, labels, { width: names.length, column: i });
        return pairs.length === 0 ? [] : [pointsPart(name, pairs), errorsPart(name, pairs)];
      });
      return [...pictures, ...rowParts(names, served, labels)];
    },
  };
}

type Pair = readonly [label: number, answer: number];

function pairsOf(
  served: ArrayLike<number>,
  labels: ArrayLike<number>,
  { width, column }: { readonly width: number; readonly column: number },
): Pair[] {
  const pairs: Pair[] = [];
  for (let place = column; place < labels.length; place += width) {
    const pair = [labels[place] ?? Number.NaN, served[place] ?? Number.NaN] as const;
    if (pair.every(Number.isFinite)) pairs.push(pair);
  }
  return pairs;
}

function pointsPart(name: string, pairs: readonly Pair[]): PointsPart {
  const count = Math.min(MOST_POINTS, pairs.length);
  const points = Array.from(
    { length: count },
    (_, i) => pairs[Math.floor((i * pairs.length) / count)] ?? ([Number.NaN, Number.NaN] as const),
  );
  const some = count < pairs.length ? `${count} of ${pairs.length} images, evenly spread; ` : "";
  return {
    ...{ form: "points", title: `${name}: predicted over true`, points },
    ...{ xAxis: `true ${name}`, yAxis: `predicted ${name}` },
    note: `${some}on the line the prediction is exact`,
  };
}

/** Errors, answer - label, in ranges of one width; 0 lies in the middle of one. */
function errorsPart(name: string, pairs: readonly Pair[]): HistogramPart {
  const errors = pairs.map(([label, answer]) => answer - label);
  const largest = errors.reduce((most, error) => Math.max(most, Math.abs(error)), 0) || 1;
  const width = (2 * largest) / BINS;
  const counts = new Float64Array(BINS);
  for (const error of errors) {
    const bin = Math.min(BINS - 1, Math.floor((error + largest) / width));
    counts[bin] = (counts[bin] ?? 0) + 1;
  }
  return {
    ...{ form: "histogram", title: `${name}: errors`, axis: `predicted - true ${name}` },
    bins: Array.from(counts, (rows, bin) => ({
      ...{ from: -largest + bin * width, to: -largest + (bin + 1) * width, rows },
    })),
  };
}

function rowParts(
  names: readonly string[],
  served: ArrayLike<number>,
  labels: ArrayLike<number>,
): ReportPart[] {
  const width = names.length;
  const errors = Float64Array.from({ length: labels.length }, (_, place) =>
    Math.abs((served[place] ?? Number.NaN) - (labels[place] ?? Number.NaN)),
  );
  const text = (numbers: ArrayLike<number>, place: number): string => {
    const value = String(Number((numbers[place] ?? Number.NaN).toPrecision(DIGITS)));
    return width === 1 ? value : `${names[place % width]} ${value}`;
  };
  const rows = largestPlaces(errors).map((place) => ({
    row: Math.floor(place / width),
    ...{ predicted: text(served, place), label: text(labels, place) },
    certainty: `off by ${Number((errors[place] ?? Number.NaN).toPrecision(DIGITS))}`,
    isRight: false,
  }));
  if (rows.length === 0) return [];
  return [{ ...{ form: "rows", title: "The largest errors", rows, empty: "" } }];
}
