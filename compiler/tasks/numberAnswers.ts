// Answers of tasks of numbers: the number, or several by name, in the unit of the training labels.
import { type Answer, type AnswerForm, singleAnswer } from "./answer.ts";

const SHOWN_DIGITS = 6;
/** Of the radius of an interval. */
const RADIUS_DIGITS = 3;
/** Numbers of a vector in a terminal's table. */
const SHOWN_NUMBERS = 6;

/** What a prediction says of a task of numbers, in the unit of the training labels. */
export interface NumberAnswer {
  /** Of a task of one number. */
  readonly value?: number;
  /** Of a task of several, by name; see ClassAnswer for the order of names that are integers. */
  readonly values?: Readonly<Record<string, number>>;
  /** How far the truth lies from it at most, nine times of ten; of several by name. Of calibrated models. */
  readonly within?: number | Readonly<Record<string, number>>;
}

const SINGLE = singleAnswer(
  "value",
  "-1.23456e+100",
  ([value = Number.NaN]) => value,
  (value) => shownNumber(Number(value)),
);

/** `names` of the numbers of a row; `radius` of the interval round each, where one was fitted. */
export function numberAnswers(names: readonly string[], radius?: readonly number[]): AnswerForm {
  return {
    ...(names.length === 1 ? singleForm(radius?.[0]) : vectorForm(names, radius)),
    promise: names.length === 1 ? "number" : `${names.length} numbers`,
    rule: "they must be finite",
    accepts: (numbers) => numbers.every(Number.isFinite),
  };
}

type Form = Omit<AnswerForm, "promise" | "rule" | "accepts">;

const WITHIN = "within";

function singleForm(radius: number | undefined): Form {
  if (radius === undefined) return SINGLE;
  const numberIn = (answer: Answer): number => (answer as NumberAnswer).value ?? Number.NaN;
  const more = ` \u00b1 ${Number(radius.toPrecision(RADIUS_DIGITS))}`;
  return {
    read: (numbers): Answer => ({ value: numbers[0] ?? Number.NaN, [WITHIN]: radius }),
    columns: ["value", WITHIN],
    values: (answer) => [numberIn(answer), radius],
    wide: ["", `(${WITHIN})`],
    wideValues: (answer) => [numberIn(answer), radius],
    shown: {
      head: "value",
      samples: [`-1.23456e+100${more}`],
      text: (answer) => `${shownNumber(numberIn(answer))}${more}`,
    },
  };
}

function vectorForm(names: readonly string[], radius: readonly number[] | undefined): Form {
  const within = radius && names.map((name, i) => [name, radius[i] ?? Number.NaN] as const);
  const ordered = (answer: Answer) => {
    const { values } = answer as NumberAnswer;
    return names.map((name) => [name, values?.[name] ?? Number.NaN] as const);
  };
  const shown = (pairs: readonly (readonly [name: string, text: string])[]): string => {
    const rest = pairs.length - SHOWN_NUMBERS;
    const texts = pairs.slice(0, SHOWN_NUMBERS).map((pair) => pair.join(" "));
    return `${texts.join(", ")}${rest > 0 ? ` + ${rest}` : ""}`;
  };
  return {
    read: (numbers): Answer => ({
      values: Object.fromEntries(names.map((name, i) => [name, numbers[i] ?? Number.NaN])),
      ...(within && { [WITHIN]: Object.fromEntries(within) }),
    }),
    columns: ["values", ...(within ? [WITHIN] : [])],
    values: (answer) => [ordered(answer), ...(within ? [within] : [])],
    wide: names,
    wideValues: (answer) => ordered(answer).map(([, value]) => value),
    shown: {
      head: "values",
      samples: [shown(names.map((name) => [name, "-1234.56"]))],
      text: (answer) => shown(ordered(answer).map(([name, value]) => [name, shownNumber(value)])),
    },
  };
}

function shownNumber(value: number): string {
  return String(Number(value.toPrecision(SHOWN_DIGITS)));
}
