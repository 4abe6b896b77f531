// Label tables -> class lists and class numbers. Classes are the sorted values of the training labels, or
// those that the spec lists; the order of the rows never matters. Numbers are compared as numbers, letters in
// NFC (classKey). What is missing is a number of its own from here on (missing.ts).
import { InternalError, suggestName } from "../../compiler/diagnostics.ts";
import { classKey } from "../../compiler/spec/classKey.ts";
import { MISSING_CLASS } from "../../compiler/tasks/missing.ts";
import { FaultList } from "../tables/faultList.ts";
import type { ImageRows } from "../tables/imageRows.ts";
import { type LabelColumn, type LabelTable, NO_NAME } from "../tables/labelTable.ts";
import { labelWarnings, listNames } from "./labelWarnings.ts";
import type { BatchSpec } from "./sampler.ts";
import { missingClasses, type TaskLabels } from "./taskLabels.ts";

const MAX_NAMED = 5;

/** Class names per task: `classes[task][number]`. */
export type ClassNames = Readonly<Record<string, readonly string[]>>;

/** Rows of images with the labels of every task, ready for the sampler and the batches. */
export interface LabelledRows extends ImageRows {
  readonly tasks: readonly string[];
  /** In the order of `tasks`. */
  readonly labels: readonly TaskLabels[];
}

/** The labels of each task, in the order of the tasks. */
export function labelsByTask({ tasks, labels }: Pick<LabelledRows, "tasks" | "labels">) {
  const columns = new Map<string, TaskLabels>();
  for (const [at, task] of tasks.entries()) {
    const ofTask = labels[at];
    if (ofTask === undefined) throw new InternalError(`no labels of the task ${task}`);
    columns.set(task, ofTask);
  }
  return columns;
}

/** What the label tables of a run hold, once checked. */
export interface PreparedLabels {
  readonly classes: ClassNames;
  readonly train: LabelledRows;
  readonly val: LabelledRows | undefined;
  /** Cells that were taken as missing, by task, split and spelling. */
  readonly missing: readonly MissingCount[];
  /** What is legal but probably not meant, one sentence each. */
  readonly warnings: readonly string[];
}

/** How many cells of a column a spelling made missing; "" stands for empty cells. */
export interface MissingCount {
  readonly task: string;
  readonly split: "train" | "val";
  readonly spelling: string;
  readonly cells: number;
}

/** What the spec says of labels, and of what a batch holds. */
export interface LabelOptions {
  /** What a label is that the validation table alone has. */
  readonly unknownVal?: "error" | "ignore";
  readonly batch?: BatchSpec;
}

/**
 * Classes and class numbers of the training table and, where there is one, the validation table; `given` are
 * the classes that the spec lists or a run has. Throws
 * E_TASK_EMPTY (no training label), E_LABEL (a label that is no class, with its places).
 */
export function prepareLabels(
  train: LabelTable,
  val: LabelTable | undefined,
  given: ClassNames = {},
  { unknownVal = "error", batch }: LabelOptions = {},
): PreparedLabels {
  const faults = new FaultList();
  const classes = resolveClasses(train, given, faults);
  const origins = new Map(train.tasks.map((task) => [task, originOf(task, given)]));
  const trainRows = encodeTable(train, classes, (task, strangers) =>
    refuseStrangers(faults, train, task, strangers, origins.get(task)),
  );
  const ignored: string[] = [];
  const valRows =
    val &&
    encodeTable(val, classes, (task, strangers) => {
      if (unknownVal === "ignore") ignored.push(ignoredText(task, strangers));
      else refuseStrangers(faults, val, task, strangers, origins.get(task), IGNORE_HINT);
    });
  faults.throwIfAny();
  const listed = new Set(Object.keys(given));
  const warnings = labelWarnings({ classes, listed, train, val, labels: trainRows.labels, batch });
  const missing = [...missingCounts(train, "train"), ...(val ? missingCounts(val, "val") : [])];
  return { classes, train: trainRows, val: valRows, missing, warnings: [...warnings, ...ignored] };
}

function missingCounts({ tasks, columns }: LabelTable, split: MissingCount["split"]): MissingCount[] {
  return tasks.flatMap((task, index) =>
    Array.from(columns[index]?.missing ?? [], ([spelling, cells]) => ({ task, split, spelling, cells })),
  );
}

