// Label tables -> class lists and class numbers. Classes are the sorted values of the training labels, or
// those that the spec lists; the order of the rows never matters. Missing labels are -1 from here on.
import { type Location, suggestName } from "../../compiler/diagnostics.ts";
import { FaultList } from "./faultList.ts";
import { isMissing, type LabelColumn, type LabelTable } from "./labelTable.ts";
import type { PathList } from "./stringTable.ts";

const MAX_NAMED = 5;

/** Class names per task: `classes[task][number]`. */
export type ClassNames = Readonly<Record<string, readonly string[]>>;

/** Rows with class numbers, ready for the sampler and the loader. */
export interface LabelledRows {
  readonly tasks: readonly string[];
  /** Absolute path of each row's image. */
  readonly paths: PathList;
  /** Class numbers, row-major [rows x tasks]; -1 = missing. */
  readonly labels: Int32Array;
  readonly locate: (row: number) => Location;
  /** What each row's file was when it was checked (sourceStamp.ts): reads refuse another. */
  readonly stamps?: Uint32Array;
}

/** What the label tables of a run hold, once checked. */
export interface PreparedLabels {
  readonly classes: ClassNames;
  readonly train: LabelledRows;
  readonly val: LabelledRows | undefined;
  /** What is legal but probably not meant, one sentence each. */
  readonly warnings: readonly string[];
}

/**
 * Classes and class numbers of the training table and, where there is one, the validation table; `given` are
 * the spec's `classes`. Throws E_TASK_EMPTY (no training label), E_LABEL (a label that is no class, with its
 * places).
 */
export function prepareLabels(
  train: LabelTable,
  val: LabelTable | undefined,
  given: ClassNames = {},
): PreparedLabels {
  const faults = new FaultList();
  const classes = resolveClasses(train, given, faults);
  const trainRows = encodeTable(train, classes, given, faults);
  const valRows = val === undefined ? undefined : encodeTable(val, classes, given, faults);
  faults.throwIfAny();
  return { classes, train: trainRows, val: valRows, warnings: labelWarnings(classes, train, val) };
}

/**
 * Class numbers of one table under classes that are known already (evaluation of a finished run).
 * Throws E_LABEL for a label that is no class.
 */
export function encodeLabels(table: LabelTable, classes: ClassNames): LabelledRows {
  const faults = new FaultList();
  const rows = encodeTable(table, classes, {}, faults);
  faults.throwIfAny();
  return rows;
}

/**
 * Sorted by value where all are numbers, else by code units: the same on every machine and in every locale.
 */
export function sortClasses(values: readonly string[]): string[] {
  const byText = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
  const numeric = values.every((value) => Number.isFinite(Number(value)));
  return [...values].sort((a, b) => (numeric && Number(a) - Number(b)) || byText(a, b));
}

/** The labels that a table has of a task. */
function present(column: LabelColumn | undefined): Set<string> {
  return new Set(column?.names);
}

function resolveClasses(train: LabelTable, given: ClassNames, faults: FaultList): ClassNames {
  const entries = train.tasks.map((task, index): [string, readonly string[]] => {
    const values = present(train.columns[index]);
    if (values.size === 0) {
      const message = `task "${task}" has no label in ${train.source}`;
      faults.add({ code: "E_TASK_EMPTY", message, at: { path: `tasks[${index}]` } });
    }
    const listed = Object.hasOwn(given, task) ? given[task] : undefined;
    for (const name of listed ?? []) {
      if (!isMissing(name)) continue;
      const message = `"${name}" stands for a missing label, it cannot be a class`;
      faults.add({ code: "E_LABEL", message, at: { path: `classes.${task}` } });
    }
    return [task, listed ?? sortClasses([...values])];
  });
  return Object.fromEntries(entries);
}

