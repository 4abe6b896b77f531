// Image files that no encoder writes: PNGs built chunk by chunk, JPEGs with repeated scans.
import { deflateSync } from "node:zlib";

/** A chunk of a PNG; `crc` overrides the right checksum. */
export function pngChunk(type: string, data: Buffer, crc?: number): Buffer {
  const body = Buffer.concat([Buffer.from(type, "latin1"), data]);
  const [length, check] = [Buffer.alloc(4), Buffer.alloc(4)];
  length.writeUInt32BE(data.length);
  check.writeUInt32BE(crc ?? crc32(body));
  return Buffer.concat([length, body, check]);
}

export interface HostilePng {
  readonly width: number;
  readonly height: number;
  /** Bits per pixel: 1 (grey) or 24 (RGB). */
  readonly bits?: 1 | 24;
  /** Rows of black pixels that are really there; default: all. */
  readonly rows?: number;
  /** Chunks between the header and the pixels. */
  readonly more?: readonly Buffer[];
  /** Checksum of the pixels' chunk in place of the right one. */
  readonly crc?: number;
}

/** A black PNG. */
export function hostilePng({ width, height, bits = 24, rows = height, more = [], crc }: HostilePng): Buffer {
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set(bits === 1 ? [1, 0, 0, 0, 0] : [8, 2, 0, 0, 0], 8);
  const signature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
  const pixels = deflateSync(Buffer.alloc(rows * (1 + Math.ceil((width * bits) / 8))));
  const end = pngChunk("IEND", Buffer.alloc(0));
  return Buffer.concat([signature, pngChunk("IHDR", header), ...more, pngChunk("IDAT", pixels, crc), end]);
}

/** A progressive JPEG whose last scan stands `times` more times. */
export function repeatLastScan(jpeg: Buffer, times: number): Buffer {
  const start = jpeg.lastIndexOf(Buffer.from([0xff, 0xda]));
  const end = jpeg.lastIndexOf(Buffer.from([0xff, 0xd9]));
  const scan = jpeg.subarray(start, end);
  return Buffer.concat([
    jpeg.subarray(0, end),
    ...Array.from({ length: times }, () => scan),
    jpeg.subarray(end),
  ]);
}

function crc32(bytes: Buffer): number {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return (crc ^ 0xffffffff) >>> 0;
}
