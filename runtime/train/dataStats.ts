// The public functions behind `mttc data stats`: label tables, as a trainer takes them -> their statistics, and
// a picture of these.
import { drawStatisticsSheet } from "../drawing/statisticsSheet.ts";
import type { MissingCount } from "../labels/classes.ts";
import { conflictWarnings } from "../labels/labelConflicts.ts";
import { type LabelStatistics, labelStatistics } from "../labels/labelStatistics.ts";
import {
  type LabelSourceOptions,
  type LabelSources,
  readTables,
  sourcesFromOptions,
} from "./trainerOptions.ts";

/** Label tables, as files or rows, and the keys of a spec that statistics depend on. */
export type DataStatsOptions = LabelSourceOptions;

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
  return await labelsStatistics(sourcesFromOptions(options));
}

/** The same of an experiment, or of its labels alone. */
export async function labelsStatistics(sources: LabelSources): Promise<DataStatistics> {
  const labels = await readTables(sources);
  const warnings = [...labels.warnings, ...(await conflictWarnings(labels))];
  return { ...labelStatistics(labels, sources.spec), missing: labels.missing, warnings };
}

/** A PNG of statistics: bars per class, a map of tasks labelled together, the batch; `title` heads it. */
export async function dataStatsPlot(statistics: LabelStatistics, title = "Labels"): Promise<Buffer> {
  return await drawStatisticsSheet(statistics, title);
}
