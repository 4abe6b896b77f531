// `mttc embed MODEL IMAGES... -o vectors.parquet`: one vector an image, with its path and, of a label table,
// its labels.
import type { Command } from "commander";
import type { EmbedFlags } from "./embedAction.ts";
import {
  withCheckpointOption,
  withOverwriteOption,
  withProviderOption,
  withRuntimeOptions,
  withTrunkOptions,
} from "./runtimeOptions.ts";
import type { Terminal } from "./terminal.ts";

export function addEmbedCommand(program: Command, terminal: Terminal): void {
  const command = program
    .command("embed")
    .description("write the features of images: one vector each, as Parquet or .npy")
    .argument("<model>", "a run, its spec, an export, or any ONNX or Keras model")
    .argument("<images...>", "a label table, whose labels are written along; or images, folders, patterns")
    .requiredOption(
      "-o, --output <file>",
      "file to write, .parquet or .npy (with its rows as .csv beside it)",
    )
    .option(
      "--filepaths <column>",
      "column of image paths in label tables (default: the one that holds them)",
    )
    .option("--strict", "write nothing unless every image can be read")
    .option("--json", "print the result as JSON");
  withProviderOption(
    withRuntimeOptions(withTrunkOptions(withCheckpointOption(withOverwriteOption(command)))),
  ).action(async (model: string, images: string[], flags: EmbedFlags) => {
    const { embed } = await import("./embedAction.ts");
    await embed(model, images, flags, terminal);
  });
}
