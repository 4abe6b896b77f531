// What a label table seems to hold, for `mttc init` and `mttc data stats`: which column names images, which
// ones look like tasks, which do not. Any form of table that training reads.
import { dirname, resolve } from "node:path";
import sharp from "sharp";
import { MttcError } from "../compiler/diagnostics.ts";
import { classKey } from "../compiler/spec/classKey.ts";
import { resolveKeys } from "../compiler/spec/parseSpec.ts";
import { SECTION_KEYS, type SpecInput } from "../compiler/spec/schema.ts";
import { sortClasses } from "../compiler/tasks/classTask.ts";
import { TASK_KINDS } from "../compiler/tasks/taskTable.ts";
import { readImageFile } from "../runtime/images/imageFile.ts";
import type { PathRule } from "../runtime/tables/imagePaths.ts";
import { readLabelTable } from "../runtime/tables/labelFiles.ts";
import type { LabelTable } from "../runtime/tables/labelTable.ts";
import { type SurveyedColumn, surveyTable, type TableSurvey } from "../runtime/tables/tableSurvey.ts";
import { tableError, tableForm } from "../runtime/tables/tableText.ts";
import { ImageSearch } from "./imageSearch.ts";

const MAX_CLASSES = 200;
/** A column with fewer rows per value than this is text, not classes. */
const MIN_ROWS_PER_CLASS = 2;
const SAMPLED_IMAGES = 16;
/** What a folder of folders is said to label. */
export const FOLDER_TASK = "class";

/** A column that looks like a task. */
export interface TaskColumn {
  readonly name: string;
  readonly labelled: number;
  /** Classes with their rows, in the order that training gives them; none of a task of another kind. */
  readonly classes: readonly { readonly name: string; readonly rows: number }[];
  /** The kind of a task that is not of classes, and what its columns hold. */
  readonly kind?: { readonly name: string; readonly holds: string };
  /** The columns of a task that has several. */
  readonly columns?: readonly string[];
}

export interface TableFacts {
  readonly rows: number;
  /** Undefined for a folder with a folder per class, which has no columns. */
  readonly pathColumn: string | undefined;
  /** Some of the images, absolute. */
  readonly samples: readonly string[];
  /** What has to be put before and behind the cells of the path column, where there is something. */
  readonly pathRule?: PathRule;
  readonly tasks: readonly TaskColumn[];
  /** Columns that are no tasks, and why. */
  readonly others: readonly { readonly name: string; readonly reason: string }[];
}

/**
 * Looks through a label table; `pathColumn` names the column of images where it is known. E_FILE,
 * E_CSV_SHAPE, E_CSV_LINE, and E_CSV_HEADER where no column names images or, with `needsTask`, none can be a
 * task.
 */
export async function readTableFacts(
  file: string,
  pathColumn?: string,
  needsTask = true,
): Promise<TableFacts> {
  const form = await tableForm(file).catch((cause: unknown) => {
    throw tableError(cause, file);
  });
  if (form === "folder")
    return folderFacts(await readLabelTable(file, { tasks: [FOLDER_TASK], filepaths: "" }));
  return await columnFacts(await surveyTable(file), file, pathColumn, needsTask);
}

function folderFacts({ paths, columns }: LabelTable): TableFacts {
  const { names = [], codes = new Int32Array() } = columns[0] ?? {};
  const rows = names.map(() => 0);
  for (const code of codes) rows[code] = (rows[code] ?? 0) + 1;
  const classes = sortClasses([...new Set(names.map(classKey))]).map((name) => ({
    name,
    rows: names.reduce((sum, label, code) => sum + (classKey(label) === name ? (rows[code] ?? 0) : 0), 0),
  }));
  const count = Math.min(SAMPLED_IMAGES, paths.length);
  const samples = Array.from({ length: count }, (_, i) => {
    return paths.at(Math.floor((i * paths.length) / count)) ?? "";
  });
  const tasks = [{ name: FOLDER_TASK, labelled: codes.length, classes }];
  return { rows: paths.length, pathColumn: undefined, samples, tasks, others: [] };
}

async function columnFacts(
  survey: TableSurvey,
  file: string,
  pathColumn: string | undefined,
  needsTask: boolean,
): Promise<TableFacts> {
  const { rows, columns } = survey;
  const search = new ImageSearch(file);
  const best = await pathColumnOf(survey, search, pathColumn);
  const refuse = (message: string, hint: string): never => {
    throw new MttcError({ code: "E_CSV_HEADER", message, at: { file, line: 1 }, hint });
  };
  if (best === undefined) {
    const names = columns.map(({ name }) => name);
    return refuse(
      "no column looks like image paths",
      `half of its cells should end in .png, .jpg, .jpeg, .webp or .tif; columns: ${names.join(", ")}`,
    );
  }
  const { group, rest } = groupOf(columns.filter((column) => column !== best));
  const judged = rest.map(judge);
  const single = judged.flatMap((column) => ("classes" in column ? [column] : []));
  const tasks = group ? [...single, group] : single;
  const others = judged.flatMap((column) => ("reason" in column ? [column] : []));
  if (tasks.length === 0 && needsTask)
    return refuse(
      "no column looks like a task",
      others.map(({ name, reason }) => `${name}: ${reason}`).join("; ") || "there is no other column",
    );
  const cells = best.first.slice(0, SAMPLED_IMAGES);
  const found = await search.find(cells);
  const samples = found?.paths ?? cells.map((cell) => resolve(dirname(file), cell));
  const facts = { rows, pathColumn: best.name, samples, tasks, others };
  return found === undefined || Object.keys(found.rule).length === 0
    ? facts
    : { ...facts, pathRule: found.rule };
}

