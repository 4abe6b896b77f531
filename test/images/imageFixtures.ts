// Small images made by the tests themselves, in a temporary folder; nothing is committed. They are encoded
// before anything restricts the image library, which is process-wide.
import { mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import sharp, { type Sharp } from "sharp";

/** A folder of its own for a test. */
export function makeFolder(): Promise<string> {
  return mkdtemp(join(tmpdir(), "mttc-data-"));
}

/**
 * Raw RGB pixels of a smooth picture whose halves differ in both directions; `tint` makes pictures differ.
 */
export function picture(width: number, height: number, tint = 0): Buffer {
  const pixels = Buffer.alloc(width * height * 3);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      pixels[(y * width + x) * 3] = Math.round((255 * x) / width);
      pixels[(y * width + x) * 3 + 1] = Math.round((255 * y) / height);
      pixels[(y * width + x) * 3 + 2] = tint % 256;
    }
  }
  return pixels;
}

/** The picture as a sharp pipeline. */
export function pictureImage(width: number, height: number, tint = 0): Sharp {
  return sharp(picture(width, height, tint), { raw: { width, height, channels: 3 } });
}

/** Writes `count` PNGs of 12x10 pixels whose blue channel is their number; returns their paths. */
export async function writePictures(folder: string, count: number): Promise<string[]> {
  return Promise.all(
    Array.from({ length: count }, async (_, tint) => {
      const file = join(folder, `${tint}.png`);
      await writeFile(file, await pictureImage(12, 10, tint).png().toBuffer());
      return file;
    }),
  );
}
