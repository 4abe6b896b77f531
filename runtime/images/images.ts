// Image files -> pixels, the same for training, evaluation and prediction: EXIF orientation applied, alpha
// flattened onto white (unless it is the fourth channel), sRGB, resized to imshape without keeping the aspect
// ratio (sharp's Lanczos 3); TIFFs by tiffImage.ts. Decoded images are kept up to a byte budget, so that
// later epochs of a small data set do not decode again.
import sharp, { type Sharp, type SharpOptions } from "sharp";
import { InternalError, MttcError } from "../../compiler/diagnostics.ts";
import { decodeBmp, isBmp } from "./bmpImage.ts";
import { type Refuse, type RowPlace, readImageFile, refusalOf } from "./imageFile.ts";
import {
  type ImageFormat,
  type ImageNumbers,
  imageBytes,
  imageDepth,
  imageFormat,
  imageNumbers,
  LIMIT_KEY,
  maxPixels,
} from "./imageFormat.ts";
import { headerSize } from "./imageLayout.ts";
import { restrictImageLibrary } from "./imageLibrary.ts";
import { isTiff } from "./tiff/tiffDirectory.ts";
import { decodeTiff, tiffSize } from "./tiff/tiffImage.ts";

export { type ImageFormat, imageBytes, imageFormat };

const MIN_SIDE = 8;
/** The formats that are read. */
const IMAGE_FORMATS = "a JPEG, PNG, WebP, GIF, AVIF, BMP or TIFF image";
const ALPHA_BACKGROUND = "#ffffff";
/** How every image is read: nothing past a fault, nothing past the limits. */
function inputOptions(format: ImageFormat): SharpOptions {
  return {
    failOn: "warning",
    limitInputPixels: maxPixels(format),
    limitInputChannels: 5,
    autoOrient: true,
    sequentialRead: true,
    pages: 1,
    unlimited: false,
  };
}

/**
 * Decodes the bytes of an image to the bytes of the format's numbers. `path` and `place` are for messages.
 * Throws E_IMG_FORMAT (not a format of IMAGE_FORMATS), E_IMG_CHANNELS (another number than num_channels),
 * E_IMG_LIMIT (over the format's limit of pixels), E_IMG_SIZE (a side under 8 pixels and under imshape),
 * E_IMG_TRUNCATED (damaged).
 */
export async function decodeImage(
  bytes: Buffer,
  format: ImageFormat,
  path: string,
  place?: RowPlace,
): Promise<Uint8Array> {
  const refuse = refusalOf(path, place);
  if (isTiff(bytes)) return bytesOf(await decodeTiff(bytes, format, refuse));
  // Having the library read the header costs a tenth of the decoding; most headers are sound and plain.
  const hint = headerSize(bytes);
  const isPlain = hint !== undefined && Math.min(hint.width, hint.height) >= MIN_SIDE;
  const open = opener(bytes, format, refuse);
  if (!isPlain) await checkHeader(open, bytes, format, refuse);
  const { height, width, channels, greyscale } = format;
  const read = greyscale ? 1 : channels;
  if (read !== 1 && read !== 3) await checkAlpha(open, bytes, format, refuse);
  const image = open();
  const opaque = read === 4 ? image : image.flatten({ background: ALPHA_BACKGROUND });
  const shaped = opaque.resize(width, height, { fit: "fill" });
  const isDeep = imageDepth(format) !== "uint8" && isDeepPng(bytes);
  const [grey, colour] = isDeep ? ["grey16", "rgb16"] : ["b-w", "srgb"];
  // greyscale() goes through 8 bits.
  const brought = greyscale && !isDeep ? shaped.greyscale() : shaped;
  const decoded = await brought
    .toColourspace(greyscale ? grey : colour)
    .raw({ depth: isDeep ? "ushort" : "uchar" })
    .toBuffer({ resolveWithObject: true })
    .catch(async (cause: unknown) => {
      await checkHeader(open, bytes, format, refuse);
      throw refuse("E_IMG_TRUNCATED", `the image is damaged or cut short: ${reasonOf(cause)}`, cause);
    });
  const { data, info } = decoded;
  const isExpected = info.width === width && info.height === height && info.channels === read;
  if (!isExpected || data.length !== height * width * read * (isDeep ? 2 : 1)) {
    throw new InternalError(`${path}: decoded to ${info.width}x${info.height}x${info.channels}`);
  }
  // A Buffer has no constructor that may be called.
  if (imageDepth(format) === "uint8")
    return read === channels ? data : repeatChannel(bytesOf(data), channels);
  const numbers = isDeep ? new Uint16Array(new Uint8Array(data).buffer) : data;
  const stored = imageNumbers(imageDepth(format), numbers.length);
  stored.set(numbers);
  return bytesOf(read === channels ? stored : repeatChannel(stored, channels));
}

