// TIFF and GeoTIFF -> the numbers of an image: the bands of the first image as they are stored, oriented and
// resized. Samples are never scaled: a file whose samples do not fit bit_depth is refused. All blocks are
// decompressed (bounded), then the bands are gathered and resized one after the other, which bounds memory at
// the decoded image and one band of it.
import sharp from "sharp";
import { InternalError } from "../../../compiler/diagnostics.ts";
import type { Refuse } from "../imageFile.ts";
import {
  DEPTH_BYTES,
  type ImageDepth,
  type ImageFormat,
  type ImageNumbers,
  imageDepth,
  imageNumbers,
  memoryFactor,
} from "../imageFormat.ts";
import { resizePlane } from "../lanczos.ts";
import { BlockFault, decompressBlock } from "./tiffCodecs.ts";
import { readTiffLayout, type TiffLayout } from "./tiffDirectory.ts";
import { decodeJpegBlock } from "./tiffJpeg.ts";
import { type Samples, toSamples } from "./tiffSamples.ts";

/** Smallest width and height of an image that is resized. */
const MIN_SIDE = 8;
/** All blocks and one band together: what keeps a reading process below 512 MB. */
const MAX_HELD_BYTES = 288 * 2 ** 20;

/** What may still be refused of blocks, whatever the directory says. */
const OPAQUE: readonly TiffLayout["compression"][] = ["jpeg", "zstd"];

/**
 * Throws what decodeTiff throws of a TIFF's directory alone: nothing is decompressed. False where only the
 * pixels tell: JPEG or Zstandard inside, or a mark of missing pixels that would be refused.
 */
export async function checkTiff(bytes: Buffer, format: ImageFormat, refuse: Refuse): Promise<boolean> {
  const layout = await readTiffLayout(bytes, format, refuse);
  checkFormat(layout, format, refuse);
  checkMemory(layout, format, refuse);
  const isMarked = layout.nodata !== undefined && format.nodata === undefined;
  return !isMarked && !OPAQUE.includes(layout.compression);
}

/**
 * The image of a TIFF, [height,width,channels] in the format's depth. E_IMG_FORMAT (not a kind of TIFF that
 * is read, or samples that do not fit), E_IMG_CHANNELS (another number of bands), E_IMG_LIMIT, E_IMG_SIZE,
 * E_IMG_TRUNCATED.
 */
export async function decodeTiff(bytes: Buffer, format: ImageFormat, refuse: Refuse): Promise<ImageNumbers> {
  const layout = await readTiffLayout(bytes, format, refuse);
  checkFormat(layout, format, refuse);
  checkMemory(layout, format, refuse);
  const blocks: Samples[] = [];
  for (const block of layout.blocks.keys()) blocks.push(await readBlock(bytes, layout, block, refuse));
  const { height, width, channels } = format;
  const depth = imageDepth(format);
  const image = imageNumbers(depth, height * width * channels);
  for (let band = 0; band < layout.bands; band++) {
    const plane = imageNumbers(depth, layout.width * layout.height);
    gatherBand(layout, blocks, band, plane);
    fillMissing(plane, layout, format, band, refuse);
    if (plane instanceof Float32Array && !isFinitePlane(plane))
      throw refuse("E_IMG_FORMAT", `band ${band + 1} holds numbers that are not finite in float32`);
    const [from, to] = [orientedSize(layout), [height, width]] as const;
    const resized = from.every((side, i) => side === to[i]) ? plane : await resize(plane, from, to);
    // single_channel: the one band for all channels.
    const end = layout.bands === 1 ? channels : band + 1;
    for (let channel = band; channel < end; channel++)
      for (let i = 0; i < resized.length; i++) image[i * channels + channel] = resized[i] ?? 0;
  }
  return image;
}

/** Height and width of the image of a TIFF, upright. Throws what decodeTiff throws of the directory alone. */
export async function tiffSize(
  bytes: Buffer,
  format: ImageFormat,
  refuse: Refuse,
): Promise<readonly [height: number, width: number]> {
  const layout = await readTiffLayout(bytes, format, refuse);
  checkFormat(layout, format, refuse);
  return orientedSize(layout);
}

