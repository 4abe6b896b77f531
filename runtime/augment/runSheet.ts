// The sheet of a run: <logdir>/augmentation.png, drawn once before the first step, so that whoever looks into
// the run's folder sees what training saw. A picture only: what keeps it from being drawn is reported in a
// sentence and stops nothing.
import { access } from "node:fs/promises";
import { join } from "node:path";
import { InternalError } from "../../compiler/diagnostics.ts";
import { writeFileAtomically } from "../files/atomicDirectory.ts";
import type { PathList } from "../tables/stringTable.ts";
import { drawAugmentSheet, type SheetSpec } from "./augmentSheet.ts";

/** File name of the sheet in the run's folder. */
export const RUN_SHEET = "augmentation.png";
/** Few, so that the start of a run is not delayed by more than about a second. */
const IMAGES = 4;
const SAMPLES = 6;

/**
 * Draws the sheet of a run in `directory` from its training images, unless there is one. Returns what to tell
 * the user: where it is, or why it is not; undefined where there was nothing to do.
 */
export async function writeRunSheet(
  directory: string,
  spec: SheetSpec,
  paths: PathList,
  ortLibrary?: string,
): Promise<string | undefined> {
  if (spec.augment === false) return undefined;
  const file = join(directory, RUN_SHEET);
  if (await exists(file)) return undefined;
  try {
    const options = { paths: chooseEvenly(paths, IMAGES), samples: SAMPLES, ortLibrary };
    await writeFileAtomically(file, await drawAugmentSheet(spec, options));
  } catch (error) {
    if (error instanceof InternalError) throw error;
    const reason = error instanceof Error ? error.message : String(error);
    return `warning: ${RUN_SHEET}, the sheet of augmented images, is not drawn: ${reason}`;
  }
  return `augmentation: originals beside samples in ${file}`;
}

/** `count` of the paths at equal distances, from the middle of each stretch; all where there are no more. */
export function chooseEvenly(paths: PathList, count: number): string[] {
  const chosen = Math.min(count, paths.length);
  return Array.from({ length: chosen }, (_, i) => {
    return paths.at(Math.floor(((i + 0.5) * paths.length) / chosen)) ?? "";
  });
}

async function exists(file: string): Promise<boolean> {
  try {
    await access(file);
    return true;
  } catch {
    // Not there, or not to be seen: writing will tell.
    return false;
  }
}
