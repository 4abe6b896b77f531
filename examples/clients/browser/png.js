// @ts-check
// PNG files -> their own numbers. A canvas would multiply colours by their transparency, which loses bits,
// and browsers do not agree on 16 bits and on gAMA, which training's reader ignores.
import { ClientError } from "./errors.js";
import { damaged, joined, pngChunks, viewOf } from "./imageFile.js";

/** @typedef {import("./resize.js").Pixels} Pixels */

/** Bytes of the rows before they are made pixels. */
const MAX_BYTES = 2 ** 30;
/** Samples of a pixel, by colour type. */
const SAMPLES = new Map([
  [0, 1],
  [2, 3],
  [3, 1],
  [4, 2],
  [6, 4],
]);
const DEPTHS = [1, 2, 4, 8, 16];
/** First row and column, and steps, of the seven passes of an interlaced image. */
const PASSES = [
  { y: 0, x: 0, down: 8, right: 8 },
  { y: 0, x: 4, down: 8, right: 8 },
  { y: 4, x: 0, down: 8, right: 4 },
  { y: 0, x: 2, down: 4, right: 4 },
  { y: 2, x: 0, down: 4, right: 2 },
  { y: 0, x: 1, down: 2, right: 2 },
  { y: 1, x: 0, down: 2, right: 1 },
];
const WHOLE = [{ y: 0, x: 0, down: 1, right: 1 }];

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
  return value;
});

/**
 * Pixels of a PNG as they are stored: 1 channel (grey), 2 (with alpha), 3 or 4; of 16 bits the high byte;
 * and its colour profile, if it has one that applies to 8 bits. E_IMG_TRUNCATED where it is damaged.
 * @param {Uint8Array} bytes
 * @returns {Promise<Pixels & { icc?: Uint8Array }>}
 */
export async function decodePng(bytes) {
  const chunks = pngChunks(bytes);
  for (const { type, at, length } of chunks) {
    const isCritical = type[0] === type[0]?.toUpperCase();
    if (isCritical && crcOf(bytes.subarray(at - 4, at + length)) !== viewOf(bytes).getUint32(at + length))
      throw damaged(`the sum of its chunk ${type} is wrong`);
  }
  /** @param {string} name */
  const dataOf = (name) =>
    chunks.filter(({ type }) => type === name).map(({ at, length }) => bytes.subarray(at, at + length));
  const [head] = dataOf("IHDR");
  if (head?.length !== 13) throw damaged("its head is not one");
  const format = formatOf(head);
  const passes = head[12] === 1 ? PASSES : WHOLE;
  const rows = await inflate(
    dataOf("IDAT"),
    passes.reduce((sum, pass) => sum + passBytes(format, pass), 0),
  );
  const samples = samplesOf(format, passes, rows);
  const [palette, clear] = [dataOf("PLTE")[0], dataOf("tRNS")[0]];
  const pixels =
    format.colour === 3 ? byPalette(format, samples, palette, clear) : deep(format, samples, clear);
  const icc = await profileOf(dataOf("iCCP")[0]);
  const isApplied = icc && !(format.depth === 16 && (format.colour & 2) === 0);
  return { ...pixels, ...(isApplied ? { icc } : {}) };
}

/**
 * @typedef {object} PngFormat
 * @property {number} width
 * @property {number} height
 * @property {number} depth bits of a sample
 * @property {number} colour
 * @property {number} samples of a pixel
 */

/** @param {Uint8Array} head @returns {PngFormat} */
function formatOf(head) {
  const view = viewOf(head);
  const [width, height] = [view.getUint32(0), view.getUint32(4)];
  const [depth = 0, colour = 0, method, filter, interlace = 0] = head.subarray(8);
  const samples = SAMPLES.get(colour);
  if (!samples || !DEPTHS.includes(depth) || method || filter || interlace > 1)
    throw damaged("its head is not one");
  if (height * (1 + width * samples * Math.ceil(depth / 8)) > MAX_BYTES)
    throw new ClientError("E_IMG_LIMIT", `the image is ${width}x${height}, beyond this program's memory`);
  return { width, height, depth, colour, samples };
}

/** @param {PngFormat} format @param {typeof WHOLE[number]} pass */
function passSize({ width, height }, { y, x, down, right }) {
  return { rows: Math.ceil((height - y) / down), columns: Math.ceil((width - x) / right) };
}

