// Formats beside JPEG, PNG and WebP: BMP, GIF, AVIF, and what TIFFs hold inside (palettes, JPEG, Zstandard, a
// mark of missing pixels), against what Pillow and tifffile read (test/fixtures/formats/make_fixtures.py).
import { readFileSync } from "node:fs";
import * as zlib from "node:zlib";
import { describe, expect, it } from "vitest";
import { resolveSpec } from "../../compiler/spec/parseSpec.ts";
import { inspectImage } from "../../runtime/checks/inspection.ts";
import { type ImageFormat, imageFormat } from "../../runtime/images/imageFormat.ts";
import { imageLayout } from "../../runtime/images/imageLayout.ts";
import { decodeImage } from "../../runtime/images/images.ts";
import { imageKind } from "../../runtime/packs/packKind.ts";
import { faultsOfAsync } from "../spec/faultsOf.ts";

interface Expected {
  readonly shape: readonly [number, number, number];
  readonly dtype: "uint8" | "float32";
  readonly data: string;
}

const folder = new URL("../fixtures/formats/", import.meta.url);
const expected: Readonly<Record<string, Expected>> = JSON.parse(
  readFileSync(new URL("expected.json", folder), "utf8"),
);

/** Levels of 255 by which a lossy file may be read otherwise: other decoders of AVIF and JPEG round so. */
const LOSSY_LEVELS: Readonly<Record<string, number>> = {
  ...{ "picture.avif": 3, "jpeg-ycbcr-tiles.tif": 3, "jpeg-grey-strips.tif": 1, "jpeg-rgb.tif": 1 },
  "jpeg-tables.tif": 3,
};

const file = (name: string): Buffer => readFileSync(new URL(name, folder));

function numbersOf({ dtype, data }: Expected): Uint8Array | Float32Array {
  const { buffer } = new Uint8Array(Buffer.from(data, "base64"));
  return dtype === "uint8" ? new Uint8Array(buffer) : new Float32Array(buffer);
}

function formatOf(name: string, more: Partial<ImageFormat> = {}): ImageFormat {
  const { shape = [1, 1, 1], dtype } = expected[name] ?? {};
  const [height, width, channels] = shape;
  return { height, width, channels, greyscale: channels === 1, depth: dtype ?? "uint8", ...more };
}

async function decode(name: string, more: Partial<ImageFormat> = {}): Promise<Uint8Array | Float32Array> {
  const format = formatOf(name, more);
  const bytes = new Uint8Array(await decodeImage(file(name), format, name));
  return format.depth === "float32" ? new Float32Array(bytes.buffer) : bytes;
}

const read = Object.keys(expected).filter((name) => !/nodata|zstd/.test(name));

describe("formats", () => {
  it.each(read)("%s: the pixels that Pillow or tifffile reads", async (name) => {
    const wanted = numbersOf(expected[name] as Expected);
    const found = await decode(name);
    expect(found.length).toBe(wanted.length);
    const largest = Math.max(...Array.from(wanted, (value, i) => Math.abs(value - (found[i] ?? 999))));
    expect(largest).toBeLessThanOrEqual(LOSSY_LEVELS[name] ?? 0);
  });

  it("an alpha channel of a BMP is flattened onto white where three channels are asked for", async () => {
    const rgba = numbersOf(expected["bmp32-alpha.bmp"] as Expected);
    const found = await decode("bmp32-alpha.bmp", { channels: 3 });
    const alpha = (rgba[3] ?? 0) / 255;
    expect(Math.abs((found[0] ?? 0) - ((rgba[0] ?? 0) * alpha + 255 * (1 - alpha)))).toBeLessThanOrEqual(1);
  });

  it("are told by their content, with what lies behind the end and how many pictures there are", () => {
    const kinds = ["two-pictures.gif", "picture.avif", "bmp24.bmp"].map((name) => imageLayout(file(name)));
    expect(kinds).toEqual([
      { kind: "gif", trailingBytes: 0, animated: true },
      { kind: "avif", trailingBytes: 0, animated: false },
      { kind: "bmp", trailingBytes: 0, animated: false },
    ]);
    const behind = Buffer.from("PK-another-file");
    for (const name of ["two-pictures.gif", "picture.avif", "bmp24.bmp"])
      expect(imageLayout(Buffer.concat([file(name), behind]))?.trailingBytes).toBe(behind.length);
  });

  it("the check of data notes an animation, and reads a BMP", async () => {
    const path = (name: string): string => new URL(name, folder).pathname;
    const gif = await inspectImage(path("two-pictures.gif"), formatOf("two-pictures.gif"), undefined);
    expect([gif.faults, gif.notes]).toEqual([[], ["animated", "alpha"]]);
    const bmp = await inspectImage(path("bmp24.bmp"), formatOf("bmp24.bmp"), undefined);
    expect([bmp.faults, bmp.notes]).toEqual([[], []]);
  });
});

