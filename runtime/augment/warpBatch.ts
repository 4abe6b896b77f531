// The loader's share of augmentation on batches: uint8 images are warped in place, by parameters drawn from
// the same streams as those that the graph gets. A pure function of (seed, epoch, sample): resume and the
// number of threads make no difference.
import { imageSize } from "../../compiler/augment/augmentGraph.ts";
import { settingsOf } from "../../compiler/augment/augmentSplit.ts";
import type { Manifest } from "../../compiler/bundle/manifest.ts";
import { type AugmentName, augmentSettings } from "../../compiler/spec/augmentKeys.ts";
import type { ImageSpec, StepSpec } from "../../compiler/spec/schema.ts";
import { type AugmentDraws, drawAugmentRows } from "./augmentRows.ts";
import { ImageWarp } from "./warpImage.ts";

/** The keys of a spec that augmentation is drawn by. */
export type AugmentKeys = Pick<ImageSpec, "augment" | "imshape" | "num_channels"> & Pick<StepSpec, "seed">;

/** Draws of an epoch for whoever does a part of the augmentation; undefined where it has nothing to do. */
export function epochDraws(
  { augment, spec }: Pick<Manifest, "augment"> & { readonly spec: AugmentKeys },
  part: "loader" | "graph",
  epoch: number,
): AugmentDraws | undefined {
  const settings = augmentSettings(spec.augment);
  const names = augment?.[part] as readonly AugmentName[] | undefined;
  if (!settings || !names || names.length === 0) return undefined;
  return { settings: settingsOf(settings, names), size: imageSize(spec), seed: spec.seed, epoch };
}

/** Warps the batches of an epoch; `draws` holds the loader's operations alone. */
export class BatchWarp {
  readonly #draws: AugmentDraws;
  readonly #kernel: ImageWarp;
  readonly #unwarped: Uint8Array;

  constructor(draws: AugmentDraws) {
    const { height, width, channels } = draws.size;
    this.#draws = draws;
    this.#kernel = new ImageWarp(draws.settings, draws.size);
    this.#unwarped = new Uint8Array(height * width * channels);
  }

  /**
   * Warps `images`, uint8 [N,H,W,C] of whole images, in place; the first is the epoch's sample number
   * `firstSample`.
   */
  warp(images: Uint8Array, firstSample: number): void {
    const sizeBytes = this.#unwarped.length;
    const count = images.length / sizeBytes;
    const rows = drawAugmentRows(this.#draws, firstSample, count);
    const { rowLength } = this.#kernel;
    for (let n = 0; n < count; n++) {
      const image = images.subarray(n * sizeBytes, (n + 1) * sizeBytes);
      this.#unwarped.set(image);
      this.#kernel.warp(this.#unwarped, image, rows.subarray(n * rowLength, (n + 1) * rowLength));
    }
  }
}
