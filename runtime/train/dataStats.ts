// The public functions behind `mttc data stats`: label tables, as a trainer takes them -> their statistics, and
// a picture of these.
import type { SpecInput } from "../../compiler/spec/schema.ts";
import { type LabelStatistics, labelStatistics } from "../data/labelStatistics.ts";
import { drawStatisticsSheet } from "../drawing/statisticsSheet.ts";
import { experimentFromOptions, readLabels, type TrainerOptions } from "./trainerOptions.ts";

/** Label tables, and the keys of a spec that decide what a batch holds. */
export type DataStatsOptions = Pick<TrainerOptions, "train_labels" | "val_labels"> &
  Pick<SpecInput, "tasks" | "filepaths" | "classes" | "batch_size" | "balance_probs" | "balance_classes">;

/**
 * Counts labels per task, class and split, tasks labelled together, and what a batch holds. Relative paths
 * start from the working directory. E_CONFIG, E_FILE, E_CSV_*, E_LABEL, E_TASK_EMPTY.
 */
export async function dataStats(options: DataStatsOptions): Promise<LabelStatistics> {
  // A spec has to have a network; the counts do not depend on it.
  const experiment = experimentFromOptions({ ...options, fcn: { layers: [1] } }, {});
  return labelStatistics(await readLabels(experiment), experiment.spec);
}

/** A PNG of statistics: bars per class, a map of tasks labelled together, the batch; `title` heads it. */
export async function dataStatsPlot(statistics: LabelStatistics, title = "Labels"): Promise<Buffer> {
  return await drawStatisticsSheet(statistics, title);
}