/** The column with most names of images; where there is none, the first whose cells find images. */
async function pathColumnOf(
  { rows, columns }: TableSurvey,
  search: ImageSearch,
  pathColumn: string | undefined,
): Promise<SurveyedColumn | undefined> {
  const given = columns.find(({ name }) => name === pathColumn);
  const [most] = columns.toSorted((a, b) => b.imageNames - a.imageNames);
  if (given ?? (most && most.imageNames >= rows / 2 ? most : undefined)) return given ?? most;
  for (const column of columns) {
    // A class may be called as an image is; names of images hardly repeat.
    const isId = column.nested === 0 && (column.hasMore || column.values.size > rows / 2);
    if (isId && (await search.find(column.first)) !== undefined) return column;
  }
  return undefined;
}

/** Fewer columns than this that a kind would take together are tasks of their own. */
const LEAST_GROUP = 3;
/** What a group of columns is called, or the first of these that no column is. */
const GROUP_NAMES = ["tags", "labels", "all tags"];

/** The columns that make one task together, for the first kind that has such, and those that are left. */
function groupOf(columns: readonly SurveyedColumn[]): {
  readonly group: TaskColumn | undefined;
  readonly rest: readonly SurveyedColumn[];
} {
  const taken = new Set(columns.map(({ name }) => name));
  const name = GROUP_NAMES.find((candidate) => !taken.has(candidate));
  for (const { kind, surveyGroup } of TASK_KINDS) {
    const members = columns.filter(({ values, hasMore }) => !hasMore && surveyGroup?.accepts(values));
    if (!surveyGroup || members.length < LEAST_GROUP || name === undefined) continue;
    const labelled = Math.max(...members.map((column) => column.labelled));
    const group = {
      ...{ name, labelled, classes: [], columns: members.map((column) => column.name) },
      kind: { name: kind, holds: surveyGroup.holds(members.length) },
    };
    return { group, rest: columns.filter((column) => !members.includes(column)) };
  }
  return { group: undefined, rest: columns };
}

function judge(column: SurveyedColumn): TaskColumn | TableFacts["others"][number] {
  const { name, labelled, values } = column;
  if (column.nested > 0) return { name, reason: "lists or objects" };
  if (labelled === 0) return { name, reason: "empty" };
  if (values.size === 1) return { name, reason: `one value only (${[...values.keys()][0]})` };
  const areLists = column.lists > 0;
  const mayBeClasses =
    !areLists && values.size <= MAX_CLASSES && labelled / values.size >= MIN_ROWS_PER_CLASS;
  const kind = kindOf(values, mayBeClasses, areLists);
  if (kind && taskNameFault(name) === undefined) return { name, labelled, classes: [], kind };
  if (column.first.some((cell) => /^\{\s*"choices"/.test(cell)))
    return { name, reason: "several choices in one cell: tags, with kind: tags in the spec" };
  if (areLists) return { name, reason: "lists or objects" };
  if (!mayBeClasses) {
    const number = `${column.hasMore ? "over " : ""}${values.size}`;
    return { name, reason: `${number} different values in ${labelled} rows` };
  }
  const fault = taskNameFault(name);
  if (fault !== undefined) return { name, reason: fault };
  const classes = sortClasses([...values.keys()]).map((label) => ({
    name: label,
    rows: values.get(label) ?? 0,
  }));
  return { name, labelled, classes };
}

/** The first kind that takes the column for its own. */
function kindOf(
  values: SurveyedColumn["values"],
  mayBeClasses: boolean,
  areLists: boolean,
): TaskColumn["kind"] {
  for (const { kind, survey, takesLists } of TASK_KINDS) {
    const holds = areLists && !takesLists ? undefined : survey?.({ values, mayBeClasses, areLists });
    if (holds !== undefined) return { name: kind, holds };
  }
  return undefined;
}

/** The entry of a spec's `tasks` for a column. */
export function taskEntry({ name, kind, columns }: TaskColumn): SpecInput["tasks"][number] {
  return kind ? { name, kind: kind.name, ...(columns ? { columns: [...columns] } : {}) } : name;
}

/** Why the spec would refuse a task of that name; undefined if it takes it. */
function taskNameFault(name: string): string | undefined {
  try {
    resolveKeys(SECTION_KEYS.labels, { tasks: [name], filepaths: `not ${name}`.slice(0, 200) });
    return undefined;
  } catch (error) {
    if (!(error instanceof MttcError)) throw error;
    return error.faults[0]?.message ?? "not a task's name";
  }
}

/** Median [height, width] of those images that can be read; undefined where none can. */
export async function medianImageSize(paths: readonly string[]): Promise<[number, number] | undefined> {
  const sizes: { height: number; width: number }[] = [];
  for (const path of paths) {
    try {
      const { autoOrient } = await sharp(await readImageFile(path)).metadata();
      sizes.push(autoOrient);
    } catch {
      // A draft needs a typical size only; training names every image that it cannot read.
    }
  }
  if (sizes.length === 0) return undefined;
  const median = (values: number[]): number => values.sort((a, b) => a - b)[values.length >> 1] ?? 0;
  return [median(sizes.map(({ height }) => height)), median(sizes.map(({ width }) => width))];
}
