// The public function behind `mttc augplot`: augmentation settings and image files -> a contact sheet.
import { resolveSpec } from "../../compiler/spec/parseSpec.ts";
import type { SpecInput } from "../../compiler/spec/schema.ts";
import { type AugmentSheetOptions, drawAugmentSheet } from "./augmentSheet.ts";

/** The keys of a spec that decide what a sheet shows. */
export type AugplotSpec = Pick<
  SpecInput,
  "augment" | "imshape" | "num_channels" | "single_channel" | "bit_depth" | "norm" | "seed"
>;

/**
 * A PNG of the images at `paths`, a row each: the original, then samples of what training would see. With
 * `each`, every operation alone. E_CONFIG for faulty settings, and what reading an image throws.
 */
export async function augplot(
  paths: readonly string[],
  spec: AugplotSpec,
  options: Omit<AugmentSheetOptions, "paths"> = {},
): Promise<Buffer> {
  const { augment, imshape, num_channels, single_channel, bit_depth, norm, seed } = spec;
  const given = { augment, imshape, num_channels, single_channel, bit_depth, norm, seed };
  // What a spec must have beside them has no influence on a sheet.
  const resolved = resolveSpec({ tasks: ["task"], fcn: { layers: [1] }, ...given });
  return await drawAugmentSheet(resolved, { ...options, paths });
}
