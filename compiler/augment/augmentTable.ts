// The table of augmentation operations, one for each key of the spec, and the columns of a parameter row.
import type { DrawnOperation } from "../ir/roles.ts";
import { AUGMENT_NAMES, type AugmentName, type AugmentSettings } from "../spec/augmentKeys.ts";
import { COLOURS } from "./colours.ts";
import { FILTERS } from "./filters.ts";
import { JITTER } from "./jitter.ts";
import { JPEG } from "./jpeg.ts";
import { NOISE } from "./noise.ts";
import { OCCLUSION } from "./occlusion.ts";
import type { AugmentOperation } from "./operation.ts";
import { TURNS } from "./turns.ts";
import { ZOOMS } from "./zooms.ts";

/** Every operation by its key. */
export const AUGMENT_OPERATIONS: Readonly<Record<AugmentName, AugmentOperation>> = {
  ...TURNS,
  ...ZOOMS,
  ...COLOURS,
  ...JITTER,
  ...FILTERS,
  ...NOISE,
  ...JPEG,
  ...OCCLUSION,
};

/** Names of the operations that are on, in the order in which they are applied. */
export function activeOperations(settings: AugmentSettings): AugmentName[] {
  return AUGMENT_NAMES.filter((name) => settings[name] !== undefined);
}

/** The operations that are on with what their columns are drawn from, in the order of the columns. */
export function drawnOperations(settings: AugmentSettings): DrawnOperation[] {
  return activeOperations(settings).map((name) => ({
    name,
    strength: settings[name] ?? 0,
    columns: AUGMENT_OPERATIONS[name].columns,
    stream: augmentStream(name),
  }));
}

/** Name of the random stream of an operation. */
export function augmentStream(name: AugmentName): string {
  return `augment ${name}`;
}

/** Names of the columns of a parameter row, `<operation>/<parameter>`, in their order. */
export function augmentColumns(settings: AugmentSettings): string[] {
  return activeOperations(settings).flatMap((name) =>
    AUGMENT_OPERATIONS[name].columns.map((column) => `${name}/${column}`),
  );
}
