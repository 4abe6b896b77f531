// `mttc predict MODEL IMAGES...`: an exported model on images; a table, CSV or JSON, written as they come.
// Images that cannot be read are listed at the end, and their rows are missing; --strict writes nothing
// then.
import { type Command, InvalidArgumentError } from "commander";
import type { PredictFlags } from "./predictAction.ts";
import { withCheckpointOption, withProviderOption, withRuntimeOptions } from "./runtimeOptions.ts";
import type { Terminal } from "./terminal.ts";

export function addPredictCommand(program: Command, terminal: Terminal): void {
  const command = program
    .command("predict")
    .description("run an exported model on images")
    .argument("<model>", "model.onnx or a task's file, as `mttc export` wrote it, or the folder of a run")
    .argument("<images...>", "images, folders and patterns of them, label tables with a column of paths")
    .option("-o, --output <file>", "write to a file, as CSV or JSON by its name")
    .option("--csv [file]", "write rows file,task,class,probability,probabilities; - for stdout")
    .option("--json [file]", "write a list of the same rows; - for stdout")
    .option("--wide", "write CSV with a row per image and a column per class")
    .option("--excel", "write CSV as Excel takes it: with a byte order mark, formulas as text")
    .option("--overwrite", "replace a file that mttc did not write")
    .option("--strict", "write nothing unless every image can be read")
    .option("--filepaths <column>", "column of image paths in label tables", "filepath")
    .option("--memory <gib>", "memory that the model may take (default: 12, or 3/4 of all)", parseGigabytes);
  withProviderOption(withRuntimeOptions(withCheckpointOption(command))).action(
    async (model: string, images: string[], flags: PredictFlags) => {
      const { predictImages } = await import("./predictAction.ts");
      await predictImages(model, images, flags, terminal);
    },
  );
}

function parseGigabytes(text: string): number {
  const value = Number(text);
  if (!(value > 0) || !Number.isFinite(value)) throw new InvalidArgumentError("expected a number of GiB");
  return value;
}
