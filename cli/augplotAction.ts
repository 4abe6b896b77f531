// What `mttc augplot` does: labels -> evenly chosen images -> a picture of their augmentation.
import { resolve } from "node:path";
import { MttcError } from "../compiler/diagnostics.ts";
import { drawAugmentSheet } from "../runtime/augment/augmentSheet.ts";
import { chooseEvenly } from "../runtime/augment/runSheet.ts";
import { PNG_MARK } from "../runtime/drawing/pngMark.ts";
import { writeFileAtomically } from "../runtime/files/atomicDirectory.ts";
import { refuseForeignFile } from "../runtime/files/ownOutput.ts";
import type { Experiment } from "../runtime/train/experiment.ts";
import { readLabels } from "../runtime/train/trainerOptions.ts";
import { shownPath } from "./pathText.ts";
import type { Terminal } from "./terminal.ts";

/** Options of the command, with its defaults. */
export interface AugplotFlags {
  readonly output: string;
  readonly each?: boolean;
  readonly images: number;
  readonly samples: number;
  readonly ort?: string;
  readonly overwrite?: boolean;
}

/** A sheet is one picture, drawn in memory: more cells than this are neither looked at nor drawn. */
const MOST_CELLS = 1000;

/** Draws the sheet of the experiment that `path` names, and writes it. */
export async function plot(
  path: string,
  experiment: Experiment,
  flags: AugplotFlags,
  terminal: Terminal,
): Promise<void> {
  await refuseForeignFile(flags.output, PNG_MARK, flags.overwrite);
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
  const paths = chooseEvenly(train.paths, flags.images);
  const { samples, each, ort } = flags;
  const png = await drawAugmentSheet(spec, { paths, samples, each, ortLibrary: ort });
  await writeFileAtomically(flags.output, png);
  terminal.note(`written to ${shownPath(resolve(flags.output))}`);
}

/** E_USAGE for more samples than a picture can hold. */
function refuseHugeSheet({ images, samples }: AugplotFlags): void {
  const cells = images * samples;
  if (cells <= MOST_CELLS) return;
  throw new MttcError({
    code: "E_USAGE",
    message: `--images times --samples is ${cells}, expected at most ${MOST_CELLS}`,
    hint: "ask for fewer of either",
  });
}
