// TIFF and GeoTIFF (runtime/images/tiff): the numbers that GDAL reads, in every number format, byte order,
// layout and compression that is read (files and expected numbers: test/fixtures/tiff/make_fixtures.py).
import { readFileSync } from "node:fs";
import sharp from "sharp";
import { describe, expect, it } from "vitest";
import type { ImageDepth, ImageFormat } from "../../runtime/images/imageFormat.ts";
import { decodeImage } from "../../runtime/images/images.ts";
import { resizePlane } from "../../runtime/images/lanczos.ts";
import { faultsOfAsync } from "../spec/faultsOf.ts";
import { LANCZOS_FLOAT32 } from "../tolerances.ts";

interface Case {
  readonly shape: readonly [number, number, number];
  readonly dtype: string;
  readonly data: string;
}

interface Expected {
  readonly cases: Readonly<Record<string, Case>>;
  readonly lanczos: {
    readonly plane: string;
    readonly shape: readonly [number, number];
    readonly resized: Readonly<Record<string, string>>;
  };
}

const folder = new URL("../fixtures/tiff/", import.meta.url);
const { cases, lanczos } = JSON.parse(readFileSync(new URL("expected.json", folder), "utf8")) as Expected;

function file(name: string): Buffer {
  return readFileSync(new URL(name, folder));
}

function bufferOf(base64: string): ArrayBuffer {
  return new Uint8Array(Buffer.from(base64, "base64")).buffer;
}

const READERS: Readonly<Record<string, (buffer: ArrayBuffer) => ArrayLike<number>>> = {
  uint8: (buffer) => new Uint8Array(buffer),
  uint16: (buffer) => new Uint16Array(buffer),
  int16: (buffer) => new Int16Array(buffer),
  float32: (buffer) => new Float32Array(buffer),
  float64: (buffer) => new Float64Array(buffer),
};

function numbersOf({ dtype, data }: Case): number[] {
  return Array.from(READERS[dtype]?.(bufferOf(data)) ?? [], Math.fround);
}

function formatOf(shape: readonly number[], depth: ImageDepth): ImageFormat {
  const [height = 0, width = 0, channels = 0] = shape;
  return { height, width, channels, greyscale: channels === 1, depth };
}

async function decode(name: string, format: ImageFormat): Promise<number[]> {
  const bytes = await decodeImage(file(name), format, name);
  const copy = new Uint8Array(bytes).buffer;
  return Array.from(READERS[format.depth ?? "uint8"]?.(copy) ?? []);
}

const depthOf: Readonly<Record<string, ImageDepth>> = { uint8: "uint8", uint16: "uint16" };

const tiffs = Object.entries(cases).filter(([name]) => name.endsWith(".tif"));

