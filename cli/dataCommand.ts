// `mttc data ...`: what is done with data sets before training.
import type { Command } from "commander";
import { addDataCheckCommand } from "./dataCheckCommand.ts";
import { addDataPackCommand } from "./dataPackCommand.ts";
import { addDataSplitCommand } from "./dataSplitCommand.ts";
import { addDataStatsCommand } from "./dataStatsCommand.ts";
import type { Terminal } from "./terminal.ts";

export function addDataCommand(program: Command, terminal: Terminal): void {
  const data = program
    .command("data")
    .description("check and pack the images of label tables, count their labels, split tables");
  addDataCheckCommand(data, terminal);
  addDataPackCommand(data, terminal);
  addDataStatsCommand(data, terminal);
  addDataSplitCommand(data, terminal);
}
