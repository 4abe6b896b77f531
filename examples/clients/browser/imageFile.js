// @ts-check
// What the head of an image file says, read before anything is decoded: format, size, orientation, profile,
// and whether the file is whole. Browsers show what is there of a file that is cut; training refuses it.
import { ClientError } from "./errors.js";

/**
 * @typedef {object} ImageHead
 * @property {"jpeg" | "png" | "webp"} format
 * @property {number} height as stored
 * @property {number} width as stored
 * @property {number} orientation of EXIF, 1 to 8
 * @property {Uint8Array} [icc] of JPEG alone: its colour profile
 * @property {boolean} [isGrey] of JPEG alone
 * @property {Uint8Array} upright the file without its EXIF, which browsers would apply, or not
 */

/** Pixels of an image, before it is decoded. */
const MAX_PIXELS = 2 ** 28;
const ORIENTATION = 0x112;

/**
 * Reads the head of a JPEG, PNG or WebP. E_IMG_FORMAT for another format or an unread kind of these,
 * E_IMG_TRUNCATED for a file that is cut, E_IMG_LIMIT for more than 2^28 pixels.
 * @param {Uint8Array} bytes
 * @returns {ImageHead}
 */
export function readHead(bytes) {
  const head = headOf(bytes);
  const { width, height } = head;
  if (width < 1 || height < 1) throw damaged(`its size is ${width}x${height}`);
  if (width * height <= MAX_PIXELS) return head;
  throw new ClientError("E_IMG_LIMIT", `the image is ${width}x${height}, the limit is ${MAX_PIXELS} pixels`);
}

/**
 * @param {Uint8Array} bytes
 * @returns {ImageHead}
 */
function headOf(bytes) {
  const start = latin1(bytes, 0, 12);
  if (start.startsWith("\xff\xd8\xff")) return jpegHead(bytes);
  if (start.startsWith("\x89PNG\r\n\x1a\n")) return pngHead(bytes);
  if (start.startsWith("RIFF") && start.endsWith("WEBP")) return webpHead(bytes);
  throw refusal(`expected a JPEG, PNG or WebP image, the file ${bytes.length ? "is another" : "is empty"}`);
}

/**
 * The chunks of a PNG, each `{type, at, length}`; `at` is the first byte of its data.
 * @param {Uint8Array} bytes
 */
export function pngChunks(bytes) {
  const view = viewOf(bytes);
  const chunks = [];
  for (let at = 8; at + 12 <= bytes.length; ) {
    const length = view.getUint32(at);
    const type = latin1(bytes, at + 4, 4);
    if (length > bytes.length - at - 12) break;
    chunks.push({ type, at: at + 8, length });
    if (type === "IEND") return chunks;
    at += 12 + length;
  }
  throw damaged("it is cut short");
}

/** @param {Uint8Array} bytes @returns {ImageHead} */
function pngHead(bytes) {
  const view = viewOf(bytes);
  if (bytes.length < 33 || latin1(bytes, 12, 4) !== "IHDR") throw damaged("it is cut short");
  const size = { width: view.getUint32(16), height: view.getUint32(20) };
  // A size past all limits is told before the rest of the file is looked for.
  if (size.width * size.height > MAX_PIXELS)
    return { format: "png", ...size, orientation: 1, upright: bytes };
  const exif = pngChunks(bytes).find(({ type }) => type === "eXIf");
  const orientation = exif ? orientationIn(bytes.subarray(exif.at, exif.at + exif.length)) : 1;
  return { format: "png", ...size, orientation, upright: bytes };
}

/** @param {Uint8Array} bytes @returns {ImageHead} */
function jpegHead(bytes) {
  const upright = bytes.slice();
  /** @type {Map<number, Uint8Array>} */
  const profile = new Map();
  let size;
  let orientation = 1;
  for (const { marker, at, length } of jpegSegments(bytes)) {
    if (isFrame(marker)) size = frameSize(bytes, marker, at, length);
    if (marker === 0xe1 && latin1(bytes, at, 6) === "Exif\0\0") {
      orientation = orientationIn(bytes.subarray(at + 6, at + length));
      upright.fill(0, at, at + 4);
    }
    if (marker === 0xe2 && latin1(bytes, at, 12) === "ICC_PROFILE\0")
      profile.set(bytes[at + 12] ?? 0, bytes.subarray(at + 14, at + length));
  }
  if (!size) throw damaged("it holds no picture");
  const parts = [...profile].sort(([a], [b]) => a - b).map(([, part]) => part);
  return { format: "jpeg", ...size, orientation, upright, ...(parts.length ? { icc: joined(parts) } : {}) };
}

/**
 * Segments up to the end of the picture; E_IMG_TRUNCATED where that is missing.
 * @param {Uint8Array} bytes
 */
function* jpegSegments(bytes) {
  const SCAN = 0xda;
  for (let at = 2; at + 4 <= bytes.length || bytes[at + 1] === 0xd9; ) {
    const marker = bytes[at + 1] ?? 0;
    if (bytes[at] !== 0xff) throw damaged("a segment of it does not begin where it should");
    if (marker === 0xd9) return;
    if (marker === 0xff) {
      at += 1;
      continue;
    }
    const length = ((bytes[at + 2] ?? 0) << 8) | (bytes[at + 3] ?? 0);
    if (length < 2 || at + 2 + length > bytes.length) break;
    yield { marker, at: at + 4, length: length - 2 };
    at += 2 + length;
    if (marker === SCAN) at = scanEnd(bytes, at);
  }
  throw damaged("it is cut short");
}

