// The section of the spec about labels: which tables and columns hold them, how their cells and paths are
// read, which classes there are, and where the images that they name may lie.
import { z } from "zod";
import { TASK_KINDS } from "../tasks/taskTable.ts";
import { decides, integer, phrase, text } from "./keyKinds.ts";

/** Words that mean "no label" in cells without quotes, unless `missing` lists others. */
export const DEFAULT_MISSING = ["None", "NaN", "nan", "null", "NULL", "NA", "N/A"] as const;

const MAX_WORDS = 1_000;
const MAX_CHARACTERS = 4_096;
const wordPhrase = { error: "a word or a number" };
const prefixPhrase = { error: "text, or a map {from: to}" };
const textPhrase = { error: "text" };

const cellText = z.string(textPhrase).max(MAX_CHARACTERS, textPhrase);

const FORBIDDEN_NAMES = new Set(["__proto__", "constructor", "prototype"]);
const taskPhrase =
  "a task's name: 1 to 100 characters, no / \\ : or control characters, no leading dot or space";

function isTaskName(name: string): boolean {
  return name.length <= 100 && /^[^./\\:\s\p{Cc}][^/\\:\p{Cc}]*$/u.test(name) && !FORBIDDEN_NAMES.has(name);
}

const taskName = z.string(phrase(taskPhrase)).refine(isTaskName, phrase(taskPhrase));
/** The kinds that an entry may name, those of all tasks or of tasks that must say theirs. */
const kindNames = TASK_KINDS.map(({ kind }) => `"${kind}"`).join(" or ");

/** Refuses a kind that there is not. */
const kindFault = { error: `a kind of tasks: ${kindNames}` };

/** A kind of tasks and its settings (taskTable.ts). */
export type KindSettings = { readonly kind: string } & Readonly<Record<string, unknown>>;

/** A map for each kind, told apart by the key `kind`, with `more` keys. */
function kindMaps(more: Readonly<Record<string, z.ZodType>>) {
  const maps = TASK_KINDS.map(({ kind, settings }) =>
    z.strictObject({ ...more, kind: z.literal(kind), ...settings }),
  );
  return z.discriminatedUnion("kind", maps as [(typeof maps)[number]], kindFault);
}

const entryPhrase = `${taskPhrase}; or a map {name, kind, ...}`;
const namedKind = kindMaps({ name: taskName }) as unknown as z.ZodType<
  KindSettings & { readonly name: string },
  KindSettings & { readonly name: string }
>;
const taskEntry = z.union([taskName, namedKind], phrase(entryPhrase));
const kindSettings = kindMaps({}) as unknown as z.ZodType<KindSettings, KindSettings>;

/** Keys that a map which names a kind may have. */
export function kindKeys(map: unknown): readonly string[] {
  const kind = typeof map === "object" && map !== null && "kind" in map ? map.kind : undefined;
  const known = TASK_KINDS.find((candidate) => candidate.kind === kind);
  return ["name", "kind", ...Object.keys(known?.settings ?? {})];
}

const classPhrase = "a class: a non-empty string or an integer";
const className = z
  .union([z.string().min(1), z.int()], phrase(classPhrase))
  .transform((name: string | number): string => String(name));
const classesPhrase = "a map from a task's name to a list of two or more classes";

const sharePhrase = "a share of the rows above 0 and below 1";
const share = z.number(phrase(sharePhrase)).gt(0, phrase(sharePhrase)).lt(1, phrase(sharePhrase));

const splitKeys = z.strictObject(
  {
    val: share.nullable().default(null).describe("Share of the rows for validation."),
    test: share.nullable().default(null).describe("Share of the rows that training never sees."),
    by: text("the name of a column")
      .nullable()
      .default(null)
      .describe("Column of groups (patient, site): rows of a group stay together."),
    folds: integer(2, 100).nullable().default(null).describe("In place of `val`: so many equal parts, ..."),
    fold: integer(1, 100).nullable().default(null).describe("... of which this one validates, from 1."),
    seed: integer(0, Number.MAX_SAFE_INTEGER, "an integer from 0 to 2^53 - 1")
      .default(0)
      .describe("Another number splits otherwise; the spec's own `seed` does not."),
  },
  phrase("a map such as {val: 0.2, test: 0.1, by: patient}"),
);

/** Keys of a `split`. */
export const SPLIT_NAMES: readonly string[] = Object.keys(splitKeys.shape);

