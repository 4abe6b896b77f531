// Hostile TIFFs: directories that lie about sizes and places, blocks that are bombs or are cut. Each ends in
// a typed error that names the file and its row, soon, and without taking the memory that it claims.
import { readFileSync } from "node:fs";
import { deflateSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import type { Fault } from "../../compiler/diagnostics.ts";
import type { ImageFormat } from "../../runtime/images/imageFormat.ts";
import { decodeImage } from "../../runtime/images/images.ts";
import { faultsOfAsync } from "../spec/faultsOf.ts";
import { HOSTILE_IMAGE_BYTES, HOSTILE_IMAGE_MS } from "../tolerances.ts";

const format: ImageFormat = { height: 16, width: 16, channels: 1, greyscale: true };
const place = { file: "labels.csv", line: 9 };

type Entry = readonly [tag: number, type: number, values: readonly number[]];

const SHORT = 3;
const LONG = 4;
const TYPE_BYTES: Readonly<Record<number, number>> = { [SHORT]: 2, [LONG]: 4 };

/** Entries of a sound grey image, 16x16 of 8 bits in one strip whose bytes follow the header. */
const sound: Readonly<Record<number, Entry>> = {
  256: [256, LONG, [16]],
  257: [257, LONG, [16]],
  258: [258, SHORT, [8]],
  259: [259, SHORT, [1]],
  262: [262, SHORT, [1]],
  273: [273, LONG, [8]],
  277: [277, SHORT, [1]],
  278: [278, LONG, [16]],
  279: [279, LONG, [256]],
};

/** A little-endian TIFF with one directory; entries of `changes` replace or (null) remove those of `sound`. */
function tiff(
  changes: Record<number, Entry | null>,
  pixels: Uint8Array = new Uint8Array(256).fill(7),
): Buffer {
  const entries = Object.values({ ...sound, ...changes }).filter((entry) => entry !== null);
  const start = 8 + pixels.length + (pixels.length % 2);
  const directory = Buffer.alloc(2 + 12 * entries.length + 4);
  directory.writeUInt16LE(entries.length, 0);
  const values: Buffer[] = [];
  let valueAt = start + directory.length;
  for (const [i, [tag, type, list]] of entries.entries()) {
    const bytes = Buffer.alloc(Math.max(4, list.length * (TYPE_BYTES[type] ?? 0)));
    for (const [n, value] of list.entries())
      if (type === SHORT) bytes.writeUInt16LE(value, 2 * n);
      else bytes.writeUInt32LE(value, 4 * n);
    const at = 2 + 12 * i;
    directory.writeUInt16LE(tag, at);
    directory.writeUInt16LE(type, at + 2);
    directory.writeUInt32LE(list.length, at + 4);
    if (bytes.length <= 4) bytes.copy(directory, at + 8);
    else {
      directory.writeUInt32LE(valueAt, at + 8);
      values.push(bytes);
      valueAt += bytes.length;
    }
  }
  const header = Buffer.from([0x49, 0x49, 42, 0, 0, 0, 0, 0]);
  header.writeUInt32LE(start, 4);
  const pad = Buffer.alloc(start - 8 - pixels.length);
  return Buffer.concat([header, pixels, pad, directory, ...values]);
}

/** The sound file with one number of an entry's own bytes changed: its type (2), count (4) or value (8). */
function forged(tag: number, place: 2 | 4 | 8, value: number): Buffer {
  const bytes = tiff({});
  const start = bytes.readUInt32LE(4);
  const index = Object.keys(sound).map(Number).indexOf(tag);
  const at = start + 2 + 12 * index + place;
  if (place === 2) bytes.writeUInt16LE(value, at);
  else bytes.writeUInt32LE(value, at);
  return bytes;
}

function withStart(offset: number): Buffer {
  const bytes = tiff({});
  bytes.writeUInt32LE(offset, 4);
  return bytes;
}

/** LZW codes of 12 bits and fewer that double a string again and again: 6 kB for megabytes. */
function lzwBomb(): Buffer {
  const bits: number[] = [];
  const put = (code: number, width: number): void => {
    for (let bit = width - 1; bit >= 0; bit--) bits.push((code >> bit) & 1);
  };
  put(256, 9);
  put(65, 9);
  for (let next = 258; next < 4_095; next++)
    put(next, next < 511 ? 9 : next < 1_023 ? 10 : next < 2_047 ? 11 : 12);
  const bytes = Buffer.alloc(Math.ceil(bits.length / 8));
  for (const [i, bit] of bits.entries()) bytes[i >> 3] = (bytes[i >> 3] ?? 0) | (bit << (7 - (i & 7)));
  return bytes;
}

function packed(compression: number, pixels: Uint8Array): Buffer {
  return tiff({ 259: [259, SHORT, [compression]], 279: [279, LONG, [pixels.length]] }, pixels);
}

const MOST = 2 ** 32 - 1;
const FORMAT = "E_IMG_FORMAT";
const LIMIT = "E_IMG_LIMIT";
const CUT = "E_IMG_TRUNCATED";

const hostile: Readonly<Record<string, readonly [Buffer, Fault["code"]]>> = {
  "four bytes": [Buffer.from("II*\0"), CUT],
  "a directory past the end": [withStart(1_000_000), CUT],
  "a directory inside the header": [withStart(4), FORMAT],
  "a directory without entries": [
    tiff(Object.fromEntries(Object.keys(sound).map((tag) => [tag, null]))),
    FORMAT,
  ],
  "a directory cut in the middle": [tiff({}).subarray(0, 300), CUT],
  "65535 entries": [Buffer.from([0x49, 0x49, 42, 0, 8, 0, 0, 0, 255, 255, ...new Array(64).fill(1)]), FORMAT],
  "a BigTIFF of 2^62 entries": [
    Buffer.from([
      0x49, 0x49, 43, 0, 8, 0, 0, 0, 16, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 64, 0, 0, 0, 0,
    ]),
    FORMAT,
  ],
  "a BigTIFF with offsets of 2 bytes": [
    Buffer.from([0x49, 0x49, 43, 0, 2, 0, 0, 0, 16, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
    FORMAT,
  ],
  "an unknown type of value": [forged(256, 2, 99), FORMAT],
  "2^32 values of a tag": [forged(258, 4, MOST), CUT],
  "2^32 strips": [forged(273, 4, MOST), CUT],
  "a width of 0": [tiff({ 256: [256, LONG, [0]] }), FORMAT],
  "no height": [tiff({ 257: null }), FORMAT],
  "2^32 x 2^32 pixels": [tiff({ 256: [256, LONG, [MOST]], 257: [257, LONG, [MOST]] }), LIMIT],
  "60000 x 60000 pixels": [tiff({ 256: [256, LONG, [60_000]], 257: [257, LONG, [60_000]] }), LIMIT],
  "65535 bands": [tiff({ 277: [277, SHORT, [65_535]] }), LIMIT],
  "17 bands": [tiff({ 277: [277, SHORT, [17]], 258: [258, SHORT, new Array(17).fill(8)] }), LIMIT],
  "no bands": [tiff({ 277: [277, SHORT, [0]] }), FORMAT],
  "0 bits": [tiff({ 258: [258, SHORT, [0]] }), FORMAT],
  "7 bits": [tiff({ 258: [258, SHORT, [7]] }), FORMAT],
  "65535 bits": [tiff({ 258: [258, SHORT, [65_535]] }), FORMAT],
  "bands of different bits": [tiff({ 277: [277, SHORT, [2]], 258: [258, SHORT, [8, 16]] }), FORMAT],
  "floats of 8 bits": [tiff({ 339: [339, SHORT, [3]] }), FORMAT],
  "complex numbers": [tiff({ 339: [339, SHORT, [6]] }), FORMAT],
  "compression 7 (JPEG) of what is none": [tiff({ 259: [259, SHORT, [7]] }), "E_IMG_TRUNCATED"],
  "compression 65535": [tiff({ 259: [259, SHORT, [65_535]] }), FORMAT],
  "a palette": [tiff({ 262: [262, SHORT, [3]] }), FORMAT],
  "predictor 3 on integers": [tiff({ 317: [317, SHORT, [3]] }), FORMAT],
  "predictor 9": [tiff({ 317: [317, SHORT, [9]] }), FORMAT],
  "orientation 0": [tiff({ 274: [274, SHORT, [0]] }), FORMAT],
  "planar configuration 3": [tiff({ 284: [284, SHORT, [3]] }), FORMAT],
  "bits from the low end": [tiff({ 266: [266, SHORT, [2]] }), FORMAT],
  "no strips": [tiff({ 273: null, 279: null }), FORMAT],
  "fewer strips than rows ask for": [tiff({ 278: [278, LONG, [1]] }), FORMAT],
  "strips of no rows": [tiff({ 278: [278, LONG, [0]] }), FORMAT],
  "tiles of no width": [
    tiff({
      273: null,
      279: null,
      322: [322, LONG, [0]],
      323: [323, LONG, [16]],
      324: [324, LONG, [8]],
      325: [325, LONG, [256]],
    }),
    FORMAT,
  ],
  "a tile of 2^31 x 2^31 for 16 x 16 pixels": [
    tiff({
      273: null,
      279: null,
      322: [322, LONG, [2 ** 31]],
      323: [323, LONG, [2 ** 31]],
      324: [324, LONG, [8]],
      325: [325, LONG, [256]],
    }),
    LIMIT,
  ],
  "tiles of 1 x 1 for a megapixel": [
    tiff({
      256: [256, LONG, [1_000]],
      257: [257, LONG, [1_000]],
      273: null,
      279: null,
      322: [322, LONG, [1]],
      323: [323, LONG, [1]],
      324: [324, LONG, [8]],
      325: [325, LONG, [1]],
    }),
    LIMIT,
  ],
  "a strip past the end": [tiff({ 273: [273, LONG, [1_000_000]] }), CUT],
  "a strip at 2^32 - 1": [tiff({ 273: [273, LONG, [MOST]] }), CUT],
  "a strip of 2^32 - 1 bytes": [tiff({ 279: [279, LONG, [MOST]] }), CUT],
  "a strip of no bytes": [tiff({ 279: [279, LONG, [0]] }), CUT],
  "a strip shorter than its rows": [tiff({ 279: [279, LONG, [255]] }), CUT],
  "a Deflate bomb": [packed(8, deflateSync(new Uint8Array(50_000_000))), LIMIT],
  "a Deflate stream that is cut": [packed(8, deflateSync(Buffer.alloc(256, "abcdef")).subarray(0, 9)), CUT],
  "a Deflate stream of noise": [packed(8, Buffer.from("no deflate at all, by no means")), CUT],
  "a Deflate stream that is short": [packed(8, deflateSync(new Uint8Array(255))), CUT],
  "an LZW bomb": [packed(5, lzwBomb()), LIMIT],
  "LZW codes that are not made yet": [packed(5, Buffer.alloc(64, 0xfe)), CUT],
  "a PackBits bomb": [packed(32_773, Buffer.alloc(4_000_000, 0x81)), LIMIT],
  "a PackBits run that is cut": [packed(32_773, Buffer.from([0x81, 7, 127, 1, 2])), CUT],
  "16 pixels of 5 x 5": [
    tiff({ 256: [256, LONG, [5]], 257: [257, LONG, [5]], 278: [278, LONG, [5]] }),
    "E_IMG_SIZE",
  ],
};

describe("a hostile TIFF", () => {
  it("the file that the others are made from is sound", async () => {
    expect(await decodeImage(tiff({}), format, "x.tif")).toEqual(new Uint8Array(256).fill(7));
    expect(await decodeImage(packed(8, deflateSync(new Uint8Array(256).fill(7))), format, "x.tif")).toEqual(
      new Uint8Array(256).fill(7),
    );
    const packBits = Buffer.from([0x81, 7, 0x81, 7]);
    expect(await decodeImage(packed(32_773, packBits), format, "x.tif")).toEqual(new Uint8Array(256).fill(7));
  });

  it.each(Object.entries(hostile))("%s is a typed error", async (_, [bytes, code]) => {
    const from = performance.now();
    const before = process.memoryUsage();
    const faults = await faultsOfAsync(() => decodeImage(Buffer.from(bytes), format, "x.tif", place));
    const after = process.memoryUsage();
    expect(faults).toMatchObject([{ code, at: { file: "x.tif" }, hint: "listed in labels.csv:9" }]);
    expect(performance.now() - from).toBeLessThan(HOSTILE_IMAGE_MS);
    expect(after.rss - before.rss).toBeLessThan(HOSTILE_IMAGE_BYTES);
  });

  it("a directory that is its own successor, and one whose successor is outside, are read once", async () => {
    for (const next of ["start", MOST] as const) {
      const bytes = tiff({});
      const start = bytes.readUInt32LE(4);
      bytes.writeUInt32LE(next === "start" ? start : next, start + 2 + 12 * Object.keys(sound).length);
      expect(await decodeImage(bytes, format, "x.tif")).toEqual(new Uint8Array(256).fill(7));
    }
  });

  it("every cut and every flipped byte of real files ends in pixels or a typed error", async () => {
    const wide: ImageFormat = { height: 21, width: 35, channels: 5, greyscale: false, depth: "uint16" };
    for (const name of ["u16x5-deflate-tiles-big-endian.tif", "u16x5-lzw-predictor.tif", "geo.tif"]) {
      const bytes = readFileSync(new URL(`../fixtures/tiff/${name}`, import.meta.url));
      const tried = async (changed: Buffer): Promise<string> => {
        const codes: readonly string[] = await faultsOfAsync(async () => {
          await decodeImage(changed, wide, name, place);
          throw Object.assign(new Error(), { decoded: true });
        }).then(
          (faults) => faults.map(({ code }) => code),
          (error: unknown) => {
            if (error instanceof Error && "decoded" in error) return ["decoded"];
            throw error;
          },
        );
        return codes.join();
      };
      const outcomes = new Set<string>();
      for (let at = 0; at < bytes.length; at += 37) {
        outcomes.add(await tried(bytes.subarray(0, at)));
        const flipped = Buffer.from(bytes);
        flipped[at] = (flipped[at] ?? 0) ^ 0xff;
        outcomes.add(await tried(flipped));
      }
      // The directory byte by byte: it is short, and where files lie.
      const start = name === "geo.tif" ? 8 : Math.max(8, bytes.length - 1);
      for (let at = 0; at < Math.min(bytes.length, start + 400); at++) {
        const flipped = Buffer.from(bytes);
        flipped[at] = (flipped[at] ?? 0) ^ 0xff;
        outcomes.add(await tried(flipped));
      }
      expect(outcomes).toContain(CUT);
      expect(outcomes).toContain(FORMAT);
    }
  });
});