/**
 * Where the entropy-coded bytes end: at a marker that is no restart.
 * @param {Uint8Array} bytes
 * @param {number} from
 */
function scanEnd(bytes, from) {
  for (let at = bytes.indexOf(0xff, from); at !== -1; at = bytes.indexOf(0xff, at + 1)) {
    const next = bytes[at + 1] ?? 0;
    if (next !== 0 && next !== 0xff && (next < 0xd0 || next > 0xd7)) return at;
  }
  throw damaged("it is cut short");
}

/** Start of a frame: C0 to CF but tables (C4, CC) and C8. @param {number} marker */
function isFrame(marker) {
  return marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker);
}

/**
 * @param {Uint8Array} bytes
 * @param {number} marker
 * @param {number} at
 * @param {number} length
 */
function frameSize(bytes, marker, at, length) {
  if (length < 6) throw damaged("its head is cut short");
  const view = viewOf(bytes);
  const channels = bytes[at + 5];
  if (marker > 0xc2 || bytes[at] !== 8)
    throw refusal("only JPEGs of 8 bits, sequential or progressive, are read here");
  if (channels === 4) throw refusal("JPEGs of CMYK are not read here: browsers take their inks otherwise");
  if (channels !== 1 && channels !== 3) throw refusal(`a JPEG of ${channels} channels is not read here`);
  return { height: view.getUint16(at + 1), width: view.getUint16(at + 3), isGrey: channels === 1 };
}

/** @param {Uint8Array} bytes @returns {ImageHead} */
function webpHead(bytes) {
  const view = viewOf(bytes);
  const end = view.getUint32(4, true) + 8;
  if (end > bytes.length) throw damaged("it is cut short");
  const upright = bytes.slice();
  let size;
  let orientation = 1;
  for (let at = 12; at + 8 <= end; ) {
    const type = latin1(bytes, at, 4);
    const length = view.getUint32(at + 4, true);
    const data = at + 8;
    if (length > end - data) throw damaged("it is cut short");
    if (type === "ANMF") throw refusal("WebPs that move are not read here");
    size ??= webpSize(bytes.subarray(data, data + length), type);
    if (type === "EXIF") {
      const begin = latin1(bytes, data, 6) === "Exif\0\0" ? data + 6 : data;
      orientation = orientationIn(bytes.subarray(begin, data + length));
      // A chunk of an unknown name is skipped.
      upright.fill(0x58, at, at + 4);
    }
    at = data + length + (length % 2);
  }
  if (!size) throw damaged("it holds no picture");
  return { format: "webp", ...size, orientation, upright };
}

/**
 * @param {Uint8Array} data of a chunk
 * @param {string} type
 * @returns {{ height: number, width: number } | undefined}
 */
function webpSize(data, type) {
  if (data.length < 10) return undefined;
  const view = viewOf(data);
  const bits = view.getUint32(1, true);
  if (type === "VP8X")
    return {
      width: (view.getUint32(4, true) & 0xffffff) + 1,
      height: (view.getUint32(6, true) >>> 8) + 1,
    };
  if (type === "VP8L") return { width: (bits & 0x3fff) + 1, height: ((bits >>> 14) & 0x3fff) + 1 };
  if (type !== "VP8 ") return undefined;
  return { width: view.getUint16(6, true) & 0x3fff, height: view.getUint16(8, true) & 0x3fff };
}

/**
 * The tag of a TIFF's first directory; 1 where it is missing or makes no sense.
 * @param {Uint8Array} tiff
 */
function orientationIn(tiff) {
  const order = latin1(tiff, 0, 2);
  if (tiff.length < 8 || (order !== "II" && order !== "MM")) return 1;
  const isLittle = order === "II";
  const view = viewOf(tiff);
  const directory = view.getUint32(4, isLittle);
  const count = directory + 2 <= tiff.length ? view.getUint16(directory, isLittle) : 0;
  for (let i = 0; i < count; i++) {
    const entry = directory + 2 + 12 * i;
    if (entry + 12 > tiff.length) return 1;
    if (view.getUint16(entry, isLittle) !== ORIENTATION) continue;
    const value = view.getUint16(entry + 8, isLittle);
    return value >= 1 && value <= 8 ? value : 1;
  }
  return 1;
}

/** @param {readonly Uint8Array[]} parts */
export function joined(parts) {
  const whole = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** @param {Uint8Array} bytes @param {number} at @param {number} length */
export function latin1(bytes, at, length) {
  return String.fromCharCode(...bytes.subarray(at, at + length));
}

/** @param {Uint8Array} bytes */
export function viewOf({ buffer, byteOffset, byteLength }) {
  return new DataView(buffer, byteOffset, byteLength);
}

/** @param {string} what @param {unknown} [cause] */
export function damaged(what, cause) {
  return new ClientError("E_IMG_TRUNCATED", `the image is damaged or cut short: ${what}`, cause);
}

/** @param {string} what */
export function refusal(what) {
  return new ClientError("E_IMG_FORMAT", what);
}
