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
  /** What pixels become that a TIFF's own nodata value marks as missing; absent: such an image is refused. */
  readonly nodata?: number;
  /** Pixels that an image may have; absent: 50 million. Changes no pixel. */
  readonly maxPixels?: number;
}

const MEGAPIXEL = 1_000_000;
const DEFAULT_MEGAPIXELS = 50;
/** How a refusal of the limit says what to do. */
export const LIMIT_KEY = "max_megapixels sets it";

/** Pixels that an image of a format may have. */
export function maxPixels(format: Pick<ImageFormat, "maxPixels">): number {
  return format.maxPixels ?? DEFAULT_MEGAPIXELS * MEGAPIXEL;
}

/** How many times the usual limits of memory an image of a format may take. */
export function memoryFactor(format: Pick<ImageFormat, "maxPixels">): number {
  return Math.max(1, maxPixels(format) / (DEFAULT_MEGAPIXELS * MEGAPIXEL));
}

/** Bytes of a channel. */
export const DEPTH_BYTES: Readonly<Record<ImageDepth, number>> = { uint8: 1, uint16: 2, float32: 4 };

/** The format that a spec asks for. */
export function imageFormat(spec: {
  readonly imshape: readonly [number, number];
  readonly num_channels: number;
  readonly single_channel: boolean;
  readonly bit_depth?: Spec["bit_depth"];
  readonly max_megapixels?: number;
  readonly nodata?: Spec["nodata"];
}): ImageFormat {
  const [height, width] = spec.imshape;
  const greyscale = spec.single_channel || spec.num_channels === 1;
  const depth = imageDtype(spec.bit_depth ?? 8);
  const { max_megapixels: megapixels = DEFAULT_MEGAPIXELS, nodata = "refuse" } = spec;
  return {
    ...{ height, width, channels: spec.num_channels, greyscale, depth },
    ...(nodata === "refuse" ? {} : { nodata }),
    ...(megapixels === DEFAULT_MEGAPIXELS ? {} : { maxPixels: megapixels * MEGAPIXEL }),
  };
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
