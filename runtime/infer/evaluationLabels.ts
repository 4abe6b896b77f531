// What a run is evaluated on: a split of its own, read as it is now, or another table of any form, whose
// columns may be other ones. In: the run's folder and tasks. Out: labelled rows, and what is to be said of
// them: labels that the run does not know, tasks without a column, images that it was trained on.
import { basename, resolve } from "node:path";
import { closeNames, MttcError, suggestName } from "../../compiler/diagnostics.ts";
import type { Task } from "../../compiler/tasks/task.ts";
import { sharedFiles } from "../checks/splitLeak.ts";
import { encodeLabels, type LabelledRows } from "../labels/classes.ts";
import { groupCounts } from "../labels/labelStatistics.ts";
import { listNames } from "../labels/labelWarnings.ts";
import type { Split } from "../labels/splitRecord.ts";
import type { RunFolder } from "../runs/runFolder.ts";
import {
  type RunSources,
  readSplit,
  stampRows,
  stampTable,
  tableColumns,
  tablePath,
} from "../runs/runSources.ts";
import { skippedImages, withoutImages } from "../runs/skippedImages.ts";
import type { ImageRows } from "../tables/imageRows.ts";
import { readLabelTable } from "../tables/labelFiles.ts";
import { type LabelTable, labelPlaces, type TableColumns } from "../tables/labelTable.ts";
import { surveyTable } from "../tables/tableSurvey.ts";
import { tableError, tableForm } from "../tables/tableText.ts";

const MAX_NAMED = 5;

/** Which rows a run is evaluated on; by default its validation rows, else its training rows. */
export interface EvaluationChoice {
  /** A split of the run. */
  readonly split?: Split | undefined;
  /** Path of another label table, of any form; it may lack columns of tasks, or all of them. */
  readonly table?: string | undefined;
  /** Column of image paths of that table (default: the run's). */
  readonly filepaths?: string | undefined;
  /** Folder that its images must lie in (default: the run's, else the table's own and the spec's). */
  readonly imageRoot?: string | undefined;
}

/** Rows that a run is evaluated on, and where they come from. */
export interface EvaluationRows {
  /** "other": of a table that is not the run's. */
  readonly split: Split | "other";
  /** The table's file; undefined for rows in memory. */
  readonly table: string | undefined;
  readonly rows: LabelledRows;
  /** Tasks that the table has no column of: nothing is scored of them. */
  readonly absent: readonly string[];
  /** What is legal but probably not meant, one sentence each. */
  readonly warnings: readonly string[];
}

/**
 * The rows that `choice` names, as their table is now, under the run's classes. E_FILE, E_CSV_*, E_PATH_*;
 * E_LABEL for labels of the run's own tables that it does not know, which of another table are told;
 * E_CONFIG where the run has no such table; E_DATA_CHANGED.
 */
export async function evaluationLabels(
  folder: RunFolder,
  tasks: readonly Task[],
  choice: EvaluationChoice = {},
): Promise<EvaluationRows> {
  if (choice.table !== undefined) return await otherLabels(folder, tasks, choice.table, choice);
  const { split, table, notes } = await tableOfRun(folder, choice.split);
  const { spec } = folder;
  const ignored: string[] = [];
  const ignores = split !== "train" && spec.unknown_val_classes === "ignore";
  const told = { lines: ignored, of: TABLE_NAMES[split] };
  const encoded = encodeLabels(table, tasks, ignores ? told : undefined);
  const rows = withoutImages(await stampRows(folder, split, encoded), await skippedImages(folder));
  const warnings = [...table.notes, ...notes, ...labelGaps(rows, tasks, table.source), ...ignored];
  return { split, table: tablePath(folder, split), rows, absent: [], warnings };
}

/** What rows of a split are called. */
export const TABLE_NAMES: Readonly<Record<Split, string>> = {
  train: "training",
  val: "validation",
  test: "test",
};

/** A table of the run: of the split that is named, else validation's, else the training table. */
export async function tableOfRun(
  folder: RunFolder,
  wanted: Split | undefined,
): Promise<{ split: Split; table: LabelTable; notes: readonly string[] }> {
  for (const split of wanted === undefined ? (["val", "train"] as const) : [wanted]) {
    const read = await readSplit(folder, split);
    if (read) return { split, ...read };
  }
  throw noLabels(folder, wanted);
}

function noLabels({ directory: file }: RunFolder, wanted: Split | undefined): MttcError {
  const path = `${wanted ?? "val"}_labels`;
  const message =
    wanted === undefined ? "the run has no labels to be evaluated on" : `the run has no ${path}`;
  const hint = "`mttc evaluate RUN --labels FILE` evaluates it on another table";
  return new MttcError({ code: "E_CONFIG", message, at: { file, path }, hint });
}

/** Classes and tasks that the labels say nothing of. */
function labelGaps(rows: LabelledRows, tasks: readonly Task[], source: string): string[] {
  const counts = groupCounts(rows, tasks);
  return tasks.flatMap(({ name: task, groups }) => {
    const unseen = groups.names.filter((_, group) => counts[task]?.[group] === 0);
    if (unseen.length === 0) return [];
    if (unseen.length === groups.names.length) return [`task "${task}" has no label in ${source}`];
    if (!groups.areClasses) return [];
    const more = unseen.length > MAX_NAMED ? ` and ${unseen.length - MAX_NAMED} more` : "";
    return [`task "${task}": ${source} has no label of ${unseen.slice(0, MAX_NAMED).join(", ")}${more}`];
  });
}

