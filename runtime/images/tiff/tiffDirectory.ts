// Where a TIFF says its pixels are, checked before anything is allocated for them. In: the bytes of a file;
// out: the layout of its first image. geotiff.js reads the directory (classic and BigTIFF), once its entries
// are known to lie inside the file: it allocates what an entry claims. Other images of the file are not read.
import { fromArrayBuffer } from "geotiff";
import { MttcError } from "../../../compiler/diagnostics.ts";
import type { Refuse } from "../imageFile.ts";
import { type ImageFormat, LIMIT_KEY, maxPixels, memoryFactor } from "../imageFormat.ts";
import { checkEntries } from "./tiffEntries.ts";

/** Bytes that the blocks of an image may have once decompressed: 50 megapixels of three bytes, and more. */
export const MAX_DECODED_BYTES = 160 * 2 ** 20;
/** Bands of an image, as many as num_channels may be. */
export const MAX_BANDS = 16;
const MAX_BLOCKS = 65_536;

/** Number formats of samples. */
export type SampleKind = "uint" | "int" | "float";
const SAMPLE_KINDS: readonly (SampleKind | undefined)[] = [undefined, "uint", "int", "float"];
const SAMPLE_BITS: Readonly<Record<SampleKind, readonly number[]>> = {
  uint: [8, 16, 32],
  int: [8, 16, 32],
  float: [32, 64],
};
/** The compressions that are read, by their number in the file. */
export type Compression = "none" | "lzw" | "deflate" | "packbits" | "zstd" | "jpeg";
const COMPRESSIONS: ReadonlyMap<number, Compression> = new Map<number, Compression>([
  [1, "none"],
  [5, "lzw"],
  [8, "deflate"],
  [32_946, "deflate"],
  [32_773, "packbits"],
  [7, "jpeg"],
  [50_000, "zstd"],
]);
/** Meanings of samples; those that are left out are no plain numbers: mask, CIELab, LogLuv and their kin. */
const [WHITE_IS_ZERO, PALETTE, YCBCR] = [0, 3, 6];
const PLAIN_MEANINGS = [WHITE_IS_ZERO, 1, 2, PALETTE, 5];
/** Colours of a palette of 8 bits. */
const PALETTE_SIZE = 256;

/** The first image of a file. Widths and heights in pixels, before the orientation is applied. */
export interface TiffLayout {
  readonly width: number;
  readonly height: number;
  readonly bands: number;
  readonly kind: SampleKind;
  /** Bytes of a sample. */
  readonly sampleBytes: number;
  readonly littleEndian: boolean;
  readonly compression: Compression;
  /** 1 none, 2 differences along the row, 3 the same for floats. */
  readonly predictor: number;
  /** Whether each block holds one band only. */
  readonly planar: boolean;
  readonly whiteIsZero: boolean;
  /** Colours [256,3] that samples are numbers of: the one band of the file stands for three. */
  readonly palette?: Uint8Array;
  /** Tables that the blocks of JPEG share, if the file has any; and whether the blocks are YCbCr. */
  readonly jpeg?: { readonly tables: Uint8Array; readonly isYcbcr: boolean };
  /** The number that marks missing pixels (GDAL_NODATA). */
  readonly nodata?: number;
  /** EXIF orientation, 1 to 8. */
  readonly orientation: number;
  readonly blockWidth: number;
  readonly blockHeight: number;
  /** Whether blocks at the lower edge are cut to the image (strips) or full (tiles). */
  readonly tiled: boolean;
  /** Whether the file holds other images (pages, overviews), which are not used. */
  readonly hasMore: boolean;
  /** Places of the blocks in the file: row by row, with `planar` band after band. */
  readonly blocks: readonly { readonly offset: number; readonly size: number }[];
}

/** Whether the bytes begin as a TIFF, classic or BigTIFF. */
export function isTiff(bytes: Buffer): boolean {
  return ["II*\0", "MM\0*", "II+\0", "MM\0+"].includes(bytes.toString("latin1", 0, 4));
}

/**
 * The layout of a TIFF. E_IMG_FORMAT (nonsense, or a kind of TIFF that is not read), E_IMG_LIMIT (over the
 * format's pixels, 16 bands, or 160 MiB decoded for each 50 megapixels allowed), E_IMG_TRUNCATED (blocks
 * outside the file).
 */
