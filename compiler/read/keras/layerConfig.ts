// Typed access to the JSON of one Keras layer. Everything in a model file is foreign: each getter checks
// kind and range, and a fault names the layer. In: JSON as parsed; out: numbers, strings and lists that can
// be relied on.
import { type ErrorCode, type Location, MttcError } from "../../diagnostics.ts";

/** Sizes, counts and paddings beyond this are taken for damage. */
const MAX_SIZE = 1 << 20;

export type JsonObject = Readonly<Record<string, unknown>>;

/** Where in a Keras model a fault lies. */
export interface KerasPlace {
  readonly file: string;
  /** Path of the layer, `outer/inner`; "" for the model. */
  readonly layer: string;
}

/** Throws an MttcError that names the file and the layer. */
export function refuse(code: ErrorCode, { file, layer }: KerasPlace, message: string, hint?: string): never {
  const at: Location = layer === "" ? { file } : { file, node: `layer ${layer}` };
  throw new MttcError(hint === undefined ? { code, message, at } : { code, message, at, hint });
}

export function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The configuration of one layer; absent and null both give the default. */
export class LayerConfig {
  readonly #raw: JsonObject;
  readonly #place: KerasPlace;

  constructor(raw: JsonObject, place: KerasPlace) {
    this.#raw = raw;
    this.#place = place;
  }

  /** The JSON itself of the first of `names` that is set. */
  raw(...names: readonly string[]): unknown {
    for (const name of names) {
      const value = Object.hasOwn(this.#raw, name) ? this.#raw[name] : undefined;
      if (value !== undefined && value !== null) return value;
    }
    return undefined;
  }

  /** A finite number under the first of `names` that is set; without a default it is compulsory. */
  number(names: string | readonly string[], fallback?: number): number {
    const list = typeof names === "string" ? [names] : names;
    const value = this.raw(...list) ?? fallback;
    if (typeof value !== "number" || !Number.isFinite(value))
      return this.#wrong(list[0] ?? "", "a number", value);
    return value;
  }

  /** An integer from `least` up to a million. */
  int(name: string, fallback?: number, least = 1): number {
    return this.#checkInt(name, this.number(name, fallback), least);
  }

  boolean(name: string, fallback: boolean): boolean {
    const value = this.raw(name) ?? fallback;
    return typeof value === "boolean" ? value : this.#wrong(name, "true or false", value);
  }

  string(name: string, fallback: string): string {
    const value = this.raw(name) ?? fallback;
    return typeof value === "string" ? value : this.#wrong(name, "a string", value);
  }

  /** One of `allowed`; E_MODEL_OP otherwise. */
  oneOf<T extends string>(name: string, allowed: readonly T[], fallback: T): T {
    const value = this.string(name, fallback);
    return (
      allowed.find((candidate) => candidate === value) ??
      refuse("E_MODEL_OP", this.#place, `${name} "${value}" is not supported (only ${allowed.join(", ")})`)
    );
  }

  /** Two integers; one number stands for both. */
  pair(name: string, fallback?: readonly [number, number], least = 1): [number, number] {
    const value = this.raw(name) ?? fallback;
    const list = typeof value === "number" ? [value, value] : value;
    if (!Array.isArray(list) || list.length !== 2) return this.#wrong(name, "two integers", value);
    const [first, second] = list.map((entry) => this.#checkInt(name, entry, least));
    return [first ?? 0, second ?? 0];
  }

  /** Integers; one number stands for a list of it. */
  ints(name: string, least = 1): number[] | undefined {
    const value = this.raw(name);
    if (value === undefined) return undefined;
    const list = Array.isArray(value) ? value : [value];
    return list.map((entry) => this.#checkInt(name, entry, least));
  }

  /** All numbers of a nested list, or one number; undefined if there is none. */
  numbers(name: string): number[] | undefined {
    const value = this.raw(name);
    if (value === undefined) return undefined;
    const list: unknown[] = Array.isArray(value) ? value.flat(4) : [value];
    return list.map((entry) =>
      typeof entry === "number" && Number.isFinite(entry) ? entry : this.#wrong(name, "numbers", value),
    );
  }

  #checkInt(name: string, value: unknown, least: number): number {
    if (typeof value === "number" && Number.isInteger(value) && value >= least && value <= MAX_SIZE)
      return value;
    return this.#wrong(name, `an integer from ${least} to ${MAX_SIZE}`, value);
  }

  #wrong(name: string, expected: string, found: unknown): never {
    const shown = (JSON.stringify(found) ?? "nothing").slice(0, 80);
    return refuse("E_MODEL_PARSE", this.#place, `${name} should be ${expected}, it is ${shown}`);
  }
}
