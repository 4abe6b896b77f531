// Answers of tasks of numbers: the number, or several by name, in the unit of the training labels.
import { type Answer, type AnswerForm, singleAnswer } from "./answer.ts";

const SHOWN_DIGITS = 6;
/** Numbers of a vector in a terminal's table. */
const SHOWN_NUMBERS = 6;

/** What a prediction says of a task of numbers, in the unit of the training labels. */
export interface NumberAnswer {
  /** Of a task of one number. */
  readonly value?: number;
  /** Of a task of several, by name; see ClassAnswer for the order of names that are integers. */
  readonly values?: Readonly<Record<string, number>>;
}

const SINGLE = singleAnswer(
  "value",
  "-1.23456e+100",
  ([value = Number.NaN]) => value,
  (value) => shownNumber(Number(value)),
);

/** `names` of the numbers of a row. */
export function numberAnswers(names: readonly string[]): AnswerForm {
  return {
    ...(names.length === 1 ? SINGLE : vectorForm(names)),
    promise: names.length === 1 ? "number" : `${names.length} numbers`,
    rule: "they must be finite",
    accepts: (numbers) => numbers.every(Number.isFinite),
  };
}

function vectorForm(names: readonly string[]): Omit<AnswerForm, "promise" | "rule" | "accepts"> {
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
    }),
    columns: ["values"],
    values: (answer) => [ordered(answer)],
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
