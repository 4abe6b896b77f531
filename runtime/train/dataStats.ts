// The public functions behind `mttc data stats`: label tables, as a trainer takes them -> their statistics, and
// a picture of these.
import type { SpecInput } from "../../compiler/spec/schema.ts";
import { drawStatisticsSheet } from "../drawing/statisticsSheet.ts";
import type { BatchSpec } from "../draws/sampler.ts";
import type { MissingCount } from "../labels/classes.ts";
import { conflictWarnings } from "../labels/labelConflicts.ts";
import { type LabelStatistics, labelStatistics } from "../labels/labelStatistics.ts";
import type { Experiment } from "./experiment.ts";
import { experimentFromOptions, readLabels, type TrainerOptions } from "./trainerOptions.ts";

/** Label tables, and the keys of a spec that decide what a batch holds. */
export type DataStatsOptions = Pick<TrainerOptions, "train_labels" | "val_labels"> &
  Pick<SpecInput, "tasks" | "filepaths" | "classes" | "missing" | "unknown_val_classes"> &
  Pick<SpecInput, "batch_size" | "balance_probs" | "balance_classes">;

/** Statistics of labels, and what is odd about them. */
export interface DataStatistics extends LabelStatistics {
  /** Cells that were taken as missing, by task, split and spelling. */
  readonly missing: readonly MissingCount[];
  /** What is legal but probably not meant, one sentence each. */
  readonly warnings: readonly string[];
}

/**
 * Counts labels per task, class and split, tasks labelled together, and what a batch holds. Relative paths
 * start from the working directory. E_CONFIG, E_FILE, E_CSV_*, E_LABEL, E_TASK_EMPTY.
 */
export async function dataStats(options: DataStatsOptions): Promise<DataStatistics> {
  // A spec has to have a network; the counts do not depend on it.
  const experiment = experimentFromOptions({ ...options, fcn: { layers: [1] } }, {});
  return await experimentStatistics(experiment, experiment.spec);
}

/** The same of an experiment that is known already, in batches of `spec`. */
export async function experimentStatistics(experiment: Experiment, spec: BatchSpec): Promise<DataStatistics> {
  const labels = await readLabels(experiment);
  const warnings = [...labels.warnings, ...(await conflictWarnings(labels))];
  return { ...labelStatistics(labels, spec), missing: labels.missing, warnings };
}

/** A PNG of statistics: bars per class, a map of tasks labelled together, the batch; `title` heads it. */
export async function dataStatsPlot(statistics: LabelStatistics, title = "Labels"): Promise<Buffer> {
  return await drawStatisticsSheet(statistics, title);
}
