// Text (YAML or JSON) or an object -> Spec with all defaults. Faults are collected and thrown at once: syntax
// as E_CONFIG_PARSE, all else as E_CONFIG with file, line, column and spec path. Reads no file; the caller
// does.
import { type Document, isAlias, isMap, isNode, isPair, isSeq, LineCounter, parseDocument } from "yaml";
import type { z } from "zod";
import { type Fault, type Location, MttcError, suggestName } from "../diagnostics.ts";
import { kindNamed } from "../tasks/openTask.ts";
import { TASK_KINDS } from "../tasks/taskTable.ts";
import { AUGMENT_NAMES } from "./augmentKeys.ts";
import { COMBINE_NAMES, combineHint, combineKeys, combineVariant, methodIssues } from "./combineKeys.ts";
import { kindKeys, SPLIT_NAMES } from "./labelKeys.ts";
import { inKnownCase, unknownKeyHint, weightsInOrder } from "./meant.ts";
import { IMPORTED_FCN_KEYS } from "./networkKeys.ts";
import { DOWNSTREAM_KEYS } from "./probeKeys.ts";
import { SPEC_KEYS, type Spec, type SpecInput, type SpecKey, specSchema } from "./schema.ts";
import { crossFaults, formatSpecPath, type PartialSpec, type RuleFault, type SpecPath } from "./specRules.ts";

const MAX_CHARACTERS = 1_000_000;
const MAX_ALIASES = 100;
const KIND_NAMES = TASK_KINDS.map(({ kind }) => kind);

/** Where the value (or the key) at a spec path stands in its source. */
type Locate = (path: SpecPath, key: boolean) => Location;

/** A resolved spec, and which of its keys were written; the others have their defaults. */
export interface WrittenSpec {
  readonly spec: Spec;
  /** Keys at the top; `task_kinds` among them, since entries of `tasks` write it. */
  readonly given: ReadonlySet<SpecKey>;
}

/** The same of a text, and where the value at a path stands in it, for faults that are found later. */
export interface LocatedSpec extends WrittenSpec {
  readonly locate: (path: SpecPath) => Location;
}

/**
 * Parses a spec in YAML or JSON; `file` is for messages only. Throws MttcError E_CONFIG_PARSE or E_CONFIG.
 */
export function parseSpec(text: string, file: string): Spec {
  return parseWritten(text, file).spec;
}

/** The same, with the keys that the text writes. */
export function parseWritten(text: string, file: string): LocatedSpec {
  if (text.length > MAX_CHARACTERS)
    throw syntaxError(`expected at most ${MAX_CHARACTERS} characters`, { file });
  const lineCounter = new LineCounter();
  const doc = parseYaml(text, file, lineCounter);
  const raw = toPlain(doc, file);
  const locate: Locate = (path, key) => {
    const offset = findOffset(doc, path, key);
    const { line, col } = lineCounter.linePos(offset);
    return { file, line, column: col };
  };
  const spec = checkSpec(raw, SPEC_KEYS, locate);
  return { spec, given: writtenKeys(raw as SpecInput), locate: (path) => locate(path, false) };
}

/** Fills in the defaults of a spec given as an object. Throws MttcError E_CONFIG, without lines. */
export function resolveSpec(spec: SpecInput): Spec {
  return checkSpec(spec, SPEC_KEYS, () => ({}));
}

/** The same, with the keys that the object holds; one that is undefined is not written. */
export function resolveWritten(spec: SpecInput): WrittenSpec {
  return { spec: resolveSpec(spec), given: writtenKeys(spec) };
}

/** The keys that a spec writes, which has been checked. */
function writtenKeys(raw: SpecInput): ReadonlySet<SpecKey> {
  return new Set([...SPEC_KEYS.filter((key) => raw[key] !== undefined), "task_kinds"]);
}

/**
 * The same of some keys alone, such as those of a section: whoever asks for labels or images needs no
 * network. Other keys of a spec may be there and are not looked at; names that are no keys are refused.
 */
