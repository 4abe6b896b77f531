// Where the labels and images of a run come from: its tables, read (or the parts of one, see splitTable.ts),
// and the image files before anything is read from them, that they lie where they may, are regular files and
// in one split alone. Paths of tables are not trusted, those of rows in memory are the caller's own.
import { resolve } from "node:path";
import { MttcError } from "../../compiler/diagnostics.ts";
import type { LabelSpec } from "../../compiler/spec/schema.ts";
import { columnGroups } from "../../compiler/tasks/columnGroups.ts";
import { kindNamed } from "../../compiler/tasks/openTask.ts";
import type { Task } from "../../compiler/tasks/task.ts";
import { type PathScope, tableScope } from "../checks/pathScope.ts";
import { checkImageFiles } from "../checks/sourceCheck.ts";
import { refuseSharedFiles } from "../checks/splitLeak.ts";
import { type ClassNames, describedTasks, type KnownTasks, type PreparedLabels } from "../labels/classes.ts";
import { keyFolder, type Split, type SplitRecord } from "../labels/splitRecord.ts";
import {
  type SplitKeys,
  type SplitTables,
  splitAgain,
  splitAnew,
  splitFolds,
  type WholeTable,
  withoutLastColumn,
} from "../labels/splitTable.ts";
import type { ImageRows } from "../tables/imageRows.ts";
import { readLabelTable } from "../tables/labelFiles.ts";
import {
  type LabelRow,
  type LabelTable,
  labelPlaces,
  labelTableFromRows,
  type TableColumns,
} from "../tables/labelTable.ts";
import { tableForm } from "../tables/tableText.ts";

/** The sources of a run: tables that its spec names, or rows in memory in their place. */
export interface RunSources {
  readonly spec: LabelSpec;
  /** Folder that relative paths of the spec start from. */
  readonly baseDirectory: string;
  readonly trainRows: readonly LabelRow[] | undefined;
  readonly valRows: readonly LabelRow[] | undefined;
  readonly testRows?: readonly LabelRow[] | undefined;
  /** Which rows are in which part, where the spec splits one table and a run has done so: a run's. */
  readonly split?: SplitRecord | undefined;
  /** Classes that are known already: a run's. */
  readonly classes?: ClassNames | undefined;
  /** What is known already of tasks that are not of classes: a run's. */
  readonly knownTasks?: KnownTasks | undefined;
  /** Missing-value words in any case, as a run took them that is older than the key `missing`. */
  readonly foldsMissing?: boolean;
}

/** A table or rows of a split, as the spec or the caller has them. */
function sourceOf(sources: RunSources, split: Split) {
  const { spec, trainRows, valRows, testRows } = sources;
  const paths = { train: spec.train_labels, val: spec.val_labels, test: spec.test_labels };
  const rows = { train: trainRows, val: valRows, test: testRows };
  return { path: paths[split], rows: rows[split] };
}

/** Whether a split is a part of the training table. */
function isPart({ spec }: RunSources, split: Split): boolean {
  if (spec.split === null || split === "train") return spec.split !== null;
  return split === "val" ? spec.split.val !== null || spec.split.folds !== null : spec.split.test !== null;
}

/**
 * Path of the table that a split is read from; undefined where it has none, or rows in memory. Parts of one
 * table have one path.
 */
export function tablePath(sources: RunSources, split: Split): string | undefined {
  const { path, rows } = sourceOf(sources, isPart(sources, split) ? "train" : split);
  return path === null || rows !== undefined ? undefined : resolve(sources.baseDirectory, path);
}

/** The label tables of a run as they are read. */
export interface ReadSplits {
  readonly tables: Readonly<Record<Split, LabelTable | undefined>>;
  /** The table that was split, whole, and what its split is. */
  readonly whole?: LabelTable;
  readonly record?: SplitRecord;
  /** Numbers of the parts' rows in it. */
  readonly rows?: SplitTables["rows"];
  /** What is to be told of the split, one sentence each. */
  readonly notes: readonly string[];
}

/**
 * All label tables of a run; a table that is split is read once. E_FILE, E_CSV_*, E_LABEL; E_CONFIG where the
 * spec's `split` cannot be; E_DATA_CHANGED as splitAgain.
 */
