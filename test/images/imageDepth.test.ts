// num_channels and bit_depth for PNG, JPEG and WebP (runtime/images/images.ts): what comes out in each number
// format, alpha as the fourth channel, and what cannot be had.
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { resolveSpec } from "../../compiler/spec/parseSpec.ts";
import { drawAugmentSheet } from "../../runtime/augment/augmentSheet.ts";
import { type ImageFormat, imageBytes, imageFormat } from "../../runtime/images/imageFormat.ts";
import { decodeImage } from "../../runtime/images/images.ts";
import { faultsOfAsync } from "../spec/faultsOf.ts";
import { pictureImage } from "./imageFixtures.ts";

const folder = new URL("../fixtures/tiff/", import.meta.url);
const { cases } = JSON.parse(readFileSync(new URL("expected.json", folder), "utf8")) as {
  cases: Record<string, { shape: [number, number, number]; data: string }>;
};
const png = (name: string): Buffer => readFileSync(new URL(name, folder));
const bytesOf = (name: string): Buffer => Buffer.from(cases[name]?.data ?? "", "base64");
const size = { height: 21, width: 35, greyscale: false };

function numbers16(bytes: Uint8Array): number[] {
  return Array.from(new Uint16Array(new Uint8Array(bytes).buffer));
}

describe("bit_depth", () => {
  it("16 gives the numbers of a PNG of 16 bits as libpng reads them, 32 the same as floats", async () => {
    const expected = numbers16(bytesOf("rgb16.png"));
    expect(Math.max(...expected)).toBeGreaterThan(40_000);
    const format: ImageFormat = { ...size, channels: 3, depth: "uint16" };
    const pixels = await decodeImage(png("rgb16.png"), format, "x.png");
    expect(pixels).toHaveLength(imageBytes(format));
    expect(numbers16(pixels)).toEqual(expected);
    const floats = await decodeImage(png("rgb16.png"), { ...format, depth: "float32" }, "x.png");
    expect(Array.from(new Float32Array(new Uint8Array(floats).buffer))).toEqual(expected);
  });

  it("16 reads a grey PNG of 16 bits, and repeats it for single_channel", async () => {
    const expected = numbers16(bytesOf("grey16.png"));
    const format: ImageFormat = { ...size, channels: 1, greyscale: true, depth: "uint16" };
    expect(numbers16(await decodeImage(png("grey16.png"), format, "x.png"))).toEqual(expected);
    const repeated = await decodeImage(png("grey16.png"), { ...format, channels: 5 }, "x.png");
    expect(numbers16(repeated)).toEqual(expected.flatMap((value) => new Array<number>(5).fill(value)));
  });

  it("8 reduces a PNG of 16 bits to its upper bytes", async () => {
    const pixels = await decodeImage(png("rgb16.png"), { ...size, channels: 3 }, "x.png");
    expect(Array.from(pixels)).toEqual(numbers16(bytesOf("rgb16.png")).map((value) => value >> 8));
  });

  it("of an image of 8 bits is a matter of the number format alone", async () => {
    const jpeg = await pictureImage(35, 21).jpeg().toBuffer();
    const bytes = Array.from(await decodeImage(jpeg, { ...size, channels: 3 }, "x.jpg"));
    const deep = await decodeImage(jpeg, { ...size, channels: 3, depth: "uint16" }, "x.jpg");
    expect(numbers16(deep)).toEqual(bytes);
    const floats = await decodeImage(jpeg, { ...size, channels: 3, depth: "float32" }, "x.jpg");
    expect(Array.from(new Float32Array(new Uint8Array(floats).buffer))).toEqual(bytes);
  });
});

describe("num_channels", () => {
  it("4 is colours and alpha, as stored", async () => {
    const pixels = await decodeImage(png("rgba8.png"), { ...size, channels: 4 }, "x.png");
    expect(Array.from(pixels)).toEqual(Array.from(bytesOf("rgba8.png")));
  });

  it.each([
    ["rgb16.png", 4, "the image has colours (num_channels 1 or 3), num_channels 4 expects 4 channels"],
    ["rgb16.png", 5, "the image has colours (num_channels 1 or 3), num_channels 5 expects 5 channels"],
    [
      "rgba8.png",
      2,
      "the image has colours and alpha (num_channels 1, 3 or 4), num_channels 2 expects 2 channels",
    ],
  ])("%s for %i channels is E_IMG_CHANNELS", async (name, channels, message) => {
    const faults = await faultsOfAsync(() => decodeImage(png(name), { ...size, channels }, name));
    expect(faults).toMatchObject([{ code: "E_IMG_CHANNELS", message, at: { file: name } }]);
  });
});

describe("a contact sheet", () => {
  const network = { tasks: ["a"], fcn: { layers: [1] }, augment: { flip_left_right: true } };
  const sheetOf = async (name: string, changes: object): Promise<Buffer> => {
    const spec = resolveSpec({ ...network, imshape: [21, 35], ...changes });
    const path = new URL(name, folder).pathname;
    return await drawAugmentSheet(spec, { paths: [path], samples: 2 });
  };

  it("of 16 bits is that of the upper bytes, where norm is white", async () => {
    const deep = await sheetOf("rgb16.png", { bit_depth: 16, norm: 65_536 });
    const plain = await sheetOf("rgb16.png", { norm: 255 });
    expect(deep.subarray(0, 8)).toEqual(plain.subarray(0, 8));
    expect(Math.abs(deep.length - plain.length)).toBeLessThan(plain.length / 10);
  });

  it("of five bands shows three of them", async () => {
    const sheet = await sheetOf("geo.tif", { bit_depth: 16, norm: 60_000, num_channels: 5 });
    expect(sheet.toString("latin1", 1, 4)).toBe("PNG");
  });
});

describe("the format of a spec", () => {
  it("follows bit_depth", () => {
    const spec = { imshape: [21, 35] as const, num_channels: 5, single_channel: false };
    expect(imageBytes(imageFormat(spec))).toBe(21 * 35 * 5);
    expect(imageBytes(imageFormat({ ...spec, bit_depth: 16 }))).toBe(2 * 21 * 35 * 5);
    expect(imageBytes(imageFormat({ ...spec, bit_depth: 32 }))).toBe(4 * 21 * 35 * 5);
  });
});
