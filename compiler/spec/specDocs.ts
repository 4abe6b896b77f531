// The schema of the spec as documents: JSON Schema for editors, a Markdown table for the README.
// Both are pure functions of schema.ts, so that neither can go out of date.
import { z } from "zod";
import { InternalError } from "../diagnostics.ts";
import { AUGMENT_DEFAULTS, AUGMENT_KEYS, AUGMENT_NAMES } from "./augmentKeys.ts";
import { SPEC_KEYS, type SpecKey, specSchema } from "./schema.ts";

/** A JSON Schema object (draft 2020-12). */
export type JsonSchema = Readonly<Record<string, unknown>>;

/** JSON Schema of the spec as the user writes it (draft 2020-12), with the documentation of every key. */
export function specJsonSchema(): JsonSchema {
  // What a key decides is told in its text, where users need it.
  const schema = z.toJSONSchema(specSchema, {
    io: "input",
    override: ({ jsonSchema }) => {
      delete jsonSchema.decides;
    },
  });
  return { ...schema, title: "mttc experiment spec" };
}

/** Keys that the README lists, since most specs have them; docs/spec.md lists all. */
export const COMMON_KEYS: readonly SpecKey[] = [
  ...([
    "train_labels",
    "val_labels",
    "split",
    "filepaths",
    "tasks",
    "classes",
    "imshape",
    "augment",
  ] as const),
  ...(["fcn", "train_fcn", "shared_layers", "task_layers", "batch_size"] as const),
  ...(["task_weights", "balance_probs", "class_weights", "optimizer", "lr", "epochs", "logdir"] as const),
];

/** Markdown table `key | default | meaning` of keys, all of them unless told otherwise. */
export function specMarkdownTable(keys: readonly SpecKey[] = SPEC_KEYS): string {
  const properties = specJsonSchema().properties as Readonly<Record<string, JsonSchema>>;
  const rows = keys.map((key) => {
    const property = properties[key];
    if (typeof property?.description !== "string") throw new InternalError(`spec key ${key} is undocumented`);
    const fallback = "default" in property ? `\`${JSON.stringify(property.default)}\`` : "required";
    return `| \`${key}\` | ${fallback} | ${property.description.replaceAll("|", "\\|")} |`;
  });
  return ["| key | default | meaning |", "|---|---|---|", ...rows].join("\n");
}

/** Markdown table of the augmentation operations in their order: number, usual one, part of `augment: true`. */
export function augmentMarkdownTable(): string {
  const rows = AUGMENT_NAMES.map((name) => {
    const { kind, least, most, normal, doc } = AUGMENT_KEYS[name];
    const numbers = kind === "flag" ? "true | true" : `${least} to ${most} | ${normal}`;
    return `| \`${name}\` | ${numbers} | ${kind === "flag" && AUGMENT_DEFAULTS[name] ? true : (AUGMENT_DEFAULTS[name] ?? "")} | ${doc} |`;
  });
  const head = "| operation | value | usual | with `augment: true` | meaning |";
  return [head, "|---|---|---|---|---|", ...rows].join("\n");
}
