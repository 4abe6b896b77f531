// Which keys of a spec decide what training computes, and which of them differ between the spec that a run
// was trained with and one that it is to go on with. The stored spec may be of an older mttc: a key that it
// lacks has its default. Pure.
import { SPEC_KEYS, type Spec, type SpecKey, specSchema } from "./schema.ts";

/** What of a key's value decides; undefined where nothing does. */
type DecisivePart = (value: unknown) => unknown;

const nothing: DecisivePart = () => undefined;

/** A model file decides by its content, whose hash stands beside the spec, not by its path. */
const allButPath: DecisivePart = (value) => {
  if (!isMap(value) || !("path" in value)) return value;
  const { path: _, ...settings } = value;
  return settings;
};

/** Features of images as they are give the numbers of the images; a fixed number of draws does not. */
const draws: DecisivePart = (value) =>
  isMap(value) && "draws" in value ? { draws: value.draws } : undefined;

/**
 * Keys that decide nothing (where things lie, how fast it goes, what is told), or by a part of their value. A
 * key that is not here decides with its whole value.
 */
const DECISIVE_PARTS: Readonly<Partial<Record<SpecKey, DecisivePart>>> = {
  logdir: nothing,
  train_labels: nothing,
  val_labels: nothing,
  filepaths: nothing,
  // What labels are made of a table; the labels themselves are compared.
  missing: nothing,
  unknown_val_classes: nothing,
  path_prefix: nothing,
  path_suffix: nothing,
  fcn: allButPath,
  num_parallel_calls: nothing,
  pack: nothing,
  cache_features: draws,
  image_root: nothing,
  max_megapixels: nothing,
  split_leak: nothing,
  on_bad_image: nothing,
  epochs: nothing,
  teacher: nothing,
  notes: nothing,
};

/** A key (or `key.inner`) that differs; values as JSON, "nothing" where there is none. */
export interface KeyChange {
  readonly key: string;
  readonly before: string;
  readonly now: string;
}

/**
 * The decisive keys in which `stored`, a resolved spec as an mttc of any version wrote it, differs from
 * `spec`, in the schema's order; keys that this mttc does not know come last.
 */
export function changedKeys(stored: Readonly<Record<string, unknown>>, spec: Spec): KeyChange[] {
  const known = SPEC_KEYS.flatMap((key) => {
    const part = DECISIVE_PARTS[key] ?? ((value: unknown) => value);
    const before = part(completed(key, stored[key]));
    return differences(key, before, part(spec[key]));
  });
  const later = Object.entries(stored).filter(([key]) => !SPEC_KEYS.includes(key as SpecKey));
  return [
    ...known,
    ...later.map(([key, value]) => ({ key, before: shown(value), now: "not a key of this mttc" })),
  ];
}

/** A stored value with the defaults of today; as it is where today's schema does not take it. */
function completed(key: SpecKey, value: unknown): unknown {
  const parsed = specSchema.shape[key].safeParse(value);
  return parsed.success ? parsed.data : value;
}

/** Of two maps the keys that differ, else the values as a whole. */
function differences(key: string, before: unknown, now: unknown): KeyChange[] {
  if (canonical(before) === canonical(now)) return [];
  const isSameKind = isMap(before) && isMap(now) && "layers" in before === "layers" in now;
  if (!isSameKind) return [{ key, before: shown(before), now: shown(now) }];
  const names = [...new Set([...Object.keys(before), ...Object.keys(now)])];
  return names.flatMap((name) => differences(`${key}.${name}`, before[name], now[name]));
}

/** JSON with the keys of maps in order: maps that say the same are the same. */
function canonical(value: unknown): string | undefined {
  return JSON.stringify(value, (_, inner: unknown) =>
    isMap(inner) ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1))) : inner,
  );
}

function shown(value: unknown): string {
  const text = value === undefined || value === null ? "nothing" : (JSON.stringify(value) ?? typeof value);
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}

function isMap(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
