// Tasks whose labels are one class of several: softmax cross-entropy, smoothed or focal where the spec says
// so, accuracy, probabilities of the classes.
// Labels are class numbers, int64 [N], MISSING_CLASS where there is none.
import { z } from "zod";
import { InternalError } from "../diagnostics.ts";
import type { GraphBuilder } from "../ir/builder.ts";
import type { Value } from "../ir/types.ts";
import { classKey } from "../spec/classKey.ts";
import { classAnswers } from "./classAnswers.ts";
import { CLASS_FITS, classCalibration } from "./classCalibration.ts";
import { ClassEvaluation, classReports } from "./classEvaluation.ts";
import { crossEntropyText, FOCAL_SETTINGS, focalClash } from "./focalLoss.ts";
import { MISSING_CLASS } from "./missing.ts";
import { inverseCountOf, inverseSumOf } from "./presence.ts";
import {
  factsOf,
  type LossChoices,
  type LossInputs,
  type Task,
  type TaskDescription,
  type TaskKind,
  type TaskLoss,
} from "./task.ts";

/** Probabilities below this count as 0: the logarithm stays finite, and p log p vanishes there. */
const LEAST_PROBABILITY = 1e-30;
/** 1 - p is at least this: its power has a slope there for a gamma below 1, too. Float32 knows 0 and 6e-8. */
const LEAST_REST = 1e-12;

const smoothingPhrase = { error: "a number from 0 on, below 1" };
/** e of smoothed labels, (1 - e) one-hot + e / K. */
export const SMOOTHING = z.number(smoothingPhrase).min(0, smoothingPhrase).lt(1, smoothingPhrase);

const factsSchema = z.object({ classes: z.array(z.string()).min(1).max(1_000_000), ...CLASS_FITS });

export const CLASSES: TaskKind = {
  kind: "classes",
  doc: "one class of several; softmax cross-entropy",
  settings: {
    label_smoothing: SMOOTHING.optional().describe("Of this task, in place of the spec's label_smoothing."),
    ...FOCAL_SETTINGS,
  },
  clash: focalClash,
  areClasses: true,
  weighs: "classes",
  describe: (task, _settings, { names }) => {
    return { task, classes: sortClasses([...new Set(names.map(classKey))]) };
  },
  facts: factsSchema,
  open: openClasses,
};

function openClasses(description: TaskDescription): Task {
  const { classes, temperature, unsure } = factsOf(factsSchema, description);
  const logits = { name: "logits", of: (_b: GraphBuilder, y: Value) => y };
  const probabilities = {
    name: "probabilities",
    isShare: true,
    of: (b: GraphBuilder, y: Value) =>
      b.emit("Softmax", [temperature === undefined ? y : b.div(y, b.scalar(temperature))], { axis: 1 }),
  };
  return {
    ...{ name: description.task, kind: CLASSES.kind, description, width: classes.length, numbers: classes },
    numbersAre: "classes",
    label: {
      ...{ dtype: "int64", shape: [], encoding: "class_index", missing: MISSING_CLASS, names: classes },
      encode: (names) => classNumbers(names, classes),
      expected: (source) => `one of the classes that ${source}`,
    },
    weighs: CLASSES.weighs,
    groups: { names: classes, areClasses: true, of: (row) => classPlaces(row[0] ?? MISSING_CLASS) },
    figures: ["loss_sum", "count", "correct"],
    loss: crossEntropy,
    lossText: crossEntropyText,
    inverseCount,
    outputs: [logits, probabilities],
    scored: logits.name,
    served: probabilities,
    evaluation: () => new ClassEvaluation(classes),
    reports: classReports(classes),
    answers: classAnswers(classes, unsure?.below),
    ...classCalibration(description, classes.length, temperature),
    distil: divergence,
  };
}

/**
 * Sorted by value where all are numbers, else by code units: the same on every machine and in every locale.
 */
export function sortClasses(values: readonly string[]): string[] {
  const byText = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
  const numeric = values.every((value) => Number.isFinite(Number(value)));
  return [...values].sort((a, b) => (numeric && Number(a) - Number(b)) || byText(a, b));
}

function classPlaces(label: number): readonly number[] {
  return label < 0 ? [] : [label];
}

/** The number of each name: of the class spelled so, else of the class with its key; else -1. */
function classNumbers(names: readonly string[], classes: readonly string[]): Int32Array {
  const exact = new Map(classes.map((name, number) => [name, number]));
  const byKey = new Map(classes.map((name, number) => [classKey(name), number]));
  return Int32Array.from(names, (name) => exact.get(name) ?? byKey.get(classKey(name)) ?? -1);
}

