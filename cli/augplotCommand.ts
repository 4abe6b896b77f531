// `mttc augplot SPEC|RUN`: a contact sheet of the augmentation on training images, to tune it by eye.
import { resolve } from "node:path";
import type { Command } from "commander";
import { MttcError } from "../compiler/diagnostics.ts";
import { drawAugmentSheet } from "../runtime/augment/augmentSheet.ts";
import { chooseEvenly } from "../runtime/augment/runSheet.ts";
import { writeFileAtomically } from "../runtime/checkpoint/atomicDirectory.ts";
import { refuseForeignFile } from "../runtime/checkpoint/ownOutput.ts";
import { PNG_MARK } from "../runtime/drawing/pngMark.ts";
import { readLabels } from "../runtime/train/trainerOptions.ts";
import { shownPath } from "./pathText.ts";
import { parsePngName, parsePositive, withOverwriteOption } from "./runtimeOptions.ts";
import { loadSpecOrRun } from "./specFile.ts";
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
const DEFAULT_SAMPLES = 8;
/** A sheet is one picture, drawn in memory: more cells than this are neither looked at nor drawn. */
const MOST_CELLS = 1000;

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
  withOverwriteOption(command).action((path: string, flags: Flags) => plot(path, flags, terminal));
}

async function plot(path: string, flags: Flags, terminal: Terminal): Promise<void> {
  await refuseForeignFile(flags.output, PNG_MARK, flags.overwrite);
  const experiment = await loadSpecOrRun(path);
  const { spec } = experiment;
  if (spec.augment === false && !flags.each)
    throw new MttcError({
      code: "E_CONFIG",
      message: "the spec has no augmentation to show",
      at: { file: path, path: "augment" },
      hint: "set augment: true, or list operations; --each shows all there are",
    });
  refuseHugeSheet(flags);
  const { train } = await readLabels(experiment);
  const paths = chooseEvenly(train.paths, flags.images ?? (flags.each ? 1 : IMAGES));
  const { samples, each, ort } = flags;
  const png = await drawAugmentSheet(spec, { paths, samples, each, ortLibrary: ort });
  await writeFileAtomically(flags.output, png);
  terminal.note(`written to ${shownPath(resolve(flags.output))}`);
}

/** E_USAGE for more samples than a picture can hold. */
function refuseHugeSheet({ each, images, samples }: Flags): void {
  const cells = (images ?? (each ? 1 : IMAGES)) * (samples ?? DEFAULT_SAMPLES);
  if (cells <= MOST_CELLS) return;
  throw new MttcError({
    code: "E_USAGE",
    message: `--images times --samples is ${cells}, expected at most ${MOST_CELLS}`,
    hint: "ask for fewer of either",
  });
}