/**
 * Class numbers of one table under classes that are known already (evaluation of a finished run). Throws
 * E_LABEL for a label that is no class, or leaves it out and says so in `ignored`, where that is given.
 */
export function encodeLabels(table: LabelTable, classes: ClassNames, ignored?: string[]): LabelledRows {
  const faults = new FaultList();
  const rows = encodeTable(table, classes, (task, strangers) => {
    if (ignored === undefined) refuseStrangers(faults, table, task, strangers);
    else ignored.push(ignoredText(task, strangers));
  });
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

function resolveClasses(train: LabelTable, given: ClassNames, faults: FaultList): ClassNames {
  const entries = train.tasks.map((task, index): [string, readonly string[]] => {
    const found = train.columns[index]?.names ?? [];
    if (found.length === 0) {
      const message = `task "${task}" has no label in ${train.source}`;
      faults.add({ code: "E_TASK_EMPTY", message, at: { path: `tasks[${index}]` } });
    }
    const listed = Object.hasOwn(given, task) ? given[task] : undefined;
    return [task, listed ?? sortClasses([...new Set(found.map(classKey))])];
  });
  return Object.fromEntries(entries);
}

function originOf(task: string, given: ClassNames): string {
  return Object.hasOwn(given, task) ? "the spec lists" : "the training labels have";
}

/**
 * The number of each name of a column: of the class spelled so, else of the class with its key; else
 * MISSING_CLASS.
 */
function classNumbers(column: LabelColumn, classes: readonly string[]): Int32Array {
  const exact = new Map(classes.map((name, number) => [name, number]));
  const byKey = new Map(classes.map((name, number) => [classKey(name), number]));
  return Int32Array.from(
    column.names,
    (name) => exact.get(name) ?? byKey.get(classKey(name)) ?? MISSING_CLASS,
  );
}

/** Labels that are no class, by their spelling. */
interface Strangers {
  readonly places: ReadonlyMap<string, Places>;
  /** The task's classes. */
  readonly classes: readonly string[];
}

function encodeTable(
  table: LabelTable,
  classes: ClassNames,
  onStrangers: (task: string, strangers: Strangers) => void,
): LabelledRows {
  const labels = table.tasks.map((task, index): TaskLabels => {
    const values = missingClasses(table.paths.length);
    const column = table.columns[index];
    if (column === undefined) return { values, width: 1 };
    const numberOf = classNumbers(column, classes[task] ?? []);
    const places = new Map<string, Places>();
    for (const [row, code] of column.codes.entries()) {
      if (code === NO_NAME) continue;
      const number = numberOf[code] ?? MISSING_CLASS;
      if (number === MISSING_CLASS) addPlace(places, column.names[code] ?? "", row);
      else values[row] = number;
    }
    if (places.size > 0) onStrangers(task, { places, classes: classes[task] ?? [] });
    return { values, width: 1 };
  });
  return { tasks: table.tasks, paths: table.paths, labels, locate: table.locate };
}

const IGNORE_HINT = "`unknown_val_classes: ignore` leaves such labels out";

/** A fault for each label that is no class, with its lines. */
function refuseStrangers(
  faults: FaultList,
  table: LabelTable,
  task: string,
  { places, classes }: Strangers,
  origin = "the training labels have",
  more?: string,
): void {
  for (const value of sortClasses([...places.keys()])) {
    // Nearest names of what is only counted would take minutes where there are thousands.
    if (faults.isFull) {
      faults.add({ code: "E_LABEL", message: value });
      continue;
    }
    const rows = places.get(value) ?? { first: [], count: 0 };
    const message = `task "${task}": "${value}" is not one of the classes that ${origin} (${placesOf(table, rows)})`;
    const hint = [suggestName(value, classes), ...(more === undefined ? [] : [more])].join("; ");
    faults.add({ code: "E_LABEL", message, at: table.locate(rows.first[0] ?? 0), hint });
  }
}

function ignoredText(task: string, { places }: Strangers): string {
  const rows = [...places.values()].reduce((sum, { count }) => sum + count, 0);
  const names = sortClasses([...places.keys()]).map((name) => `${name} (${places.get(name)?.count})`);
  return `task "${task}": ${rows} validation rows have no label, theirs are no class: ${listNames(names)}`;
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