/**
 * Softmax cross-entropy of the labelled rows, and how many have their largest logit at their label; what is
 * trained may be another loss.
 */
function crossEntropy({ b, y, labels, weights, choices }: LossInputs): TaskLoss {
  const [loss_sum, count, correct] = b.emitAll("MaskedCrossEntropy", [y, labels], {}, 3);
  if (!loss_sum || !count || !correct) throw new InternalError("MaskedCrossEntropy has three outputs");
  const figures = { loss_sum, count, correct };
  const isPlain = choices.labelSmoothing === 0 && choices.gamma === 0;
  if (!isPlain) return { objective: chosenLossSum(b, y, labels, { choices, weights: weights?.() }), figures };
  return { objective: weights ? weightedLossSum(b, y, labels, weights()) : loss_sum, figures };
}

/**
 * Sum over the labelled rows of the sum over the K classes of -w_c q_c (1 - p_c)^gamma log p_c, with q = (1 -
 * e) one-hot + e / K. With gamma 0 this is PyTorch's CrossEntropyLoss with `weight` and `label_smoothing`,
 * with weights of 1 Keras's CategoricalFocalCrossentropy with alpha 1, both of reduction "sum". Rows without
 * label are replaced before the softmax and left out behind it: their gradient is exactly 0.
 */
function chosenLossSum(
  b: GraphBuilder,
  logits: Value,
  labels: Value,
  { choices, weights }: { readonly choices: LossChoices; readonly weights: Value | undefined },
): Value {
  const { labelSmoothing: e, gamma } = choices;
  const count = Number(logits.type.shape[1]);
  const zero = b.scalar(0);
  const column = b.emit("Unsqueeze", [labels, b.ints([1])]);
  const labelled = b.emit("GreaterOrEqual", [column, b.scalar(0, "int64")]);
  const log = b.emit("LogSoftmax", [b.where(labelled, logits, zero)], { axis: 1 });
  const isLabel = b.emit("Equal", [column, b.ints(Array.from({ length: count }, (_, i) => i))]);
  const wanted = b.where(isLabel, b.scalar(1 - e + e / count), b.scalar(e / count));
  let cells = b.mul(wanted, b.neg(log));
  if (gamma > 0) {
    const rest = b.emit("Max", [b.sub(b.scalar(1), b.emit("Exp", [log])), b.scalar(LEAST_REST)]);
    cells = b.mul(cells, b.emit("Pow", [rest, b.scalar(gamma)]));
  }
  if (weights) cells = b.mul(cells, weights);
  return b.reduceSum(b.where(labelled, cells, zero), [0, 1], 0);
}

/**
 * sum over labelled rows of w[label] ce: PyTorch's CrossEntropyLoss with `weight` and reduction "sum". Rows
 * without label are replaced before the softmax: whatever their logits hold, their gradient is exactly 0.
 */
function weightedLossSum(b: GraphBuilder, logits: Value, labels: Value, weights: Value): Value {
  const labelled = b.emit("GreaterOrEqual", [labels, b.scalar(0, "int64")]);
  const column = b.emit("Unsqueeze", [labelled, b.ints([1])]);
  const given = b.where(column, logits, b.scalar(0));
  return b.emit("SoftmaxCrossEntropyLoss", [given, labels, weights], {
    reduction: "sum",
    ignore_index: MISSING_CLASS,
  });
}

/** Weights are of the classes: the sum is that of w[label] over the labelled rows. */
function inverseCount(b: GraphBuilder, labels: Value, weights: Value | undefined): Value {
  const zero = b.scalar(0, "int64");
  const present = b.emit("GreaterOrEqual", [labels, zero]);
  if (!weights) return inverseCountOf(b, present);
  const ofRows = b.emit("Gather", [weights, b.where(present, labels, zero)], { axis: 0 });
  return inverseSumOf(b, b.where(present, ofRows, b.scalar(0)));
}

/** Sum over the images of KL(teacher || student), the teacher's probabilities [N, classes] given. */
function divergence(b: GraphBuilder, logits: Value, p: Value): Value {
  const student = b.emit("LogSoftmax", [logits], { axis: 1 });
  const log = b.emit("Log", [b.emit("Max", [p, b.scalar(LEAST_PROBABILITY)])]);
  return b.reduceSum(b.mul(p, b.sub(log, student)), [0, 1], 0);
}
