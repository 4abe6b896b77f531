// What a model serves for one image in one task, and how people read it: fields of a prediction, columns of
// tables.

/** Fields of a prediction beside file and task. */
export type Answer = Readonly<Record<string, unknown>>;

/** A cell, a number, yes or no, numbers by name in order, or a list and the cell that it is in a table. */
export type AnswerValue =
  | string
  | number
  | boolean
  | readonly (readonly [name: string, value: number])[]
  | { readonly list: readonly string[]; readonly text: string };

/**
 * The form of answers of one value: it is a field, a column and a head called `name`, and what `show` makes of
 * it, at most as wide as `sample`, where people read it.
 */
export function singleAnswer(
  name: string,
  sample: string,
  read: (numbers: readonly number[]) => string | number,
  show: (value: string | number) => string = String,
): Omit<AnswerForm, "promise" | "rule" | "accepts"> {
  const valueIn = (answer: Answer) => answer[name] as string | number;
  return {
    read: (numbers) => ({ [name]: read(numbers) }),
    columns: [name],
    values: (answer) => [valueIn(answer)],
    wide: [""],
    wideValues: (answer) => [valueIn(answer)],
    shown: { head: name, samples: [sample], text: (answer) => show(valueIn(answer)) },
  };
}

/** How the answers of a task are made and shown. */
export interface AnswerForm {
  /** What the served numbers are, for messages: "probabilities of 3 classes". */
  readonly promise: string;
  /** What must hold of them. */
  readonly rule: string;
  /** Whether the numbers [width] that were served for an image are what they should be. */
  readonly accepts: (numbers: readonly number[]) => boolean;
  readonly read: (numbers: readonly number[]) => Answer;
  /** Names of `values`: columns of the long table and keys of JSON, in order. */
  readonly columns: readonly string[];
  /** Of an answer the value of each column. */
  readonly values: (answer: Answer) => readonly AnswerValue[];
  /** Columns of the table with a row for each image. */
  readonly wide: readonly string[];
  readonly wideValues: (answer: Answer) => readonly (string | number)[];
  /** What a terminal shows: the answer under `head`, at most as wide as `samples`, and how sure it is. */
  readonly shown: {
    readonly head: string;
    readonly samples: readonly string[];
    readonly text: (answer: Answer) => string;
    /** From 0 to 1; absent where a kind does not say. */
    readonly probability?: (answer: Answer) => number;
  };
}
