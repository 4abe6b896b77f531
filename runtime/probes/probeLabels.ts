// The table of a probe's labels: images, and for each column the class number of every row. Of a table whose
// columns nobody names all are taken that look like classes, and what is passed over is told.
import { stat } from "node:fs/promises";
import { dirname } from "node:path";
import { MttcError, suggestName } from "../../compiler/diagnostics.ts";
import { kindNamed, openTask } from "../../compiler/tasks/openTask.ts";
import type { TaskDescription } from "../../compiler/tasks/task.ts";
import { tableScope } from "../checks/pathScope.ts";
import { checkImageFiles } from "../checks/sourceCheck.ts";
import type { ImageRows } from "../tables/imageRows.ts";
import { readLabelTable } from "../tables/labelFiles.ts";
import { type LabelColumn, type LabelTable, NO_NAME, type TableColumns } from "../tables/labelTable.ts";
import { surveyTable } from "../tables/tableSurvey.ts";
import { heldOutRows, labelledParts } from "./linearProbe.ts";

/** What the labels of a folder of class folders are called. */
const FOLDER_COLUMN = "class";
const MOST_NAMED = 5;

/** One column as classes. */
export interface ProbeColumn {
  readonly name: string;
  /** The task that it would be. */
  readonly description: TaskDescription;
  readonly classes: readonly string[];
  /** Class number of each row, -1 where there is none. */
  readonly labels: Int32Array;
}

/** The rows of a probe. */
export interface ProbeLabels {
  /** The table, for messages. */
  readonly source: string;
  readonly rows: ImageRows;
  readonly columns: readonly ProbeColumn[];
  /** Whether each row is held out. */
  readonly heldOut: Uint8Array;
  /** What was left out, one sentence each. */
  readonly notes: readonly string[];
}

/** How the table is read: the spec's keys of the same names, and where its images may lie. */
export interface ProbeTable extends Omit<TableColumns, "tasks" | "classes" | "measured" | "lists"> {
  /** Absolute path of the table. */
  readonly file: string;
  /** Columns of labels; undefined: all that look like classes. */
  readonly columns?: readonly string[] | undefined;
  /** Folder that all images must lie in; undefined: the table's or `folder`. */
  readonly root?: string | undefined;
  readonly folder?: string | undefined;
}

/**
 * Reads the table and looks at its images' files. What reading a table throws; E_LABEL for a column that
 * cannot be told apart by (fewer than two classes outside the third that is held out), E_CSV_HEADER where no
 * column can.
 */
export async function readProbeLabels(table: ProbeTable): Promise<ProbeLabels> {
  const { file, columns: named, root, folder = dirname(file), ...reading } = table;
  const names = named ?? (await columnsOf(file, reading.filepaths));
  const read = await readLabelTable(file, { ...reading, tasks: names, measured: named ? [] : names });
  const heldOut = heldOutRows(read.paths);
  const passed: string[] = [];
  const strange: string[] = [];
  const columns = names.flatMap((name, i): ProbeColumn[] => {
    const column = asClasses(name, read.columns[i]);
    const reason = named === undefined ? noClasses(column) : undefined;
    const fault = reason ?? tooFew(column, heldOut);
    if (fault === undefined) {
      strange.push(...unseenText(column, heldOut));
      return [column];
    }
    if (named) throw unusable(read, name, fault);
    passed.push(`${name} (${fault})`);
    return [];
  });
  if (columns.length === 0) throw noColumn(file, reading.filepaths, passed);
  const stamps = await checkImageFiles(read.paths, read.locate, tableScope(file, root, folder));
  const rows = { paths: read.paths, locate: read.locate, stamps };
  const notes = [...read.notes, ...passedOver(file, passed), ...strange];
  return { source: file, rows, columns, heldOut, notes };
}

