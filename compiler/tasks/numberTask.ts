// Tasks whose labels are numbers: regression. The head answers in deviations of the training labels from
// their mean; the loss is of z = (answer - label) / deviation, and what is evaluated and exported has the
// labels' unit.
// Labels are float32 [N, width]; NaN is missing.
import { z } from "zod";
import type { GraphBuilder } from "../ir/builder.ts";
import type { Value } from "../ir/types.ts";
import type { Answer, AnswerForm } from "./answer.ts";
import { NUMBER_REPORTS, NumberEvaluation } from "./numberEvaluation.ts";
import { numberParts } from "./numberParts.ts";
import { inverseOf } from "./presence.ts";
import {
  factsOf,
  type LossInputs,
  type Task,
  type TaskDescription,
  type TaskKind,
  type TaskLoss,
  type TrainingColumn,
} from "./task.ts";

const LOSS_NAMES = ["l2", "huber"] as const;

const factsSchema = z.object({
  /** Mean and standard deviation of the training labels, of each number of a row. */
  mean: z.array(z.number()).min(1).max(1_000),
  deviation: z.array(z.number().positive()).min(1).max(1_000),
  /** Of z: z^2, or Huber's with delta 1. */
  loss: z.enum(LOSS_NAMES),
});
type Facts = z.output<typeof factsSchema>;

/** Where Huber's loss goes over from z^2 / 2 to |z| - 1/2. */
const HUBER_DELTA = 1;

export const NUMBER: TaskKind = {
  kind: "number",
  doc: "a number; squared or Huber's error",
  settings: {
    loss: z
      .enum(LOSS_NAMES, { error: '"l2" or "huber"' })
      .default("l2")
      .describe("Of the error in deviations of the training labels: its square, or Huber's with delta 1."),
  },
  facts: factsSchema,
  survey: surveyNumbers,
  describe: describeNumber,
  open: openNumber,
};

/** Fewer different numbers than this are hardly measured. */
const LEAST_NUMBERS = 5;

/**
 * Numbers, too many for classes, and no mere numbering of the rows: whole ones, each once, without many gaps.
 */
function surveyNumbers(values: ReadonlyMap<string, number>, mayBeClasses: boolean): string | undefined {
  if (mayBeClasses) return undefined;
  const numbers = [...values.keys()].map(numberOf);
  if (numbers.length < LEAST_NUMBERS || numbers.some(Number.isNaN)) return undefined;
  const [least, most] = numbers.reduce(
    ([low, high], number) => [Math.min(low, number), Math.max(high, number)],
    [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY],
  );
  const isEachOnce = [...values.values()].every((rows) => rows === 1);
  const isNumbering = isEachOnce && numbers.every(Number.isInteger) && most - least < 2 * numbers.length;
  return isNumbering ? undefined : `numbers from ${least} to ${most}`;
}

/** Mean and standard deviation (over n, 1 where all labels are equal) of the training labels. */
function describeNumber(
  task: string,
  settings: Readonly<Record<string, unknown>>,
  { names, rows }: TrainingColumn,
): TaskDescription {
  const numbers = names.map(numberOf);
  const over = (part: (number: number) => number): number => {
    let [sum, count] = [0, 0];
    for (const [i, number] of numbers.entries()) {
      if (Number.isNaN(number)) continue;
      sum += (rows[i] ?? 0) * part(number);
      count += rows[i] ?? 0;
    }
    return count === 0 ? 0 : sum / count;
  };
  const mean = over((number) => number);
  const deviation = Math.sqrt(over((number) => (number - mean) ** 2)) || 1;
  return { task, kind: NUMBER.kind, mean: [mean], deviation: [deviation], loss: settings.loss };
}

/** The number that a label is; NaN where it is none, or one that no float32 holds. */
function numberOf(label: string): number {
  const number = DECIMAL.test(label) ? Number(label) : Number.NaN;
  return Number.isFinite(Math.fround(number)) ? number : Number.NaN;
}

const DECIMAL = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;

function openNumber(description: TaskDescription): Task {
  const facts = factsOf(factsSchema, description);
  const { mean, deviation, loss } = facts;
  const width = mean.length;
  const numbers = width === 1 ? [description.task] : mean.map((_, i) => `${description.task} ${i}`);
  const value = {
    name: "value",
    of: (b: GraphBuilder, y: Value) => b.add(b.mul(y, row(b, deviation)), row(b, mean)),
  };
  const lossOf = (errors: readonly number[]): number =>
    errors.reduce((sum, error, i) => sum + LOSSES[loss].of(error / (deviation[i] ?? 1)), 0) / width;
  return {
    ...{ name: description.task, kind: NUMBER.kind, description, width, numbers },
    numbersAre: "numbers",
    label: {
      ...{ dtype: "float32", shape: [width], encoding: "number", missing: "nan", names: [] },
      expected: () => "a number",
      encode: (names) => Float32Array.from(names, numberOf),
    },
    groups: groupsOf(mean[0] ?? 0, deviation[0] ?? 1),
    figures: ["loss_sum", "count", "absolute_error"],
    loss: (inputs) => lossOfRows(inputs, facts),
    inverseCount: (b, labels) => inverseOf(b, countRows(b, present(b, labels), width)),
    certainty: 0.5,
    outputs: [value],
    scored: value.name,
    served: value,
    evaluation: () => new NumberEvaluation(mean, lossOf),
    reports: { ...NUMBER_REPORTS, ...numberParts(numbers) },
    answers: numberAnswers(width),
  };
}

