// What the records of images in a packed cache are, and the recipe that tells them from others'.
import { createHash } from "node:crypto";
import sharp from "sharp";
import { MttcError } from "../../compiler/diagnostics.ts";
import { type ImageFormat, imageBytes, imageDepth } from "../images/imageFormat.ts";
import { type PackFormat, RECORD_JPEG } from "../images/imageRecord.ts";
import { type RecordKind, SHARD_VERSION } from "./packShard.ts";

/**
 * The records of images: their recipe covers the format, the encoding, the image library and its version.
 * E_CONFIG for a format that JPEG cannot hold.
 */
export function imageKind(format: ImageFormat, packFormat: PackFormat): RecordKind {
  const { sharp: library, vips } = sharp.versions;
  const isJpeg = packFormat === "jpeg";
  if (isJpeg && (![1, 3].includes(format.channels) || imageDepth(format) !== "uint8"))
    throw new MttcError({
      code: "E_CONFIG",
      message: "JPEG holds 1 or 3 channels of 8 bits",
      at: { path: "pack_format" },
      hint: "use pack_format: raw",
    });
  // What is allowed of the images, not what is made of them.
  const { maxPixels: _, ...made } = format;
  const pixels = Object.fromEntries(Object.entries(made).sort(([a], [b]) => (a < b ? -1 : 1)));
  const parts = {
    version: SHARD_VERSION,
    ...pixels,
    library,
    vips,
    ...(isJpeg ? { jpeg: RECORD_JPEG } : {}),
  };
  return {
    recipe: createHash("sha256").update(JSON.stringify(parts)).digest("hex"),
    recordBytes: isJpeg ? undefined : imageBytes(format),
    encoding: isJpeg ? "jpeg" : imageDepth(format),
    shape: [format.height, format.width, format.channels],
  };
}