/** All columns but that of the paths. */
async function columnsOf(file: string, filepaths: string): Promise<string[]> {
  const isFolder = await stat(file).then(
    (entry) => entry.isDirectory(),
    // What is not there is for the reading of the table to say.
    () => false,
  );
  if (isFolder) return [FOLDER_COLUMN];
  const { columns } = await surveyTable(file);
  const names = columns.filter(({ nested }) => nested === 0).map(({ name }) => name);
  if (names.includes(filepaths)) return names.filter((name) => name !== filepaths && name !== "");
  throw new MttcError({
    code: "E_CSV_HEADER",
    message: `no column "${filepaths}" of image paths`,
    at: { file },
    hint: suggestName(filepaths, names),
  });
}

function asClasses(name: string, column: LabelColumn | undefined): ProbeColumn {
  const { names, codes } = column ?? { names: [], codes: new Int32Array() };
  const kind = kindNamed(undefined);
  const rows = new Float64Array(names.length);
  for (const code of codes) if (code !== NO_NAME) rows[code] = (rows[code] ?? 0) + 1;
  const description = kind?.describe(name, {}, { names, rows }) ?? { task: name };
  if (names.length === 0) return { name, description, classes: [], labels: codes.map(() => -1) };
  const task = openTask(description);
  const numbers = task.label.encode(names);
  const labels = codes.map((code) => (code === NO_NAME ? -1 : Number(numbers[code] ?? -1)));
  return { name, description, classes: task.numbers, labels };
}

/** Why a column that nobody named is hardly one of classes. */
function noClasses({ classes, labels }: ProbeColumn): string | undefined {
  const labelled = labels.filter((label) => label >= 0).length;
  if (classes.length > 2 && classes.length > labelled / 2)
    return `${classes.length} values in ${labelled} rows`;
  return undefined;
}

/** Why nothing can be learned of a column. */
function tooFew({ labels }: ProbeColumn, heldOut: Uint8Array): string | undefined {
  const { train, test } = labelledParts({ labels, heldOut });
  const seen = new Set(Array.from(train, (row) => labels[row]));
  if (test.length === 0) return "no labelled row is held out";
  if (seen.size >= 2) return undefined;
  return `${seen.size === 0 ? "no class" : "one class"} in the ${train.length} rows that are not held out`;
}

/** Held-out rows whose class no other row shows: they are missed for certain. */
function unseenText({ name, labels }: ProbeColumn, heldOut: Uint8Array): string[] {
  const { train, test } = labelledParts({ labels, heldOut });
  const seen = new Set(Array.from(train, (row) => labels[row]));
  const unseen = test.filter((row) => !seen.has(labels[row])).length;
  if (unseen === 0) return [];
  const what = `${unseen} of ${test.length} held-out rows are of classes that no other row has`;
  return [`${name}: ${what}; they count as missed`];
}

function unusable({ source }: LabelTable, name: string, fault: string): MttcError {
  const message = `a linear classifier of "${name}" needs two classes or more: ${fault}`;
  const hint = "a third of the images is held out; label more of them";
  return new MttcError({ code: "E_LABEL", message, at: { file: source }, hint });
}

function noColumn(file: string, filepaths: string, passed: readonly string[]): MttcError {
  const found = passed.length > 0 ? `: ${passed.slice(0, MOST_NAMED).join(", ")}` : "";
  const message = `no column beside "${filepaths}" can be told apart by${found}`;
  const hint = "a column of labels has two classes or more, each on several rows";
  return new MttcError({ code: "E_CSV_HEADER", message, at: { file }, hint });
}

function passedOver(file: string, passed: readonly string[]): string[] {
  if (passed.length === 0) return [];
  const more = passed.length > MOST_NAMED ? ` and ${passed.length - MOST_NAMED} more` : "";
  const [what, verb] = passed.length === 1 ? ["column", "is"] : ["columns", "are"];
  const list = passed.slice(0, MOST_NAMED).join(", ");
  return [`${what} of ${file} that ${verb} not probed, being no classes: ${list}${more}`];
}
