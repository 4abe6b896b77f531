// What a report shows of a task of tags beside its figures: average precision, F1 and threshold of each tag,
// how reliable its probabilities are, and the images that say most.
import { rowsParts, shareText } from "./classParts.ts";
import { reliabilityOf } from "./reliability.ts";
import type { ReportForm } from "./report.ts";
import { largestPlaces, type ReportPart, type ShownRow, type TablePart } from "./reportParts.ts";
import type { TagReport } from "./tagEvaluation.ts";

/** Rows of a table of tags; of more the most frequent are shown. */
const MOST_TAGS = 100;
/** A cell is answered right or wrong at this probability. */
const HALF = 0.5;

export function tagParts(tags: readonly string[]): Required<Pick<ReportForm, "parts" | "rowParts">> {
  return {
    parts: (report) => (report.perTag === undefined ? [] : [tagsPart(report as TagReport, tags)]),
    rowParts: (served, labels) => cellParts(tags, served, labels),
  };
}

function tagsPart({ perTag = [] }: TagReport, tags: readonly string[]): TablePart {
  const all = perTag.map((figures, i) => ({ ...figures, name: tags[i] ?? "" }));
  const isCut = all.length > MOST_TAGS;
  const shown = isCut ? all.toSorted((a, b) => b.positives - a.positives).slice(0, MOST_TAGS) : all;
  return {
    form: "table",
    title: isCut ? `The ${MOST_TAGS} most frequent of ${all.length} tags` : "Tags",
    note: "AP: average precision; fitted F1: at the probability that is best for these labels, which an export stores",
    head: ["tag", "with it", "without", "AP", "F1 from 0.5 on", "fitted F1", "from"],
    rows: shown.map(({ name, positives, negatives, averagePrecision, f1, fittedF1, threshold }) => [
      ...[name, String(positives), String(negatives)],
      ...[averagePrecision, f1, fittedF1, threshold].map(shareText),
    ]),
    ...{ right: [1, 2, 3, 4, 5, 6], shares: [3, 4, 5], empty: "" },
  };
}

/** `served` probabilities and `labels` [rows, tags]; a label that is neither 0 nor 1 is unknown. */
function cellParts(
  tags: readonly string[],
  served: ArrayLike<number>,
  labels: ArrayLike<number>,
): ReportPart[] {
  const cells = labels.length;
  // Of a cell its probability, whether it has its tag, and how sure the answer is: from 0.5 to 1.
  const [probabilities, flags] = [new Float64Array(cells), new Uint8Array(cells)];
  const [mistakes, hits] = [new Float64Array(cells), new Float64Array(cells)];
  for (let cell = 0; cell < cells; cell++) {
    const isKnown = labels[cell] === 0 || labels[cell] === 1;
    const probability = isKnown ? (served[cell] ?? Number.NaN) : Number.NaN;
    probabilities[cell] = probability;
    flags[cell] = labels[cell] === 1 ? 1 : 0;
    const isRight = probability >= HALF === (labels[cell] === 1);
    const certainty = Math.max(probability, 1 - probability);
    mistakes[cell] = isRight ? Number.NaN : certainty;
    hits[cell] = isRight ? -certainty : Number.NaN;
  }
  const reliability = reliabilityOf(probabilities, flags);
  if (reliability.rows === 0) return [];
  const shown = (numbers: Float64Array, isRight: boolean): ShownRow[] =>
    largestPlaces(numbers).map((cell) => {
      const tag = tags[cell % tags.length] ?? "";
      const probability = probabilities[cell] ?? Number.NaN;
      const word = (has: boolean): string => (has ? tag : `not ${tag}`);
      return {
        row: Math.floor(cell / tags.length),
        predicted: word(probability >= HALF),
        label: word(flags[cell] === 1),
        certainty: shareText(Math.max(probability, 1 - probability)),
        isRight,
      };
    });
  return [
    {
      ...{ form: "reliability", title: "Reliability of the tags' probabilities", reliability },
      ...{ of: "the image has the tag", note: "all known cells of all tags" },
    },
    ...rowsParts(shown(mistakes, false), shown(hits, true)),
  ];
}