export function resolveKeys<Key extends SpecKey>(
  keys: readonly Key[],
  given: Pick<SpecInput, Key>,
): Pick<Spec, Key> {
  return checkSpec(given, keys, () => ({}));
}

function syntaxError(message: string, at: Location, cause?: unknown): MttcError {
  return new MttcError({ code: "E_CONFIG_PARSE", message, at }, { cause });
}

function parseYaml(text: string, file: string, lineCounter: LineCounter): Document.Parsed {
  let doc: Document.Parsed;
  try {
    doc = parseDocument(text, { lineCounter, prettyErrors: false, uniqueKeys: true, logLevel: "error" });
  } catch (cause) {
    // The composer recurses: only nesting beyond the stack gets here.
    throw syntaxError(`cannot be parsed: ${String(cause)}`, { file }, cause);
  }
  // Warnings are tags that the YAML core schema lacks, which would otherwise be dropped in silence.
  const faults = [...doc.errors, ...doc.warnings].map((error): Fault => {
    const { line, col } = lineCounter.linePos(error.pos[0]);
    return { code: "E_CONFIG_PARSE", message: error.message, at: { file, line, column: col } };
  });
  if (faults.length > 0) throw new MttcError(faults);
  return doc;
}

function toPlain(doc: Document.Parsed, file: string): unknown {
  try {
    return doc.toJS({ maxAliasCount: MAX_ALIASES });
  } catch (cause) {
    const message = cause instanceof Error ? cause.message : String(cause);
    throw syntaxError(message, { file }, cause);
  }
}

/** Offset in the text of the deepest node of `path` that exists; of its key where `key` is set. */
function findOffset(doc: Document.Parsed, path: SpecPath, key: boolean): number {
  let node: unknown = doc.contents;
  let offset = offsetOf(node) ?? 0;
  for (const [depth, part] of path.entries()) {
    const holder = isAlias(node) ? node.resolve(doc) : node;
    let next: unknown;
    if (isMap(holder)) {
      const pair = holder.items.find((item) => isPair(item) && keyText(item.key) === String(part));
      const wanted = key && depth === path.length - 1 ? pair?.key : (pair?.value ?? pair?.key);
      [node, next] = [pair?.value, wanted];
    } else if (isSeq(holder)) {
      [node, next] = [holder.items[Number(part)], holder.items[Number(part)]];
    }
    const found = offsetOf(next);
    if (found === undefined) break;
    offset = found;
  }
  return offset;
}

function offsetOf(node: unknown): number | undefined {
  return isNode(node) ? node.range?.[0] : undefined;
}

function keyText(key: unknown): string {
  return isNode(key) && "value" in key ? String(key.value) : String(key);
}

/**
 * Checks each of `keys` by its own schema, then the rules between those that passed; throws all faults at
 * once.
 */
function checkSpec<Key extends SpecKey>(raw: unknown, keys: readonly Key[], locate: Locate): Pick<Spec, Key> {
  const report = (path: SpecPath, message: string, hint?: string, key = false): Fault => {
    const at = { ...locate(path, key), path: formatSpecPath(path) };
    return hint === undefined ? { code: "E_CONFIG", message, at } : { code: "E_CONFIG", message, at, hint };
  };
  if (typeof raw !== "object" || raw === null || Array.isArray(raw)) {
    throw new MttcError(report([], `expected a map of keys, found ${showValue(raw)}`));
  }
  const given = new Map<string, unknown>(Object.entries(raw));
  const faults = [...given.keys()]
    .filter((key) => !SPEC_KEYS.includes(key as SpecKey))
    .map((key) => report([key], `unknown key "${key}"`, unknownKeyHint(key, "", SPEC_KEYS), true));
  const valid: Partial<Record<SpecKey, unknown>> = {};
  for (const key of keys) {
    const result = specSchema.shape[key].safeParse(inKnownCase(specSchema.shape[key], given.get(key)));
    if (result.success) valid[key] = result.data;
    else
      faults.push(...result.error.issues.flatMap((issue) => issueFaults(key, issue, given.get(key), report)));
  }
  faults.push(
    ...lostNames(given.get("classes")).map((name) => report(["classes", name], `unknown task "${name}"`)),
  );
  nameTasks(valid);
  const broken = listWeights(valid);
  for (const { path, message, hint, key } of [...broken, ...crossFaults(valid as PartialSpec)]) {
    faults.push(report(path, message, hint, key));
  }
  const depth = valid.bit_depth;
  if (depth !== undefined && depth !== 8 && given.get("norm") === undefined)
    faults.push(
      report(["bit_depth"], `norm is needed: there is no usual range of ${String(depth)}-bit numbers`),
    );
  if (faults.length > 0) throw new MttcError(faults.sort(byPlace));
  return inTaskOrder(valid as Pick<Spec, Key>);
}