describe("TIFF", () => {
  it.each(tiffs)("%s: every number is GDAL's", async (name, entry) => {
    const expected = numbersOf(entry);
    expect(new Set(expected).size).toBeGreaterThan(4);
    expect(await decode(name, formatOf(entry.shape, depthOf[entry.dtype] ?? "float32"))).toEqual(expected);
  });

  it("integers come out the same in a wider number format", async () => {
    for (const [name, depth] of [
      ["u8-strips.tif", "uint16"],
      ["u8-strips.tif", "float32"],
      ["geo.tif", "float32"],
    ] as const) {
      const entry = cases[name] as Case;
      expect(await decode(name, formatOf(entry.shape, depth))).toEqual(numbersOf(entry));
    }
  });

  it.each([1, 2, 3, 4, 5, 6, 7, 8])("orientation %i shows the same picture", async (orientation) => {
    const entry = cases["orientation-1.tif"] as Case;
    const pixels = await decode(`orientation-${orientation}.tif`, formatOf(entry.shape, "uint8"));
    expect(pixels).toEqual(numbersOf(entry));
  });

  it("of 8 bits, resized, is the PNG of the same pixels", async () => {
    const { shape, data } = cases["u8-strips.tif"] as Case;
    const [height, width] = shape;
    const raw = { width, height, channels: 3 } as const;
    const png = await sharp(Buffer.from(data, "base64"), { raw }).png().toBuffer();
    for (const [toHeight, toWidth] of [
      [8, 9],
      [13, 35],
      [40, 50],
    ] as const) {
      const format = formatOf([toHeight, toWidth, 3], "uint8");
      const fromPng = await decodeImage(png, format, "x.png");
      expect(await decode("u8-strips.tif", format)).toEqual(Array.from(fromPng));
    }
  });

  it("of 16 bits is resized as the image library does", async () => {
    const { shape } = cases["u16-grey.tif"] as Case;
    expect(shape).toEqual([21, 35, 1]);
    const bytes = new Uint8Array(bufferOf((cases["u16-grey.tif"] as Case).data));
    const raw = { width: 35, height: 21, channels: 1 } as const;
    const library = await sharp(new Uint16Array(bytes.buffer), { raw })
      .resize(50, 40, { fit: "fill" })
      .toColourspace("grey16")
      .raw({ depth: "ushort" })
      .toBuffer();
    const expected = Array.from(new Uint16Array(new Uint8Array(library).buffer));
    expect(await decode("u16-grey.tif", formatOf([40, 50, 1], "uint16"))).toEqual(expected);
  });

  it.each(Object.entries(lanczos.resized))("floats resized to %s are Pillow's", (size, data) => {
    const [height = 0, width = 0] = size.split("x").map(Number);
    const plane = new Float32Array(bufferOf(lanczos.plane));
    const resized = resizePlane(plane, lanczos.shape, [height, width]);
    const expected = new Float32Array(bufferOf(data));
    expect(resized).toHaveLength(expected.length);
    for (const [i, value] of expected.entries())
      expect(Math.abs((resized[i] ?? Number.NaN) - value)).toBeLessThan(LANCZOS_FLOAT32);
  });

  it("single_channel repeats the band of a file that has one", async () => {
    const entry = cases["u8-grey.tif"] as Case;
    const [height, width] = entry.shape;
    const format: ImageFormat = { height, width, channels: 4, greyscale: true };
    const expected = numbersOf(entry).flatMap((value) => [value, value, value, value]);
    expect(await decode("u8-grey.tif", format)).toEqual(expected);
  });
});

describe("a TIFF that does not suit the spec", () => {
  const place = { file: "labels.csv", line: 3 };
  const refusals: readonly (readonly [string, number, boolean, ImageDepth, string, string])[] = [
    [
      "u16x5-lzw.tif",
      3,
      false,
      "uint16",
      "E_IMG_CHANNELS",
      "the image has 5 bands, num_channels 3 expects 3",
    ],
    ["u8-grey.tif", 3, false, "uint8", "E_IMG_CHANNELS", "the image has 1 bands, num_channels 3 expects 3"],
    ["u8-strips.tif", 3, true, "uint8", "E_IMG_CHANNELS", "the image has 3 bands, single_channel expects 1"],
    [
      "u16-grey.tif",
      1,
      true,
      "uint8",
      "E_IMG_FORMAT",
      "the samples are 16-bit unsigned integers, which need bit_depth 16, not 8",
    ],
    [
      "i16.tif",
      1,
      true,
      "uint16",
      "E_IMG_FORMAT",
      "the samples are 16-bit integers, which need bit_depth 32, not 16",
    ],
    [
      "f32-big-endian.tif",
      1,
      true,
      "uint16",
      "E_IMG_FORMAT",
      "the samples are 32-bit floats, which need bit_depth 32, not 16",
    ],
  ];
  it.each(refusals)("%s for %i channels, greyscale %s, %s is %s", async (...refusal) => {
    const [name, channels, greyscale, depth, code, message] = refusal;
    const format: ImageFormat = { height: 21, width: 35, channels, greyscale, depth };
    const faults = await faultsOfAsync(() => decodeImage(file(name), format, name, place));
    expect(faults).toMatchObject([{ code, message, at: { file: name }, hint: "listed in labels.csv:3" }]);
  });
});
