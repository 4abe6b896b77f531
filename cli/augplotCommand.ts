// `mttc augplot SPEC|RUN`: a contact sheet of the augmentation on training images, to tune it by eye.
import type { Command } from "commander";
import { parsePngName, parsePositive, withOverwriteOption } from "./runtimeOptions.ts";
import type { Terminal } from "./terminal.ts";

interface Flags {
  readonly output: string;
  readonly each?: boolean;
  readonly images?: number;
  readonly samples?: number;
  readonly ort?: string;
  readonly overwrite?: boolean;
}

const IMAGES = 4;
const SAMPLES = 8;

export function addAugplotCommand(program: Command, terminal: Terminal): void {
  const command = program
    .command("augplot")
    .description("a picture of the augmentation: originals beside samples of what training sees")
    .argument("<spec|run>", "spec file, or folder of a run")
    .option("-o, --output <file>", "PNG to write", parsePngName, "augment.png")
    .option("--each", "every operation alone at its strength, on one image")
    .option(
      "--images <n>",
      `images of the training table, evenly chosen (default: ${IMAGES}, with --each 1)`,
      parsePositive,
    )
    .option("--samples <n>", "samples beside each original (default: 8)", parsePositive)
    .option("--ort <path>", "another libonnxruntime, or its folder (default: that of onnxruntime-node)");
  withOverwriteOption(command).action(async (path: string, flags: Flags) => {
    const { loadSpecOrRun } = await import("./specFile.ts");
    const experiment = await loadSpecOrRun(path);
    const { plot } = await import("./augplotAction.ts");
    const { each, images = each ? 1 : IMAGES, samples = SAMPLES } = flags;
    await plot(path, experiment, { ...flags, images, samples }, terminal);
  });
}