/** Puts the names of tasks into their list, and what their entries say of kinds beside it. */
function nameTasks(valid: Partial<Record<SpecKey, unknown>>): void {
  const { tasks, task_kinds: kinds } = valid as Partial<z.output<typeof specSchema>>;
  if (tasks === undefined) return;
  valid.tasks = tasks.map((entry) => (typeof entry === "string" ? entry : entry.name));
  if (kinds === undefined) return;
  const found = new Map(Object.entries(kinds));
  for (const entry of tasks) {
    if (typeof entry === "string") continue;
    const { name, ...settings } = entry;
    found.set(name, settings);
  }
  const plain = kindNamed(undefined)?.kind;
  const others = [...found].filter(([, { kind, ...settings }]) => {
    return kind !== plain || Object.values(settings).some((value) => value !== undefined);
  });
  valid.task_kinds = Object.fromEntries(others);
}

/** Puts task weights that are given by name into a list; what is wrong with them. */
function listWeights(valid: Partial<Record<SpecKey, unknown>>): readonly RuleFault[] {
  const { task_weights: byTask, tasks } = valid as PartialSpec;
  if (typeof byTask !== "object" || byTask === null || Array.isArray(byTask)) return [];
  const { weights, faults } = weightsInOrder(byTask as unknown as Record<string, number>, tasks ?? []);
  valid.task_weights = faults.length > 0 ? undefined : weights;
  return tasks === undefined ? [] : faults;
}

/**
 * The same spec with what it says by task in the order of the tasks, and by other names in theirs: the order
 * of keys in the source must not show in files.
 */
function inTaskOrder<Keys extends PartialSpec>(spec: Keys): Keys {
  const { classes, task_kinds: kinds, class_weights: weights, path_prefix: prefix, tasks } = spec;
  if (!classes || !kinds || !tasks) return spec;
  const inOrder = <T>(byTask: Readonly<Record<string, T>>): Record<string, T> =>
    Object.fromEntries(
      tasks.flatMap((task) => {
        const value = Object.hasOwn(byTask, task) ? byTask[task] : undefined;
        return value === undefined ? [] : [[task, value]];
      }),
    );
  const isMap = (value: unknown): value is object => typeof value === "object" && value !== null;
  const sorted = <T>(byName: Readonly<Record<string, T>>): Record<string, T> =>
    Object.fromEntries(Object.entries(byName).sort(([a], [b]) => (a < b ? -1 : 1)));
  const ofClasses = isMap(weights)
    ? Object.entries(inOrder(weights)).map(([task, byName]) => [task, sorted(byName)] as const)
    : undefined;
  return {
    ...spec,
    ...{ classes: inOrder(classes), task_kinds: inOrder(kinds) },
    ...(ofClasses ? { class_weights: Object.fromEntries(ofClasses) } : {}),
    ...(isMap(prefix) ? { path_prefix: sorted(prefix) } : {}),
  };
}

/** Names that zod's records drop in silence. */
function lostNames(classes: unknown): string[] {
  const isMapping = typeof classes === "object" && classes !== null;
  return isMapping && Object.hasOwn(classes, "__proto__") ? ["__proto__"] : [];
}

