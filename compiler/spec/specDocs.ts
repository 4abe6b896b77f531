// The schema of the spec as documents: JSON Schema for editors, a Markdown table for the README.
// Both are pure functions of schema.ts, so that neither can go out of date.
import { z } from "zod";
import { InternalError } from "../diagnostics.ts";
import { AUGMENT_DEFAULTS, AUGMENT_KEYS, AUGMENT_NAMES } from "./augmentKeys.ts";
import { SPEC_KEYS, specSchema } from "./schema.ts";

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

/** Markdown table `key | default | meaning` of all keys, in the schema's order. */
export function specMarkdownTable(): string {
  const properties = specJsonSchema().properties as Readonly<Record<string, JsonSchema>>;
  const rows = SPEC_KEYS.map((key) => {
    const property = properties[key];
    if (typeof property?.description !== "string") throw new InternalError(`spec key ${key} is undocumented`);
    const fallback = "default" in property ? `\`${JSON.stringify(property.default)}\`` : "required";
    return `| \`${key}\` | ${fallback} | ${property.description.replaceAll("|", "\\|")}${laterNote(property)} |`;
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

/** A key that accepts its default alone is one whose work comes later. */
function laterNote(property: JsonSchema): string {
  return "const" in property ? " Not available yet." : "";
}