export async function readSplits(sources: RunSources): Promise<ReadSplits> {
  const parts = sources.spec.split === null ? undefined : await splitOf(sources, sources.spec.split);
  const read = async (split: Split): Promise<LabelTable | undefined> =>
    isPart(sources, split) ? parts?.tables[split] : await readOwn(sources, split, tableColumns(sources));
  const tables = { train: await read("train"), val: await read("val"), test: await read("test") };
  if (!parts) return { tables, notes: [] };
  const { whole, record, rows, notes } = parts;
  return { tables, whole, record, rows, notes };
}

/**
 * The labels of a split as its table or rows have them; undefined where there are none. Errors as those of
 * readSplits.
 */
export async function readSplit(
  sources: RunSources,
  split: Split,
): Promise<{ readonly table: LabelTable; readonly notes: readonly string[] } | undefined> {
  const { spec } = sources;
  if (spec.split !== null && isPart(sources, split)) {
    const { tables, notes } = await splitOf(sources, spec.split);
    const table = tables[split];
    return table && { table, notes };
  }
  const table = await readOwn(sources, split, tableColumns(sources));
  return table && { table, notes: [] };
}

/** A split's own table or rows. */
async function readOwn(
  sources: RunSources,
  split: Split,
  columns: TableColumns,
): Promise<LabelTable | undefined> {
  const { path, rows } = sourceOf(sources, split);
  if (rows) return labelTableFromRows(rows, columns, sources.baseDirectory, `${split}_labels`);
  return path === null ? undefined : await readLabelTable(resolve(sources.baseDirectory, path), columns);
}

/** The parts of the training table, as the run's record has them, else dealt anew. */
async function splitOf(
  sources: RunSources,
  keys: SplitKeys,
): Promise<SplitTables & { readonly whole: LabelTable }> {
  refuseOtherRows(sources);
  const record = sources.split;
  // The record knows where each row is: groups are not asked for.
  const whole = await readWhole(sources, record ? { ...keys, by: null } : keys);
  const parts = record ? splitAgain(whole, record) : await splitAnew(whole, wholeTasks(sources, whole), keys);
  return { ...parts, whole: whole.table };
}

/** Records of the training table's folds, one for each fold that validates. Errors as those of readSplits. */
export async function readFolds(
  sources: RunSources,
  keys: SplitKeys,
): Promise<{ readonly records: readonly SplitRecord[]; readonly notes: readonly string[] }> {
  const whole = await readWhole(sources, keys);
  return await splitFolds(whole, wholeTasks(sources, whole), keys);
}

/** What the column of groups is called in messages; no task can be called so. */
const GROUPS = "split: by";

/** The training table with its column of groups. */
async function readWhole(sources: RunSources, { by }: SplitKeys): Promise<WholeTable> {
  const { baseDirectory } = sources;
  const columns = tableColumns(sources);
  const path = tablePath(sources, "train");
  const isFolder = await isFolderTable(path);
  if (by !== null && isFolder)
    throw new MttcError({
      code: "E_CONFIG",
      message: `a folder with a folder per class has no column "${by}"`,
      at: { path: "split.by" },
      hint: "give a table with a column of groups",
    });
  // Groups are read as one more column, unless they are a task's.
  const own = labelPlaces(columns).findIndex(({ column }) => column === by);
  const reads = by !== null && own === -1;
  const more = reads ? withGroups(columns, by) : {};
  const read = await readOwn(sources, "train", { ...columns, ...more });
  if (read === undefined) throw noTable();
  const { table, column } = reads ? withoutLastColumn(read) : { table: read, column: read.columns[own] };
  return { table, groups: column, folder: keyFolder(path, isFolder, baseDirectory) };
}

/** What reads the column of groups behind those of the tasks. */
function withGroups({ tasks, groups, measured = [] }: TableColumns, by: string): Partial<TableColumns> {
  return {
    tasks: [...tasks, GROUPS],
    groups: { ...groups, [GROUPS]: [by] },
    measured: [...measured, GROUPS],
  };
}

