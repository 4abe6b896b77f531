// What a report shows of a task of classes beside its figures: the confusion matrix, precision and recall of
// each class, how reliable its probabilities are, and the images that say most.
import { type Confusion, type ConfusionPair, confusionPairsOf } from "./confusion.ts";
import { reliabilityOf } from "./reliability.ts";
import type { ReportForm, TaskReport } from "./report.ts";
import {
  largestPlaces,
  type ReportPart,
  type RowsPart,
  type ShownRow,
  type TablePart,
} from "./reportParts.ts";

/** Rows of a table of classes, and of one of confusions; of more the first are shown. */
const MOST_CLASSES = 100;
const MOST_CONFUSIONS = 15;
/** From so many classes on the largest confusions are listed beside the matrix. */
const LISTED_FROM = 6;
const DECIMALS = 3;

/** Of one class: true rows, predicted rows, and those that are both. */
interface ClassCounts {
  readonly name: string;
  readonly support: number;
  readonly predicted: number;
  readonly hits: number;
}

export function classParts(classes: readonly string[]): Required<Pick<ReportForm, "parts" | "rowParts">> {
  return {
    parts: (report) => {
      const pairs = confusionPairsOf(report as TaskReport & Confusion);
      if (!pairs || pairs.length === 0) return [];
      const matrix: ReportPart = {
        ...{ form: "matrix", title: "Confusion matrix", names: classes, pairs },
        ...{ rowsAre: "true class", columnsAre: "predicted class" },
      };
      return [
        matrix,
        ...(classes.length >= LISTED_FROM ? [confusionsPart(pairs, classes)] : []),
        classesPart(pairs, classes),
      ];
    },
    rowParts: (served, labels) => probabilityParts(classes, served, labels),
  };
}

/** Precision, recall and F1 of each class; the most frequent first where not all are shown. */
function classesPart(pairs: readonly ConfusionPair[], classes: readonly string[]): TablePart {
  const counts = countsOf(pairs, classes);
  const isCut = counts.length > MOST_CLASSES;
  const shown = isCut ? counts.toSorted((a, b) => b.support - a.support).slice(0, MOST_CLASSES) : counts;
  return {
    form: "table",
    title: isCut ? `The ${MOST_CLASSES} most frequent of ${counts.length} classes` : "Classes",
    note: "F1 is 2 x precision x recall / (precision + recall)",
    head: ["class", "images", "predicted", "precision", "recall", "F1"],
    rows: shown.map(({ name, support, predicted, hits }) => [
      ...[name, String(support), String(predicted)],
      ...[hits / predicted, hits / support, (2 * hits) / (support + predicted)].map(shareText),
    ]),
    ...{ right: [1, 2, 3, 4, 5], shares: [3, 4, 5], empty: "" },
  };
}

function countsOf(pairs: readonly ConfusionPair[], classes: readonly string[]): ClassCounts[] {
  const [support, predicted, hits] = [classes.map(() => 0), classes.map(() => 0), classes.map(() => 0)];
  for (const [actual, answered, rows] of pairs) {
    support[actual] = (support[actual] ?? 0) + rows;
    predicted[answered] = (predicted[answered] ?? 0) + rows;
    if (actual === answered) hits[actual] = (hits[actual] ?? 0) + rows;
  }
  return classes.map((name, i) => ({
    ...{ name, support: support[i] ?? 0, predicted: predicted[i] ?? 0, hits: hits[i] ?? 0 },
  }));
}

function confusionsPart(pairs: readonly ConfusionPair[], classes: readonly string[]): TablePart {
  const support = countsOf(pairs, classes);
  const confused = pairs.filter(([actual, answered]) => actual !== answered);
  const shown = confused.toSorted((a, b) => b[2] - a[2]).slice(0, MOST_CONFUSIONS);
  return {
    form: "table",
    title: shown.length < confused.length ? "The largest confusions" : "All confusions",
    note: "share: of the images of the true class",
    head: ["true class", "predicted", "images", "share"],
    rows: shown.map(([actual, answered, rows]) => [
      ...[classes[actual] ?? "", classes[answered] ?? "", String(rows)],
      shareText(rows / (support[actual]?.support ?? Number.NaN)),
    ]),
    ...{ right: [2, 3], shares: [3], empty: "no image is confused" },
  };
}

/** `served` probabilities [rows, classes], `labels` class numbers [rows], a negative one where there is none. */
function probabilityParts(
  classes: readonly string[],
  served: ArrayLike<number>,
  labels: ArrayLike<number>,
): ReportPart[] {
  const width = classes.length;
  const [certainties, hits] = [new Float64Array(labels.length), new Uint8Array(labels.length)];
  const best = new Int32Array(labels.length);
  for (let row = 0; row < labels.length; row++) {
    let place = 0;
    for (let c = 1; c < width; c++)
      if ((served[row * width + c] ?? 0) > (served[row * width + place] ?? 0)) place = c;
    best[row] = place;
    const isLabelled = (labels[row] ?? -1) >= 0;
    certainties[row] = isLabelled ? (served[row * width + place] ?? Number.NaN) : Number.NaN;
    hits[row] = place === labels[row] ? 1 : 0;
  }
  const among = (isHit: 0 | 1, sign: 1 | -1): ShownRow[] =>
    largestPlaces(certainties.map((value, row) => (hits[row] === isHit ? sign * value : Number.NaN))).map(
      (row) => ({
        row,
        predicted: classes[best[row] ?? 0] ?? "",
        label: classes[labels[row] ?? 0] ?? "",
        certainty: shareText(certainties[row] ?? Number.NaN),
        isRight: isHit === 1,
      }),
    );
  const reliability = reliabilityOf(certainties, hits);
  if (reliability.rows === 0) return [];
  return [
    {
      ...{ form: "reliability", title: "Reliability of the predicted class", reliability },
      of: "the predicted class is the true one",
    },
    ...rowsParts(among(0, 1), among(1, -1)),
  ];
}

/** The two lists of images that every kind with certainties has. */
export function rowsParts(mistakes: readonly ShownRow[], hits: readonly ShownRow[]): RowsPart[] {
  return [
    {
      ...{ form: "rows", title: "The most certain mistakes", rows: mistakes, empty: "no answer is wrong" },
      note: "wrong answers with the largest probability: wrong labels are often among them",
    },
    {
      ...{ form: "rows", title: "The least certain hits", rows: hits, empty: "no answer is right" },
      note: "right answers with the smallest probability",
    },
  ];
}

/** 0.981; "-" for a share of nothing. */
export function shareText(value: number): string {
  return Number.isFinite(value) ? value.toFixed(DECIMALS) : "-";
}
