// Images of rows, small enough for a page: a few kilobytes of JPEG each, in the shape that the network sees.
// An image that cannot be read any more has none; a report is made all the same.
import sharp from "sharp";
import { MttcError } from "../../compiler/diagnostics.ts";
import { readImageFile } from "../images/imageFile.ts";
import { type ImageNumbers, imageDepth, numbersOver } from "../images/imageFormat.ts";
import { decodeImage, type ImageFormat } from "../images/images.ts";

/** Pixels of the longer side, at most. */
const MOST_SIDE = 128;
/** Smaller images are enlarged by a whole factor. */
const LEAST_SIDE = 96;
const QUALITY = 72;

/** The JPEG of an image file in the shape of a run's `format`; undefined where it cannot be read. */
export async function thumbnailOf(path: string, format: ImageFormat): Promise<Uint8Array | undefined> {
  const scale = Math.min(1, MOST_SIDE / Math.max(format.height, format.width));
  const [height, width] = [format.height, format.width].map((side) => Math.max(1, Math.round(side * scale)));
  const small = { ...format, height: height ?? 1, width: width ?? 1 };
  try {
    const bytes = await readImageFile(path);
    const pixels =
      (await colours(bytes, small, path)) ?? scaledColours(await decodeImage(bytes, small, path), small);
    const raw = { width: small.width, height: small.height, channels: 3 } as const;
    // Pixels of tiny images are shown as they are: a browser would blur them.
    const factor = Math.ceil(LEAST_SIDE / Math.max(small.width, small.height));
    return await sharp(pixels, { raw })
      .resize(small.width * factor, small.height * factor, { kernel: "nearest" })
      .jpeg({ quality: QUALITY, chromaSubsampling: factor > 1 ? "4:4:4" : "4:2:0" })
      .toBuffer();
  } catch (error) {
    if (error instanceof MttcError) return undefined;
    throw error;
  }
}

/** RGB of 8 bits, where the file holds colours or grey levels; undefined where it holds other channels. */
async function colours(bytes: Buffer, format: ImageFormat, path: string): Promise<Uint8Array | undefined> {
  const { height, width, maxPixels } = format;
  const plain = { height, width, channels: 3, greyscale: false, ...(maxPixels ? { maxPixels } : {}) };
  try {
    return await decodeImage(bytes, plain, path);
  } catch (error) {
    if (error instanceof MttcError) return undefined;
    throw error;
  }
}

/** Three channels (of one or two the first), from the least number to the largest: uint8 [H,W,3]. */
function scaledColours(bytes: Uint8Array, format: ImageFormat): Uint8Array {
  const numbers: ImageNumbers = numbersOver(imageDepth(format), new Uint8Array(bytes).buffer);
  let [least, most] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (const number of numbers) [least, most] = [Math.min(least, number), Math.max(most, number)];
  const { height, width, channels } = format;
  const pixels = new Uint8Array(height * width * 3);
  for (let at = 0; at < height * width; at++)
    for (let channel = 0; channel < 3; channel++) {
      const number = numbers[at * channels + (channels < 3 ? 0 : channel)] ?? 0;
      pixels[at * 3 + channel] = Math.round((255 * (number - least)) / (most - least || 1));
    }
  return pixels;
}