/** Before anything is resized, so that no neighbour takes a part of what is missing. */
function fillMissing(
  plane: ImageNumbers,
  { nodata }: TiffLayout,
  format: ImageFormat,
  band: number,
  refuse: Refuse,
): void {
  if (nodata === undefined) return;
  // As the samples have it: the lowest float32 is written with digits that float32 has not.
  const mark = plane instanceof Float32Array ? Math.fround(nodata) : nodata;
  const isMissing = (value: number): boolean => value === mark || (Number.isNaN(mark) && Number.isNaN(value));
  let count = 0;
  for (let i = 0; i < plane.length; i++) {
    if (!isMissing(plane[i] ?? 0)) continue;
    count += 1;
    plane[i] = format.nodata ?? nodata;
  }
  if (count === 0 || format.nodata !== undefined) return;
  throw refuse(
    "E_IMG_FORMAT",
    `${count} of ${plane.length} pixels of band ${band + 1} are missing: the file marks them by ${nodata}; ` +
      "a number for `nodata` says what they become",
  );
}

/** Of a number that is not finite, the difference from itself is none. */
function isFinitePlane(plane: Float32Array): boolean {
  let sum = 0;
  for (let i = 0; i < plane.length; i++) sum += (plane[i] ?? 0) - (plane[i] ?? 0);
  return sum === 0;
}

function checkFormat(layout: TiffLayout, format: ImageFormat, refuse: Refuse): void {
  const expected = format.greyscale ? 1 : format.channels;
  const { bands, kind, sampleBytes } = layout;
  if (bands !== expected) {
    const key =
      format.greyscale && format.channels > 1 ? "single_channel" : `num_channels ${format.channels}`;
    throw refuse("E_IMG_CHANNELS", `the image has ${bands} bands, ${key} expects ${expected}`);
  }
  const [height, width] = orientedSize(layout);
  if (width < Math.min(MIN_SIDE, format.width) || height < Math.min(MIN_SIDE, format.height))
    throw refuse("E_IMG_SIZE", `the image is ${width}x${height}, the least is ${MIN_SIDE}x${MIN_SIDE}`);
  const needed: ImageDepth =
    kind !== "uint" || sampleBytes > 2 ? "float32" : sampleBytes === 2 ? "uint16" : "uint8";
  const [bits, neededBits] = [8 * DEPTH_BYTES[imageDepth(format)], 8 * DEPTH_BYTES[needed]];
  if (bits >= neededBits) return;
  const samples = `${8 * sampleBytes}-bit ${{ uint: "unsigned integers", int: "integers", float: "floats" }[kind]}`;
  throw refuse("E_IMG_FORMAT", `the samples are ${samples}, which need bit_depth ${neededBits}, not ${bits}`);
}

function checkMemory(layout: TiffLayout, format: ImageFormat, refuse: Refuse): void {
  const { width, height, bands, sampleBytes } = layout;
  const held = width * height * (bands * sampleBytes + DEPTH_BYTES[imageDepth(format)]);
  const limit = MAX_HELD_BYTES * memoryFactor(format);
  if (held > limit) throw refuse("E_IMG_LIMIT", `decoding takes ${held} bytes, the limit is ${limit}`);
}

/** Height and width once the orientation is applied: 5 to 8 exchange them. */
function orientedSize({ width, height, orientation }: TiffLayout): readonly [number, number] {
  return orientation >= 5 ? [width, height] : [height, width];
}

async function readBlock(bytes: Buffer, layout: TiffLayout, block: number, refuse: Refuse): Promise<Samples> {
  const { blocks, planar, compression, palette } = layout;
  const { offset, size } = blocks[block] ?? { offset: 0, size: 0 };
  const rows = blockRows(layout, block);
  const packed = bytes.subarray(offset, offset + size);
  try {
    if (compression === "jpeg") return await decodeJpegBlock(packed, layout, rows);
    // The numbers of a palette's colours are one band.
    const bands = planar || palette ? 1 : layout.bands;
    const rowBytes = layout.blockWidth * bands * layout.sampleBytes;
    // Some writers fill the last strip up; no writer has to.
    const decoded = decompressBlock(packed, compression, rows * rowBytes, layout.blockHeight * rowBytes);
    const samples = toSamples(decoded.subarray(0, rows * rowBytes), rowBytes, { ...layout, bands });
    return palette ? coloursOf(samples, palette) : samples;
  } catch (error) {
    if (!(error instanceof BlockFault)) throw error;
    const what = `${layout.tiled ? "tile" : "strip"} ${block}`;
    if (error.kind === "unknown") throw refuse("E_IMG_FORMAT", error.message, error);
    if (error.kind === "long") throw refuse("E_IMG_LIMIT", `${what} decodes to ${error.message}`, error);
    throw refuse("E_IMG_TRUNCATED", `the image is damaged or cut short: ${what}: ${error.message}`, error);
  }
}

