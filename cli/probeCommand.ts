// `mttc probe A B C --labels TABLE`: which trunk's features tell the labels apart best.
import type { Command } from "commander";
import type { ProbeFlags } from "./probeAction.ts";
import {
  withCheckpointOption,
  withProviderOption,
  withRuntimeOptions,
  withTrunkOptions,
} from "./runtimeOptions.ts";
import type { Terminal } from "./terminal.ts";

export function addProbeCommand(program: Command, terminal: Terminal): void {
  const command = program
    .command("probe")
    .description(
      "compare trunks: a linear classifier on the features of each, a third of the images held out",
    )
    .argument("<models...>", "runs, their specs, exports, ONNX and Keras models")
    .requiredOption("--labels <table>", "label table, or a folder with a folder of images per class")
    .option(
      "--columns <names>",
      "columns of labels, separated by commas (default: all that look like classes)",
    )
    .option("--filepaths <column>", "column of image paths")
    .option(
      "--image-root <folder>",
      "folder that all images must lie in (default: the table's; / allows any)",
    )
    .option("--json", "print the result as JSON");
  withProviderOption(withRuntimeOptions(withTrunkOptions(withCheckpointOption(command)))).action(
    async (models: string[], flags: ProbeFlags) => {
      const { probe } = await import("./probeAction.ts");
      await probe(models, flags, terminal);
    },
  );
}
