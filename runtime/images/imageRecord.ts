// An image as a record of a packed cache: raw pixels, or a JPEG of the resized image where raw ones would not
// fit on a disk. Encoding happens once, in the processes that decode foreign images; decoding at each read.
// JPEG is lossy: what training sees differs a little from the source, but is the same in every epoch and run.
import sharp from "sharp";
import { MttcError } from "../../compiler/diagnostics.ts";
import type { ImageFormat, ImageNumbers } from "./imageFormat.ts";

/** How a pack holds its images. */
export type PackFormat = "raw" | "jpeg";

/**
 * Full colour resolution. Measured at 256x256: photographs 31 to 46 KB (raw: 197), 2.9 to 4.1 levels of 255
 * off on average; drawings 12 to 19 KB, 0.9 to 1.5 levels.
 */
export const RECORD_JPEG = { quality: 90, chromaSubsampling: "4:4:4" } as const;

/** A decoded image (HWC) as a record. */
export async function encodeRecord(
  pixels: ImageNumbers | Uint8Array,
  format: ImageFormat,
  packFormat: PackFormat,
): Promise<Uint8Array> {
  if (packFormat === "raw") return new Uint8Array(pixels.buffer, pixels.byteOffset, pixels.byteLength);
  const { width, height } = format;
  const raw = { width, height, channels: encodedChannels(format) };
  return await sharp(pixels, { raw }).jpeg(RECORD_JPEG).toBuffer();
}

/** Decodes a JPEG record of the image at `path` into `target`. E_SHARD_CRC for a damaged one. */
export async function decodeRecord(
  record: Uint8Array,
  format: ImageFormat,
  target: Uint8Array,
  path: string,
): Promise<void> {
  const { width, height } = format;
  const damaged = (reason: string, cause?: unknown): MttcError => {
    const message = `its packed image is damaged: ${reason}`;
    return new MttcError({ code: "E_SHARD_CRC", message, at: { file: path } }, { cause });
  };
  const space = encodedChannels(format) === 1 ? "b-w" : "srgb";
  const { data, info } = await sharp(record, { failOn: "warning", limitInputPixels: width * height })
    .toColourspace(space)
    .raw()
    .toBuffer({ resolveWithObject: true })
    .catch((cause: unknown) => {
      throw damaged(cause instanceof Error ? cause.message : String(cause), cause);
    });
  if (info.width !== width || info.height !== height || data.length !== target.length)
    throw damaged(`${info.width}x${info.height}x${info.channels}`);
  target.set(data);
}

function encodedChannels({ channels }: ImageFormat): 1 | 3 {
  return channels === 1 ? 1 : 3;
}
