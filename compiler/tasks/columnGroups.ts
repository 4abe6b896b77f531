// Tasks whose labels lie in several columns of a table: which those are, as the spec's `columns` names them.
import { z } from "zod";

const MAX_NAME = 1_000;
const namePhrase = { error: "the name of a column" };

/** The setting `columns` of a kind whose tasks may have as many as `most`. */
export function columnsSetting(most: number): z.ZodType {
  const phrase = { error: `a list of 1 to ${most} different columns of the label table` };
  return z
    .array(z.string(namePhrase).trim().min(1, namePhrase).max(MAX_NAME, namePhrase), phrase)
    .min(1, phrase)
    .max(most, phrase)
    .refine((columns) => new Set(columns).size === columns.length, phrase)
    .optional()
    .describe("Columns of the label table that hold a number of the labels each, in place of one column.");
}

/** The columns that a task's settings name; undefined where its labels lie in one of its name. */
export function settingColumns(
  settings: Readonly<Record<string, unknown>> | undefined,
): readonly string[] | undefined {
  const { columns } = settings ?? {};
  return Array.isArray(columns) ? columns.map(String) : undefined;
}

/** The columns of those tasks that have such, by task. */
export function columnGroups(
  kinds: Readonly<Record<string, Readonly<Record<string, unknown>>>>,
): Readonly<Record<string, readonly string[]>> {
  const groups = Object.entries(kinds).flatMap(([task, settings]) => {
    const columns = settingColumns(settings);
    return columns ? [[task, columns] as const] : [];
  });
  return Object.fromEntries(groups);
}
