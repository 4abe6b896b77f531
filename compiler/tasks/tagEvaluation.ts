// Evaluation of tasks of tags on known cells only: masked loss, mean average precision, micro and macro F1,
// each beside what a constant answer would reach. Logits in, report out. Memory: four bytes for each cell.
import { z } from "zod";
import { type DetailTable, type Evaluation, figureOf, type ReportForm, type TaskReport } from "./report.ts";
import { tagParts } from "./tagParts.ts";

/** From this probability on a tag is answered where nothing is fitted. */
export const THRESHOLD = 0.5;
/** Tags of a report that are shown one by one. */
const SHOWN_TAGS = 24;
const SHOWN_DECIMALS = 3;

/** Figures of one tag over the rows that say whether they have it. */
export interface TagFigures {
  /** Rows that have it, and rows that have it not. */
  readonly positives: number;
  readonly negatives: number;
  /** NaN where no row has it; so is F1. */
  readonly averagePrecision: number;
  readonly f1: number;
  /**
   * The probability from which on the tag is answered, and the F1 of that: the one that is given, else that
   * of the largest F1 of these rows.
   */
  readonly threshold: number;
  readonly fittedF1: number;
}

/** Figures of a task of tags. In a trainer's history only the newest and the best epoch keep `perTag`. */
export interface TagReport extends TaskReport {
  /**
   * Mean over the tags that occur of average precision: the sum over distinct scores of (R_n - R_(n-1)) P_n
   * (scikit-learn's average_precision_score); and that of equal scores, the tags' frequency.
   */
  readonly meanAveragePrecision: number;
  readonly constantPrecision: number;
  /** 2 TP / (2 TP + FP + FN) of all cells, and the best that always answering the same tags reaches. */
  readonly microF1: number;
  readonly constantMicroF1: number;
  /** Mean over the tags that occur of each one's F1, and that of always answering all. */
  readonly macroF1: number;
  readonly constantMacroF1: number;
  /** Macro F1 of each tag at its threshold. */
  readonly fittedF1: number;
  readonly tags: readonly string[];
  readonly perTag?: readonly TagFigures[];
}

const orNone = z
  .number()
  .nullable()
  .transform((value) => value ?? Number.NaN);
const perTagSchema = z.array(
  z.object({
    positives: z.int().nonnegative(),
    negatives: z.int().nonnegative(),
    averagePrecision: orNone,
    f1: orNone,
    threshold: z.number().min(0).max(1),
    fittedF1: orNone,
  }),
);

/** The form of such reports. */
export function tagReports(tags: readonly string[]): ReportForm {
  return {
    figures: [
      { name: "meanAveragePrecision", head: "mAP", epochHead: "val mAP" },
      { name: "constantPrecision", head: "(constant)", epochHead: "constant", isBaseline: true },
      { name: "microF1", head: "micro F1", epochHead: "micro F1" },
      { name: "constantMicroF1", head: "(constant)", epochHead: "constant", isBaseline: true },
      { name: "macroF1", head: "macro F1", epochHead: "macro F1" },
      { name: "constantMacroF1", head: "(constant)", epochHead: "constant", isBaseline: true },
      { name: "fittedF1", head: "fitted F1", epochHead: "fitted F1" },
    ],
    constants: { tags },
    details: {
      stored: { perTag: z.unknown().optional() },
      isIn: ({ perTag }) => perTag !== undefined,
      store: ({ perTag }) => (perTag === undefined ? {} : { perTag }),
      restore: ({ perTag }) => (perTag === undefined ? {} : { perTag: perTagSchema.parse(perTag) }),
    },
    tables: (report) => (report.perTag === undefined ? [] : [tagTable(report as TagReport)]),
    ...tagParts(tags),
    gain: (report) => {
      const baseline = figureOf(report, "constantPrecision");
      return (figureOf(report, "meanAveragePrecision") - baseline) / (1 - baseline);
    },
    training: [
      {
        ...{ name: "microF1", head: "F1", epochHead: "F1" },
        of: ({ true_positives: hits = Number.NaN, predicted_positives = 0, label_positives = 0 }) =>
          (2 * hits) / (predicted_positives + label_positives),
      },
    ],
  };
}

