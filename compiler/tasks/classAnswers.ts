// Answers of tasks of classes: the most probable class, and the probability of each.
import type { Answer, AnswerForm } from "./answer.ts";

/** Probabilities, and their sum, may be off by what float16 and other providers round. */
const PROBABILITY_SLACK = 0.01;

/** What a prediction says of a task of classes. */
export interface ClassAnswer {
  /** The most probable class (the first of equals) and its probability. */
  readonly class: string;
  readonly probability: number;
  /**
   * Of all classes, by name. JavaScript lists names that are integers first, in ascending order, whatever
   * their order in the model is: `classes` has that.
   */
  readonly probabilities: Readonly<Record<string, number>>;
  /** The classes in the model's order. */
  readonly classes: readonly string[];
  /** Whether the probability is below what the model answers with; absent of models that always answer. */
  readonly unsure?: boolean;
}

/** `below`: the probability from which on the model is sure; undefined where it always is. */
export function classAnswers(classes: readonly string[], below?: number): AnswerForm {
  const values = (answer: Answer): ClassAnswer => answer as unknown as ClassAnswer;
  const ordered = ({ probabilities }: ClassAnswer) =>
    classes.map((name) => [name, probabilities[name] ?? Number.NaN] as const);
  return {
    promise: `probabilities of ${classes.length} classes`,
    rule: "they must be finite, from 0 to 1, and sum to 1",
    accepts: areProbabilities,
    read: (numbers): Answer => {
      const best = numbers.reduce((top, value, c) => (value > (numbers[top] ?? Number.NaN) ? c : top), 0);
      return {
        class: classes[best] ?? "",
        probability: numbers[best] ?? Number.NaN,
        probabilities: Object.fromEntries(classes.map((name, c) => [name, numbers[c] ?? Number.NaN])),
        classes,
        ...(below === undefined ? {} : { unsure: !((numbers[best] ?? Number.NaN) >= below) }),
      };
    },
    columns: ["class", ...(below === undefined ? [] : [UNSURE]), "probability", "probabilities"],
    values: (answer) => {
      const read = values(answer);
      return [read.class, ...unsureOf(read), read.probability, ordered(read)];
    },
    wide: ["", ...(below === undefined ? [] : [`(${UNSURE})`]), ...classes],
    wideValues: (answer) => {
      const read = values(answer);
      return [read.class, ...unsureOf(read).map(String), ...ordered(read).map(([, value]) => value)];
    },
    shown: {
      head: "class",
      samples: below === undefined ? classes : classes.map(unsureText),
      text: (answer) => {
        const read = values(answer);
        return read.unsure ? unsureText(read.class) : read.class;
      },
      probability: (answer) => values(answer).probability,
    },
  };
}

const UNSURE = "unsure";

function unsureOf({ unsure }: ClassAnswer): readonly boolean[] {
  return unsure === undefined ? [] : [unsure];
}

/** What a terminal shows of an answer that is better left open. */
function unsureText(name: string): string {
  return `${UNSURE} (${name})`;
}

function areProbabilities(values: readonly number[]): boolean {
  const sum = values.reduce((total, value) => total + value, 0);
  const isInside = (value: number): boolean => value >= -PROBABILITY_SLACK && value <= 1 + PROBABILITY_SLACK;
  return values.every(isInside) && Math.abs(sum - 1) <= PROBABILITY_SLACK;
}
