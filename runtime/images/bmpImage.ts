// BMP -> pixels: 1, 4 and 8 bits of a palette, 16, 24 and 32 bits of colour, with the masks of BITFIELDS;
// what Windows calls BITMAPINFOHEADER and its successors (V2 to V5). Run-length coding is refused by name.
// The decoders on npm allocate what a header claims, or lack palettes of 4 bits and masks; every size is
// checked here before anything is allocated.
import type { Refuse } from "./imageFile.ts";
import { LIMIT_KEY } from "./imageFormat.ts";

/** An image as rows of interleaved bytes: 3 channels, or 4 with alpha. */
export interface RawImage {
  readonly data: Uint8Array;
  readonly width: number;
  readonly height: number;
  readonly channels: 3 | 4;
}

const FILE_HEADER_BYTES = 14;
/** BITMAPINFOHEADER; the shorter one of OS/2 is refused. */
const INFO_BYTES = 40;
const [RGB, BITFIELDS, ALPHA_BITFIELDS] = [0, 3, 6];
const PLAIN_MASKS: Readonly<Record<number, readonly number[]>> = {
  16: [0x7c00, 0x03e0, 0x001f, 0],
  32: [0x00ff0000, 0x0000ff00, 0x000000ff, 0],
};

/** Whether the bytes begin as a BMP. */
export function isBmp(bytes: Buffer): boolean {
  return bytes.length >= FILE_HEADER_BYTES + INFO_BYTES && bytes.toString("latin1", 0, 2) === "BM";
}

/** Width and height in pixels as the header gives them. */
export function bmpSize(bytes: Buffer): { width: number; height: number } {
  return { width: bytes.readInt32LE(18), height: Math.abs(bytes.readInt32LE(22)) };
}

/**
 * Decodes a BMP. E_IMG_FORMAT (a kind that is not read, or nonsense), E_IMG_LIMIT (over `maxPixels`),
 * E_IMG_TRUNCATED (fewer bytes than its size needs).
 */
export function decodeBmp(bytes: Buffer, maxPixels: number, refuse: Refuse): RawImage {
  const { width, height } = bmpSize(bytes);
  const [headerBytes, bits, compression] = [
    bytes.readUInt32LE(14),
    bytes.readUInt16LE(28),
    bytes.readUInt32LE(30),
  ];
  if (headerBytes < INFO_BYTES || headerBytes > 1_024)
    throw refuse("E_IMG_FORMAT", `a BMP with a header of ${headerBytes} bytes is not read`);
  if (width < 1 || height < 1) throw refuse("E_IMG_FORMAT", `the image is ${width}x${height}`);
  if (width * height > maxPixels)
    throw refuse(
      "E_IMG_LIMIT",
      `the image is ${width}x${height}, the limit is ${maxPixels} pixels: ${LIMIT_KEY}`,
    );
  if (![RGB, BITFIELDS, ALPHA_BITFIELDS].includes(compression))
    throw refuse("E_IMG_FORMAT", `a BMP of compression ${compression} is not read, only plain ones`);
  if (![1, 4, 8, 16, 24, 32].includes(bits)) throw refuse("E_IMG_FORMAT", `a BMP of ${bits} bits a pixel`);
  const rowBytes = Math.ceil((width * bits) / 32) * 4;
  const start = bytes.readUInt32LE(10);
  if (start < FILE_HEADER_BYTES + INFO_BYTES) throw refuse("E_IMG_FORMAT", `pixels at byte ${start}`);
  if (start + rowBytes * height > bytes.length)
    throw refuse("E_IMG_TRUNCATED", `${bytes.length} bytes, the image needs ${start + rowBytes * height}`);
  const isTopDown = bytes.readInt32LE(22) < 0;
  const row = (y: number): number => start + (isTopDown ? y : height - 1 - y) * rowBytes;
  const shape = { width, height, row };
  if (bits <= 8) return paletteImage(bytes, shape, bits, headerBytes, refuse);
  if (bits === 24) return colourImage(bytes, shape);
  return maskedImage(bytes, shape, bits, maskList(bytes, bits, compression, headerBytes, refuse), refuse);
}

