// `mttc init LABELS.csv`: a commented spec for a label table, to be read and edited. A spec that is there may
// have been edited: none is replaced unless --overwrite says so.
import type { Command } from "commander";
import type { InitFlags } from "./initAction.ts";
import { withOverwriteOption } from "./runtimeOptions.ts";
import type { Terminal } from "./terminal.ts";

export function addInitCommand(program: Command, terminal: Terminal): void {
  const command = program
    .command("init")
    .description("write a commented spec for a label table")
    .argument(
      "<labels>",
      "CSV, TSV, JSON Lines or Parquet with a column of image paths and a column per task, or a folder with " +
        "a folder of images per class",
    )
    .option("-o, --output <file>", "spec to write; an existing file is refused", "experiment.yml")
    .option("--val <labels>", "the same, for evaluation");
  withOverwriteOption(command).action(async (labels: string, flags: InitFlags) => {
    const { writeDraft } = await import("./initAction.ts");
    await writeDraft(labels, flags, terminal);
  });
}