/** An image as it is stored, upright: bytes [height,width,3] of RGB. */
export interface WholeImage {
  readonly pixels: Uint8Array;
  readonly height: number;
  readonly width: number;
}

/**
 * Decodes an image to 8-bit RGB at its own size: all of decodeImage but grey and resize. `least` is the size
 * that it will be brought to. Throws as decodeImage.
 */
export async function decodeWhole(
  bytes: Buffer,
  least: Pick<ImageFormat, "height" | "width" | "maxPixels">,
  path: string,
): Promise<WholeImage> {
  const refuse = refusalOf(path, undefined);
  const format = { ...least, channels: 3, greyscale: false };
  if (isTiff(bytes)) {
    const [height, width] = await tiffSize(bytes, format, refuse);
    return { pixels: bytesOf(await decodeTiff(bytes, { ...format, height, width }, refuse)), height, width };
  }
  const open = opener(bytes, format, refuse);
  await checkHeader(open, bytes, format, refuse);
  const decoded = await open()
    .flatten({ background: ALPHA_BACKGROUND })
    .toColourspace("srgb")
    .raw({ depth: "uchar" })
    .toBuffer({ resolveWithObject: true })
    .catch((cause: unknown) => {
      throw refuse("E_IMG_TRUNCATED", `the image is damaged or cut short: ${reasonOf(cause)}`, cause);
    });
  const { height, width, channels } = decoded.info;
  if (channels !== 3) throw new InternalError(`${path}: decoded to ${channels} channels`);
  return { pixels: decoded.data, height, width };
}

/** Opens the image anew for each use; a BMP, which the image library does not read, is decoded once. */
function opener(bytes: Buffer, format: ImageFormat, refuse: Refuse): () => Sharp {
  const options = inputOptions(format);
  if (!isBmp(bytes)) return () => sharp(bytes, options);
  const { data, ...raw } = decodeBmp(bytes, maxPixels(format), refuse);
  return () => sharp(data, { ...options, raw });
}

/** A PNG of 16 bits per channel: AVIF's 10 and 12 bits are read as 8. */
function isDeepPng(bytes: Buffer): boolean {
  return bytes[0] === 0x89 && bytes[24] === 16;
}

/** Colours alone are 1 or 3 channels, with alpha 4; no other number can be had. */
async function checkAlpha(
  open: () => Sharp,
  bytes: Buffer,
  format: ImageFormat,
  refuse: Refuse,
): Promise<void> {
  await checkHeader(open, bytes, format, refuse);
  const { hasAlpha } = await open().metadata();
  const { channels } = format;
  if (channels === 4 && hasAlpha) return;
  const found = hasAlpha ? "colours and alpha (num_channels 1, 3 or 4)" : "colours (num_channels 1 or 3)";
  throw refuse(
    "E_IMG_CHANNELS",
    `the image has ${found}, num_channels ${channels} expects ${channels} channels`,
  );
}

function bytesOf({ buffer, byteOffset, byteLength }: ImageNumbers): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}

/** Reads the header only. */
async function checkHeader(
  open: () => Sharp,
  bytes: Buffer,
  format: ImageFormat,
  refuse: Refuse,
): Promise<void> {
  const limit = maxPixels(format);
  try {
    const { autoOrient, width, height } = await open().metadata();
    if (width * height > limit)
      throw refuse(
        "E_IMG_LIMIT",
        `the image is ${width}x${height}, the limit is ${limit} pixels: ${LIMIT_KEY}`,
      );
    const isNarrow = autoOrient.width < Math.min(MIN_SIDE, format.width);
    if (!isNarrow && autoOrient.height >= Math.min(MIN_SIDE, format.height)) return;
    const size = `${autoOrient.width}x${autoOrient.height}`;
    throw refuse("E_IMG_SIZE", `the image is ${size}, the least is ${MIN_SIDE}x${MIN_SIDE}`);
  } catch (error) {
    if (error instanceof MttcError) throw error;
    const reason = reasonOf(error);
    if (/limit/i.test(reason)) {
      throw refuse("E_IMG_LIMIT", `the image is larger than ${limit} pixels: ${LIMIT_KEY}`, error);
    }
    if (isCutWebp(bytes)) throw refuse("E_IMG_TRUNCATED", "the image is cut short", error);
    throw refuse("E_IMG_FORMAT", `expected ${IMAGE_FORMATS}: ${reason}`, error);
  }
}