/** Red, green and blue of each number of a colour. */
function coloursOf(samples: Samples, palette: Uint8Array): Uint8Array {
  const colours = new Uint8Array(samples.length * 3);
  for (let i = 0; i < samples.length; i++)
    for (let c = 0; c < 3; c++) colours[3 * i + c] = palette[3 * (samples[i] ?? 0) + c] ?? 0;
  return colours;
}

/** Rows that a block holds: the last strip may be shorter. */
function blockRows({ width, height, blockWidth, blockHeight, tiled }: TiffLayout, block: number): number {
  const across = Math.ceil(width / blockWidth);
  const down = Math.ceil(height / blockHeight);
  const top = (Math.floor(block / across) % down) * blockHeight;
  return tiled ? blockHeight : Math.min(blockHeight, height - top);
}

/** Where pixel (x, y) of the file goes in the oriented plane: start + x * right + y * down. */
function orientedSteps({ width: w, height: h, orientation }: TiffLayout): readonly [number, number, number] {
  const steps: readonly (readonly [number, number, number])[] = [
    [0, 1, w],
    [w - 1, -1, w],
    [w * h - 1, -1, -w],
    [(h - 1) * w, 1, -w],
    [0, h, 1],
    [h - 1, h, -1],
    [w * h - 1, -h, -1],
    [(w - 1) * h, -h, 1],
  ];
  const found = steps[orientation - 1];
  if (!found) throw new InternalError(`orientation ${orientation}`);
  return found;
}

/** One band out of all blocks into a plane of the oriented size. */
function gatherBand(layout: TiffLayout, blocks: readonly Samples[], band: number, plane: ImageNumbers): void {
  const { width, height, blockWidth, blockHeight, bands, planar } = layout;
  const across = Math.ceil(width / blockWidth);
  const perBand = across * Math.ceil(height / blockHeight);
  const [start, right, down] = orientedSteps(layout);
  const [stride, first, skipped] = planar ? [1, 0, band * perBand] : [bands, band, 0];
  for (let block = 0; block < perBand; block++) {
    const samples = blocks[skipped + block];
    const left = (block % across) * blockWidth;
    const top = Math.floor(block / across) * blockHeight;
    const columns = Math.min(blockWidth, width - left);
    const rows = Math.min(blockHeight, height - top);
    for (let y = 0; y < rows; y++) {
      let from = y * blockWidth * stride + first;
      let to = start + left * right + (top + y) * down;
      for (let x = 0; x < columns; x++, from += stride, to += right) plane[to] = samples?.[from] ?? 0;
    }
  }
}

/** Integers as other images are resized; floats the library would round. Sizes are [height,width]. */
async function resize(
  plane: ImageNumbers,
  from: readonly [number, number],
  to: readonly [number, number],
): Promise<ImageNumbers> {
  if (plane instanceof Float32Array) return resizePlane(plane, from, to);
  const isByte = plane instanceof Uint8Array;
  const { data } = await sharp(plane, { raw: { width: from[1], height: from[0], channels: 1 } })
    .resize(to[1], to[0], { fit: "fill" })
    .toColourspace(isByte ? "b-w" : "grey16")
    .raw({ depth: isByte ? "uchar" : "ushort" })
    .toBuffer({ resolveWithObject: true });
  const copy = new Uint8Array(data).buffer;
  const resized = isByte ? new Uint8Array(copy) : new Uint16Array(copy);
  if (resized.length !== to[0] * to[1]) throw new InternalError(`resized to ${resized.length} numbers`);
  return resized;
}
