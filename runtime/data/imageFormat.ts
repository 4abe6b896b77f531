// What every image of a run becomes: its size, channels and number format. One description for the readers,
// the slots of the loader, the packed cache and the tensors that the graphs take.
import { imageDtype } from "../../compiler/spec/pixelRange.ts";
import type { Spec } from "../../compiler/spec/schema.ts";

/** Number format of a channel: as the graph's input `image` has it. */
export type ImageDepth = "uint8" | "uint16" | "float32";

/** What an image becomes: height x width x channels, row-major HWC, host byte order. */
export interface ImageFormat {
  readonly height: number;
  readonly width: number;
  /** 1 to 16. */
  readonly channels: number;
  /** Reads greyscale and repeats it over the channels (the spec's single_channel); implied by channels 1. */
  readonly greyscale: boolean;
  /** Absent: uint8. */
  readonly depth?: ImageDepth;
}

/** Bytes of a channel. */
export const DEPTH_BYTES: Readonly<Record<ImageDepth, number>> = { uint8: 1, uint16: 2, float32: 4 };

/** The format that a spec asks for. */
export function imageFormat(spec: {
  readonly imshape: readonly [number, number];
  readonly num_channels: number;
  readonly single_channel: boolean;
  readonly bit_depth?: Spec["bit_depth"];
}): ImageFormat {
  const [height, width] = spec.imshape;
  const greyscale = spec.single_channel || spec.num_channels === 1;
  const depth = imageDtype(spec.bit_depth ?? 8);
  return { height, width, channels: spec.num_channels, greyscale, depth };
}

/** Number format of an image's channels. */
export function imageDepth({ depth }: ImageFormat): ImageDepth {
  return depth ?? "uint8";
}

/** Bytes of one image of a format. */
export function imageBytes(format: ImageFormat): number {
  return format.height * format.width * format.channels * DEPTH_BYTES[imageDepth(format)];
}

/** Numbers of an image: one typed array per number format. */
export type ImageNumbers = Uint8Array<ArrayBuffer> | Uint16Array<ArrayBuffer> | Float32Array<ArrayBuffer>;

/** Zeros in a number format. */
export function imageNumbers(depth: ImageDepth, length: number): ImageNumbers {
  return numbersOver(depth, new ArrayBuffer(length * DEPTH_BYTES[depth]));
}

/** The numbers that a buffer holds. */
export function numbersOver(depth: ImageDepth, buffer: ArrayBuffer): ImageNumbers {
  if (depth === "uint8") return new Uint8Array(buffer);
  return depth === "uint16" ? new Uint16Array(buffer) : new Float32Array(buffer);
}
