// The labels of tasks of tags: cells that hold sets, or a column of 0 and 1 for each tag -> flags, uint8, 1
// of a tag that an image has, 0 of others, MISSING_TAG where nobody said; and what columns that hold such
// look like.
import { classKey } from "../spec/classKey.ts";
import { MISSING_TAG } from "./missing.ts";
import { DEFAULT_SEPARATOR, tagsOf } from "./tagCells.ts";
import type { ColumnSurvey, Task, TaskKind } from "./task.ts";

/** What is known of tags whose cells hold sets. */
interface Facts {
  readonly tags: readonly string[];
  /** Between the tags of a cell. */
  readonly separator: string;
}

type TableLabels = Pick<Task["label"], "columns" | "names" | "encode" | "expected" | "strangers">;

/** Of cells that hold sets. */
export function setLabels(facts: Facts): TableLabels {
  const { tags, separator: between } = facts;
  const keys = new Set(tags.map(classKey));
  return {
    names: tags,
    encode: (names) => encodeTags(names, facts),
    // What was found to be a stranger may be a tag, or a cell that is no set.
    expected: (source, label) =>
      tagsOf(label, between) === undefined
        ? `a set of tags (a${between}b, or [] for none)`
        : `one of the tags that ${source}`,
    strangers: (label) => tagsOf(label, between)?.filter((tag) => !keys.has(classKey(tag))) ?? [],
  };
}

/** What a cell of a column may say of the tag that the column is of; true and false in any case. */
const FLAGS: Readonly<Record<string, number>> = { 0: 0, 1: 1, false: 0, true: 1 };

/** What a cell says; MISSING_TAG where it says something else. */
function flagOf(cell: string): number {
  const key = classKey(cell).toLowerCase();
  return (Object.hasOwn(FLAGS, key) ? FLAGS[key] : undefined) ?? MISSING_TAG;
}

/** Of a column for each tag. */
export function flagLabels(columns: readonly string[]): TableLabels {
  return {
    ...{ columns, names: [] },
    encode: (names) => Uint8Array.from(names, flagOf),
    expected: () => "0, 1 or empty (`missing` in the spec lists words that say nothing)",
  };
}

/** uint8 [names x tags]; a label that names others, or is no set, is missing whole. */
function encodeTags(names: readonly string[], facts: Facts): Uint8Array {
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
 * Sets of words between bars, one at least of several, that name each word twice or more on the mean; or
 * lists that do so, of words, or of numbers now more and now fewer: always as many are measured.
 */
export function surveyTags({ values, areLists }: ColumnSurvey): string | undefined {
  const [tags, sizes] = [new Set<string>(), new Set<number>()];
  let named = 0;
  for (const [label, rows] of values) {
    const set = tagsOf(label, DEFAULT_SEPARATOR);
    if (set === undefined) return undefined;
    for (const tag of set) tags.add(tag);
    named += rows * set.length;
    sizes.add(set.length);
  }
  const isWord = [...tags].some((tag) => Number.isNaN(Number(tag)));
  const hasSeveral = Math.max(...sizes) > 1;
  const isMeant = areLists ? tags.size > 0 && (isWord || sizes.size > 1) : hasSeveral && isWord;
  return isMeant && named >= 2 * tags.size ? `sets of ${tags.size} tags` : undefined;
}

/** Columns of 0 and 1 alone, both of them. */
export const FLAG_COLUMNS: NonNullable<TaskKind["surveyGroup"]> = {
  accepts: (values) => {
    const flags = new Set([...values.keys()].map(flagOf));
    return flags.size === 2 && !flags.has(MISSING_TAG);
  },
  holds: (columns) => `${columns} tags, a column of 0 and 1 each`,
};
