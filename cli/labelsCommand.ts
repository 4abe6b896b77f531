// `mttc labels FILE -o train.csv --val val.csv`: what a labelling tool exports, a table with several rows of an
// image, or a folder of train/ and val/ -> label tables. Says what it took; contradictions are listed.
import { type Command, InvalidArgumentError } from "commander";
import type { LabelsFlags } from "./labelsAction.ts";
import { withOverwriteOption } from "./runtimeOptions.ts";
import type { Terminal } from "./terminal.ts";

const DEFAULT_SHARE = 0.2;

export function addLabelsCommand(program: Command, terminal: Terminal): void {
  const command = program
    .command("labels")
    .description("make label tables of what a labelling tool exports, or of folders")
    .argument(
      "<source>",
      "an export of Label Studio (JSON, JSON-MIN, CSV), of CVAT (XML of images) or in COCO's form, a table with a " +
        "row per label, or a folder of classes or of train/ and val/",
    )
    .requiredOption("-o, --output <csv>", "label table to write; an existing file is refused")
    .option("--val <csv>", "write validation labels of other images, too")
    .option(
      "--val-share <share>",
      "share of the images for --val where the source has no parts",
      parseShare,
      DEFAULT_SHARE,
    )
    .option("--images <folder>", "folder in which images are looked for (default: that of the source)")
    .option("--filepaths <column>", "column of image paths, for a table")
    .option("--tasks <names>", "tasks to take, separated by commas (default: all)")
    .option("--task-column <column>", "column that names the task of a row, for a table with a row per label")
    .option("--label-column <column>", "column that holds the label of a row, for such a table")
    .option("--json", "print JSON");
  withOverwriteOption(command).action(async (source: string, flags: LabelsFlags) => {
    const { makeTables } = await import("./labelsAction.ts");
    await makeTables(source, flags, terminal);
  });
}

function parseShare(text: string): number {
  const share = Number(text);
  if (text.trim() === "" || !(share > 0 && share < 1))
    throw new InvalidArgumentError("expected a share between 0 and 1");
  return share;
}
