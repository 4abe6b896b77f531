// `mttc data split SPEC|TABLE`: the parts that a spec's `split` makes of one table, as tables of their own.
import { type Command, InvalidArgumentError } from "commander";
import type { SplitFlags } from "./dataSplitAction.ts";
import { parsePositive, withOverwriteOption } from "./runtimeOptions.ts";
import type { Terminal } from "./terminal.ts";

/** Adds `split` to `mttc data`. */
export function addDataSplitCommand(data: Command, terminal: Terminal): void {
  const command = data
    .command("split")
    .description("write the parts of one label table as tables: grouped, and alike in all labels")
    .argument("<spec>", "spec file with a split, a run's folder, or a label table")
    .option("--val <share>", "share of the rows for validation (default: the spec's split)", parseShare)
    .option("--test <share>", "share of the rows that training never sees", parseShare)
    .option("--by <column>", "column of groups that stay together")
    .option("--seed <n>", "another number splits otherwise", parseSeed)
    .option("--tasks <names>", "columns to be alike in, separated by commas, for a label table")
    .option("--filepaths <column>", "column of image paths, for a label table")
    .option("-o, --output <folder>", "folder to write to (default: the table's own)")
    .option("--json", "print what was written as JSON");
  withOverwriteOption(command).action(async (path: string, flags: SplitFlags) => {
    const { isLabelTable, loadSpecOrRun } = await import("./specFile.ts");
    const experiment = (await isLabelTable(path)) ? undefined : await loadSpecOrRun(path);
    const { writeSplit } = await import("./dataSplitAction.ts");
    await writeSplit(path, experiment, flags, terminal);
  });
}

function parseShare(text: string): number {
  const share = Number(text);
  if (text.trim() === "" || !(share > 0 && share < 1))
    throw new InvalidArgumentError("expected a share above 0 and below 1");
  return share;
}

function parseSeed(text: string): number {
  return text === "0" ? 0 : parsePositive(text);
}
