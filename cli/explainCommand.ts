// `mttc explain RUN|MODEL IMAGES...`: a picture of where in the images the answers come from.
import type { Command } from "commander";
import type { ExplainFlags } from "./explainAction.ts";
import {
  parsePngName,
  parsePositive,
  withCheckpointOption,
  withOverwriteOption,
  withRuntimeOptions,
} from "./runtimeOptions.ts";
import type { Terminal } from "./terminal.ts";

/** Images of a sheet where more are named. */
const IMAGES = 12;

export function addExplainCommand(program: Command, terminal: Terminal): void {
  const command = program
    .command("explain")
    .description("a picture of where in the images the answers come from (Grad-CAM)")
    .argument("<run|model>", "folder of a run, its spec, or a file that mttc export --heatmap wrote")
    .argument("<images...>", "images, folders and patterns of them, label tables with a column of paths")
    .option("-o, --output <file>", "PNG to write", parsePngName, "explain.png")
    .option("--task <name...>", "tasks to explain (default: all)")
    .option("--class <name>", "the class, tag or number to explain in place of the answer; of a run")
    .option("--layer <name>", "where the map is taken (default: the features of the FCN); of a run")
    .option("--images <n>", `images of the sheet, evenly chosen of those named`, parsePositive, IMAGES)
    .option("--filepaths <column>", "column of image paths in label tables", "filepath");
  withOverwriteOption(withRuntimeOptions(withCheckpointOption(command))).action(
    async (path: string, images: string[], flags: ExplainFlags) => {
      const { explain } = await import("./explainAction.ts");
      await explain(path, images, flags, terminal);
    },
  );
}
