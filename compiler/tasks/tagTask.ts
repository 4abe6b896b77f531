// Tasks whose labels are sets of tags: sigmoid cross-entropy of each tag, mean average precision, F1.
// Labels are uint8 [N, tags]: 1 of a tag that the image has, 0 of others, MISSING_TAG where nobody said.
import { z } from "zod";
import { MttcError } from "../diagnostics.ts";
import type { GraphBuilder } from "../ir/builder.ts";
import type { Value } from "../ir/types.ts";
import { classKey } from "../spec/classKey.ts";
import { sortClasses } from "./classTask.ts";
import { MISSING_TAG } from "./missing.ts";
import { inverseCountOf } from "./presence.ts";
import { tagAnswers } from "./tagAnswers.ts";
import { NO_TAGS, tagsOf } from "./tagCells.ts";
import { TagEvaluation, THRESHOLD, tagReports, thresholdsOf } from "./tagEvaluation.ts";
import {
  factsOf,
  type LossInputs,
  type Task,
  type TaskDescription,
  type TaskKind,
  type TaskLoss,
  type TrainingColumn,
} from "./task.ts";

/** More tags than this are a text that was split, or a mistake. */
const MAX_TAGS = 10_000;

const DEFAULT_SEPARATOR = "|";
const SEPARATOR = /^[^\p{L}\p{N}\p{Cc}[\]"]$/u;
const separatorPhrase = { error: "one character that is no letter, digit, quote or bracket" };
const separator = z.string(separatorPhrase).regex(SEPARATOR, separatorPhrase);

const factsSchema = z.object({
  tags: z.array(z.string().min(1)).min(1).max(MAX_TAGS),
  /** Between the tags of a cell. */
  separator,
  /** Of exported models: the probability from which on each tag is answered; a half where they are absent. */
  thresholds: z.array(z.number().min(0).max(1)).optional(),
});

export const TAGS: TaskKind = {
  kind: "tags",
  doc: "several tags of an image, or none; sigmoid cross-entropy of each",
  settings: {
    separator: separator
      .default(DEFAULT_SEPARATOR)
      .describe("What stands between the tags of a cell, a blank perhaps."),
  },
  later: { columns: "tags in columns of 0 and 1, one for each" },
  takesLists: true,
  survey: surveyTags,
  facts: factsSchema,
  describe: describeTags,
  open: openTags,
};

/** Sets of words between bars, one at least of several, that name each word twice or more on the mean. */
function surveyTags(values: ReadonlyMap<string, number>): string | undefined {
  const tags = new Set<string>();
  let [named, hasSeveral] = [0, false];
  for (const [label, rows] of values) {
    const set = tagsOf(label, DEFAULT_SEPARATOR);
    if (set === undefined) return undefined;
    for (const tag of set) tags.add(tag);
    named += rows * set.length;
    hasSeveral ||= set.length > 1;
  }
  const isWord = [...tags].some((tag) => Number.isNaN(Number(tag)));
  return hasSeveral && isWord && named >= 2 * tags.size ? `sets of ${tags.size} tags` : undefined;
}

/** The tags that the training labels name; E_TASK_EMPTY for none, E_LABEL for more than a head can have. */
function describeTags(
  task: string,
  settings: Readonly<Record<string, unknown>>,
  { names }: TrainingColumn,
): TaskDescription {
  const between = separator.parse(settings.separator);
  const tags = sortClasses([...new Set(names.flatMap((label) => tagsOf(label, between) ?? []))]);
  if (tags.length === 0)
    throw new MttcError({ code: "E_TASK_EMPTY", message: `task "${task}": no training label names a tag` });
  if (tags.length > MAX_TAGS) {
    const message = `task "${task}" has ${tags.length} different tags, at most ${MAX_TAGS} are trained`;
    throw new MttcError({ code: "E_LABEL", message, hint: `is "${between}" what separates them?` });
  }
  return { task, kind: TAGS.kind, tags, separator: between };
}

function openTags(description: TaskDescription): Task {
  const facts = factsOf(factsSchema, description);
  const { tags } = facts;
  const logits = { name: "logits", of: (_b: GraphBuilder, y: Value) => y };
  const probabilities = {
    name: "probabilities",
    isShare: true,
    of: (b: GraphBuilder, y: Value) => b.emit("Sigmoid", [y]),
  };
  return {
    ...{ name: description.task, kind: TAGS.kind, description, width: tags.length, numbers: tags },
    numbersAre: "tags",
    label: {
      ...{ dtype: "uint8", shape: [tags.length], encoding: "flags", missing: MISSING_TAG, names: tags },
      encode: (names) => encodeTags(names, facts),
      expected: (source) => `a set of tags that ${source} (a${facts.separator}b, or [] for none)`,
    },
    weighs: "positives",
    groups: {
      names: [...tags, NO_TAGS],
      areClasses: false,
      of: (row) => {
        const flags = Array.from(row);
        const given = flags.flatMap((flag, i) => (flag === 1 ? [i] : []));
        return given.length === 0 && flags.includes(0) ? [tags.length] : given;
      },
    },
    figures: ["loss_sum", "count", "true_positives", "predicted_positives", "label_positives"],
    loss: sigmoidCrossEntropy,
    inverseCount: (b, labels) => inverseCountOf(b, knownRows(b, knownCells(b, labels))),
    certainty: 1,
    outputs: [logits, probabilities],
    scored: logits.name,
    served: probabilities,
    evaluation: () => new TagEvaluation(tags),
    reports: tagReports(tags),
    answers: tagAnswers(tags, facts.thresholds ?? tags.map(() => THRESHOLD), facts.separator),
    fitted: (report) => {
      const thresholds = thresholdsOf(report);
      return thresholds?.length === tags.length ? { ...description, thresholds } : description;
    },
  };
}

/** uint8 [names x tags]; a label that names others, or is no set, is missing whole. */
function encodeTags(names: readonly string[], facts: z.output<typeof factsSchema>): Uint8Array {
  const width = facts.tags.length;
  const placeOf = new Map(facts.tags.map((tag, i) => [classKey(tag), i]));
  const flags = new Uint8Array(names.length * width).fill(MISSING_TAG);
  for (const [row, name] of names.entries()) {
    const places = tagsOf(name, facts.separator)?.map((tag) => placeOf.get(tag));
    if (!places || places.includes(undefined)) continue;
    flags.fill(0, row * width, (row + 1) * width);
    for (const place of places) flags[row * width + (place ?? 0)] = 1;
  }
  return flags;
}

/**
 * Sum over the labelled rows of the mean over their known tags of
 * -t log s(y) - (1 - t) log(1 - s(y)) = log(1 + e^y) - t y, s being the sigmoid (PyTorch's
 * binary_cross_entropy_with_logits). Unknown tags are chosen away before and behind: whatever their logits
 * hold, their gradient is exactly 0.
 */
function sigmoidCrossEntropy({ b, y, labels, weights }: LossInputs): TaskLoss {
  const known = knownCells(b, labels);
  const zero = b.scalar(0);
  const logits = b.where(known, y, zero);
  const flags = b.where(known, b.cast(labels, "float32"), zero);
  const ofCells = b.where(known, b.sub(b.emit("Softplus", [logits]), b.mul(flags, logits)), zero);
  const cells = b.emit("Max", [b.reduceSum(b.cast(known, "float32"), [1], 1), b.scalar(1)]);
  const ofRows = b.div(ofCells, cells);
  const sum = total(b, ofRows);
  const given = b.emit("And", [known, b.emit("GreaterOrEqual", [y, zero])]);
  const answered = b.cast(given, "float32");
  const figures = {
    loss_sum: sum,
    count: b.reduceSum(b.cast(knownRows(b, known), "float32"), [0], 0),
    true_positives: total(b, b.mul(answered, flags)),
    predicted_positives: total(b, answered),
    label_positives: total(b, flags),
  };
  return { objective: weights ? total(b, weighPositives(b, ofRows, flags, weights())) : sum, figures };
}

/** w of a cell that has its tag, 1 of others (PyTorch's pos_weight): 1 + t (w - 1). */
function weighPositives(b: GraphBuilder, ofCells: Value, flags: Value, weights: Value): Value {
  const more = b.sub(weights, b.scalar(1));
  return b.mul(ofCells, b.add(b.scalar(1), b.mul(flags, more)));
}

/** bool [N, tags]: which cells say 0 or 1. */
function knownCells(b: GraphBuilder, labels: Value): Value {
  return b.emit("LessOrEqual", [b.cast(labels, "float32"), b.scalar(1)]);
}

/** bool [N]: rows with a known tag. */
function knownRows(b: GraphBuilder, known: Value): Value {
  return b.emit("Greater", [b.reduceSum(b.cast(known, "float32"), [1], 0), b.scalar(0)]);
}

function total(b: GraphBuilder, x: Value): Value {
  return b.reduceSum(x, [0, 1], 0);
}