/** Labels of a table that is not the run's. */
async function otherLabels(
  folder: RunFolder,
  tasks: readonly Task[],
  file: string,
  choice: EvaluationChoice,
): Promise<EvaluationRows> {
  const path = resolve(file);
  const sources = sourcesOf(folder, choice);
  const read = await readOther(path, sources, tasks);
  const { table } = read;
  const present = tasks.filter(({ name }) => table.tasks.includes(name));
  const unknown: string[] = [];
  const encoded = encodeLabels(table, present, { lines: unknown, of: basename(path), all: true });
  const rows = await stampTable(sources, path, encoded);
  const absent = tasks.filter((task) => !present.includes(task)).map(({ name }) => name);
  const warnings = [
    ...table.notes,
    ...(present.length === 0 ? [`${path} has no column of a task: nothing is scored`] : []),
    ...absent.flatMap((name) => absentText(name, read, path)),
    ...labelGaps(rows, present, path),
    ...unknown,
    ...(await trainedOn(folder, rows)),
  ];
  return { split: "other", table: path, rows, absent, warnings };
}

/** The run's way of reading tables, for one that is not its own. */
function sourcesOf(folder: RunFolder, { filepaths, imageRoot }: EvaluationChoice): RunSources {
  const { baseDirectory, classes, knownTasks, foldsMissing } = folder;
  const spec = {
    ...folder.spec,
    filepaths: filepaths ?? folder.spec.filepaths,
    image_root: imageRoot === undefined ? folder.spec.image_root : resolve(imageRoot),
  };
  const rows = { trainRows: undefined, valRows: undefined };
  return { spec, baseDirectory, ...rows, classes, knownTasks, foldsMissing };
}

interface OtherTable {
  readonly table: LabelTable;
  /** Columns of a task that it has not. */
  readonly lacking: (task: string) => readonly string[];
  /** Of its columns the one that is called most like that. */
  readonly near: (column: string) => string | undefined;
}

/** The table with the columns of tasks that it has. */
async function readOther(path: string, sources: RunSources, tasks: readonly Task[]): Promise<OtherTable> {
  const { spec } = sources;
  const form = await tableForm(path).catch((cause: unknown) => {
    throw tableError(cause, path);
  });
  const columnsOf = (own: readonly string[]): TableColumns =>
    tableColumns({ ...sources, spec: { ...spec, tasks: own } });
  if (form === "folder") {
    // Its folders are classes of one task; of a run of several nobody knows of which.
    const [name = ""] = tasks.map((task) => task.name);
    const read = await readLabelTable(path, { ...columnsOf([name]), groups: {} });
    const isOne = labelPlaces(columnsOf(tasks.map((task) => task.name))).length === 1;
    return {
      table: isOne ? read : { ...read, tasks: [], columns: [] },
      lacking: () => [],
      near: () => undefined,
    };
  }
  const { columns } = await surveyTable(path);
  const names = columns.map(({ name }) => name.normalize("NFC"));
  if (!names.includes(spec.filepaths.normalize("NFC"))) throw noPaths(path, spec.filepaths, names);
  const lacking = (task: string): string[] =>
    labelPlaces(columnsOf([task]))
      .map(({ column }) => column)
      .filter((column) => !names.includes(column.normalize("NFC")));
  const present = tasks.map(({ name }) => name).filter((name) => lacking(name).length === 0);
  const table = await readLabelTable(path, columnsOf(present));
  return { table, lacking, near: (column) => closeNames(column, names, 1)[0] };
}

function noPaths(file: string, name: string, names: readonly string[]): MttcError {
  return new MttcError({
    code: "E_CSV_HEADER",
    message: `no column "${name}", which the run's tables have for image paths`,
    at: { file },
    hint: `${suggestName(name, names)}; --filepaths COLUMN says which one it is here`,
  });
}

/** What is said of a task without a column: where all are without, only what may have been meant. */
function absentText(task: string, { table, lacking, near }: OtherTable, path: string): string[] {
  const columns = lacking(task);
  const meant = columns.flatMap((column) => near(column) ?? [])[0];
  if (meant === undefined && table.tasks.length === 0) return [];
  const hint = meant === undefined ? "" : ` (did you mean its "${meant}"?)`;
  const named = listNames(columns.map((column) => `"${column}"`));
  return [`task "${task}" is not scored: ${path} has no column ${named}${hint}`];
}

/** Images that the run was trained on, of which figures flatter. */
async function trainedOn(folder: RunFolder, rows: ImageRows): Promise<string[]> {
  try {
    const train = await readSplit(folder, "train");
    if (train === undefined) return [];
    const shared = await sharedFiles(train.table, rows);
    if (shared.length === 0) return [];
    const images =
      shared.length === 1 ? "1 image is a training image" : `${shared.length} images are training images`;
    return [`${images} of the run, such as ${shared[0]?.path}: figures of what was trained on flatter`];
  } catch (error) {
    if (!(error instanceof MttcError)) throw error;
    return [
      "whether it has images that the run was trained on is not known: the training labels cannot be read",
    ];
  }
}