/** The thresholds that a report has fitted, as they are kept, too; undefined where it says none. */
export function thresholdsOf(report: Readonly<Record<string, unknown>>): readonly number[] | undefined {
  return perTagSchema.safeParse(report.perTag).data?.map(({ threshold }) => threshold);
}

/** Tags, those that occur most first. */
function tagTable({ tags, perTag = [] }: TagReport): DetailTable {
  const order = perTag.map((figures, i) => ({ ...figures, name: tags[i] ?? "" }));
  const shown = order.toSorted((a, b) => b.positives - a.positives).slice(0, SHOWN_TAGS);
  const text = (value: number): string => (Number.isNaN(value) ? "-" : value.toFixed(SHOWN_DECIMALS));
  return {
    title: shown.length < order.length ? `the ${SHOWN_TAGS} most frequent of ${order.length} tags` : "tags",
    head: ["tag", "images", "AP", "F1", "fitted F1", "from"],
    rows: shown.map(({ name, positives, averagePrecision, f1, fittedF1, threshold }) => [
      ...[name, String(positives), text(averagePrecision), text(f1), text(fittedF1), text(threshold)],
    ]),
    right: [1, 2, 3, 4, 5],
    empty: "",
  };
}

/** Collects batches of logits of one task. */
export class TagEvaluation implements Evaluation {
  readonly #tags: readonly string[];
  readonly #thresholds: readonly number[] | undefined;
  readonly #scores: readonly { readonly positives: Scores; readonly negatives: Scores }[];
  #labelled = 0;
  #lossSum = 0;

  /** `thresholds` of the tags; without them they are fitted to the rows. */
  constructor(tags: readonly string[], thresholds?: readonly number[]) {
    this.#tags = tags;
    this.#thresholds = thresholds;
    this.#scores = tags.map(() => ({ positives: new Scores(), negatives: new Scores() }));
  }

  /** `logits` and `labels` [rows, tags] row-major; labels are 1, 0, or something else where missing. */
  add(logits: Float32Array, labels: ArrayLike<number>): void {
    const width = this.#tags.length;
    for (let start = 0; start < labels.length; start += width) {
      let [sum, known] = [0, 0];
      for (let i = 0; i < width; i++) {
        const label = labels[start + i];
        if (label !== 0 && label !== 1) continue;
        const logit = logits[start + i] ?? Number.NaN;
        known++;
        sum += Math.max(logit, 0) - logit * label + Math.log1p(Math.exp(-Math.abs(logit)));
        const scores = this.#scores[i];
        (label === 1 ? scores?.positives : scores?.negatives)?.push(logit);
      }
      if (known === 0) continue;
      this.#labelled++;
      this.#lossSum += sum / known;
    }
  }

  report(): TagReport {
    const counts = this.#scores.map(({ positives, negatives }, i) =>
      countsOf(positives, negatives, this.#thresholds?.[i]),
    );
    const occurring = counts.filter(({ positives }) => positives > 0);
    const meanOf = (figure: (tag: TagCounts) => number): number =>
      occurring.reduce((sum, tag) => sum + figure(tag), 0) / occurring.length;
    return {
      labelled: this.#labelled,
      loss: this.#lossSum / this.#labelled,
      meanAveragePrecision: meanOf(({ averagePrecision }) => averagePrecision),
      constantPrecision: meanOf(({ positives, negatives }) => positives / (positives + negatives)),
      microF1: f1Of(sumOf(counts, "hits"), sumOf(counts, "answered"), sumOf(counts, "positives")),
      constantMicroF1: bestConstantF1(counts),
      macroF1: meanOf(({ f1 }) => f1),
      constantMacroF1: meanOf(({ positives, negatives }) =>
        f1Of(positives, positives + negatives, positives),
      ),
      fittedF1: meanOf(({ fittedF1 }) => fittedF1),
      tags: this.#tags,
      perTag: counts.map(({ answered: _, hits: __, ...figures }) => figures),
    };
  }
}

interface TagCounts extends TagFigures {
  /** Rows that are answered with the tag, and those of them that have it. */
  readonly answered: number;
  readonly hits: number;
}

