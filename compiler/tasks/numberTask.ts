// Tasks whose labels are numbers, one or several of an image: regression. The head answers in deviations of
// the training labels from their mean; the loss is of z = (answer - label) / deviation, and what is evaluated
// and exported has the labels' unit.
// Labels are float32 [N, width]; NaN is missing, of several numbers each for itself.
import { z } from "zod";
import type { GraphBuilder } from "../ir/builder.ts";
import type { Value } from "../ir/types.ts";
import { columnsSetting, settingColumns } from "./columnGroups.ts";
import { numberAnswers } from "./numberAnswers.ts";
import { NUMBER_FITS, numberCalibration } from "./numberCalibration.ts";
import { NumberEvaluation, numberReports } from "./numberEvaluation.ts";
import { numberParts } from "./numberParts.ts";
import { inverseCountOf, inverseOf } from "./presence.ts";
import {
  type AdoptedUnit,
  type ColumnSurvey,
  factsOf,
  type LossInputs,
  type Task,
  type TaskDescription,
  type TaskKind,
  type TaskLoss,
  type TrainingColumn,
} from "./task.ts";

const LOSS_NAMES = ["l2", "huber"] as const;

const MAX_NUMBERS = 1_000;

const factsSchema = z
  .object({
    /** Mean and standard deviation of the training labels, of each number of a row. */
    mean: z.array(z.number()).min(1).max(MAX_NUMBERS),
    deviation: z.array(z.number().positive()).min(1).max(MAX_NUMBERS),
    /** Of z: z^2, or Huber's with delta 1. */
    loss: z.enum(LOSS_NAMES),
    /** Columns of the numbers of a row, where the spec names such. */
    columns: z.array(z.string().min(1)).optional(),
    ...NUMBER_FITS,
  })
  .refine(({ mean, deviation, columns = mean, interval }) => {
    const others = [deviation, columns, interval?.radius ?? mean];
    return others.every(({ length }) => length === mean.length);
  }, "mean, deviation, columns and radius are of different numbers");
type Facts = z.output<typeof factsSchema>;

/** Where Huber's loss goes over from z^2 / 2 to |z| - 1/2. */
const HUBER_DELTA = 1;

