// Label tables -> what is known of each task, and the numbers of its labels, both as the task's kind has
// them: classes are the sorted values of the training labels, or those that the spec lists. The order of the
// rows never matters. What is missing is a number of its own from here on (missing.ts).
import { InternalError, need, suggestName } from "../../compiler/diagnostics.ts";
import type { LabelSpec } from "../../compiler/spec/schema.ts";
import { sortClasses } from "../../compiler/tasks/classTask.ts";
import { kindNamed, openTasks } from "../../compiler/tasks/openTask.ts";
import type { Task, TaskDescription, TrainingColumn } from "../../compiler/tasks/task.ts";
import { FaultList } from "../tables/faultList.ts";
import type { ImageRows } from "../tables/imageRows.ts";
import {
  columnsOfTask,
  type LabelColumn,
  type LabelPlace,
  type LabelTable,
  NO_NAME,
  placeText,
} from "../tables/labelTable.ts";
import { labelWarnings, listNames } from "./labelWarnings.ts";
import type { BatchSpec } from "./sampler.ts";
import { SPLITS, type Split, type SplitRecord } from "./splitRecord.ts";
import { isMissing, missingLike, type TaskLabels } from "./taskLabels.ts";

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
  /** What is known of each task, in their order. */
  readonly tasks: readonly TaskDescription[];
  /** Of the tasks of classes. */
  readonly classes: ClassNames;
  readonly train: LabelledRows;
  readonly val: LabelledRows | undefined;
  /** Rows that training never sees. */
  readonly test: LabelledRows | undefined;
  /** Which rows are in which part, where the spec splits one table. */
  readonly split?: SplitRecord | undefined;
  /** Cells that were taken as missing, by task, split and spelling. */
  readonly missing: readonly MissingCount[];
  /** What is legal but probably not meant, one sentence each. */
  readonly warnings: readonly string[];
}

/** How many cells of a column a spelling made missing; "" stands for empty cells. */
export interface MissingCount {
  readonly task: string;
  /** Of a task of several columns: which one. */
  readonly column?: string;
  /** "table": of a table that is split, all of it. */
  readonly split: Split | "table";
  readonly spelling: string;
  readonly cells: number;
}

/** Descriptions of tasks that are not of classes, by name. */
export type KnownTasks = Readonly<Record<string, TaskDescription>>;

/** What the spec says of labels, and of what a batch holds. */
export interface LabelOptions {
  /** What a label is that the validation table alone has. */
  readonly unknownVal?: "error" | "ignore";
  readonly batch?: BatchSpec;
  /** Kinds and settings of the tasks that are not of classes. */
  readonly kinds?: LabelSpec["task_kinds"];
  /** What a run knows of such tasks already. */
  readonly known?: KnownTasks;
  /** Rows that training never sees. */
  readonly test?: LabelTable | undefined;
  /** The table that all others are parts of, where one was split. */
  readonly whole?: LabelTable | undefined;
}

/**
 * What the training table says of the tasks, and the numbers of its labels and of the validation table's,
 * where there is one; `given` are the classes that the spec lists or a run has. Throws E_TASK_EMPTY (no
 * training label), E_LABEL (a label that is no class, or none of its task's kind, with its places).
 */
export function prepareLabels(
  train: LabelTable,
  val: LabelTable | undefined,
  given: ClassNames = {},
  { unknownVal = "error", batch, kinds = {}, known = {}, test, whole }: LabelOptions = {},
): PreparedLabels {
  const faults = new FaultList();
  const described = describeTasks(train, { given, kinds, known }, faults);
  // Of a task without labels nothing is known that others could be read by.
  faults.throwIfAny();
  const tasks = openTasks(described);
  const classes = classesOf(tasks);
  const origins = new Map(train.tasks.map((task) => [task, originOf(task, given)]));
  const trainRows = encodeTable(train, tasks, (task, strangers) =>
    refuseStrangers(faults, { table: train, task, origin: origins.get(task.name) }, strangers),
  );
  const ignored: string[] = [];
  const held = (table: LabelTable | undefined, name: string): LabelledRows | undefined =>
    table &&
    encodeTable(table, tasks, (task, strangers) => {
      const origin = origins.get(task.name);
      if (unknownVal === "ignore" && isIgnorable(task)) ignored.push(ignoredText(task, strangers, name));
      else refuseStrangers(faults, { table, task, origin, more: IGNORE_HINT }, strangers);
    });
  const rows = { train: trainRows, val: held(val, "validation"), test: held(test, "test") };
  faults.throwIfAny();
  const listed = new Set(Object.keys(given));
  const labels = trainRows.labels;
  const warnings = labelWarnings({ classes, listed, train, val, test, whole, labels, batch });
  const read = whole
    ? [[whole, "table"] as const]
    : SPLITS.map((split) => [{ train, val, test }[split], split] as const);
  const missing = read.flatMap(([table, split]) => (table ? missingCounts(table, split) : []));
  return { tasks: described, classes, ...rows, missing, warnings: [...warnings, ...ignored] };
}