type Report = (path: SpecPath, message: string, hint?: string, key?: boolean) => Fault;

/** The faults of one zod issue; its message is what was expected (see schema.ts). */
function issueFaults(key: SpecKey, issue: z.core.$ZodIssue, value: unknown, report: Report): Fault[] {
  const path: SpecPath = [key, ...issue.path.map((part) => (typeof part === "number" ? part : String(part)))];
  if (issue.code === "unrecognized_keys") {
    const known = knownKeys(key, key === "fcn" ? value : valueAt(value, issue.path));
    return issue.keys.map((name) =>
      report([...path, name], `unknown key "${name}"`, unknownKeyHint(name, key, known), true),
    );
  }
  const meant =
    issue.code === "invalid_union"
      ? issue.errors[meantVariant(key, valueAt(value, issue.path)) ?? -1]
      : undefined;
  if (meant && (issue.path.length === 0 || key === "tasks"))
    return (key === "combine" ? methodIssues(meant) : meant).flatMap((inner) =>
      issueFaults(key, { ...inner, path: [...issue.path, ...inner.path] }, value, report),
    );
  const found = valueAt(value, issue.path);
  if (found === undefined) return [report(path, `missing; expected ${issue.message}`)];
  return [report(path, `expected ${issue.message}, found ${showValue(found)}`, meantWord(key, issue, found))];
}

/** The nearest of the words that a value may be, for text that is none of them. */
function meantWord(key: SpecKey, issue: z.core.$ZodIssue, found: unknown): string | undefined {
  if (typeof found !== "string") return undefined;
  const elsewhere = key === "combine" ? combineHint(found) : undefined;
  if (elsewhere !== undefined) return elsewhere;
  const hint = suggestName(found, wordsOf(key, issue));
  // Where none is near the words stand in the message already.
  return hint.startsWith("did you mean") ? hint : undefined;
}

function wordsOf(key: SpecKey, issue: z.core.$ZodIssue): readonly string[] {
  if (key === "combine") return COMBINE_NAMES;
  if (issue.code === "invalid_union" && issue.path.at(-1) === "kind") return KIND_NAMES;
  return issue.code === "invalid_value" ? issue.values.map(String) : [];
}

/** Which of the forms of a key was meant by a map, where it has several: only its faults are told. */
function meantVariant(key: SpecKey, value: unknown): number | undefined {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return undefined;
  if (key === "augment" || key === "tasks" || key === "downstream_labels") return 1;
  if (key === "combine") return combineVariant(value);
  return key === "fcn" ? Number(isImported(value)) : undefined;
}

/** Keys of a map that is the value of a key. */
function knownKeys(key: SpecKey, value: unknown): readonly string[] {
  if (key === "augment") return AUGMENT_NAMES;
  if (key === "tasks" || key === "task_kinds") return kindKeys(value);
  if (key === "split") return SPLIT_NAMES;
  if (key === "combine") return combineKeys(value);
  if (key === "downstream_labels") return DOWNSTREAM_KEYS;
  if (key !== "fcn") return [];
  return isImported(value) ? IMPORTED_FCN_KEYS : ["layers"];
}

/** Whether a map given as fcn means an imported network. */
function isImported(value: unknown): boolean {
  return typeof value === "object" && value !== null && !("layers" in value) && "path" in value;
}

function valueAt(value: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce<unknown>((inner, part) => {
    if (typeof inner !== "object" || inner === null || !Object.hasOwn(inner, part)) return undefined;
    return (inner as Record<PropertyKey, unknown>)[part];
  }, value);
}

function showValue(value: unknown): string {
  if (value === undefined || value === null) return "nothing";
  const text = typeof value === "number" ? String(value) : (JSON.stringify(value) ?? typeof value);
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}

function byPlace(a: Fault, b: Fault): number {
  return (a.at?.line ?? 0) - (b.at?.line ?? 0) || (a.at?.column ?? 0) - (b.at?.column ?? 0);
}