function countsOf(ofPositives: Scores, ofNegatives: Scores, given: number | undefined): TagCounts {
  const [having, others] = [ofPositives.sorted(), ofNegatives.sorted()];
  // Logits from 0 on are probabilities from a half on.
  const hits = atLeast(having, 0);
  const answered = hits + atLeast(others, 0);
  const [positives, negatives] = [having.length, others.length];
  const counts = { positives, negatives, hits, answered };
  if (positives === 0) {
    const none = { averagePrecision: Number.NaN, f1: Number.NaN, fittedF1: Number.NaN };
    return { ...counts, ...none, threshold: given ?? THRESHOLD };
  }
  const figures = { ...counts, f1: f1Of(hits, answered, positives), ...rankFigures(having, others) };
  if (given === undefined) return figures;
  const from = Math.log(given / (1 - given));
  const found = atLeast(having, from);
  const fittedF1 = f1Of(found, found + atLeast(others, from), positives);
  return { ...figures, threshold: given, fittedF1 };
}

/** How many of scores in ascending order are no smaller than one. */
function atLeast(ascending: Float32Array, least: number): number {
  const first = ascending.findIndex((score) => score >= least);
  return first < 0 ? 0 : ascending.length - first;
}

/** Of scores in ascending order, of rows that have the tag (one at least) and rows that have it not. */
function rankFigures(
  having: Float32Array,
  others: Float32Array,
): Pick<TagFigures, "averagePrecision" | "fittedF1" | "threshold"> {
  let [hit, other] = [having.length - 1, others.length - 1];
  let [sum, fittedF1, from] = [0, Number.NEGATIVE_INFINITY, 0];
  while (hit >= 0) {
    const score = Math.max(having[hit] ?? Number.NaN, others[other] ?? -Infinity);
    const before = hit;
    // Rows of one score come together. "Not less" instead of "equal": NaN ends the loop, too.
    while (hit >= 0 && !((having[hit] ?? 0) < score)) hit--;
    while (other >= 0 && !((others[other] ?? 0) < score)) other--;
    const found = having.length - 1 - hit;
    const answered = found + others.length - 1 - other;
    sum += (before - hit) * (found / answered);
    const f1 = f1Of(found, answered, having.length);
    if (f1 <= fittedF1) continue;
    // In the middle between this score and the next lower one, so that roundings decide nothing.
    const below = Math.max(having[hit] ?? -Infinity, others[other] ?? -Infinity);
    fittedF1 = f1;
    from = below === -Infinity ? score - 1 : (score + below) / 2;
  }
  const threshold = 1 / (1 + Math.exp(-from));
  const isKnown = Number.isFinite(threshold);
  return { averagePrecision: sum / having.length, fittedF1, threshold: isKnown ? threshold : THRESHOLD };
}

/** F1 of so many hits among the answered and the true ones; NaN where there is neither. */
function f1Of(hits: number, answered: number, positives: number): number {
  return (2 * hits) / (answered + positives);
}

/** The best micro F1 of answering the same tags for each row: the most frequent ones, as many as serve. */
function bestConstantF1(counts: readonly TagCounts[]): number {
  const share = ({ positives, negatives }: TagCounts): number =>
    positives === 0 ? 0 : positives / (positives + negatives);
  const all = sumOf(counts, "positives");
  let [hits, answered, best] = [0, 0, all === 0 ? Number.NaN : 0];
  for (const tag of counts.toSorted((a, b) => share(b) - share(a))) {
    hits += tag.positives;
    answered += tag.positives + tag.negatives;
    best = Math.max(best, f1Of(hits, answered, all));
  }
  return best;
}

function sumOf(counts: readonly TagCounts[], name: "hits" | "answered" | "positives"): number {
  return counts.reduce((sum, tag) => sum + tag[name], 0);
}

const FIRST_CAPACITY = 64;

/** A list of float32 numbers that grows. */
class Scores {
  #numbers = new Float32Array(FIRST_CAPACITY);
  #length = 0;

  push(score: number): void {
    if (this.#length === this.#numbers.length) {
      const larger = new Float32Array(2 * this.#length);
      larger.set(this.#numbers);
      this.#numbers = larger;
    }
    this.#numbers[this.#length++] = score;
  }

  /** A copy in ascending order, NaN last. */
  sorted(): Float32Array {
    return this.#numbers.slice(0, this.#length).sort();
  }
}