/**
 * Tasks as a table's own labels describe them, before anything of it is refused. E_TASK_EMPTY; E_LABEL as
 * kinds throw it.
 */
export function describedTasks(
  table: LabelTable,
  { given = {}, kinds = {}, known = {} }: Partial<Parameters<typeof describeTasks>[1]>,
): readonly Task[] {
  const faults = new FaultList();
  const described = describeTasks(table, { given, kinds, known }, faults);
  faults.throwIfAny();
  return openTasks(described);
}

function missingCounts({ columns }: LabelTable, split: MissingCount["split"]): MissingCount[] {
  return columns.flatMap(({ task, column, missing }) =>
    Array.from(missing, ([spelling, cells]) => ({
      ...{ task, ...(column === task ? {} : { column }) },
      ...{ split, spelling, cells },
    })),
  );
}

/** What is told of labels that are left out. */
export interface ToldLabels {
  /** Takes a sentence for each task that has any. */
  readonly lines: string[];
  /** What the rows are called: "validation", say. */
  readonly of: string;
  /** Whether labels of every kind may be left out, not only those that are no class. */
  readonly all?: boolean;
}

/**
 * Labels of one table for `tasks`, in its order, that are known already (evaluation of a finished run). Throws
 * E_LABEL for a label that is none of its task's, or, where `told` is given, leaves one that is no class out
 * and says so there.
 */
export function encodeLabels(table: LabelTable, tasks: readonly Task[], told?: ToldLabels): LabelledRows {
  const faults = new FaultList();
  const rows = encodeTable(table, tasks, (task, strangers) => {
    if (told && (told.all === true || isIgnorable(task)))
      told.lines.push(ignoredText(task, strangers, told.of));
    else refuseStrangers(faults, { table, task }, strangers);
  });
  faults.throwIfAny();
  return rows;
}

/** Classes of the tasks that have any, by name. */
export function classesOf(tasks: readonly Task[]): ClassNames {
  const ofClasses = tasks.filter(({ groups }) => groups.areClasses);
  return Object.fromEntries(ofClasses.map(({ name, groups }) => [name, groups.names]));
}

/** Of each task of a training table: as the spec or a run has it, else as its labels are. */
function describeTasks(
  train: LabelTable,
  { given, kinds, known }: { given: ClassNames } & Required<Pick<LabelOptions, "kinds" | "known">>,
  faults: FaultList,
): TaskDescription[] {
  return train.tasks.map((task, index): TaskDescription => {
    const columns = columnsOfTask(train, task);
    const [column, ...others] = columns.map(trainingColumn);
    // Of a part of a table the dictionary may hold labels that no row of it has.
    if (columns.every(({ codes }) => codes.every((code) => code === NO_NAME))) {
      const message = `task "${task}" has no label in ${train.source}`;
      faults.add({ code: "E_TASK_EMPTY", message, at: { path: `tasks[${index}]` } });
    }
    const ofRun = Object.hasOwn(known, task) ? known[task] : undefined;
    const listed = Object.hasOwn(given, task) ? given[task] : undefined;
    if (ofRun) return ofRun;
    if (listed) return { task, classes: listed };
    const settings = Object.hasOwn(kinds, task) ? kinds[task] : undefined;
    const kind = kindNamed(settings?.kind);
    if (!kind) throw new InternalError(`a spec has the kind ${settings?.kind}`);
    return kind.describe(task, settings ?? {}, need(column, `a column of ${task}`), ...others);
  });
}

function trainingColumn({ names, codes }: LabelColumn): TrainingColumn {
  const rows = new Float64Array(names.length);
  for (const code of codes) if (code !== NO_NAME) rows[code] = (rows[code] ?? 0) + 1;
  return { names, rows };
}

