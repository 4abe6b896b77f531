// Answers of tasks of tags: those whose probability reaches their threshold, and the probability of each.
import type { Answer, AnswerForm } from "./answer.ts";
import { tagsText } from "./tagCells.ts";

/** Probabilities may be off by what float16 and other providers round. */
const PROBABILITY_SLACK = 0.01;
/** Characters of a cell of a terminal's table, and decimals of the probabilities in it. */
const SHOWN_WIDTH = 48;
const SHOWN_DECIMALS = 2;

/** What a prediction says of a task of tags. */
export interface TagAnswer {
  /** Tags whose probability is at least their threshold, the most probable first. */
  readonly tags: readonly string[];
  /** Of all tags, by name; see ClassAnswer for the order of names that are integers. */
  readonly probabilities: Readonly<Record<string, number>>;
}

export function tagAnswers(
  names: readonly string[],
  thresholds: readonly number[],
  separator: string,
): AnswerForm {
  const read = (answer: Answer): TagAnswer => answer as unknown as TagAnswer;
  const ordered = ({ probabilities }: TagAnswer) =>
    names.map((name) => [name, probabilities[name] ?? Number.NaN] as const);
  const whole = names.map((name) => `${name} ${(1).toFixed(SHOWN_DECIMALS)}`).join(", ");
  return {
    promise: `probabilities of ${names.length} tags`,
    rule: "they must be finite and from 0 to 1",
    accepts: (numbers) =>
      numbers.every((value) => value >= -PROBABILITY_SLACK && value <= 1 + PROBABILITY_SLACK),
    read: (numbers): Answer => {
      const pairs = names.map((name, i) => ({
        ...{ name, value: numbers[i] ?? Number.NaN, threshold: thresholds[i] ?? Number.NaN },
      }));
      const given = pairs.filter(({ value, threshold }) => value >= threshold);
      return {
        tags: given.toSorted((a, b) => b.value - a.value).map(({ name }) => name),
        probabilities: Object.fromEntries(pairs.map(({ name, value }) => [name, value])),
      };
    },
    columns: ["tags", "probabilities"],
    values: (answer) => {
      const { tags } = read(answer);
      return [{ list: tags, text: tagsText(tags, separator) }, ordered(read(answer))];
    },
    wide: ["", ...names],
    wideValues: (answer) => [
      tagsText(read(answer).tags, separator),
      ...ordered(read(answer)).map(([, value]) => value),
    ],
    shown: {
      head: "tags",
      samples: [whole.length > SHOWN_WIDTH ? "x".repeat(SHOWN_WIDTH) : whole],
      text: (answer) => shownText(read(answer)),
    },
  };
}

/** `red 0.93, blue 0.71 + 2`: as many as there is room for, and how many more. */
function shownText({ tags, probabilities }: TagAnswer): string {
  const parts = tags.map((tag) => `${tag} ${(probabilities[tag] ?? Number.NaN).toFixed(SHOWN_DECIMALS)}`);
  for (let shown = parts.length; shown > 0; shown--) {
    const rest = parts.length - shown;
    const text = `${parts.slice(0, shown).join(", ")}${rest > 0 ? ` + ${rest}` : ""}`;
    if (text.length <= SHOWN_WIDTH) return text;
  }
  return parts.length === 0 ? "none" : `${parts.length} tags`;
}
