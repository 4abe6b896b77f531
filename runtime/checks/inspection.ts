// One image file looked at as closely as training will: read, decoded, hashed, and everything noted that is
// legal but worth knowing. In: a path; out: plain data, which travels between processes.
import { createHash } from "node:crypto";
import { lstat } from "node:fs/promises";
import sharp from "sharp";
import { type Fault, MttcError } from "../../compiler/diagnostics.ts";
import { type RowPlace, readImageFile, refusalOf } from "../images/imageFile.ts";
import { imageDepth } from "../images/imageFormat.ts";
import { imageLayout, kindOfName } from "../images/imageLayout.ts";
import { encodeRecord, type PackFormat } from "../images/imageRecord.ts";
import { decodeImage, type ImageFormat } from "../images/images.ts";
import { readTiffLayout } from "../images/tiff/tiffDirectory.ts";

/** What is legal but worth a line of the report, with what mttc does about it. */
export const NOTE_TEXTS = {
  trailing: "bytes after the image's end (a second file may hide there); ignored",
  extension: "the extension names another format than the content; the content counts",
  animated: "animated; only the first frame is used",
  orientation: "EXIF orientation; applied",
  cmyk: "CMYK; converted to sRGB",
  pages: "several images in the file (pages, overviews); only the first is used",
  deep: "16 bits per channel; reduced to 8",
  alpha: "alpha channel; flattened onto white",
  missing: "a mark of missing pixels (GDAL_NODATA); they become the spec's nodata",
} as const;

export type NoteKind = keyof typeof NOTE_TEXTS;

/** What became of one file: usable where `faults` is empty. */
export interface Inspection {
  readonly faults: readonly Fault[];
  readonly notes: readonly NoteKind[];
  /** Bytes after the image's end. */
  readonly trailingBytes: number;
  /** SHA-256 of the file in hex; empty where it could not be read. */
  readonly sha256: string;
  readonly sizeBytes: number;
  /** Of the file's modification, in ms; 0 where it could not be read. */
  readonly mtimeMs: number;
  /** The image as a record of a pack, where one was asked for. */
  readonly record?: Uint8Array;
}

/** What there is to say of a file that could not be read. */
export const NOTHING_FOUND = {
  notes: [],
  trailingBytes: 0,
  sha256: "",
  sizeBytes: 0,
  mtimeMs: 0,
} as const satisfies Omit<Inspection, "faults">;

/**
 * Reads and decodes a file; what readImageFile and decodeImage throw becomes `faults`. With `packFormat` the
 * answer has the image as a record in place of notes.
 */
export async function inspectImage(
  path: string,
  format: ImageFormat,
  place: RowPlace,
  packFormat?: PackFormat,
): Promise<Inspection> {
  let found: Omit<Inspection, "faults"> = NOTHING_FOUND;
  try {
    // Before the content: a file that is replaced in between then differs from its time, and is looked at.
    const mtimeMs = await lstat(path).then(
      (stat) => stat.mtimeMs,
      () => 0,
    );
    const bytes = await readImageFile(path, place);
    const sha256 = createHash("sha256").update(bytes).digest("hex");
    found = { ...found, sha256, sizeBytes: bytes.length, mtimeMs };
    const pixels = await decodeImage(bytes, format, path, place);
    if (packFormat !== undefined)
      return { ...found, record: await encodeRecord(pixels, format, packFormat), faults: [] };
    return { ...found, ...(await notesOf(bytes, path, format)), faults: [] };
  } catch (error) {
    if (error instanceof MttcError) return { ...found, faults: error.faults };
    throw error;
  }
}

/** Of an image that has been decoded, so that its header is sound. */
async function notesOf(
  bytes: Buffer,
  path: string,
  format: ImageFormat,
): Promise<Pick<Inspection, "notes" | "trailingBytes">> {
  const layout = imageLayout(bytes);
  const isTiff = layout?.kind === "tiff";
  const tiff = isTiff ? await readTiffLayout(bytes, format, refusalOf(path, undefined)) : undefined;
  const isRead = !isTiff && layout?.kind !== "bmp";
  const header = isRead ? await sharp(bytes, { pages: 1 }).metadata() : undefined;
  const named = kindOfName(path);
  const present: Record<NoteKind, boolean> = {
    trailing: (layout?.trailingBytes ?? 0) > 0,
    extension: named !== undefined && named !== layout?.kind,
    animated: layout?.animated ?? false,
    orientation: (tiff?.orientation ?? header?.orientation ?? 1) !== 1,
    cmyk: header?.space === "cmyk",
    pages: tiff?.hasMore === true,
    deep: header?.depth === "ushort" && imageDepth(format) === "uint8",
    missing: tiff?.nodata !== undefined && format.nodata !== undefined,
    alpha: header?.hasAlpha === true && (format.greyscale || format.channels !== 4),
  };
  const notes = (Object.keys(present) as NoteKind[]).filter((kind) => present[kind]);
  return { notes, trailingBytes: layout?.trailingBytes ?? 0 };
}