/** The keys, in the order in which the README lists them. */
export const LABEL_KEYS = {
  train_labels: text("the path of a label table")
    .nullable()
    .default(null)
    .describe(
      "Label table (.csv, .tsv, .jsonl, .parquet) with a column of image paths and a column per task; empty " +
        "cells are missing labels. Or, for one task, a folder with a folder of images per class.",
    )
    .meta(decides("nothing")),
  val_labels: text("the path of a label table")
    .nullable()
    .default(null)
    .describe("Label table of the same form, for evaluation after each epoch.")
    .meta(decides("nothing")),
  test_labels: text("the path of a label table")
    .nullable()
    .default(null)
    .describe("Label table of the same form that training never sees: `mttc evaluate RUN --test`.")
    .meta(decides("nothing")),
  split: splitKeys
    .nullable()
    .default(null)
    .describe(
      "Splits `train_labels` in place of further tables: `{val: 0.2, test: 0.1, by: patient}` are shares of the rows, " +
        "alike in all labels, groups of the column `by` kept together.",
    ),
  filepaths: text("the name of a column")
    .default("filepath")
    .describe("Name of the column of image paths.")
    .meta(decides("nothing")),
  tasks: z
    .array(taskEntry, phrase("a list of task names (columns of the label table)"))
    .min(1, phrase("at least one task"))
    .max(1_000, phrase("at most 1000 tasks"))
    .describe(
      "The tasks: names of label columns, one head each; a task that is not of classes as a map, such as " +
        "`{name: weight, kind: number, loss: huber}` or `{name: colours, kind: tags}` (cells `red|blue`, `[]` for none); " +
        "with `columns: [x, y]` each number, or tag (0 or 1), has a column of its own.",
    ),
  task_kinds: z
    .record(z.string(), kindSettings, phrase("a map from a task's name to its kind, {kind: ...}"))
    .default({})
    .describe(
      "Kinds of the tasks that are not of classes, and settings of those that are, by name: the same as maps in `tasks`.",
    ),
  classes: z
    .record(
      z.string(),
      z
        .array(className, phrase("a list of classes"))
        .min(2, phrase("two or more classes"))
        .max(100_000, phrase("at most 100000 classes")),
      phrase(classesPhrase),
    )
    .default({})
    .describe("Classes per task in their order; a task without an entry takes those of the training labels."),
  missing: z
    .array(z.union([z.string().min(1).max(MAX_WORDS), z.number(), z.null()], wordPhrase), {
      error: "a list of words and numbers",
    })
    .max(MAX_WORDS, { error: `at most ${MAX_WORDS} words` })
    // YAML's own null is how the words null and NULL read without quotes.
    .transform((words) => words.flatMap((word) => (word === null ? ["null", "NULL"] : [word])))
    .prefault([...DEFAULT_MISSING])
    .describe(
      "What means a missing label in a cell without quotes, spelled exactly so; numbers by value, such as -1. Empty " +
        "cells are always missing; a word that `classes` names is a class.",
    )
    .meta(decides("nothing")),
  unknown_val_classes: z
    .enum(["error", "ignore"], { error: '"error" or "ignore"' })
    .default("error")
    .describe(
      "What a label is that validation or test alone has: a fault, or no label (`ignore`: such rows are counted and told).",
    )
    .meta(decides("nothing")),
  path_prefix: z
    .union([z.null(), cellText, z.record(cellText.min(1, textPhrase), cellText, prefixPhrase)], prefixPhrase)
    .default(null)
    .describe(
      "Text before every image path of the label tables (`images/`), or a map {from: to} of beginnings to replace (the " +
        "longest that fits); paths that begin otherwise stay.",
    )
    .meta(decides("nothing")),
  path_suffix: z
    .union([z.null(), cellText], textPhrase)
    .default(null)
    .describe("Text behind every image path that does not end so yet: `.jpg` where the column holds ids.")
    .meta(decides("nothing")),
  image_root: text("a folder")
    .nullable()
    .default(null)
    .describe(
      "Folder that all images of the label tables must lie in (/ allows any); null: the table's own folder or the spec's.",
    )
    .meta(decides("nothing")),
  split_leak: z
    .enum(["error", "allow"], phrase('"error" or "allow"'))
    .default("error")
    .describe(
      "What an image is that two of the training, validation and test labels have; evaluation would flatter.",
    )
    .meta(decides("nothing")),
};
