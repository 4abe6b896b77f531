// Confusion matrices of tasks of classes: whole ones of few classes, the pairs that occur of many; as they
// are kept, and as they are shown.
import { z } from "zod";
import type { DetailTable, ReportDetails, TaskReport } from "./report.ts";

/** Up to this many classes a report holds the whole matrix: 65,536 numbers, 130 kB as JSON. */
const MATRIX_CLASSES = 256;
/** Up to this many classes the whole matrix is shown, beyond it the most frequent confusions. */
const SHOWN_CLASSES = 16;
const SHOWN_CONFUSIONS = 12;

/** Numbers of a true class and a predicted one, and of how many rows. */
export type ConfusionPair = readonly [actual: number, predicted: number, rows: number];

/** The part of a report that holds a confusion matrix, if any. */
export interface Confusion {
  /** `confusion[true][predicted]`: numbers of rows; of a task of up to 256 classes. */
  readonly confusion?: readonly (readonly number[])[];
  /** What the matrix of a task of more classes holds: its pairs that occur, in order. */
  readonly confusionPairs?: readonly ConfusionPair[];
}

const storedSchema = {
  /** Actual, predicted, rows; actual, predicted, rows; ... */
  pairs: z.array(z.int().nonnegative()).optional(),
  /** Of earlier versions, in every epoch; of two epochs it is looked at. */
  confusion: z.unknown().optional(),
};
const matrixSchema = z.array(z.array(z.int().nonnegative()));

/** The key of a report that holds these pairs: the whole matrix, or, of many classes, the pairs. */
export function confusionOf(pairs: readonly ConfusionPair[], classCount: number): Confusion {
  if (classCount > MATRIX_CLASSES) return { confusionPairs: pairs };
  const confusion = Array.from({ length: classCount }, () => new Array<number>(classCount).fill(0));
  for (const [actual, predicted, rows] of pairs) {
    const counts = confusion[actual];
    if (counts) counts[predicted] = rows;
  }
  return { confusion };
}

/** The pairs that occur in a report's matrix, in order; undefined where it holds none. */
export function confusionPairsOf({
  confusion,
  confusionPairs,
}: Confusion): readonly ConfusionPair[] | undefined {
  return confusionPairs ?? (confusion && pairsOfMatrix(confusion));
}

function pairsOfMatrix(matrix: readonly (readonly number[])[]): ConfusionPair[] {
  return matrix.flatMap((counts, actual) =>
    counts.flatMap((rows, predicted): ConfusionPair[] => (rows > 0 ? [[actual, predicted, rows]] : [])),
  );
}

/** How the matrices of a task of so many classes are kept: as a list of pairs. */
export function confusionDetails(classCount: number): ReportDetails {
  return {
    stored: storedSchema,
    isIn: (report) => confusionPairsOf(report as Confusion) !== undefined,
    store: (report) => {
      const pairs = confusionPairsOf(report as Confusion);
      return pairs ? { pairs: pairs.flat() } : {};
    },
    restore: ({ pairs, confusion }) => {
      if (Array.isArray(pairs)) return confusionOf(pairsOfList(pairs as number[]), classCount);
      if (confusion === undefined) return {};
      return confusionOf(pairsOfMatrix(matrixSchema.parse(confusion)), classCount);
    },
  };
}

function pairsOfList(list: readonly number[]): ConfusionPair[] {
  return Array.from({ length: list.length / 3 }, (_, i) => [
    list[3 * i] ?? 0,
    list[3 * i + 1] ?? 0,
    list[3 * i + 2] ?? 0,
  ]);
}

/** Rows are true classes, columns predictions; for many classes a list of the most frequent confusions. */
export function confusionTable(report: TaskReport, classes: readonly string[]): DetailTable {
  const title = "true class (rows) and prediction (columns)";
  const table = classes.length <= SHOWN_CLASSES ? wholeMatrix : worstConfusions;
  return { title, ...table(report as Confusion, classes) };
}

type Body = Omit<DetailTable, "title">;

function wholeMatrix({ confusion }: Confusion, classes: readonly string[]): Body {
  const rows = classes.map((name, i) => [name, ...(confusion?.[i] ?? []).map(String)]);
  return { head: ["", ...classes], rows, right: classes.map((_, i) => i + 1), empty: "" };
}

function worstConfusions(report: Confusion, classes: readonly string[]): Body {
  const pairs = confusionPairsOf(report) ?? [];
  const confused = pairs.filter(([actual, predicted]) => actual !== predicted);
  const rowsOf = new Map<number, number>();
  for (const [actual, , times] of pairs) rowsOf.set(actual, (rowsOf.get(actual) ?? 0) + times);
  const shown = confused.toSorted((a, b) => b[2] - a[2]).slice(0, SHOWN_CONFUSIONS);
  const rows = shown.map(([actual, predicted, times]) => [
    classes[actual] ?? "",
    classes[predicted] ?? "",
    `${times} of ${rowsOf.get(actual)}`,
  ]);
  return { head: ["true class", "predicted", "images"], rows, right: [2], empty: "no image is confused" };
}
