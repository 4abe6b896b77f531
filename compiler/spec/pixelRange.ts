// What keys of the images mean for graphs: the element type of images as they are read, the number that
// augmentation, which works on [0, 1], takes for 1, and the channels that the network takes.
import type { Spec } from "./schema.ts";

/** Element type of images as the host reads them. */
export function imageDtype(bitDepth: Spec["bit_depth"]): "uint8" | "uint16" | "float32" {
  if (bitDepth === 8) return "uint8";
  return bitDepth === 16 ? "uint16" : "float32";
}

/** The pixel that is 1 in augmented images: 255 for bytes; else `norm`, as patchwork has it for all. */
export function whiteLevel({ bit_depth: bitDepth, norm }: Pick<Spec, "bit_depth" | "norm">): number {
  return bitDepth === 8 ? 255 : norm;
}

/** Channels of the network's input: those of the images, or 3 with sobel (down, across, zeros). */
export function networkChannels({
  num_channels: channels,
  sobel,
}: Pick<Spec, "num_channels" | "sobel">): number {
  return sobel ? 3 : channels;
}
