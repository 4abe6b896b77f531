// `mttc export RUN`: deployable ONNX files of a run's best checkpoint, compared with the trainer before they
// stand.
import type { Command } from "commander";
import type { ExportFlags } from "./exportAction.ts";
import { parseShare, withCheckpointOption, withRuntimeOptions } from "./runtimeOptions.ts";
import type { Terminal } from "./terminal.ts";

export function addExportCommand(program: Command, terminal: Terminal): void {
  const command = program
    .command("export")
    .description("write the model as ONNX files: uint8 images in, probabilities out, for any batch size")
    .argument("<run>", "folder of the run (its logdir), or its spec")
    .option("-o, --output <dir>", "folder to write (default: <run>/export); an earlier export is replaced")
    .option("--split", "also write trunk, shared layers and heads as files that compose")
    .option("--calibrate", "fit probabilities (temperature, Platt) and intervals to the validation labels")
    .option(
      "--unsure-risk <r>",
      "answers are unsure from where more than this share would be wrong",
      parseShare,
    )
    .option("--unsure-coverage <c>", "answers are unsure but for this share of the images", parseShare)
    .option("--heatmap", "add outputs that show where in the image each answer comes from (Grad-CAM)")
    .option("--layer <name>", "with --heatmap: where the map is taken (default: the features of the FCN)")
    .option("--any-size", "put the resize into the files: they take images of any size, one at a time")
    .option(
      "--reader-vectors",
      "also write odd pictures, the pixels and answers of each: tests of other readers",
    )
    .option("--json", "print the result as JSON");
  withRuntimeOptions(withCheckpointOption(command)).action(async (run: string, flags: ExportFlags) => {
    const { runFolderOf } = await import("./specFile.ts");
    const folder = await runFolderOf(run);
    const { exportFromRun } = await import("./exportAction.ts");
    await exportFromRun(folder, flags, terminal);
  });
}
