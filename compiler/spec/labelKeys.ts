// Keys of the spec that say how the cells of a label table are read: missing-value words, classes that
// validation alone has, and what is put before and behind the paths of images. A part of specSchema.
import { z } from "zod";

/** Words that mean "no label" in cells without quotes, unless `missing` lists others. */
export const DEFAULT_MISSING = ["None", "NaN", "nan", "null", "NULL", "NA", "N/A"] as const;

const MAX_WORDS = 1_000;
const MAX_CHARACTERS = 4_096;
const wordPhrase = { error: "a word or a number" };
const prefixPhrase = { error: "text, or a map {from: to}" };
const textPhrase = { error: "text" };

const text = z.string(textPhrase).max(MAX_CHARACTERS, textPhrase);

/** The keys, in the order in which the README lists them. */
export const LABEL_KEYS = {
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
    ),
  unknown_val_classes: z
    .enum(["error", "ignore"], { error: '"error" or "ignore"' })
    .default("error")
    .describe(
      "What a label is that validation alone has: a fault, or no label (`ignore`: such rows are counted and told).",
    ),
  path_prefix: z
    .union([z.null(), text, z.record(text.min(1, textPhrase), text, prefixPhrase)], prefixPhrase)
    .default(null)
    .describe(
      "Text before every image path of the label tables (`images/`), or a map {from: to} of beginnings to replace (the " +
        "longest that fits); paths that begin otherwise stay.",
    ),
  path_suffix: z
    .union([z.null(), text], textPhrase)
    .default(null)
    .describe("Text behind every image path that does not end so yet: `.jpg` where the column holds ids."),
};