describe("damaged files", () => {
  const refusal = async (
    name: string,
    change: (bytes: Buffer) => Buffer,
    more: Partial<ImageFormat> = {},
  ) => {
    const [fault] = await faultsOfAsync(() =>
      decodeImage(change(Buffer.from(file(name))), formatOf(name, more), name),
    );
    return fault?.code;
  };
  const write = (at: number, value: number) => (bytes: Buffer) => {
    bytes.writeInt32LE(value, at);
    return bytes;
  };
  const cut = (bytes: Buffer): Buffer => bytes.subarray(0, bytes.length - 40);

  it("a BMP that claims what it has not is refused before anything is allocated", async () => {
    expect(await refusal("bmp24.bmp", cut)).toBe("E_IMG_TRUNCATED");
    expect(await refusal("bmp24.bmp", write(18, 2 ** 30))).toBe("E_IMG_LIMIT");
    expect(await refusal("bmp24.bmp", write(18, -5))).toBe("E_IMG_FORMAT");
    expect(await refusal("bmp24.bmp", write(22, -(2 ** 31)))).toBe("E_IMG_LIMIT");
    expect(await refusal("bmp24.bmp", write(30, 1))).toBe("E_IMG_FORMAT");
    expect(await refusal("bmp24.bmp", write(14, 12))).toBe("E_IMG_FORMAT");
    expect(await refusal("bmp24.bmp", write(10, 2 ** 31 - 1))).toBe("E_IMG_TRUNCATED");
    expect(await refusal("bmp24.bmp", write(28, 7))).toBe("E_IMG_FORMAT");
    expect(await refusal("bmp8-palette.bmp", write(46, 2))).toBe("E_IMG_FORMAT");
    expect(await refusal("bmp8-palette.bmp", write(46, 2 ** 31 - 1))).toBe("E_IMG_TRUNCATED");
    expect(await refusal("bmp565-top-down.bmp", write(54, 0b1010))).toBe("E_IMG_FORMAT");
  });

  it.each(["two-pictures.gif", "picture.avif", "jpeg-tables.tif", "palette.tif"])(
    "%s, cut: a typed fault",
    async (name) => {
      const half = (bytes: Buffer): Buffer => bytes.subarray(0, Math.floor(bytes.length / 3));
      expect(await refusal(name, half)).toMatch(/^E_IMG_(TRUNCATED|FORMAT)$/);
    },
  );
});

describe("limits and missing pixels", () => {
  it("max_megapixels is the limit of every format, and no part of what is packed", async () => {
    for (const name of ["bmp24.bmp", "two-pictures.gif", "palette.tif", "picture.avif"]) {
      const faults = await faultsOfAsync(() => decode(name, { maxPixels: 100 }));
      expect([name, faults[0]?.code]).toEqual([name, "E_IMG_LIMIT"]);
      expect(faults[0]?.message).toContain("max_megapixels");
    }
    const spec = { tasks: ["a"], fcn: { layers: [4] }, max_megapixels: 200 };
    const large = imageFormat(resolveSpec(spec));
    expect(large.maxPixels).toBe(200_000_000);
    const usual = imageFormat(resolveSpec({ ...spec, max_megapixels: 50 }));
    expect(imageKind(large, "raw").recipe).toBe(imageKind(usual, "raw").recipe);
  });

  it.each([
    ["nodata-float.tif", "2 of 130 pixels of band 1 are missing: the file marks them by -9999"],
    ["nodata-lowest.tif", "2 of 130 pixels"],
    ["nodata-byte.tif", "the file marks them by 255"],
    ["nodata-nan.tif", "2 of 130 pixels of band 1 are missing: the file marks them by NaN"],
  ])("%s is refused, with how many and what to do", async (name, message) => {
    const [fault] = await faultsOfAsync(() => decode(name));
    expect([fault?.code, fault?.message]).toEqual(["E_IMG_FORMAT", expect.stringContaining(message)]);
    expect(fault?.message).toContain("a number for `nodata` says what they become");
  });

  it.each(["nodata-float.tif", "nodata-lowest.tif", "nodata-byte.tif", "nodata-nan.tif"])(
    "%s: missing pixels become the number, the others stay",
    async (name) => {
      const marks: Readonly<Record<string, number>> = {
        ...{ "nodata-float.tif": -9999, "nodata-lowest.tif": Math.fround(-3.4028234663852886e38) },
        ...{ "nodata-byte.tif": 255, "nodata-nan.tif": -1 },
      };
      const wanted = Array.from(numbersOf(expected[name] as Expected), (v) => (v === marks[name] ? 7 : v));
      expect(Array.from(await decode(name, { nodata: 7 }))).toEqual(wanted);
    },
  );

  it("a mark that no pixel has is no fault; nodata is part of what is packed", async () => {
    const wanted = Array.from(numbersOf(expected["nodata-none-there.tif"] as Expected));
    expect(Array.from(await decode("nodata-none-there.tif"))).toEqual(wanted);
    const recipe = (more: Partial<ImageFormat>) => imageKind(formatOf("bmp24.bmp", more), "raw").recipe;
    expect(recipe({ nodata: 0 })).not.toBe(recipe({}));
  });

  it("Zstandard inside a TIFF: read by Node 22.15 and later, else refused with that", async () => {
    if ("zstdDecompressSync" in zlib)
      expect(await decode("zstd.tif")).toEqual(numbersOf(expected["zstd.tif"] as Expected));
    else {
      const [fault] = await faultsOfAsync(() => decode("zstd.tif"));
      expect(fault).toMatchObject({ code: "E_IMG_FORMAT", message: expect.stringContaining("Node 22.15") });
    }
  });
});
