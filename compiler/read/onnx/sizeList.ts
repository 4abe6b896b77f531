// Sizes that depend on the batch, N. They are held as their values at several batches, the probes: any
// operator can then compute with them, and what comes out is read back as a N + b.
import { dimAt, multipleDim } from "../../ir/dims.ts";
import type { Dim, DType, Value } from "../../ir/types.ts";

/**
 * Numbers that were computed from sizes and depend on the batch, so that they are no constant: shapes as
 * exporters compute them, [N, 3, 224, 224], N * 64, N * 64 / 16 ...
 */
export interface SizeList {
  readonly dtype: DType;
  readonly shape: readonly number[];
  /** Row-major numbers at each batch of ImportContext.probes. */
  readonly atProbes: readonly Float64Array[];
  /** A value with the batch as a dimension, whose sizes they are. */
  readonly source: Value;
}

/** One and many, even and odd, a prime beyond the sizes of images. */
const PROBES: readonly number[] = [1, 2, 3, 5, 8, 64, 10_007];

/** Batches to compute sizes at; the one that the file has fixed comes first. */
export function probesFor(fileBatch: number | undefined): readonly number[] {
  return [...new Set([...(fileBatch === undefined ? [] : [fileBatch]), ...PROBES])];
}

/** The sizes `dims` of `source` as a list, int64. */
export function listOfDims(dims: readonly Dim[], source: Value, probes: readonly number[]): SizeList {
  const atProbes = probes.map((batch) => Float64Array.from(dims, (dim) => dimAt(dim, batch)));
  return { dtype: "int64", shape: [dims.length], atProbes, source };
}

/** Whether the numbers are the same at every batch. */
export function isConstantList(atProbes: readonly Float64Array[]): boolean {
  const [first] = atProbes;
  return atProbes.every((numbers) =>
    numbers.every((number, i) => Object.is(number + 0, (first?.[i] ?? 0) + 0)),
  );
}

/** Each element as a dimension: a number, or a multiple of the batch; undefined for anything else. */
export function dimsOf(list: SizeList, probes: readonly number[], batch: string): (Dim | undefined)[] {
  return linesOf(list, probes).map((line) => {
    if (!line) return undefined;
    const { slope, start } = line;
    if (slope === 0) return start;
    return start === 0 && slope > 0 && Number.isInteger(slope) ? multipleDim(slope, batch) : undefined;
  });
}

/** The list as a message shows it: 4*N+1; what is no line of N is a question mark. */
export function sizesText(list: SizeList, probes: readonly number[]): string {
  const text = ({ slope, start }: Line): string => {
    if (slope === 0) return String(start);
    const product = slope === 1 ? "N" : `${slope}*N`;
    return start === 0 ? product : `${product}${start > 0 ? "+" : ""}${start}`;
  };
  return linesOf(list, probes)
    .map((line) => (line ? text(line) : "?"))
    .join(",");
}

/** slope N + start. */
interface Line {
  readonly slope: number;
  readonly start: number;
}

function linesOf({ atProbes }: SizeList, probes: readonly number[]): (Line | undefined)[] {
  const [p = 1, q = 2] = probes;
  const [first = new Float64Array(), second = first] = atProbes;
  return Array.from(first, (a, i) => {
    const slope = ((second[i] ?? 0) - a) / (q - p);
    const start = a - slope * p;
    const fits = atProbes.every((numbers, k) => numbers[i] === slope * (probes[k] ?? 0) + start);
    return fits ? { slope, start } : undefined;
  });
}