export async function readTiffLayout(
  bytes: Buffer,
  format: Pick<ImageFormat, "maxPixels">,
  refuse: Refuse,
): Promise<TiffLayout> {
  const [pixelLimit, byteLimit] = [maxPixels(format), MAX_DECODED_BYTES * memoryFactor(format)];
  const littleEndian = bytes[0] === 0x49;
  const hasMore = checkEntries(bytes, littleEndian, refuse);
  const tags = await readTags(bytes, refuse);
  const number = (tag: TagName, otherwise: number): number => tags.get(tag)?.[0] ?? otherwise;
  const [width, height] = [number("ImageWidth", 0), number("ImageLength", 0)];
  if (!isCount(width) || !isCount(height)) throw refuse("E_IMG_FORMAT", `the image is ${width}x${height}`);
  if (width * height > pixelLimit)
    throw refuse(
      "E_IMG_LIMIT",
      `the image is ${width}x${height}, the limit is ${pixelLimit} pixels: ${LIMIT_KEY}`,
    );
  const samples = sampleFormat(tags, refuse);
  const grid = blockGrid(tags, width, height, refuse);
  const planar = number("PlanarConfiguration", 1) === 2 && samples.bands > 1;
  const across = Math.ceil(width / grid.blockWidth) * Math.ceil(height / grid.blockHeight);
  const count = across * (planar ? samples.bands : 1);
  const decoded = across * grid.blockWidth * grid.blockHeight * samples.bands * samples.sampleBytes;
  if (count > MAX_BLOCKS) throw refuse("E_IMG_LIMIT", `${count} strips or tiles, the limit is ${MAX_BLOCKS}`);
  if (decoded > byteLimit)
    throw refuse("E_IMG_LIMIT", `the image decodes to ${decoded} bytes, the limit is ${byteLimit}`);
  const blocks = blockPlaces(tags, grid.tiled, count, bytes.length, refuse);
  const whiteIsZero = number("PhotometricInterpretation", 1) === WHITE_IS_ZERO;
  const orientation = number("Orientation", 1);
  if (!(orientation >= 1 && orientation <= 8)) throw refuse("E_IMG_FORMAT", `orientation ${orientation}`);
  const layout = { width, height, ...samples, littleEndian, planar, whiteIsZero, orientation };
  if (planar && samples.compression === "jpeg")
    throw refuse("E_IMG_FORMAT", "JPEG of separate bands inside a TIFF is not read");
  return { ...layout, ...grid, blocks, hasMore, ...meaningOf(tags, samples) };
}

/** What samples mean beyond numbers: colours of a palette, JPEG's tables, a mark of missing pixels. */
function meaningOf(
  tags: Tags,
  { compression }: SampleFormat,
): Pick<TiffLayout, "palette" | "jpeg" | "nodata"> {
  const meaning = tags.get("PhotometricInterpretation")?.[0];
  const map = tags.get("ColorMap") ?? [];
  // 16 bits a colour, all reds first.
  const palette = Uint8Array.from({ length: 3 * PALETTE_SIZE }, (_, i) =>
    Math.floor((map[(i % 3) * PALETTE_SIZE + Math.floor(i / 3)] ?? 0) / 256),
  );
  const [nodata] = tags.get("GDAL_NODATA") ?? [];
  return {
    ...(meaning === PALETTE ? { palette } : {}),
    ...(compression === "jpeg"
      ? { jpeg: { tables: Uint8Array.from(tags.get("JPEGTables") ?? []), isYcbcr: meaning === YCBCR } }
      : {}),
    ...(nodata === undefined ? {} : { nodata }),
  };
}

const TAGS = [
  "ImageWidth",
  "ImageLength",
  "BitsPerSample",
  "Compression",
  "PhotometricInterpretation",
  "FillOrder",
  "StripOffsets",
  "Orientation",
  "SamplesPerPixel",
  "RowsPerStrip",
  "StripByteCounts",
  "PlanarConfiguration",
  "Predictor",
  "TileWidth",
  "TileLength",
  "TileOffsets",
  "TileByteCounts",
  "SampleFormat",
  "ColorMap",
  "JPEGTables",
  "GDAL_NODATA",
] as const;
type TagName = (typeof TAGS)[number];
type Tags = ReadonlyMap<TagName, readonly number[]>;

/** The tags that matter, each as a list of numbers; a tag that holds anything else is refused. */
async function readTags(bytes: Buffer, refuse: Refuse): Promise<Tags> {
  const { buffer, byteOffset, length } = bytes;
  const isWhole = byteOffset === 0 && length === buffer.byteLength;
  try {
    const file = await fromArrayBuffer((isWhole ? buffer : new Uint8Array(bytes).buffer) as ArrayBuffer);
    const { fileDirectory } = await file.getImage(0);
    const tags = new Map<TagName, readonly number[]>();
    for (const tag of TAGS) {
      const value: unknown = await fileDirectory.loadValue(tag);
      if (value === undefined) continue;
      // A number as text.
      if (tag === "GDAL_NODATA") {
        tags.set(tag, [Number.parseFloat(String(value))]);
        continue;
      }
      const list =
        typeof value === "object" ? Array.from(value as ArrayLike<unknown>, Number) : [Number(value)];
      if (!list.every(Number.isSafeInteger)) throw refuse("E_IMG_FORMAT", `${tag} holds no integers`);
      tags.set(tag, list);
    }
    return tags;
  } catch (error) {
    if (error instanceof MttcError) throw error;
    const reason = error instanceof Error ? error.message : String(error);
    throw refuse("E_IMG_FORMAT", `the TIFF's directory cannot be read: ${reason}`, error);
  }
}

function isCount(value: number): boolean {
  return Number.isSafeInteger(value) && value > 0;
}

type SampleFormat = Pick<TiffLayout, "bands" | "kind" | "sampleBytes" | "compression" | "predictor">;