/** WebP is a RIFF file, whose header says how many bytes follow; its reader reports a cut as a bad header. */
function isCutWebp(bytes: Buffer): boolean {
  if (bytes.length < 12 || bytes.toString("latin1", 0, 4) !== "RIFF") return false;
  return bytes.toString("latin1", 8, 12) === "WEBP" && bytes.readUInt32LE(4) + 8 > bytes.length;
}

function reasonOf(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  return message.split("\n")[0] ?? message;
}

function repeatChannel<Numbers extends ImageNumbers | Uint8Array>(grey: Numbers, channels: number): Numbers {
  const repeated = new (grey.constructor as new (length: number) => Numbers)(grey.length * channels);
  for (const [place, value] of grey.entries()) {
    repeated.fill(value, place * channels, (place + 1) * channels);
  }
  return repeated;
}

/** Where pixels may come from without decoding: the packed cache. */
export interface PixelSource {
  has(path: string): boolean;
  /** Pixels of an image into `target`; false where it has none of it. */
  read(path: string, target: Uint8Array): Promise<boolean>;
  /** Does the same where that is one plain read, and calls `done`; false, and nothing, where it is not. */
  readPlain?(path: string, target: Uint8Array, done: (error?: unknown) => void): boolean;
}

/** Default budget of decoded images kept in memory, in bytes. */
export const DEFAULT_CACHE_BYTES = 512 * 2 ** 20;

/**
 * Reads images of one format by path and keeps decoded ones until the budget is spent. Nothing is evicted:
 * epochs visit all rows, so replacing one image by another would only lose hits.
 */
export class ImageReader {
  readonly format: ImageFormat;
  readonly #kept = new Map<string, Uint8Array>();
  #freeBytes: number;
  #packed: PixelSource | undefined;

  constructor(format: ImageFormat, cacheBytes = DEFAULT_CACHE_BYTES) {
    this.format = format;
    this.#freeBytes = cacheBytes;
    restrictImageLibrary();
  }

  /**
   * Reads from `packed` from now on what it has; undefined: decodes everything again. What is kept goes: a
   * pack of JPEGs has other pixels than decoding, and no epoch may depend on what was read before it.
   */
  usePacked(packed: PixelSource | undefined): void {
    this.#packed = packed;
    this.forget();
  }

  /** Drops the kept images. */
  forget(): void {
    for (const pixels of this.#kept.values()) this.#freeBytes += pixels.length;
    this.#kept.clear();
  }

  /** Whether reading the image is a plain read of its pixels, without decoding. */
  isPacked(path: string): boolean {
    return this.#packed?.has(path) ?? false;
  }

  /**
   * Starts a plain read of the image's pixels into `target` where it is packed so, and calls `done` at its end;
   * false, and nothing is done, where it is not. At 20 microseconds an image, promises would be a quarter.
   */
  readPlain(path: string, target: Uint8Array, done: (error?: unknown) => void): boolean {
    return this.#packed?.readPlain?.(path, target, done) ?? false;
  }

  /** Copies a kept image into `target`; false where it has to be decoded. */
  copyKept(path: string, target: Uint8Array): boolean {
    const pixels = this.#kept.get(path);
    if (pixels === undefined) return false;
    target.set(pixels);
    return true;
  }

  /**
   * Pixels of an image into `target` (imageBytes long, HWC). Throws what readImageFile and decodeImage throw;
   * E_DATA_CHANGED where it has to be read and is no longer the file of `stamp` (sourceStamp.ts).
   */
  async read(path: string, target: Uint8Array, place?: RowPlace, stamp?: number): Promise<void> {
    if (this.copyKept(path, target)) return;
    if (await this.#packed?.read(path, target)) return;
    const pixels = await decodeImage(await readImageFile(path, place, stamp), this.format, path, place);
    target.set(pixels);
    if (this.#kept.has(path) || pixels.length > this.#freeBytes) return;
    this.#kept.set(path, pixels);
    this.#freeBytes -= pixels.length;
  }
}
