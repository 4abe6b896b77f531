// The public function behind `mttc augplot`: augmentation settings and image files -> a contact sheet.
import { resolveKeys } from "../../compiler/spec/parseSpec.ts";
import type { SpecInput } from "../../compiler/spec/schema.ts";
import { type AugmentSheetOptions, drawAugmentSheet, SHEET_KEYS } from "./augmentSheet.ts";

/** The keys of a spec that decide what a sheet shows. */
export type AugplotSpec = Pick<SpecInput, (typeof SHEET_KEYS)[number]>;

/**
 * A PNG of the images at `paths`, a row each: the original, then samples of what training would see. With
 * `each`, every operation alone. E_CONFIG for faulty settings, and what reading an image throws.
 */
export async function augplot(
  paths: readonly string[],
  spec: AugplotSpec,
  options: Omit<AugmentSheetOptions, "paths"> = {},
): Promise<Buffer> {
  return await drawAugmentSheet(resolveKeys(SHEET_KEYS, spec), { ...options, paths });
}