export const NUMBER: TaskKind = {
  kind: "number",
  doc: "a number, or several; squared or Huber's error",
  settings: {
    loss: z
      .enum(LOSS_NAMES, { error: '"l2" or "huber"' })
      .default("l2")
      .describe("Of the error in deviations of the training labels: its square, or Huber's with delta 1."),
    columns: columnsSetting(MAX_NUMBERS),
  },
  mostColumns: MAX_NUMBERS,
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
function surveyNumbers({ values, mayBeClasses }: ColumnSurvey): string | undefined {
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

function describeNumber(
  task: string,
  settings: Readonly<Record<string, unknown>>,
  ...columns: readonly TrainingColumn[]
): TaskDescription {
  const scales = columns.map(scaleOf);
  const names = settingColumns(settings);
  // Descriptions are hashed as they are: a new fact stands behind the others, and only where there is one.
  return {
    ...{ task, kind: NUMBER.kind },
    mean: scales.map(({ mean }) => mean),
    deviation: scales.map(({ deviation }) => deviation),
    loss: settings.loss,
    ...(names ? { columns: names } : {}),
  };
}

/** Mean and standard deviation (over n, 1 where all labels are equal) of a column of training labels. */
function scaleOf({ names, rows }: TrainingColumn): { readonly mean: number; readonly deviation: number } {
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
  return { mean, deviation: Math.sqrt(over((number) => (number - mean) ** 2)) || 1 };
}

/** The number that a label is; NaN where it is none, or one that no float32 holds. */
function numberOf(label: string): number {
  const number = DECIMAL.test(label) ? Number(label) : Number.NaN;
  return Number.isFinite(Math.fround(number)) ? number : Number.NaN;
}

const DECIMAL = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;

function openNumber(description: TaskDescription): Task {
  const facts = factsOf(factsSchema, description);
  const { mean, deviation, loss, columns, interval } = facts;
  const width = mean.length;
  const names =
    columns ?? (width === 1 ? [description.task] : mean.map((_, i) => `${description.task} ${i}`));
  const value = {
    name: "value",
    of: (b: GraphBuilder, y: Value) => b.add(b.mul(y, row(b, deviation)), row(b, mean)),
  };
  const lossOf = (error: number, i: number): number => LOSSES[loss].of(error / (deviation[i] ?? 1));
  return {
    ...{ name: description.task, kind: NUMBER.kind, description, width, numbers: names },
    numbersAre: "numbers",
    label: {
      ...{ dtype: "float32", shape: [width], encoding: "number", missing: "nan", names: [], columns },
      expected: () => "a number",
      encode: (names) => Float32Array.from(names, numberOf),
    },
    groups: groupsOf(facts, names),
    figures: ["loss_sum", "count", "absolute_error"],
    loss: (inputs) => lossOfRows(inputs, facts),
    lossText: () => loss,
    inverseCount: (b, labels) => {
      const given = present(b, labels);
      return width === 1 ? inverseOf(b, countCells(b, given)) : inverseCountOf(b, anyOf(b, given));
    },
    certainty: 0.5,
    outputs: [value],
    scored: value.name,
    served: value,
    evaluation: () => new NumberEvaluation(mean, lossOf),
    reports: { ...numberReports(names), ...numberParts(names) },
    // Ones: a condition that never holds leaves the number 1, for a batch of any size.
    explained: (b, y) => b.where(b.emit("Less", [y, y]), y, b.scalar(1)),
    ...numberCalibration(description, names),
    answers: numberAnswers(names, interval?.radius),
    distil: (b, y, teacher) => squaredDistance(b, y, teacher, facts),
    unitsFrom: (theirs) => unitsOf(facts, factsSchema.safeParse(theirs.description).data),
  };
}

/** The same values in the unit of the labels: y deviation + mean, of standardised answers y. */
function unitsOf({ mean, deviation }: Facts, theirs: Facts | undefined): (AdoptedUnit | undefined)[] {
  return mean.map((own, i) => {
    const [before, spread, ownSpread] = [theirs?.mean[i], theirs?.deviation[i], deviation[i] ?? 1];
    if (theirs?.mean.length !== mean.length || before === undefined || spread === undefined) return undefined;
    return { from: i, scale: spread / ownSpread, shift: (before - own) / ownSpread };
  });
}

/** Ends of groups in deviations from the mean: what is counted, drawn and balanced like a class. */
const GROUP_ENDS = [-2, -1, 0, 1, 2];

/** Groups of each number of a row: below the first end, between two of them, from the last on. */
function groupsOf({ mean, deviation }: Facts, names: readonly string[]): Task["groups"] {
  const ends = mean.map((middle, i) => GROUP_ENDS.map((end) => middle + end * (deviation[i] ?? 1)));
  return {
    names: ends.flatMap((ofNumber, i) => {
      const texts = ofNumber.map((end) => String(Number(end.toPrecision(GROUP_DIGITS))));
      const between = texts.slice(1).map((text, at) => `${texts[at]} to ${text}`);
      const groups = [`below ${texts[0]}`, ...between, `${texts.at(-1)} and more`];
      return mean.length === 1 ? groups : groups.map((group) => `${names[i]} ${group}`);
    }),
    areClasses: false,
    areOrdered: true,
    text: mean.length === 1 ? "a number, by ranges" : `${mean.length} numbers, by ranges`,
    of: (row) =>
      Array.from(row).flatMap((value, i) => {
        if (Number.isNaN(value)) return [];
        const below = ends[i]?.filter((end) => value >= end).length ?? 0;
        return [i * (GROUP_ENDS.length + 1) + below];
      }),
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
 * Sum over the labelled rows of the mean over their known numbers of the loss of z = y - (label - mean) /
 * deviation. Where a label is missing z is 0 by choice, not by a product: whatever the answer holds, its
 * gradient is 0.
 */
function lossOfRows({ b, y, labels }: LossInputs, { mean, deviation, loss }: Facts): TaskLoss {
  const given = present(b, labels);
  const target = b.div(b.sub(labels, row(b, mean)), row(b, deviation));
  const z = b.where(given, b.sub(y, target), b.scalar(0));
  const isVector = mean.length > 1;
  const known = isVector ? knownOf(b, given) : undefined;
  const overRows = (x: Value): Value => total(b, known ? b.div(x, known) : x);
  const sum = overRows(LOSSES[loss].emit(b, z));
  const error = overRows(b.mul(b.emit("Abs", [z]), row(b, deviation)));
  const count = isVector ? b.reduceSum(b.cast(anyOf(b, given), "float32"), [0], 0) : countCells(b, given);
  return { objective: sum, figures: { loss_sum: sum, count, absolute_error: error } };
}

/**
 * Sum over the images of the mean over their numbers of the squared difference from a teacher's, whose
 * answers have the labels' unit, in deviations of the student's training labels.
 */
function squaredDistance(b: GraphBuilder, y: Value, teacher: Value, { mean, deviation }: Facts): Value {
  const target = b.div(b.sub(teacher, row(b, mean)), row(b, deviation));
  const difference = b.sub(y, target);
  const sum = total(b, b.mul(difference, difference));
  return mean.length === 1 ? sum : b.div(sum, b.scalar(mean.length));
}

/** bool [N, width]: which labels are there. */
function present(b: GraphBuilder, labels: Value): Value {
  return b.emit("Not", [b.emit("IsNaN", [labels])]);
}

/** Known numbers of each row, [N, 1]; 1 where there are none. */
function knownOf(b: GraphBuilder, given: Value): Value {
  return b.emit("Max", [b.reduceSum(b.cast(given, "float32"), [1], 1), b.scalar(1)]);
}

/** bool [N]: rows with a known number. */
function anyOf(b: GraphBuilder, given: Value): Value {
  return b.emit("Greater", [b.reduceSum(b.cast(given, "float32"), [1], 0), b.scalar(0)]);
}

function countCells(b: GraphBuilder, given: Value): Value {
  return total(b, b.cast(given, "float32"));
}

function total(b: GraphBuilder, x: Value): Value {
  return b.reduceSum(x, [0, 1], 0);
}

function row(b: GraphBuilder, numbers: readonly number[]): Value {
  return b.constant({ dtype: "float32", shape: [numbers.length], data: Float64Array.from(numbers) });
}