/** @param {PngFormat} format @param {typeof WHOLE[number]} pass */
function passBytes(format, pass) {
  const { rows, columns } = passSize(format, pass);
  return columns > 0 && rows > 0 ? rows * (1 + rowBytes(format, columns)) : 0;
}

/** @param {PngFormat} format @param {number} columns */
function rowBytes({ depth, samples }, columns) {
  return Math.ceil((columns * samples * depth) / 8);
}

/**
 * What is compressed, of a size that is known; nothing beyond it is kept.
 * @param {readonly Uint8Array[]} parts
 * @param {number} size
 */
async function inflate(parts, size) {
  const out = new Uint8Array(size);
  let at = 0;
  try {
    const stream = new Blob(/** @type {BlobPart[]} */ ([...parts])).stream();
    const reader = stream.pipeThrough(new DecompressionStream("deflate")).getReader();
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      if (part.value.length > size - at) throw new Error("too much is in it");
      out.set(part.value, at);
      at += part.value.length;
    }
  } catch (cause) {
    throw damaged("its pixels cannot be unpacked", cause);
  }
  if (at < size) throw damaged("pixels are missing");
  return out;
}

/**
 * Samples [height,width,samples], filters undone: of 16 bits whole, of fewer than 8 as small numbers.
 * @param {PngFormat} format
 * @param {typeof WHOLE} passes
 * @param {Uint8Array} rows
 */
function samplesOf(format, passes, rows) {
  const { width, height, depth, samples } = format;
  const out = new (depth === 16 ? Uint16Array : Uint8Array)(height * width * samples);
  const step = Math.max(1, (samples * depth) / 8);
  let at = 0;
  for (const pass of passes) {
    const { rows: count, columns } = passSize(format, pass);
    if (columns <= 0 || count <= 0) continue;
    const length = rowBytes(format, columns);
    /** @type {Uint8Array} */
    let before = new Uint8Array(length);
    for (let row = 0; row < count; row++, at += length) {
      const filter = rows[at++] ?? 0;
      const line = rows.subarray(at, at + length);
      unfilter(filter, line, before, step);
      const from = ((pass.y + row * pass.down) * width + pass.x) * samples;
      if (depth === 8 && pass.right === 1) out.set(line, from);
      else
        for (let i = 0; i < columns * samples; i++) {
          const column = Math.floor(i / samples);
          out[from + column * pass.right * samples + (i % samples)] = sampleAt(line, i, depth);
        }
      before = line;
    }
  }
  return out;
}

/** @param {Uint8Array} line @param {number} i @param {number} depth */
function sampleAt(line, i, depth) {
  if (depth === 8) return line[i] ?? 0;
  if (depth === 16) return ((line[2 * i] ?? 0) << 8) | (line[2 * i + 1] ?? 0);
  const shift = 8 - depth - ((i * depth) % 8);
  return ((line[(i * depth) >> 3] ?? 0) >> shift) & (2 ** depth - 1);
}

/**
 * Undoes a row's filter in place (PNG specification, section 9).
 * @param {number} filter
 * @param {Uint8Array} line
 * @param {Uint8Array} before
 * @param {number} step bytes to the same sample of the pixel to the left
 */
function unfilter(filter, line, before, step) {
  if (filter > 4) throw damaged("a row of it has an unknown filter");
  if (filter === 0) return;
  for (let i = 0; i < line.length; i++) {
    const left = i < step ? 0 : (line[i - step] ?? 0);
    const up = before[i] ?? 0;
    const corner = i < step ? 0 : (before[i - step] ?? 0);
    const guess =
      filter === 1 ? left : filter === 2 ? up : filter === 3 ? (left + up) >> 1 : paeth(left, up, corner);
    line[i] = (line[i] ?? 0) + guess;
  }
}

/** @param {number} left @param {number} up @param {number} corner */
function paeth(left, up, corner) {
  const [toLeft, toUp] = [Math.abs(up - corner), Math.abs(left - corner)];
  const toCorner = Math.abs(left + up - 2 * corner);
  if (toLeft <= toUp && toLeft <= toCorner) return left;
  return toUp <= toCorner ? up : corner;
}

/**
 * @param {PngFormat} format
 * @param {Uint8Array | Uint16Array} samples
 * @param {Uint8Array | undefined} palette
 * @param {Uint8Array | undefined} clear alpha of the palette's first colours
 * @returns {Pixels}
 */