/** Tasks as the whole table describes them: what its rows are dealt by. */
function wholeTasks({ spec, classes, knownTasks }: RunSources, { table }: WholeTable): readonly Task[] {
  const given = { ...spec.classes, ...classes };
  return describedTasks(table, { given, kinds: spec.task_kinds, known: knownTasks ?? {} });
}

async function isFolderTable(path: string | undefined): Promise<boolean> {
  // What cannot be looked at cannot be read either, which readLabelTable explains.
  return path !== undefined && (await tableForm(path).catch(() => undefined)) === "folder";
}

/** Rows in memory in the place of a part: in a spec that is the key val_labels or test_labels. */
function refuseOtherRows({ spec, valRows, testRows }: RunSources): void {
  const has = valRows !== undefined ? "val" : "test";
  if (valRows === undefined && (testRows === undefined || spec.split?.test == null)) return;
  throw new MttcError({
    code: "E_CONFIG",
    message: `${has}_labels names the rows already that \`split\` would choose`,
    at: { path: "split" },
  });
}

function noTable(): MttcError {
  return new MttcError({
    code: "E_CONFIG",
    message: "there is no table to split: train_labels is missing",
    at: { path: "split" },
  });
}

/** The columns of a run's tables, and how their cells are read. */
export function tableColumns({ spec, classes, foldsMissing = false }: RunSources): TableColumns {
  const { tasks, task_kinds: kinds, filepaths, missing, path_prefix, path_suffix } = spec;
  const named = { ...spec.classes, ...classes };
  const measured = Object.keys(kinds).filter((task) => !kindNamed(kinds[task]?.kind)?.areClasses);
  const groups = columnGroups(kinds);
  const lists = measured.filter((task) => {
    return kindNamed(kinds[task]?.kind)?.takesLists && !Object.hasOwn(groups, task);
  });
  const paths = { filepaths, path_prefix, path_suffix };
  return { ...paths, tasks, groups, measured, lists, missing, classes: named, foldsMissing };
}

/**
 * `rows` with a stamp of each row's file. Throws E_PATH_ESCAPE (paths of a table), E_PATH_TYPE, E_FILE, all
 * of them.
 */
export async function stampRows<Rows extends ImageRows>(
  sources: RunSources,
  split: Split,
  rows: Rows,
): Promise<Rows & Pick<ImageRows, "stamps">> {
  return await stampTable(sources, tablePath(sources, split), rows);
}

/** The same of rows of any table, or of rows in memory (undefined). */
export async function stampTable<Rows extends ImageRows>(
  sources: RunSources,
  table: string | undefined,
  rows: Rows,
): Promise<Rows & Pick<ImageRows, "stamps">> {
  const scope = table === undefined ? undefined : runScope(sources, table);
  return { ...rows, stamps: await checkImageFiles(rows.paths, rows.locate, scope) };
}

/** Whose images are about to be read: those of all tables, or of the one that evaluations read. */
type SourceUse = "training" | "evaluation";

/**
 * The labels with a stamp of each row's file, for an evaluation of the rows that it reads: the validation
 * rows, or the training rows where there are none. A run's training images may be gone by then. Throws
 * E_PATH_ESCAPE, E_PATH_TYPE, E_FILE (all of a table), and E_SPLIT_LEAK unless the spec allows it.
 */
export async function checkSources<Labels extends PreparedLabels>(
  sources: RunSources,
  labels: Labels,
  use: SourceUse = "training",
): Promise<Labels> {
  const { spec } = sources;
  const readsTrain = use === "training" || labels.val === undefined;
  const train = readsTrain ? await stampRows(sources, "train", labels.train) : labels.train;
  const val = labels.val && (await stampRows(sources, "val", labels.val));
  // Nothing reads test images here; but that they are there, and in no other table, is known from the start.
  const readsTest = use === "training" && labels.test !== undefined;
  const test = readsTest ? await stampRows(sources, "test", labels.test) : labels.test;
  if (spec.split_leak === "error") await refuseSharedFiles(labels);
  return { ...labels, train, val, test };
}

/** Where the images of a spec's table may lie. */
function runScope({ spec, baseDirectory }: RunSources, table: string): PathScope {
  const root = spec.image_root === null ? undefined : resolve(baseDirectory, spec.image_root);
  return tableScope(resolve(baseDirectory, table), root, baseDirectory);
}
