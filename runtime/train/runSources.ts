// The image files of a run before anything is read from them: that they lie where they may, are regular files
// and not in both splits. Paths of tables are not trusted, those of rows in memory are the caller's own.
import { resolve } from "node:path";
import type { LabelledRows, PreparedLabels } from "../data/classes.ts";
import { type PathScope, tableScope } from "../data/pathScope.ts";
import { checkImageFiles } from "../data/sourceCheck.ts";
import { refuseSharedFiles } from "../data/splitLeak.ts";
import type { Experiment } from "./trainerOptions.ts";

/** Whose images are about to be read: those of all tables, or of the one that evaluations read. */
type SourceUse = "training" | "evaluation";

/**
 * The labels with a stamp of each row's file, for an evaluation of the rows that it reads: the validation
 * rows, or the training rows where there are none. A run's training images may be gone by then. Throws
 * E_PATH_ESCAPE, E_PATH_TYPE, E_FILE (all of a table), and E_SPLIT_LEAK unless the spec allows it.
 */
export async function checkSources<Labels extends PreparedLabels>(
  experiment: Experiment,
  labels: Labels,
  use: SourceUse = "training",
): Promise<Labels> {
  const { spec, trainRows, valRows } = experiment;
  const stamped = async <Rows extends LabelledRows>(
    rows: Rows,
    scope: PathScope | undefined,
  ): Promise<Rows> => ({
    ...rows,
    stamps: await checkImageFiles(rows.paths, rows.locate, scope),
  });
  const scopeOf = (table: string | null, rows: unknown): PathScope | undefined =>
    table === null || rows !== undefined ? undefined : runScope(experiment, table);
  const readsTrain = use === "training" || labels.val === undefined;
  const train = readsTrain
    ? await stamped(labels.train, scopeOf(spec.train_labels, trainRows))
    : labels.train;
  const val = labels.val && (await stamped(labels.val, scopeOf(spec.val_labels, valRows)));
  if (spec.split_leak === "error") await refuseSharedFiles(labels);
  return { ...labels, train, val };
}

/** Where the images of a spec's table may lie. */
export function runScope({ spec, baseDirectory }: Experiment, table: string): PathScope {
  const root = spec.image_root === null ? undefined : resolve(baseDirectory, spec.image_root);
  return tableScope(resolve(baseDirectory, table), root, baseDirectory);
}
