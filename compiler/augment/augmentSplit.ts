// Which operations of augmentation are whose: on the CPU the loader does the leading warps on uint8 images,
// beside the training step, and the graph the others; on a GPU the graph does all of them.
import type { AugmentName, AugmentSettings } from "../spec/augmentKeys.ts";
import { activeOperations } from "./augmentTable.ts";

/** Operations in their order; together they are those of the spec. */
export interface AugmentSplit {
  readonly loader: readonly AugmentName[];
  readonly graph: readonly AugmentName[];
}

/** Warps along the axes, which runtime/augment/warpImage.ts knows. They stand at the head of the order. */
const LOADER_WARPS: ReadonlySet<AugmentName> = new Set([
  "flip_left_right",
  "flip_up_down",
  "rot90",
  "zoom_scale",
  "center_zoom_scale",
]);

/** The operations before the first one that is no warp go to the loader if it is to warp. */
export function splitAugmentation(settings: AugmentSettings, loaderWarps: boolean): AugmentSplit {
  const active = activeOperations(settings);
  const end = active.findIndex((name) => !loaderWarps || !LOADER_WARPS.has(name));
  const count = end === -1 ? active.length : end;
  return { loader: active.slice(0, count), graph: active.slice(count) };
}

/** The settings of some of the operations. */
export function settingsOf(settings: AugmentSettings, names: readonly AugmentName[]): AugmentSettings {
  return Object.fromEntries(names.map((name) => [name, settings[name]]));
}