function originOf(task: string, given: ClassNames): string {
  return Object.hasOwn(given, task) ? "the spec lists" : "the training labels have";
}

/** Whether labels that validation alone has may be left out: those of classes that training lacks. */
function isIgnorable({ groups }: Task): boolean {
  return groups.areClasses;
}

/** Labels of a column that are none of its task's, or what of them is not, by their spelling. */
interface Strangers {
  readonly place: LabelPlace;
  readonly places: ReadonlyMap<string, Places>;
}

type OnStrangers = (task: Task, strangers: Strangers) => void;

function encodeTable(table: LabelTable, tasks: readonly Task[], onStrangers: OnStrangers): LabelledRows {
  const labels = tasks.map((task) => encodeTask(task, table, onStrangers));
  return { tasks: table.tasks, paths: table.paths, labels, locate: table.locate };
}

/** Each column of a task holds as many numbers of a row. */
function encodeTask(task: Task, table: LabelTable, onStrangers: OnStrangers): TaskLabels {
  const width = task.label.shape.reduce((product, size) => product * size, 1);
  const columns = columnsOfTask(table, task.name);
  const wanted = task.label.columns?.length ?? 1;
  if (columns.length !== wanted)
    throw new InternalError(`${columns.length} columns of the task ${task.name}, which has ${wanted}`);
  const part = width / wanted;
  const values = missingLike(task.label.encode([]), table.paths.length * width);
  for (const [at, column] of columns.entries()) {
    const places = encodeColumn(task, column, { values, width, part, first: at * part });
    if (places.size > 0) onStrangers(task, { place: column, places });
  }
  return { values, width };
}

/** Where the numbers of a column go: `part` of each row from `first` on. */
interface ColumnTarget extends TaskLabels {
  readonly part: number;
  readonly first: number;
}

/** What is not the task's. */
function encodeColumn(
  { label }: Task,
  { names, codes }: LabelColumn,
  { values, width, part, first }: ColumnTarget,
): ReadonlyMap<string, Places> {
  const ofNames = label.encode(names);
  const places = new Map<string, Places>();
  for (const [row, code] of codes.entries()) {
    if (code === NO_NAME) continue;
    const start = code * part;
    if (isMissing(ofNames, start)) {
      const name = names[code] ?? "";
      const parts = label.strangers?.(name) ?? [];
      for (const stranger of parts.length > 0 ? parts : [name]) addPlace(places, stranger, row);
    } else for (let i = 0; i < part; i++) values[row * width + first + i] = ofNames[start + i] ?? 0;
  }
  return places;
}

const IGNORE_HINT = "`unknown_val_classes: ignore` leaves such labels out";

/** Whose labels are refused, who decided what they may be, and what else can be done. */
interface Refusal {
  readonly table: LabelTable;
  readonly task: Task;
  readonly origin?: string | undefined;
  readonly more?: string;
}

/** A fault for each label, or part of one, that is none of its task's, with its lines. */
function refuseStrangers(faults: FaultList, refusal: Refusal, { place, places }: Strangers): void {
  const { table, task, origin = "the training labels have", more } = refusal;
  for (const value of sortClasses([...places.keys()])) {
    // Nearest names of what is only counted would take minutes where there are thousands.
    if (faults.isFull) {
      faults.add({ code: "E_LABEL", message: value });
      continue;
    }
    const rows = places.get(value) ?? { first: [], count: 0 };
    const what = task.label.expected(origin, value);
    const message = `${placeText(place)}: "${value}" is not ${what} (${placesOf(table, rows)})`;
    const at = table.locate(rows.first[0] ?? 0);
    const { names } = task.label;
    const ways = [
      ...(names.length > 0 ? [suggestName(value, names)] : []),
      ...(more && isIgnorable(task) ? [more] : []),
    ];
    faults.add({ code: "E_LABEL", message, at, ...(ways.length > 0 ? { hint: ways.join("; ") } : {}) });
  }
}

function ignoredText(task: Task, { places }: Strangers, table: string): string {
  const rows = [...places.values()].reduce((sum, { count }) => sum + count, 0);
  const names = sortClasses([...places.keys()]).map((name) => `${name} (${places.get(name)?.count})`);
  const [first = ""] = places.keys();
  const what = isIgnorable(task) ? "no class" : `not ${task.label.expected("the run has", first)}`;
  return `task "${task.name}": ${rows} ${table} rows have no label, theirs are ${what}: ${listNames(names)}`;
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