function encodeTable(
  table: LabelTable,
  classes: ClassNames,
  given: ClassNames,
  faults: FaultList,
): LabelledRows {
  const count = table.tasks.length;
  const labels = new Int32Array(table.paths.length * count).fill(-1);
  for (const [index, task] of table.tasks.entries()) {
    const names = classes[task] ?? [];
    const { names: found, codes } = table.columns[index] ?? { names: [], codes: new Int32Array() };
    const numbers = new Map(names.map((name, number) => [name, number]));
    const numberOf = Int32Array.from(found, (name) => numbers.get(name) ?? -1);
    const strangers = new Map<string, Places>();
    for (let row = 0; row < codes.length; row++) {
      const code = codes[row] ?? -1;
      if (code === -1) continue;
      const number = numberOf[code] ?? -1;
      if (number === -1) addPlace(strangers, found[code] ?? "", row);
      else labels[row * count + index] = number;
    }
    const origin = Object.hasOwn(given, task) ? "the spec lists" : "the training labels have";
    for (const value of sortClasses([...strangers.keys()])) {
      const rows = strangers.get(value) ?? { first: [], count: 0 };
      const message = `task "${task}": "${value}" is not one of the classes that ${origin} (${placesOf(table, rows)})`;
      const hint = classHint(value, names);
      faults.add({ code: "E_LABEL", message, at: table.locate(rows.first[0] ?? 0), hint });
    }
  }
  return { tasks: table.tasks, paths: table.paths, labels, locate: table.locate };
}

/** Rows that share a fault: the first few, and how many there are. */
interface Places {
  readonly first: number[];
  count: number;
}

function addPlace(places: Map<string, Places>, label: string, row: number): void {
  const known = places.get(label) ?? { first: [], count: 0 };
  places.set(label, known);
  known.count++;
  if (known.first.length < MAX_NAMED) known.first.push(row);
}

function placesOf(table: LabelTable, rows: Places): string {
  const places = rows.first.map((row) => {
    const { line, path } = table.locate(row);
    return line === undefined ? String(path ?? row) : `line ${line}`;
  });
  const rest = rows.count - places.length;
  return `${places.join(", ")}${rest > 0 ? ` and ${rest} more` : ""}`;
}

function classHint(value: string, names: readonly string[]): string {
  const equal = names.find((name) => Number(name) === Number(value));
  if (equal !== undefined) return `it equals the class "${equal}" as a number: write both alike`;
  return suggestName(value, names.length > 20 ? names.slice(0, 20) : names);
}

function listNames(names: readonly string[]): string {
  const rest = names.length - MAX_NAMED;
  return `${names.slice(0, MAX_NAMED).join(", ")}${rest > 0 ? ` and ${rest} more` : ""}`;
}

function labelWarnings(classes: ClassNames, train: LabelTable, val: LabelTable | undefined): string[] {
  const warnings: string[] = [];
  for (const [index, task] of train.tasks.entries()) {
    const names = classes[task] ?? [];
    const trained = present(train.columns[index]);
    const validated = present(val?.columns[index]);
    const untrained = names.filter((name) => !trained.has(name));
    const unseen = names.filter((name) => trained.has(name) && !validated.has(name));
    if (names.length === 1) warnings.push(`task "${task}" has a single class: there is nothing to learn`);
    if (names.includes("-1"))
      warnings.push(`task "${task}" has a class "-1"; missing labels are empty cells`);
    if (untrained.length > 0) warnings.push(`task "${task}": no training label of ${listNames(untrained)}`);
    if (val === undefined) continue;
    if (validated.size === 0) warnings.push(`task "${task}" has no label in ${val.source}`);
    else if (unseen.length > 0) warnings.push(`task "${task}": no validation label of ${listNames(unseen)}`);
  }
  const empty = rowsWithoutLabel(train);
  if (empty > 0) warnings.push(`${empty} training rows have no label at all`);
  const shared = val === undefined ? 0 : sharedRows(train, val);
  if (shared > 0) warnings.push(`${shared} validation rows name images that are training images too`);
  return [...train.notes, ...(val?.notes ?? []), ...warnings];
}

function rowsWithoutLabel({ paths, columns }: LabelTable): number {
  let empty = 0;
  for (let row = 0; row < paths.length; row++) if (columns.every(({ codes }) => codes[row] === -1)) empty++;
  return empty;
}

/** Validation rows whose path is a training row's; of the larger table nothing is kept in memory. */
function sharedRows(train: LabelTable, val: LabelTable): number {
  const known = new Set(val.paths);
  const shared = new Set<string>();
  for (const path of train.paths) if (known.has(path)) shared.add(path);
  let rows = 0;
  for (const path of val.paths) if (shared.has(path)) rows++;
  return rows;
}
