// Tasks whose labels are sets of tags: sigmoid cross-entropy of each tag, mean average precision, F1.
// Labels are uint8 [N, tags]: 1 of a tag that the image has, 0 of others, MISSING_TAG where nobody said.
import { z } from "zod";
import { MttcError } from "../diagnostics.ts";
import type { GraphBuilder } from "../ir/builder.ts";
import type { Value } from "../ir/types.ts";
import { sortClasses } from "./classTask.ts";
import { columnsSetting, settingColumns } from "./columnGroups.ts";
import { crossEntropyText, FOCAL_SETTINGS, focalClash } from "./focalLoss.ts";
import { MISSING_TAG } from "./missing.ts";
import { inverseCountOf } from "./presence.ts";
import { tagAnswers } from "./tagAnswers.ts";
import { TAG_FITS, tagCalibration } from "./tagCalibration.ts";
import { DEFAULT_SEPARATOR, NO_TAGS, tagsOf } from "./tagCells.ts";
import { TagEvaluation, THRESHOLD, tagReports, thresholdsOf } from "./tagEvaluation.ts";
import { FLAG_COLUMNS, flagLabels, setLabels, surveyTags } from "./tagLabels.ts";
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

const SEPARATOR = /^[^\p{L}\p{N}\p{Cc}[\]"]$/u;
const separatorPhrase = { error: "one character that is no letter, digit, quote or bracket" };
const separator = z.string(separatorPhrase).regex(SEPARATOR, separatorPhrase);

const factsSchema = z.object({
  tags: z.array(z.string().min(1)).min(1).max(MAX_TAGS),
  /** Between the tags of a cell. */
  separator,
  /** Columns that say 0 or 1 of a tag each, in the order of `tags`, where the spec names such. */
  columns: z.array(z.string().min(1)).optional(),
  /** Of exported models: the probability from which on each tag is answered; a half where they are absent. */
  thresholds: z.array(z.number().min(0).max(1)).optional(),
  ...TAG_FITS,
});

type Facts = z.output<typeof factsSchema>;

export const TAGS: TaskKind = {
  kind: "tags",
  doc: "several tags of an image, or none; sigmoid cross-entropy of each",
  settings: {
    separator: separator
      .default(DEFAULT_SEPARATOR)
      .describe("What stands between the tags of a cell, a blank perhaps."),
    columns: columnsSetting(MAX_TAGS),
    ...FOCAL_SETTINGS,
  },
  mostColumns: MAX_TAGS,
  takesLists: true,
  weighs: "positives",
  survey: surveyTags,
  surveyGroup: FLAG_COLUMNS,
  clash: clashOfSettings,
  facts: factsSchema,
  describe: describeTags,
  open: openTags,
};

/** A cell of a column of 0 and 1 is of one tag. */
function clashOfSettings(settings: Readonly<Record<string, unknown>>) {
  if (!settingColumns(settings) || settings.separator === DEFAULT_SEPARATOR) return focalClash(settings);
  return { key: "separator", message: "nothing is separated: each of the columns says 0 or 1 of one tag" };
}

/**
 * The columns that the settings name, each a tag, else the tags that the training labels name; E_TASK_EMPTY
 * for none, E_LABEL for more than a head can have.
 */
function describeTags(
  task: string,
  settings: Readonly<Record<string, unknown>>,
  { names }: TrainingColumn,
): TaskDescription {
  const between = separator.parse(settings.separator);
  const columns = settingColumns(settings);
  if (columns) return { task, kind: TAGS.kind, tags: columns, separator: between, columns };
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
  const { tags, columns, platt } = facts;
  const logits = { name: "logits", of: (_b: GraphBuilder, y: Value) => y };
  const probabilities = {
    name: "probabilities",
    isShare: true,
    of: (b: GraphBuilder, y: Value) => b.emit("Sigmoid", [platt ? scaled(b, y, platt) : y]),
  };
  return {
    ...{ name: description.task, kind: TAGS.kind, description, width: tags.length, numbers: tags },
    numbersAre: "tags",
    label: {
      ...{ dtype: "uint8", shape: [tags.length], encoding: "flags", missing: MISSING_TAG },
      ...(columns ? flagLabels(columns) : setLabels(facts)),
    },
    weighs: TAGS.weighs,
    groups: {
      names: [...tags, NO_TAGS],
      areClasses: false,
      text: `${tags.length} tags`,
      of: (row) => {
        const flags = Array.from(row);
        const given = flags.flatMap((flag, i) => (flag === 1 ? [i] : []));
        return given.length === 0 && flags.includes(0) ? [tags.length] : given;
      },
    },
    figures: ["loss_sum", "count", "true_positives", "predicted_positives", "label_positives"],
    loss: sigmoidCrossEntropy,
    lossText: ({ gamma }) => crossEntropyText({ labelSmoothing: 0, gamma }),
    inverseCount: (b, labels) => inverseCountOf(b, knownRows(b, knownCells(b, labels))),
    outputs: [logits, probabilities],
    scored: logits.name,
    served: probabilities,
    evaluation: () => new TagEvaluation(tags, facts.thresholds),
    reports: tagReports(tags),
    explained: (b, y) => b.emit("Hardmax", [platt ? scaled(b, y, platt) : y], { axis: 1 }),
    ...tagCalibration(description, tags, platt),
    answers: tagAnswers(tags, facts.thresholds ?? tags.map(() => THRESHOLD), facts.separator),
    distil: bernoulliDivergence,
    fitted: (report) => {
      const thresholds = thresholdsOf(report);
      return thresholds?.length === tags.length ? { ...description, thresholds } : description;
    },
  };
}

/** Logits by the scale of each tag that was fitted to them. */
function scaled(b: GraphBuilder, y: Value, { scale, offset }: NonNullable<Facts["platt"]>): Value {
  const row = (numbers: readonly number[]): Value =>
    b.constant({ dtype: "float32", shape: [numbers.length], data: Float64Array.from(numbers) });
  return b.add(b.mul(y, row(scale)), row(offset));
}

/**
 * Sum over the labelled rows of the mean over their known tags of
 * -t log s(y) - (1 - t) log(1 - s(y)) = log(1 + e^y) - t y, s being the sigmoid (PyTorch's
 * binary_cross_entropy_with_logits). Unknown tags are chosen away before and behind: whatever their logits
 * hold, their gradient is exactly 0.
 */
function sigmoidCrossEntropy({ b, y, labels, weights, choices }: LossInputs): TaskLoss {
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
  if (!weights && choices.gamma === 0) return { objective: sum, figures };
  const focused = choices.gamma === 0 ? ofRows : b.mul(ofRows, focus(b, logits, flags, choices.gamma));
  const weighed = weights ? weighPositives(b, focused, flags, weights()) : focused;
  return { objective: total(b, weighed), figures };
}

/**
 * (1 - p)^gamma, p being s(y) of a tag that is there and 1 - s(y) of another: s((1 - 2t) y)^gamma =
 * exp(-gamma log(1 + e^((2t - 1) y))). So weighed, the loss is torchvision's sigmoid_focal_loss without its
 * alpha.
 */
function focus(b: GraphBuilder, logits: Value, flags: Value, gamma: number): Value {
  const signs = b.sub(b.mul(flags, b.scalar(2)), b.scalar(1));
  return b.emit("Exp", [b.mul(b.emit("Softplus", [b.mul(signs, logits)]), b.scalar(-gamma))]);
}

/** w of a cell that has its tag, 1 of others (PyTorch's pos_weight): 1 + t (w - 1). */
function weighPositives(b: GraphBuilder, ofCells: Value, flags: Value, weights: Value): Value {
  const more = b.sub(weights, b.scalar(1));
  return b.mul(ofCells, b.add(b.scalar(1), b.mul(flags, more)));
}

/** Probabilities below this count as 0: the logarithm stays finite, and p log p vanishes there. */
const LEAST_PROBABILITY = 1e-30;

/**
 * Sum over the images of the mean over the tags of KL(teacher || student) of having the tag or not, the
 * teacher's probabilities p [N, tags] given: p log p + (1 - p) log(1 - p) + log(1 + e^y) - p y.
 */
function bernoulliDivergence(b: GraphBuilder, logits: Value, p: Value): Value {
  const least = b.scalar(LEAST_PROBABILITY);
  const negentropy = (q: Value): Value => b.mul(q, b.emit("Log", [b.emit("Max", [q, least])]));
  const own = b.add(negentropy(p), negentropy(b.sub(b.scalar(1), p)));
  const cross = b.sub(b.emit("Softplus", [logits]), b.mul(p, logits));
  return b.div(total(b, b.add(own, cross)), b.scalar(Number(logits.type.shape[1])));
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
