// Labels of tasks of tags as people write them: a cell `a|b`, or a list as JSON has it; `[]` is the empty
// set.
import { classKey } from "../spec/classKey.ts";

/** What stands between the tags of a cell, unless the spec says otherwise. */
export const DEFAULT_SEPARATOR = "|";
/** The empty set, which is a label: an empty cell is none. */
export const NO_TAGS = "[]";

/** The tags that a label names, each once; undefined where it is no set of tags (`a||b`). */
export function tagsOf(label: string, separator: string): readonly string[] | undefined {
  const text = label.trim();
  const json = /^(\[.*\]|\{.*\})$/su.test(text) ? jsonOf(text) : undefined;
  const parts = json === undefined ? partsOf(text, separator) : namesIn(json);
  if (parts === undefined || parts.some((part) => part === "")) return undefined;
  return [...new Set(parts.map(classKey))];
}

/** Several blanks in a row are one separator; two others with nothing between them are a mistake. */
function partsOf(text: string, separator: string): string[] {
  return separator === " " ? text.split(/\s+/u) : text.split(separator).map((part) => part.trim());
}

/** Undefined for text that is no JSON, and so a tag as it stands. */
function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** The texts and numbers of a list, or of `{"choices": [...]}`; undefined where it is neither. */
function namesIn(json: unknown): string[] | undefined {
  if (typeof json === "object" && json !== null && "choices" in json) return namesIn(json.choices);
  if (!Array.isArray(json)) return undefined;
  const isName = (entry: unknown): boolean => ["string", "number", "boolean"].includes(typeof entry);
  return json.every(isName) ? json.map((entry) => String(entry).trim()) : undefined;
}

/** A set of tags as a label: what tagsOf reads. */
export function tagsText(tags: readonly string[], separator: string): string {
  return tags.length === 0 ? NO_TAGS : tags.join(separator);
}
