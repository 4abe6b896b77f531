// The JSON header of a safetensors file, read as untrusted text: header text -> tensor entries and metadata.
// JSON.parse alone is too lenient for it: it keeps the last of two equal keys, takes 1.0 for 1, rounds
// integers above 2^53 and follows any nesting. So the text is scanned first, and parsed only when the scan is
// content.
import { MttcError } from "../diagnostics.ts";

/** Deepest nesting of objects and arrays; the format itself needs three. */
const MAX_DEPTH = 4;

const NUMBER_CHARS = "-+.0123456789eE";

/**
 * One tensor as the header describes it: the format's dtype word, dims, and [begin, end) in the data part.
 */
export interface HeaderEntry {
  readonly name: string;
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly begin: number;
  readonly end: number;
}

/** The header's content; `entries` stand in the order of the text. */
export interface Header {
  readonly entries: readonly HeaderEntry[];
  readonly metadata: Readonly<Record<string, string>>;
}

/**
 * Parses and checks the header text of `file` (the name is used in messages only).
 * Throws E_ST_HEADER for anything that is not exactly a header: duplicate keys, other numbers than integers
 * in 0..2^53-1, nesting, leading space, wrong types. Unknown fields of an entry are accepted and dropped.
 */
export function parseHeader(text: string, file: string): Header {
  if (!text.startsWith("{")) throw headerError(file, "the header does not begin with {");
  scan(text, file);
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch (cause) {
    throw headerError(file, "the header is not JSON", cause);
  }
  const entries: HeaderEntry[] = [];
  let metadata: Readonly<Record<string, string>> = {};
  for (const [name, value] of Object.entries(parsed as object)) {
    if (name === "__metadata__") metadata = readMetadata(value, file);
    else entries.push(readEntry(name, value, file));
  }
  return { entries, metadata };
}

function readMetadata(value: unknown, file: string): Readonly<Record<string, string>> {
  if (!isObject(value)) throw headerError(file, "__metadata__ is not an object");
  // No prototype: `__proto__` is a legal key.
  const metadata: Record<string, string> = Object.create(null);
  for (const [key, text] of Object.entries(value)) {
    if (typeof text !== "string") throw headerError(file, `__metadata__ "${key}" is not a string`);
    metadata[key] = text;
  }
  return metadata;
}

function readEntry(name: string, value: unknown, file: string): HeaderEntry {
  if (!isObject(value)) throw headerError(file, `tensor "${name}" is not described by an object`);
  // Own fields only: an entry may have a field called `__proto__`.
  const field = (key: string): unknown => (Object.hasOwn(value, key) ? value[key] : undefined);
  const [dtype, shape, offsets] = [field("dtype"), field("shape"), field("data_offsets")];
  if (typeof dtype !== "string") throw headerError(file, `tensor "${name}" has no dtype`);
  if (!isSizes(shape)) throw headerError(file, `tensor "${name}": shape must be a list of sizes`);
  if (!isSizes(offsets) || offsets.length !== 2)
    throw headerError(file, `tensor "${name}": data_offsets must be two positions`);
  return { name, dtype, shape, begin: offsets[0]!, end: offsets[1]! };
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isSizes(value: unknown): value is readonly number[] {
  return Array.isArray(value) && value.every((size) => Number.isSafeInteger(size) && size >= 0);
}

/**
 * Refuses what JSON.parse would let through; syntax itself is left to JSON.parse. One pass by hand: a regular
 * expression over a string literal of 25 MB would exhaust its stack, or take quadratic time.
 */
function scan(text: string, file: string): void {
  const open: (Set<string> | null)[] = []; // keys seen of each open object, null for an array
  let expectKey = false;
  let at = 0;
  while (at < text.length) {
    const char = text[at]!;
    let next = at + 1;
    if (char === "{" || char === "[") {
      open.push(char === "{" ? new Set() : null);
      expectKey = char === "{";
      if (open.length > MAX_DEPTH) throw headerError(file, `the header nests deeper than ${MAX_DEPTH}`);
    } else if (char === "}" || char === "]") {
      open.pop();
      expectKey = false;
    } else if (char === ",") {
      expectKey = (open.at(-1) ?? null) !== null;
    } else if (char === '"') {
      next = endOfString(text, at);
      if (expectKey) addKey(open.at(-1), text.slice(at, next), file);
      expectKey = false;
    } else if (NUMBER_CHARS.includes(char)) {
      while (next < text.length && NUMBER_CHARS.includes(text[next]!)) next++;
      checkInteger(text.slice(at, next), file);
    } else if (/[a-z]/.test(char)) {
      while (next < text.length && /[a-z]/.test(text[next]!)) next++; // true, false, null
    }
    at = next;
  }
}

/**
 * Position behind the closing quote of the string that opens at `start`; the text's end if it does not close.
 */
function endOfString(text: string, start: number): number {
  let at = start + 1;
  while (at < text.length && text[at] !== '"') at += text[at] === "\\" ? 2 : 1;
  return Math.min(at + 1, text.length);
}

function checkInteger(word: string, file: string): void {
  if (!/^(?:0|[1-9]\d*)$/.test(word))
    throw headerError(file, `${word.slice(0, 40)} is not a size (an integer from 0)`);
}

function addKey(keys: Set<string> | null | undefined, quoted: string, file: string): void {
  let key: string;
  try {
    key = JSON.parse(quoted) as string; // two spellings of one key (escapes) are one key
  } catch (cause) {
    throw headerError(file, "the header is not JSON", cause);
  }
  if (keys?.has(key)) throw headerError(file, `the key "${key}" occurs twice`);
  keys?.add(key);
}

/** The typed error of a bad header. */
export function headerError(file: string, message: string, cause?: unknown): MttcError {
  return new MttcError({ code: "E_ST_HEADER", message, at: { file } }, { cause });
}