interface Shape {
  readonly width: number;
  readonly height: number;
  /** Where row y of the upright image begins. */
  readonly row: (y: number) => number;
}

function paletteImage(
  bytes: Buffer,
  { width, height, row }: Shape,
  bits: number,
  headerBytes: number,
  refuse: Refuse,
): RawImage {
  const first = FILE_HEADER_BYTES + headerBytes;
  const count = Math.min(bytes.readUInt32LE(46) || 2 ** bits, 2 ** bits);
  if (first + 4 * count > bytes.length) throw refuse("E_IMG_TRUNCATED", "the palette is cut");
  const data = new Uint8Array(width * height * 3);
  const perByte = 8 / bits;
  for (let y = 0, to = 0; y < height; y++) {
    const from = row(y);
    for (let x = 0; x < width; x++, to += 3) {
      const byte = bytes[from + Math.floor(x / perByte)] ?? 0;
      const entry = (byte >> (8 - bits * ((x % perByte) + 1))) & (2 ** bits - 1);
      if (entry >= count)
        throw refuse("E_IMG_FORMAT", `pixel ${x},${y} has colour ${entry} of a palette of ${count}`);
      const colour = first + 4 * entry;
      for (let c = 0; c < 3; c++) data[to + c] = bytes[colour + 2 - c] ?? 0;
    }
  }
  return { data, width, height, channels: 3 };
}

function colourImage(bytes: Buffer, { width, height, row }: Shape): RawImage {
  const data = new Uint8Array(width * height * 3);
  for (let y = 0, to = 0; y < height; y++) {
    let from = row(y);
    for (let x = 0; x < width; x++, from += 3, to += 3)
      for (let c = 0; c < 3; c++) data[to + c] = bytes[from + 2 - c] ?? 0;
  }
  return { data, width, height, channels: 3 };
}

/** Masks of red, green, blue and alpha (0: none). The fourth byte of plain 32 bits means nothing. */
function maskList(
  bytes: Buffer,
  bits: number,
  compression: number,
  headerBytes: number,
  refuse: Refuse,
): readonly number[] {
  if (compression === RGB) return PLAIN_MASKS[bits] ?? [];
  const hasAlpha = compression === ALPHA_BITFIELDS || headerBytes >= 56;
  const at = FILE_HEADER_BYTES + INFO_BYTES;
  if (at + 16 > bytes.length) throw refuse("E_IMG_TRUNCATED", "the masks of the colours are cut");
  return [0, 4, 8, 12].map((offset) => (offset === 12 && !hasAlpha ? 0 : bytes.readUInt32LE(at + offset)));
}

function maskedImage(
  bytes: Buffer,
  { width, height, row }: Shape,
  bits: number,
  masks: readonly number[],
  refuse: Refuse,
): RawImage {
  // Divided, not shifted: a mask of 32 bits is beyond what JavaScript shifts.
  const fields = masks.map((mask) => {
    const low = mask === 0 ? 1 : 2 ** (31 - Math.clz32(mask & -mask));
    return { low, most: mask / low };
  });
  const isRun = ({ most }: { readonly most: number }): boolean => Number.isInteger(Math.log2(most + 1));
  if (!fields.every(isRun) || masks.slice(0, 3).includes(0))
    throw refuse(
      "E_IMG_FORMAT",
      `colours have the masks ${masks.map((mask) => mask.toString(16)).join(", ")}`,
    );
  const channels = masks[3] === 0 ? 3 : 4;
  const used = fields.slice(0, channels);
  const data = new Uint8Array(width * height * channels);
  const step = bits / 8;
  for (let y = 0, to = 0; y < height; y++) {
    let from = row(y);
    for (let x = 0; x < width; x++, from += step) {
      const pixel = bits === 16 ? bytes.readUInt16LE(from) : bytes.readUInt32LE(from);
      for (const { low, most } of used)
        data[to++] = Math.round(((Math.floor(pixel / low) % (most + 1)) * 255) / most);
    }
  }
  return { data, width, height, channels };
}
