// Where the labels and images of a run come from: its tables, read, and the image files before anything is
// read from them, that they lie where they may, are regular files and not in both splits. Paths of tables
// are not trusted, those of rows in memory are the caller's own.
import { resolve } from "node:path";
import type { LabelSpec } from "../../compiler/spec/schema.ts";
import { columnGroups } from "../../compiler/tasks/columnGroups.ts";
import { kindNamed } from "../../compiler/tasks/openTask.ts";
import { type PathScope, tableScope } from "../checks/pathScope.ts";
import { checkImageFiles } from "../checks/sourceCheck.ts";
import { refuseSharedFiles } from "../checks/splitLeak.ts";
import type { ClassNames, KnownTasks, PreparedLabels } from "../labels/classes.ts";
import type { ImageRows } from "../tables/imageRows.ts";
import { readLabelTable } from "../tables/labelFiles.ts";
import {
  type LabelRow,
  type LabelTable,
  labelTableFromRows,
  type TableColumns,
} from "../tables/labelTable.ts";

/** The sources of a run: tables that its spec names, or rows in memory in their place. */
export interface RunSources {
  readonly spec: LabelSpec;
  /** Folder that relative paths of the spec start from. */
  readonly baseDirectory: string;
  readonly trainRows: readonly LabelRow[] | undefined;
  readonly valRows: readonly LabelRow[] | undefined;
  /** Classes that are known already: a run's. */
  readonly classes?: ClassNames | undefined;
  /** What is known already of tasks that are not of classes: a run's. */
  readonly knownTasks?: KnownTasks | undefined;
  /** Missing-value words in any case, as a run took them that is older than the key `missing`. */
  readonly foldsMissing?: boolean;
}

/** The label tables of a run. */
export type Split = "train" | "val";

/** Path of a split's table; undefined where it has none, or rows in memory. */
export function tablePath(sources: RunSources, split: Split): string | undefined {
  const { spec, baseDirectory, trainRows, valRows } = sources;
  const path = split === "train" ? spec.train_labels : spec.val_labels;
  const rows = split === "train" ? trainRows : valRows;
  return path === null || rows !== undefined ? undefined : resolve(baseDirectory, path);
}

/**
 * The labels of a split as its table or rows have them; undefined where there are none. E_FILE, E_CSV_*,
 * E_LABEL.
 */
export async function readSplit(sources: RunSources, split: Split): Promise<LabelTable | undefined> {
  const { baseDirectory, trainRows, valRows } = sources;
  const columns = tableColumns(sources);
  const rows = split === "train" ? trainRows : valRows;
  if (rows) return labelTableFromRows(rows, columns, baseDirectory, `${split}_labels`);
  const path = tablePath(sources, split);
  return path === undefined ? undefined : await readLabelTable(path, columns);
}

/** The columns of a run's tables, and how their cells are read. */
function tableColumns({ spec, classes, foldsMissing = false }: RunSources): TableColumns {
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
  const table = tablePath(sources, split);
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
  if (spec.split_leak === "error") await refuseSharedFiles(labels);
  return { ...labels, train, val };
}

/** Where the images of a spec's table may lie. */
function runScope({ spec, baseDirectory }: RunSources, table: string): PathScope {
  const root = spec.image_root === null ? undefined : resolve(baseDirectory, spec.image_root);
  return tableScope(resolve(baseDirectory, table), root, baseDirectory);
}
