// What a sweep varies: texts such as `lr=1e-4..1e-2:log` and `shared_layers=[[64],[128]]` -> axes, and the
// value of an axis at a share of its length. Pure.
import { parseDocument } from "yaml";
import { type Fault, MttcError, suggestName } from "../../compiler/diagnostics.ts";
import { SPEC_KEYS } from "../../compiler/spec/schema.ts";
import { type JsonSchema, specJsonSchema } from "../../compiler/spec/specDocs.ts";

/** Numbers from `low` to `high`, both included, evenly spread over themselves or over their logarithms. */
export interface RangeAxis {
  readonly key: string;
  readonly low: number;
  readonly high: number;
  readonly scale: "linear" | "log";
  readonly isInteger: boolean;
  /** Points of a grid; undefined where none were asked for. */
  readonly points?: number | undefined;
}

/** Values that are taken as they are. */
export interface ListAxis {
  readonly key: string;
  readonly values: readonly unknown[];
}

/** `key` is a key of the spec, or the path of one in it: `augment.zoom_scale`. */
export type Axis = RangeAxis | ListAxis;

const FORM = "KEY=LOW..HIGH, KEY=LOW..HIGH:log, or KEY=[a, b, c]";
const NUMBER = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?$/i;
/** Keys that say where a run lies and how long it goes on: the sweep's own. */
const OWN_KEYS: readonly string[] = ["logdir", "epochs", "tasks", "train_labels", "val_labels", "notes"];
const MOST_POINTS = 1_000;

/** The axes of texts as they stand on the command line. E_USAGE with all faults. */
export function parseAxes(texts: readonly string[]): readonly Axis[] {
  const faults: Fault[] = [];
  const axes: Axis[] = [];
  for (const text of texts) {
    const axis = parseAxis(text);
    if ("message" in axis) faults.push({ code: "E_USAGE", ...axis });
    else if (axes.some(({ key }) => key === axis.key))
      faults.push({ code: "E_USAGE", message: `--over names ${axis.key} twice` });
    else axes.push(axis);
  }
  if (texts.length === 0)
    faults.push({ code: "E_USAGE", message: "nothing to vary", hint: `--over ${FORM}` });
  if (faults.length > 0) throw new MttcError(faults);
  return axes;
}

interface Refusal {
  readonly message: string;
  readonly hint?: string;
}

function parseAxis(text: string): Axis | Refusal {
  const [, key = "", written = ""] = /^([^=]+)=(.+)$/s.exec(text.trim()) ?? [];
  if (key === "") return { message: `--over ${text}: expected ${FORM}` };
  const refusal = refusedKey(key.trim());
  if (refusal) return refusal;
  return written.includes("..") && !/^\s*\[/.test(written)
    ? parseRange(key.trim(), written.trim())
    : parseList(key.trim(), written);
}

function refusedKey(key: string): Refusal | undefined {
  const [top = ""] = key.split(".");
  if (!(SPEC_KEYS as readonly string[]).includes(top))
    return { message: `--over ${key}: the spec has no key "${top}"`, hint: suggestName(top, SPEC_KEYS) };
  if (OWN_KEYS.includes(top)) return { message: `--over ${key}: runs of a sweep differ in other keys` };
  return undefined;
}

function parseRange(key: string, text: string): Axis | Refusal {
  const where = `--over ${key}=${text}`;
  const [ends = "", ...modifiers] = text.split(":");
  const [low = "", high = "", ...more] = ends.split("..");
  if (!NUMBER.test(low) || !NUMBER.test(high) || more.length > 0)
    return { message: `${where}: expected two numbers, as in 1e-4..1e-2` };
  let scale: RangeAxis["scale"] = "linear";
  let points: number | undefined;
  for (const modifier of modifiers) {
    if (modifier === "log") scale = "log";
    else if (/^\d+$/.test(modifier)) points = Number(modifier);
    else return { message: `${where}: expected ":log" or a number of points, found ":${modifier}"` };
  }
  const [from, to] = [Number(low), Number(high)];
  if (!(from < to)) return { message: `${where}: the second number must be the larger one` };
  if (scale === "log" && from <= 0) return { message: `${where}: a logarithm needs numbers above 0` };
  if (points !== undefined && (points < 2 || points > MOST_POINTS))
    return { message: `${where}: a grid takes 2 to ${MOST_POINTS} points of a range` };
  const isInteger = takesIntegers(key);
  if (isInteger && !(Number.isInteger(from) && Number.isInteger(to)))
    return { message: `${where}: ${key} takes whole numbers` };
  return { key, low: from, high: to, scale, isInteger, points };
}

function parseList(key: string, text: string): Axis | Refusal {
  const where = `--over ${key}=${text}`;
  const document = parseDocument(text);
  const [error] = document.errors;
  if (error) return { message: `${where}: not YAML: ${error.message.split("\n")[0]}` };
  const values: unknown = document.toJS({ maxAliasCount: 0 });
  if (!Array.isArray(values)) return { message: `${where}: expected ${FORM}` };
  if (values.length < 2) return { message: `${where}: expected at least two values` };
  const texts = values.map((value) => JSON.stringify(value));
  const twice = texts.find((value, i) => texts.indexOf(value) !== i);
  if (twice !== undefined) return { message: `${where}: ${twice} stands there twice` };
  return { key, values };
}

/** Whether the schema takes whole numbers alone for a key. */
function takesIntegers(key: string): boolean {
  let schema = specJsonSchema();
  for (const name of key.split(".")) {
    const alternatives = [schema, ...((schema.anyOf as JsonSchema[] | undefined) ?? [])];
    const properties = alternatives.flatMap(({ properties }) =>
      properties ? [properties as JsonSchema] : [],
    );
    schema = (properties.find((each) => name in each)?.[name] as JsonSchema | undefined) ?? {};
  }
  const alternatives = [schema, ...((schema.anyOf as JsonSchema[] | undefined) ?? [])];
  const types = alternatives.map(({ type }) => type);
  return types.includes("integer") && !types.includes("number");
}

/** The value of an axis at `share` of its length, 0 <= share < 1. */
export function valueAt(axis: Axis, share: number): unknown {
  if ("values" in axis) return axis.values[Math.floor(share * axis.values.length)];
  // Whole numbers: each takes the same part of the length.
  const [low, high] = axis.isInteger ? [axis.low - 0.5, axis.high + 0.5] : [axis.low, axis.high];
  const value =
    axis.scale === "log"
      ? Math.exp(Math.log(Math.max(low, 0.5 * axis.low)) * (1 - share) + Math.log(high) * share)
      : low + (high - low) * share;
  if (axis.isInteger) return Math.min(axis.high, Math.max(axis.low, Math.round(value)));
  return Math.min(axis.high, Math.max(axis.low, Number(value.toPrecision(DIGITS))));
}

/** Digits of a drawn number: nobody needs more, and a table has room for these. */
const DIGITS = 4;

/** The values that a grid takes of an axis; undefined for a range that does not say how many points. */
export function gridValues(axis: Axis): readonly unknown[] | undefined {
  if ("values" in axis) return axis.values;
  const { points, low, high, scale, isInteger } = axis;
  if (points === undefined) return undefined;
  const values = Array.from({ length: points }, (_, i) => {
    const share = i / (points - 1);
    const value = scale === "log" ? low ** (1 - share) * high ** share : low * (1 - share) + high * share;
    return isInteger ? Math.round(value) : Number(value.toPrecision(DIGITS));
  });
  return [...new Set(values)];
}