function sampleFormat(tags: Tags, refuse: Refuse): SampleFormat {
  const number = (tag: TagName, otherwise: number): number => tags.get(tag)?.[0] ?? otherwise;
  const bands = number("SamplesPerPixel", 1);
  if (!isCount(bands)) throw refuse("E_IMG_FORMAT", `the image has ${bands} bands`);
  if (bands > MAX_BANDS)
    throw refuse("E_IMG_LIMIT", `the image has ${bands} bands, the limit is ${MAX_BANDS}`);
  const same = (tag: TagName, otherwise: number): number => {
    const list = tags.get(tag) ?? [otherwise];
    if (new Set(list).size === 1) return list[0] ?? otherwise;
    throw refuse("E_IMG_FORMAT", `${tag} differs between the bands: ${list.slice(0, MAX_BANDS).join(", ")}`);
  };
  const bits = same("BitsPerSample", 1);
  const kind = SAMPLE_KINDS[same("SampleFormat", 1)];
  if (kind === undefined || !SAMPLE_BITS[kind].includes(bits)) {
    const known = "expected 8, 16 or 32 bit integers or 32 or 64 bit floats";
    throw refuse("E_IMG_FORMAT", `${known}, found ${bits} bits of ${kind ?? "an unknown kind"}`);
  }
  const code = number("Compression", 1);
  const compression = COMPRESSIONS.get(code);
  if (compression === undefined)
    throw refuse(
      "E_IMG_FORMAT",
      `compression ${code} is not read, only none, LZW, Deflate, PackBits, JPEG and Zstandard`,
    );
  const meaning = number("PhotometricInterpretation", 1);
  const isJpegColour = compression === "jpeg" && meaning === YCBCR && bands === 3;
  if ((!PLAIN_MEANINGS.includes(meaning) && !isJpegColour) || number("FillOrder", 1) !== 1)
    throw refuse(
      "E_IMG_FORMAT",
      `a TIFF of photometric interpretation ${meaning} is not read (mask, CMYK, YCbCr but in JPEG, CIELab ...)`,
    );
  const isByte = kind === "uint" && bits === 8;
  if (meaning === PALETTE && !(bands === 1 && isByte && tags.get("ColorMap")?.length === 3 * PALETTE_SIZE))
    throw refuse("E_IMG_FORMAT", "a palette that is not of one band of 8 bits is not read");
  if (compression === "jpeg" && !(isByte && [1, 3].includes(bands) && meaning !== PALETTE))
    throw refuse(
      "E_IMG_FORMAT",
      `JPEG inside a TIFF holds 1 or 3 bands of 8 bits, found ${bands} of ${bits}`,
    );
  if (meaning === WHITE_IS_ZERO && (bands > 1 || kind !== "uint"))
    throw refuse("E_IMG_FORMAT", "white is zero, which only one band of unsigned integers can mean");
  const predictor = number("Predictor", 1);
  const suits = predictor === 1 || (predictor === 2 && bits <= 32) || (predictor === 3 && kind === "float");
  if (!suits) throw refuse("E_IMG_FORMAT", `predictor ${predictor} does not suit ${bits} bits of ${kind}`);
  return { bands: meaning === PALETTE ? 3 : bands, kind, sampleBytes: bits / 8, compression, predictor };
}

type BlockGrid = Pick<TiffLayout, "blockWidth" | "blockHeight" | "tiled">;

function blockGrid(tags: Tags, width: number, height: number, refuse: Refuse): BlockGrid {
  const tiled = !tags.has("StripOffsets");
  const [blockWidth = 0] = tiled ? (tags.get("TileWidth") ?? []) : [width];
  const [rows = 0] = tags.get(tiled ? "TileLength" : "RowsPerStrip") ?? (tiled ? [] : [height]);
  if (!isCount(blockWidth) || !isCount(rows))
    throw refuse("E_IMG_FORMAT", `${tiled ? "tiles" : "strips"} of ${blockWidth}x${rows} pixels`);
  return { blockWidth, blockHeight: tiled ? rows : Math.min(rows, height), tiled };
}

function blockPlaces(
  tags: Tags,
  tiled: boolean,
  count: number,
  fileBytes: number,
  refuse: Refuse,
): TiffLayout["blocks"] {
  const what = tiled ? "Tile" : "Strip";
  const offsets = tags.get(`${what}Offsets`) ?? [];
  const sizes = tags.get(`${what}ByteCounts`) ?? [];
  if (offsets.length < count || sizes.length < count)
    throw refuse("E_IMG_FORMAT", `${count} ${what.toLowerCase()}s, but places of ${offsets.length}`);
  return Array.from({ length: count }, (_, i) => {
    const [offset = 0, size = 0] = [offsets[i], sizes[i]];
    const isInside = offset > 0 && size > 0 && offset + size <= fileBytes;
    if (isInside) return { offset, size };
    const place = `${what.toLowerCase()} ${i} has ${size} bytes at ${offset}`;
    throw refuse("E_IMG_TRUNCATED", `the image is cut short: ${place}, the file has ${fileBytes}`);
  });
}