/** Ends of groups in deviations from the mean: what is counted, drawn and balanced like a class. */
const GROUP_ENDS = [-2, -1, 0, 1, 2];

/** Groups by the first number of a row: below the first end, between two of them, from the last on. */
function groupsOf(mean: number, deviation: number): Task["groups"] {
  const ends = GROUP_ENDS.map((end) => mean + end * deviation);
  const texts = ends.map((end) => String(Number(end.toPrecision(GROUP_DIGITS))));
  return {
    names: [
      `below ${texts[0]}`,
      ...texts.slice(1).map((text, i) => `${texts[i]} to ${text}`),
      `${texts.at(-1)} and more`,
    ],
    areClasses: false,
    of: (row) => {
      const [value = Number.NaN] = Array.from(row);
      return Number.isNaN(value) ? [] : [ends.filter((end) => value >= end).length];
    },
  };
}

const GROUP_DIGITS = 4;

/** Of the elements [N, width] of z: in a graph, and of one number. */
const LOSSES = {
  l2: { emit: (b: GraphBuilder, z: Value): Value => b.mul(z, z), of: (z: number): number => z * z },
  /** z^2 / 2 up to delta, then delta (|z| - delta / 2): c (|z| - c / 2) with c = min(|z|, delta). */
  huber: {
    emit: (b: GraphBuilder, z: Value): Value => {
      const size = b.emit("Abs", [z]);
      const near = b.emit("Min", [size, b.scalar(HUBER_DELTA)]);
      return b.mul(near, b.sub(size, b.mul(near, b.scalar(0.5))));
    },
    of: (z: number): number => {
      const near = Math.min(Math.abs(z), HUBER_DELTA);
      return near * (Math.abs(z) - near / 2);
    },
  },
} as const satisfies Readonly<Record<Facts["loss"], object>>;

/**
 * Sum over the labelled rows of the mean over their numbers of the loss of z = y - (label - mean) /
 * deviation. In rows without label z is 0 by choice, not by a product: whatever their answers hold, their
 * gradient is 0.
 */
function lossOfRows({ b, y, labels }: LossInputs, { mean, deviation, loss }: Facts): TaskLoss {
  const width = mean.length;
  const given = present(b, labels);
  const target = b.div(b.sub(labels, row(b, mean)), row(b, deviation));
  const z = b.where(given, b.sub(y, target), b.scalar(0));
  const sum = overRows(b, LOSSES[loss].emit(b, z), width);
  const error = overRows(b, b.mul(b.emit("Abs", [z]), row(b, deviation)), width);
  return {
    objective: sum,
    figures: { loss_sum: sum, count: countRows(b, given, width), absolute_error: error },
  };
}

/** bool [N, width]: which labels are there; all of a row or none. */
function present(b: GraphBuilder, labels: Value): Value {
  return b.emit("Not", [b.emit("IsNaN", [labels])]);
}

function countRows(b: GraphBuilder, given: Value, width: number): Value {
  return overRows(b, b.cast(given, "float32"), width);
}

/** Sum over the rows of the mean over the columns of [N, width]: a scalar. */
function overRows(b: GraphBuilder, x: Value, width: number): Value {
  const sum = b.reduceSum(x, [0, 1], 0);
  return width === 1 ? sum : b.div(sum, b.scalar(width));
}

function row(b: GraphBuilder, numbers: readonly number[]): Value {
  return b.constant({ dtype: "float32", shape: [numbers.length], data: Float64Array.from(numbers) });
}

/** What a prediction says of a task of numbers. */
export interface NumberAnswer {
  /** In the unit of the training labels; of a vector the first of `values`. */
  readonly value: number;
  readonly values?: readonly number[];
}

function numberAnswers(width: number): AnswerForm {
  const numbersOf = (answer: Answer): readonly number[] => {
    const { value, values } = answer as unknown as NumberAnswer;
    return values ?? [value];
  };
  const columns = width === 1 ? ["value"] : Array.from({ length: width }, (_, i) => `value ${i}`);
  const shownText = (answer: Answer): string =>
    numbersOf(answer)
      .map((number) => String(Number(number.toPrecision(SHOWN_DIGITS))))
      .join(" ");
  return {
    promise: width === 1 ? "number" : `${width} numbers`,
    rule: "they must be finite",
    accepts: (numbers) => numbers.every(Number.isFinite),
    read: (numbers): Answer => ({
      value: numbers[0] ?? Number.NaN,
      ...(width === 1 ? {} : { values: [...numbers] }),
    }),
    columns,
    values: numbersOf,
    wide: width === 1 ? [""] : columns,
    wideValues: numbersOf,
    shown: {
      head: "value",
      samples: [Array.from({ length: width }, () => "-1.23456e+100").join(" ")],
      text: shownText,
    },
  };
}

const SHOWN_DIGITS = 6;
