// Pictures that training left in a run's folder, for a page: reduced, so that a page stays small.
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import sharp from "sharp";
import { RUN_SHEET } from "../augment/runSheet.ts";
import { systemCode } from "../files/fileSystem.ts";
import { newestPictures } from "../logs/pictures.ts";

/** A picture as a page shows it. */
export interface PagePicture {
  readonly title: string;
  readonly webp: Uint8Array;
}

/** Pixels of the longer side. */
const MOST_SIDE = 1_600;
const QUALITY = 80;
/** Pictures are ours, and their size is known to be bounded. */
const MOST_PIXELS = 100_000_000;

/** The picture in `file`; undefined where it is not there or no picture. */
export async function pagePicture(title: string, file: string): Promise<PagePicture | undefined> {
  let bytes: Buffer;
  try {
    bytes = await readFile(file);
  } catch (error) {
    if (systemCode(error) === undefined) throw error;
    return undefined;
  }
  try {
    const webp = await sharp(bytes, { limitInputPixels: MOST_PIXELS })
      .resize(MOST_SIDE, MOST_SIDE, { fit: "inside", withoutEnlargement: true })
      .webp({ quality: QUALITY })
      .toBuffer();
    return { title, webp };
  } catch {
    // Cut short by a killed process, say: the page is made without it.
    return undefined;
  }
}

/** Pictures of a page, at most. */
const MOST_PICTURES = 16;

/** The sheet of augmentation, and the newest of each picture that training drew. */
export async function readPictures(directory: string): Promise<PagePicture[]> {
  const sheet = { title: "augmentation: originals beside samples", file: RUN_SHEET };
  const drawn = (await newestPictures(directory))
    .filter(({ file }) => file !== RUN_SHEET)
    .map(({ name, epoch, file }) => ({ title: `${name}, epoch ${epoch}`, file }));
  const listed = [sheet, ...drawn.slice(0, MOST_PICTURES)];
  const pictures = await Promise.all(
    listed.map(({ title, file }) => pagePicture(title, join(directory, file))),
  );
  return pictures.filter((picture) => picture !== undefined);
}
