// Which keys that decide what training computes differ between the spec that a run was trained with and one
// that it is to go on with; each key of the schema says itself what of it decides. The stored spec may be of
// an older mttc: a key that it lacks has its default. Pure.
import type { Decides } from "./keyKinds.ts";
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

const PARTS: Readonly<Record<Decides, DecisivePart>> = { nothing, settings: allButPath, draws };

/** What of the key's value decides, as the schema says; the whole of it where it says nothing. */
function partOf(key: SpecKey): DecisivePart {
  const said = specSchema.shape[key].meta()?.decides as Decides | undefined;
  return said === undefined ? (value) => value : PARTS[said];
}

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
  const known = SPEC_KEYS.flatMap((key) => changesOf(key, stored, spec));
  const later = Object.entries(stored).filter(([key]) => !SPEC_KEYS.includes(key as SpecKey));
  return [
    ...known,
    ...later.map(([key, value]) => ({ key, before: shown(value), now: "not a key of this mttc" })),
  ];
}

/** What a run that is gone on with makes of a spec. */
export interface SettledKeys {
  /** Values of the run, by key, in place of those of the spec. */
  readonly values: Partial<Spec>;
  /** What differs in the keys of `values`. */
  readonly kept: readonly KeyChange[];
  /** What differs in other keys: the spec is another. */
  readonly refused: readonly KeyChange[];
}

/**
 * The decisive keys in which `stored` differs from `spec`, by who decides: a key that the user did not write
 * (`given` has those that he did; undefined for all) is the run's, whatever its default is now. Decided by
 * whole keys: of a map that was written, what it leaves out counts as written. A value that this mttc no
 * longer takes cannot be kept.
 */
export function settleKeys(
  stored: Readonly<Record<string, unknown>>,
  spec: Spec,
  given: ReadonlySet<SpecKey> | undefined,
): SettledKeys {
  const values: Partial<Record<SpecKey, unknown>> = {};
  for (const key of SPEC_KEYS) {
    if (given === undefined || given.has(key) || changesOf(key, stored, spec).length === 0) continue;
    const parsed = specSchema.shape[key].safeParse(stored[key]);
    if (parsed.success) values[key] = parsed.data;
  }
  const known = values as Partial<Spec>;
  return {
    values: known,
    kept: SPEC_KEYS.flatMap((key) => (Object.hasOwn(known, key) ? changesOf(key, stored, spec) : [])),
    refused: changedKeys(stored, { ...spec, ...known }),
  };
}

/** What differs in one key. */
function changesOf(key: SpecKey, stored: Readonly<Record<string, unknown>>, spec: Spec): KeyChange[] {
  const part = partOf(key);
  return differences(key, part(completed(key, stored[key])), part(spec[key]));
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
