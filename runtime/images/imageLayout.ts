// What the bytes of an image file say before anything decodes them: the format by its signature, where the
// image ends (what follows is not part of it: a polyglot), whether it is animated. In: bytes; out: facts.
// Nothing is trusted: every offset is checked against the length.
import { extname } from "node:path";
import { isBmp } from "./bmpImage.ts";
import { isTiff } from "./tiff/tiffDirectory.ts";

/** The formats that are read. */
export type ImageKind = "jpeg" | "png" | "webp" | "tiff" | "gif" | "avif" | "bmp";

/** Layout of an image file. */
export interface ImageLayout {
  readonly kind: ImageKind;
  /** Bytes after the image's own end; 0 where the end is not found. */
  readonly trailingBytes: number;
  /** A WebP, GIF or AVIF with several frames; only the first is used. */
  readonly animated: boolean;
}

const EXTENSIONS: Readonly<Record<string, ImageKind>> = {
  ".jpg": "jpeg",
  ".jpeg": "jpeg",
  ".jpe": "jpeg",
  ".jfif": "jpeg",
  ".png": "png",
  ".webp": "webp",
  ".tif": "tiff",
  ".tiff": "tiff",
  ".gif": "gif",
  ".avif": "avif",
  ".bmp": "bmp",
  ".dib": "bmp",
};
const PNG_SIGNATURE = "\x89PNG\r\n\x1a\n";
/** Bit of the flags of a WebP's VP8X chunk. */
const WEBP_ANIMATION = 0x02;

/** The layout of an image (a TIFF has no end of its own); undefined for anything that is not read. */
export function imageLayout(bytes: Buffer): ImageLayout | undefined {
  const kind = imageKind(bytes);
  if (kind === undefined) return undefined;
  const end = ENDS[kind](bytes);
  const trailingBytes = end === undefined ? 0 : Math.max(0, bytes.length - end);
  return { kind, trailingBytes, animated: isAnimated(bytes, kind) };
}

const ENDS: Readonly<Record<ImageKind, (bytes: Buffer) => number | undefined>> = {
  ...{ jpeg: jpegEnd, png: pngEnd, webp: webpEnd, tiff: () => undefined },
  ...{ gif: (bytes) => gifBlocks(bytes).end, avif: avifEnd, bmp: (bytes) => bytes.readUInt32LE(2) },
};

function isAnimated(bytes: Buffer, kind: ImageKind): boolean {
  if (kind === "gif") return gifBlocks(bytes).images > 1;
  if (kind === "avif") return bytes.toString("latin1", 8, 12) === "avis";
  const isExtended = kind === "webp" && bytes.toString("latin1", 12, 16) === "VP8X";
  return isExtended && ((bytes[20] ?? 0) & WEBP_ANIMATION) !== 0;
}

/**
 * Width and height as the header of a JPEG or PNG gives them, before any orientation; undefined where they
 * are not found at once. Never more than a hint: only the decoder knows.
 */
export function headerSize(bytes: Buffer): { width: number; height: number } | undefined {
  const kind = imageKind(bytes);
  if (kind === "png" && bytes.length >= 24)
    return { width: bytes.readUInt32BE(16), height: bytes.readUInt32BE(20) };
  if (kind !== "jpeg") return undefined;
  for (let at = 2; at + 9 <= bytes.length && bytes[at] === 0xff; at += 2 + bytes.readUInt16BE(at + 2)) {
    const marker = bytes[at + 1] ?? 0;
    const isFrame = marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker);
    if (isFrame) return { width: bytes.readUInt16BE(at + 7), height: bytes.readUInt16BE(at + 5) };
    if (marker < 0xc0 || marker === 0xda) return undefined;
  }
  return undefined;
}

/** The format that the name of a file promises; undefined for an extension that is not known. */
export function kindOfName(path: string): ImageKind | undefined {
  return EXTENSIONS[extname(path).toLowerCase()];
}