function byPalette({ width, height }, samples, palette, clear) {
  if (!palette) throw damaged("its palette is missing");
  const channels = clear ? 4 : 3;
  const data = new Uint8Array(samples.length * channels);
  for (const [i, index] of samples.entries()) {
    if (3 * index >= palette.length) throw damaged("a colour of it is beyond its palette");
    for (let c = 0; c < 3; c++) data[i * channels + c] = palette[3 * index + c] ?? 0;
    if (clear) data[i * channels + 3] = clear[index] ?? 255;
  }
  return { width, height, channels, data };
}

/**
 * Grey or colours, to 8 bits; with alpha where one colour is clear.
 * @param {PngFormat} format
 * @param {Uint8Array | Uint16Array} values
 * @param {Uint8Array | undefined} clear
 * @returns {Pixels}
 */
function deep({ width, height, depth, samples }, values, clear) {
  const isKeyed = clear !== undefined && samples % 2 === 1 && clear.length >= 2 * samples;
  const key = isKeyed ? Array.from({ length: samples }, (_, c) => viewOf(clear).getUint16(2 * c)) : [];
  const channels = samples + (isKeyed ? 1 : 0);
  const data = new Uint8Array(width * height * channels);
  const scale = depth < 8 ? 255 / (2 ** depth - 1) : 1;
  for (let i = 0, to = 0; i < values.length; i += samples) {
    let isClear = isKeyed;
    for (let c = 0; c < samples; c++) {
      const value = values[i + c] ?? 0;
      isClear &&= value === key[c];
      data[to++] = depth === 16 ? value >> 8 : value * scale;
    }
    if (isKeyed) data[to++] = isClear ? 0 : 255;
  }
  return { width, height, channels, data };
}

/** @param {Uint8Array | undefined} chunk a name, 0, the method 0, and what is compressed */
async function profileOf(chunk) {
  if (!chunk) return undefined;
  const at = chunk.indexOf(0) + 2;
  const parts = new Blob([/** @type {BlobPart} */ (chunk.subarray(at))]).stream();
  try {
    const stream = parts.pipeThrough(new DecompressionStream("deflate"));
    return new Uint8Array(await new Response(stream).arrayBuffer());
  } catch {
    // Training's reader goes on without a profile that is damaged.
    return undefined;
  }
}

/**
 * Pixels of 1 or 3 channels as a PNG with a colour profile.
 * @param {Pixels} pixels
 * @param {Uint8Array} icc
 */
export async function encodePng({ width, height, channels, data }, icc) {
  const head = new Uint8Array(13);
  viewOf(head).setUint32(0, width);
  viewOf(head).setUint32(4, height);
  head.set([8, channels === 1 ? 0 : 2], 8);
  const length = width * channels;
  const rows = new Uint8Array(height * (length + 1));
  for (let y = 0; y < height; y++)
    rows.set(data.subarray(y * length, (y + 1) * length), y * (length + 1) + 1);
  const named = joined([new Uint8Array([0x69, 0, 0]), await deflated(icc)]);
  return joined([
    new Uint8Array([0x89, 0x50, 0x4e, 0x47, 13, 10, 26, 10]),
    ...[chunkOf("IHDR", head), chunkOf("iCCP", named), chunkOf("IDAT", await deflated(rows))],
    chunkOf("IEND", new Uint8Array()),
  ]);
}

/** @param {Uint8Array} bytes */
async function deflated(bytes) {
  const stream = new Blob([/** @type {BlobPart} */ (bytes)]).stream();
  const packed = stream.pipeThrough(new CompressionStream("deflate"));
  return new Uint8Array(await new Response(packed).arrayBuffer());
}

/** @param {string} type @param {Uint8Array} data */
function chunkOf(type, data) {
  const chunk = new Uint8Array(data.length + 12);
  viewOf(chunk).setUint32(0, data.length);
  chunk.set(
    [...type].map((letter) => letter.charCodeAt(0)),
    4,
  );
  chunk.set(data, 8);
  viewOf(chunk).setUint32(data.length + 8, crcOf(chunk.subarray(4, data.length + 8)));
  return chunk;
}

/** @param {Uint8Array} bytes */
function crcOf(bytes) {
  let value = 0xffffffff;
  for (const byte of bytes) value = (value >>> 8) ^ (CRC_TABLE[(value ^ byte) & 255] ?? 0);
  return (value ^ 0xffffffff) >>> 0;
}
