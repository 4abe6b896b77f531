// What the image library may read, and how much of the machine it may take. Both hold for the whole process.
import sharp from "sharp";

/** Kinds of file that it reads for us. */
const KINDS = ["Jpeg", "Png", "Webp", "Nsgif", "Heif"];
/** The other kinds that libvips has readers of, in any of its builds. */
const OTHER_KINDS = [
  ...["Analyze", "Csv", "DcRaw", "Fits", "Jp2k", "Jxl", "Magick", "Magick7", "Mat", "Matrix", "Nifti"],
  ...["OpenExr", "Openslide", "Pdf", "Ppm", "Rad", "Raw", "Svg", "Tiff", "Uhdr", "Vips"],
];
/** From paths and from streams: every file is read by us (imageFile.ts). */
const OTHER_SOURCES = KINDS.flatMap((kind) => [`${kind}File`, `${kind}Source`]);
/** Classes of libvips that read nothing any more. */
export const BLOCKED_READERS = [...OTHER_KINDS, ...OTHER_SOURCES].map((name) => `VipsForeignLoad${name}`);

/**
 * Restricts the image library, process-wide: of all its readers only JPEG, PNG, WebP, GIF and AVIF from
 * memory stay, each job runs on one thread, and nothing is cached. SVG, TIFF and every path are refused.
 * Every thread that decodes calls it, and no call takes from another thread, not for a moment, what it reads.
 */
export function restrictImageLibrary(): void {
  sharp.block({ operation: BLOCKED_READERS });
  sharp.concurrency(1);
  sharp.cache(false);
}