function imageKind(bytes: Buffer): ImageKind | undefined {
  if (bytes[0] === 0xff && bytes[1] === 0xd8 && bytes[2] === 0xff) return "jpeg";
  if (bytes.toString("latin1", 0, 8) === PNG_SIGNATURE) return "png";
  if (isTiff(bytes)) return "tiff";
  if (/^GIF8[79]a$/.test(bytes.toString("latin1", 0, 6))) return "gif";
  if (/^ftypavi[fs]$/.test(bytes.toString("latin1", 4, 12))) return "avif";
  if (isBmp(bytes)) return "bmp";
  const isRiff = bytes.toString("latin1", 0, 4) === "RIFF" && bytes.toString("latin1", 8, 12) === "WEBP";
  return isRiff ? "webp" : undefined;
}

/** Segments carry their length; the data of a scan ends at the next marker that is no stuffing or restart. */
function jpegEnd(bytes: Buffer): number | undefined {
  let at = 2;
  while (at + 1 < bytes.length) {
    if (bytes[at] !== 0xff) return undefined;
    const marker = bytes[at + 1] ?? 0;
    if (marker === 0xff) at += 1;
    else if (marker === 0xd9) return at + 2;
    else if (at + 3 >= bytes.length) return undefined;
    else {
      at += 2 + bytes.readUInt16BE(at + 2);
      if (marker === 0xda) at = scanEnd(bytes, at);
    }
  }
  return undefined;
}

function scanEnd(bytes: Buffer, from: number): number {
  for (let at = bytes.indexOf(0xff, from); at !== -1; at = bytes.indexOf(0xff, at + 1)) {
    const next = bytes[at + 1] ?? 0;
    const isData = next === 0 || next === 0xff || (next >= 0xd0 && next <= 0xd7);
    if (!isData) return at;
  }
  return bytes.length;
}

function pngEnd(bytes: Buffer): number | undefined {
  for (let at = 8; at + 12 <= bytes.length; ) {
    const end = at + 12 + bytes.readUInt32BE(at);
    if (bytes.toString("latin1", at + 4, at + 8) === "IEND") return end;
    at = end;
  }
  return undefined;
}

/** A RIFF chunk is padded to an even length. */
function webpEnd(bytes: Buffer): number | undefined {
  if (bytes.length < 12) return undefined;
  const size = bytes.readUInt32LE(4);
  return 8 + size + (size % 2);
}

/** Blocks of a GIF (GIF89a, section 16 on): how many are images, and where the trailer ends the file. */
function gifBlocks(bytes: Buffer): { readonly images: number; readonly end: number | undefined } {
  const tableBytes = (flags: number): number => ((flags & 0x80) === 0 ? 0 : 3 * 2 ** ((flags & 7) + 1));
  let at = 13 + tableBytes(bytes[10] ?? 0);
  for (let images = 0; at < bytes.length; ) {
    const block = bytes[at];
    if (block === 0x3b) return { images, end: at + 1 };
    if (block === 0x2c) {
      images += 1;
      at += 11 + tableBytes(bytes[at + 9] ?? 0);
    } else if (block === 0x21) at += 2;
    else return { images, end: undefined };
    // Sub-blocks, each behind its length; one of length 0 ends them.
    while ((bytes[at] ?? 0) !== 0) at += 1 + (bytes[at] ?? 0);
    at += 1;
    if (at >= bytes.length) return { images, end: undefined };
  }
  return { images: 0, end: undefined };
}

/** Boxes of an ISO base media file, each behind its length; one of length 0 goes on to the end. */
function avifEnd(bytes: Buffer): number | undefined {
  let at = 0;
  while (at + 8 <= bytes.length) {
    const isKnown = /^[a-zA-Z0-9 ]{4}$/.test(bytes.toString("latin1", at + 4, at + 8));
    const size = bytes.readUInt32BE(at);
    if (!isKnown || (size > 0 && size < 8)) return at === 0 ? undefined : at;
    if (size === 0) return bytes.length;
    if (at + size > bytes.length) return at === 0 ? undefined : at;
    at += size;
  }
  return at;
}
