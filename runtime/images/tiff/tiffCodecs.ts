// Compressed bytes of a strip or tile -> its bytes, never more than it may have: the decoders of geotiff.js
// have no bound, and a kilobyte of Deflate or LZW can stand for a megabyte. LZW and PackBits as in TIFF 6.0
// (sections 13 and 9).
import * as zlib from "node:zlib";
import { systemCode } from "../../files/fileSystem.ts";
import type { TiffLayout } from "./tiffDirectory.ts";

/** What decodes without knowing of images. */
export type PlainCompression = Exclude<TiffLayout["compression"], "jpeg">;

/** What is wrong with a block. */
export class BlockFault extends Error {
  readonly kind: "short" | "long" | "damaged" | "unknown";

  constructor(kind: BlockFault["kind"], message: string) {
    super(message);
    this.kind = kind;
  }
}

/**
 * Decompresses a block: at least `least` bytes, or BlockFault "short"; at most `most`, or "long"; "damaged"
 * where it is not in the format at all. The result may be a view of `bytes`.
 */
export function decompressBlock(
  bytes: Uint8Array,
  compression: PlainCompression,
  least: number,
  most: number,
): Uint8Array {
  const decoded = DECODERS[compression](bytes, most);
  if (decoded.length >= least) return decoded;
  throw new BlockFault("short", `${decoded.length} bytes instead of ${least}`);
}

type Decoder = (bytes: Uint8Array, most: number) => Uint8Array;

/** JPEG is the image library's: see tiffJpeg.ts. */
const DECODERS: Readonly<Record<PlainCompression, Decoder>> = {
  none: (bytes, most) => bytes.subarray(0, most),
  deflate: (bytes, most) => inBounds(zlib.inflateSync, bytes, most),
  lzw: decodeLzw,
  packbits: decodePackBits,
  zstd: (bytes, most) => {
    if (zstdDecompress === undefined) throw new BlockFault("unknown", zstdNeeds());
    return inBounds(zstdDecompress, bytes, most);
  },
};

type Inflate = (
  bytes: Uint8Array,
  options: { readonly maxOutputLength: number; readonly chunkSize: number },
) => Uint8Array;

/** Node has Zstandard since 22.15. */
const { zstdDecompressSync: zstdDecompress } = zlib as { readonly zstdDecompressSync?: Inflate };

function zstdNeeds(): string {
  return `Zstandard inside a TIFF needs Node 22.15 or later, this is ${process.version}`;
}

function inBounds(inflate: Inflate, bytes: Uint8Array, most: number): Uint8Array {
  try {
    // In one piece: pieces would be held twice while they are joined.
    return inflate(bytes, { maxOutputLength: most, chunkSize: Math.max(64, most + 1) });
  } catch (error) {
    if (systemCode(error) === "ERR_BUFFER_TOO_LARGE") throw tooLong(most);
    const reason = error instanceof Error ? error.message : String(error);
    throw new BlockFault(systemCode(error) === "Z_BUF_ERROR" ? "short" : "damaged", reason);
  }
}

function tooLong(most: number): BlockFault {
  return new BlockFault("long", `more than its ${most} bytes`);
}

const CLEAR = 256;
const END = 257;
const MOST_CODES = 4_096;

/**
 * Strings are kept as their last byte and the code of the rest. Codes have 9 to 12 bits, most significant
 * first, and grow one code early, as all writers of TIFF have it.
 */
function decodeLzw(bytes: Uint8Array, most: number): Uint8Array {
  const out = new Uint8Array(most);
  const rest = new Uint16Array(MOST_CODES);
  const last = new Uint8Array(MOST_CODES);
  const lengths = new Uint32Array(MOST_CODES).fill(1);
  for (let code = 0; code < CLEAR; code++) last[code] = code;
  let [next, width, previous] = [END + 1, 9, -1];
  let [bits, bitCount, length] = [0, 0, 0];
  for (const byte of bytes) {
    bits = ((bits << 8) | byte) & 0xffffff;
    bitCount += 8;
    if (bitCount < width) continue;
    bitCount -= width;
    const code = (bits >> bitCount) & ((1 << width) - 1);
    if (code === END) break;
    if (code === CLEAR) {
      [next, width, previous] = [END + 1, 9, -1];
      continue;
    }
    if (code > next || (code >= next && previous === -1)) throw new BlockFault("damaged", `LZW code ${code}`);
    // The code that is just being made is the previous string and its own first byte.
    const isNew = code === next;
    const known = isNew ? previous : code;
    const size = (lengths[known] ?? 1) + (isNew ? 1 : 0);
    if (length + size > most) throw tooLong(most);
    const head = writeString(out, length + (lengths[known] ?? 1) - 1, known, rest, last);
    if (isNew) out[length + size - 1] = head;
    if (previous !== -1 && next < MOST_CODES) {
      rest[next] = previous;
      last[next] = head;
      lengths[next] = (lengths[previous] ?? 1) + 1;
      next++;
      if (next + 1 >= 1 << width && width < 12) width++;
    }
    length += size;
    previous = code;
  }
  return out.subarray(0, length);
}

/** Writes a string backwards from `at`; returns its first byte. */
function writeString(out: Uint8Array, at: number, code: number, rest: Uint16Array, last: Uint8Array): number {
  let [place, current] = [at, code];
  while (current > END) {
    out[place--] = last[current] ?? 0;
    current = rest[current] ?? 0;
  }
  out[place] = current;
  return current;
}

function decodePackBits(bytes: Uint8Array, most: number): Uint8Array {
  const out = new Uint8Array(most);
  let length = 0;
  for (let at = 0; at < bytes.length; ) {
    const header = bytes[at++] ?? 0;
    // 128 means nothing.
    if (header === 128) continue;
    const count = header < 128 ? header + 1 : 257 - header;
    if (length + count > most) throw tooLong(most);
    if (header < 128) {
      const literal = bytes.subarray(at, at + count);
      if (literal.length < count) throw new BlockFault("short", "a run of bytes is cut");
      out.set(literal, length);
      at += count;
    } else {
      const byte = bytes[at++];
      if (byte === undefined) throw new BlockFault("short", "a run of bytes is cut");
      out.fill(byte, length, length + count);
    }
    length += count;
  }
  return out.subarray(0, length);
}
