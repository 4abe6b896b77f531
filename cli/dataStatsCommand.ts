// `mttc data stats SPEC|RUN|TABLE`: what label tables hold and what a batch will hold of them, as tables, JSON
// or a picture. Of a table without a spec the columns that look like tasks are counted.
import type { Command } from "commander";
import type { StatsFlags } from "./dataStatsAction.ts";
import { parsePngName, parsePositive, withOverwriteOption } from "./runtimeOptions.ts";
import type { Terminal } from "./terminal.ts";

/** Adds `stats` to `mttc data`. */
export function addDataStatsCommand(data: Command, terminal: Terminal): void {
  const command = data
    .command("stats")
    .description("counts of the labels, tasks labelled together, and what a batch holds of each task")
    .argument(
      "<spec>",
      "spec file, a run's folder, or a label table (CSV, TSV, JSON Lines, Parquet, a folder)",
    )
    .option("--val <labels>", "validation labels, for a label table")
    .option("--test <labels>", "test labels, for a label table")
    .option("--tasks <names>", "columns to count, separated by commas, for a label table")
    .option("--filepaths <column>", "column of image paths, for a label table")
    .option("--batch-size <n>", "rows of a batch (default: the spec's)", parsePositive)
    .option("-o, --output <png>", "write a picture of it", parsePngName)
    .option("--json", "print JSON");
  withOverwriteOption(command).action(async (path: string, flags: StatsFlags) => {
    const { isLabelTable, loadSpecOrRun } = await import("./specFile.ts");
    const experiment = (await isLabelTable(path)) ? undefined : await loadSpecOrRun(path);
    const { showStatistics } = await import("./dataStatsAction.ts");
    await showStatistics(path, experiment, flags, terminal);
  });
}
