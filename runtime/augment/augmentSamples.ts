// Images -> what samples of an epoch would make of them, by augment.onnx, the definition of the augmentation,
// and the parameters that were drawn. One session for all images; memory is one image's samples.
import { AUGMENT_INPUT, buildAugmentGraph } from "../../compiler/augment/augmentGraph.ts";
import type { ImageSize } from "../../compiler/augment/operation.ts";
import { encodeGraph } from "../../compiler/codec/encodeGraph.ts";
import { finishGraph } from "../../compiler/lower/finishGraph.ts";
import { OPS } from "../../compiler/ops/table.ts";
import type { OrtLibrary } from "../ort/library.ts";
import { OrtSession } from "../ort/session.ts";
import { OrtTensor } from "../ort/tensor.ts";
import { type AugmentDraws, drawAugmentRows } from "./augmentRows.ts";

/** An augmented image, uint8 HWC, and its row of parameters, in the order of augmentColumns. */
export interface AugmentSample {
  readonly pixels: Uint8Array;
  readonly parameters: Float32Array;
}

/**
 * `count` samples of each image (uint8 HWC of draws.size); image i takes the epoch's places from i * count
 * on. Without operations, the images as they are.
 */
export function augmentSamples(
  library: OrtLibrary,
  draws: AugmentDraws,
  images: readonly Uint8Array[],
  count: number,
): AugmentSample[][] {
  const { settings, size } = draws;
  const repeat = (pixels: Uint8Array) => Array.from({ length: count }, () => pixels);
  if (Object.keys(settings).length === 0)
    return images.map((image) => repeat(image).map((pixels) => ({ pixels, parameters: new Float32Array() })));
  const { height, width, channels } = size;
  const bytes = encodeGraph(finishGraph(buildAugmentGraph(OPS, settings, size)));
  using session = OrtSession.open(library, "augment", { bytes });
  using batch = OrtTensor.allocate(library, "image", "uint8", [count, height, width, channels]);
  return images.map((image, place) => {
    const rows = drawAugmentRows(draws, place * count, count);
    const columns = rows.length / count;
    using parameters = OrtTensor.allocate(library, AUGMENT_INPUT, "float32", [count, columns]);
    batch.write(Buffer.concat(repeat(image)));
    parameters.write(rows);
    const feeds = new Map([
      ["image", batch],
      [AUGMENT_INPUT, parameters],
    ]);
    const [result] = session.run(feeds, ["augmented"]);
    if (!result) return [];
    using augmented = result;
    const pixels = augmented.read().data as Float32Array;
    return Array.from({ length: count }, (_, n) => ({
      pixels: toBytes(pixels.subarray(n * image.length), size),
      parameters: rows.subarray(n * columns, (n + 1) * columns),
    }));
  });
}

/** float32 [C,H,W] of [0, 1] -> uint8 [H,W,C]. */
function toBytes(pixels: Float32Array, { height, width, channels }: ImageSize): Uint8Array {
  const plane = height * width;
  return Uint8Array.from({ length: plane * channels }, (_, i) => {
    const value = pixels[(i % channels) * plane + Math.floor(i / channels)] ?? 0;
    return Math.round(255 * value);
  });
}
