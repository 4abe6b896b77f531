// The labels of one task in memory: a column of numbers, as many a row as the task's kind has. Whoever makes
// batches looks rows up in it; what is missing, and how many rows have a label, is answered here alone.
import { InternalError } from "../../compiler/diagnostics.ts";
import { MISSING_CLASS, MISSING_NUMBER, MISSING_TAG } from "../../compiler/tasks/missing.ts";
import { NO_ROW } from "../tables/rowOrder.ts";

/** Class numbers (int32), measured numbers (float32), or 0 and 1 of tags (uint8). */
export type LabelNumbers = Int32Array | Float32Array | Uint8Array;

/** The labels of one task. */
export interface TaskLabels {
  /** Row-major [rows x width]; see missing.ts for what stands for no label. */
  readonly values: LabelNumbers;
  /** Numbers of a row. */
  readonly width: number;
}

/** The same numbers as a graph's input `label/<task>` takes them: class numbers are int64. */
export type LabelTensor = BigInt64Array | Float32Array | Uint8Array;

/** `length` missing labels, in the type of `like`. */
export function missingLike(like: LabelNumbers, length: number): LabelNumbers {
  if (like instanceof Int32Array) return new Int32Array(length).fill(MISSING_CLASS);
  if (like instanceof Uint8Array) return new Uint8Array(length).fill(MISSING_TAG);
  return new Float32Array(length).fill(MISSING_NUMBER);
}

/** `rows` missing class numbers. */
export function missingClasses(rows: number): Int32Array {
  return new Int32Array(rows).fill(MISSING_CLASS);
}

/** Tells of a number of this type whether it says nothing: for loops over all rows, asked for once. */
export function missingTest(values: LabelNumbers): (value: number) => boolean {
  if (values instanceof Int32Array) return (value) => value < 0;
  return values instanceof Uint8Array ? (value) => value === MISSING_TAG : Number.isNaN;
}

/** Whether the number at a place says nothing; beyond the end all do. */
export function isMissing(values: LabelNumbers, place: number): boolean {
  const value = values[place];
  return value === undefined || missingTest(values)(value);
}

/** Rows of a table, by the labels of its tasks; of no task 0. */
export function rowCount([first]: readonly TaskLabels[]): number {
  return first === undefined ? 0 : first.values.length / first.width;
}

/** Whether a row has a label: one of its numbers says something. */
export function hasLabel({ values, width }: TaskLabels, row: number): boolean {
  for (let place = row * width; place < (row + 1) * width; place++)
    if (!isMissing(values, place)) return true;
  return false;
}

/** Whether the numbers of a task are class numbers. */
export function hasClasses({ values, width }: TaskLabels): boolean {
  return values instanceof Int32Array && width === 1;
}

/** Whether the numbers of a task say 0 or 1 of tags. */
export function hasFlags({ values }: TaskLabels): boolean {
  return values instanceof Uint8Array;
}

/** Class number of a row; undefined where it has no label. For tasks of classes alone. */
export function classOf(labels: TaskLabels, row: number): number | undefined {
  if (!hasClasses(labels)) throw new InternalError("class numbers of a task that has no classes");
  return isMissing(labels.values, row) ? undefined : labels.values[row];
}

/**
 * Labelled ones among `rows` (default: all, once each), a row as often as it is listed. With `weights`, one
 * for each class (of other tasks they count for nothing), the sum of their classes' weights in place of their
 * number.
 */
export function countLabelled(
  labels: TaskLabels,
  rows: Iterable<number> = Array(rowCount([labels])).keys(),
  weights?: ArrayLike<number>,
): number {
  let count = 0;
  const isPlain = weights === undefined || !hasClasses(labels);
  for (const row of rows)
    if (hasLabel(labels, row)) count += isPlain ? 1 : (weights[classOf(labels, row) ?? 0] ?? 1);
  return count;
}

/** The labels of `rows` in their order, [rows x width]; missing where there is NO_ROW. */
export function gatherLabels({ values, width }: TaskLabels, rows: ArrayLike<number>): LabelNumbers {
  const gathered = missingLike(values, rows.length * width);
  for (let place = 0; place < rows.length; place++) {
    const row = rows[place] ?? NO_ROW;
    if (row === NO_ROW) continue;
    for (let i = 0; i < width; i++)
      gathered[place * width + i] = values[row * width + i] ?? gathered[place * width + i] ?? 0;
  }
  return gathered;
}

/** The labels of some rows, as a table of their own. */
export function labelsOfRows(labels: TaskLabels, rows: ArrayLike<number>): TaskLabels {
  return { values: gatherLabels(labels, rows), width: labels.width };
}

/** Gathered labels as a tensor's data. */
export function labelTensor(gathered: LabelNumbers): LabelTensor {
  return gathered instanceof Int32Array ? BigInt64Array.from(gathered, BigInt) : gathered;
}

/**
 * Bytes of the labels of the rows from `first` on, up to `end`: row after row, in each all tasks, little
 * endian. What hashes of labels are of.
 */
export function labelBytes(labels: readonly TaskLabels[], first: number, end: number): Uint8Array {
  const columns = labels.map(({ values, width }) => ({
    bytes: new Uint8Array(values.buffer, values.byteOffset, values.byteLength),
    size: width * values.BYTES_PER_ELEMENT,
  }));
  const rowBytes = columns.reduce((sum, { size }) => sum + size, 0);
  const result = new Uint8Array((end - first) * rowBytes);
  let start = 0;
  for (const { bytes, size } of columns) {
    for (let row = first; row < end; row++) {
      const target = (row - first) * rowBytes + start;
      for (let i = 0; i < size; i++) result[target + i] = bytes[row * size + i] ?? 0;
    }
    start += size;
  }
  return result;
}
