// `mttc evaluate RUN`: the run's best checkpoint on its validation labels (else its training labels), its
// test labels, or any other table, whose tasks are scored as far as it has them.
import type { Command } from "commander";
import type { EvaluateFlags } from "./evaluateAction.ts";
import { withCheckpointOption, withProviderOption, withRuntimeOptions } from "./runtimeOptions.ts";
import type { Terminal } from "./terminal.ts";

export function addEvaluateCommand(program: Command, terminal: Terminal): void {
  const command = program
    .command("evaluate")
    .description("accuracy, macro recall and confusion matrix of a run, on its validation labels or others")
    .argument("<run>", "folder of the run (its logdir), or its spec")
    .option("--test", "on the run's test labels (the spec's test_labels, or split: {test: ...})")
    .option("--labels <table>", "on another label table of any form; without labels: predictions alone")
    .option("--filepaths <column>", "column of image paths of that table (default: the spec's)")
    .option("--image-root <folder>", "folder that its images must lie in (default: the spec's, or its own)")
    .option("-o, --output <file>", "write what the run says of each image, as CSV or JSON by its name")
    .option("--csv [file]", "the same as CSV; - for stdout, where no figures go there")
    .option("--wide", "CSV with a row per image and a column per class")
    .option("--excel", "CSV as Excel takes it: with a byte order mark, formulas as text")
    .option("--overwrite", "replace a file that mttc did not write")
    .option("--json", "print the report as JSON; without labels the predictions");
  withProviderOption(withRuntimeOptions(withCheckpointOption(command))).action(
    async (run: string, flags: EvaluateFlags) => {
      const { runFolderOf } = await import("./specFile.ts");
      const folder = await runFolderOf(run);
      const { evaluateRun } = await import("./evaluateAction.ts");
      await evaluateRun(run, folder, flags, terminal);
    },
  );
}
