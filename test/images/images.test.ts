// Images: what is read, what is refused and with which code, and how pixels come out
// (runtime/images/images.ts).
import { execFileSync } from "node:child_process";
import { mkdir, symlink, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { deflateSync } from "node:zlib";
import sharp from "sharp";
import { beforeAll, describe, expect, it } from "vitest";
import { MttcError } from "../../compiler/diagnostics.ts";
import { checkImageFiles } from "../../runtime/checks/sourceCheck.ts";
import { MAX_IMAGE_FILE_BYTES } from "../../runtime/images/imageFile.ts";
import { decodeImage, type ImageFormat, ImageReader, imageFormat } from "../../runtime/images/images.ts";
import { faultsOfAsync } from "../spec/faultsOf.ts";
import { JPEG_LEVELS } from "../tolerances.ts";
import { makeFolder, picture, pictureImage } from "./imageFixtures.ts";

const format: ImageFormat = { height: 16, width: 24, channels: 3, greyscale: false };
const place = { file: "labels.csv", line: 7 };
let folder = "";
let foreign: Record<string, Buffer> = {};
let reader: ImageReader;

beforeAll(async () => {
  folder = await makeFolder();
  // Encoded first: the reader restricts the library for the whole process.
  const svg = Buffer.from(
    '<svg xmlns="http://www.w3.org/2000/svg" width="24" height="16"><rect width="9"/></svg>',
  );
  foreign = {
    svg,
    ppm: Buffer.concat([Buffer.from("P6 24 16 255\n"), Buffer.alloc(24 * 16 * 3, 7)]),
    "tiff with a WebP inside": await pictureImage(24, 16).tiff({ compression: "webp" }).toBuffer(),
  };
  reader = new ImageReader(format);
});

async function write(name: string, bytes: Uint8Array): Promise<string> {
  const file = join(folder, name);
  await writeFile(file, bytes);
  return file;
}

async function codeOf(name: string, bytes: Uint8Array): Promise<string> {
  const path = await write(name, bytes);
  const faults = await faultsOfAsync(() => reader.read(path, new Uint8Array(16 * 24 * 3), place));
  expect(faults).toHaveLength(1);
  expect(faults[0]?.at?.file).toBe(path);
  expect(faults[0]?.hint).toBe("listed in labels.csv:7");
  return faults[0]?.code ?? "";
}

/** A PNG chunk-level writer, for headers that no encoder would write. */
function pngHeader(width: number, height: number): Buffer {
  const chunk = (type: string, data: Buffer): Buffer => {
    const body = Buffer.concat([Buffer.from(type, "latin1"), data]);
    const [length, check] = [Buffer.alloc(4), Buffer.alloc(4)];
    length.writeUInt32BE(data.length);
    check.writeUInt32BE(crc32(body));
    return Buffer.concat([length, body, check]);
  };
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([8, 2, 0, 0, 0], 8);
  const signature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
  const pixels = chunk("IDAT", deflateSync(Buffer.alloc(64)));
  return Buffer.concat([signature, chunk("IHDR", header), pixels, chunk("IEND", Buffer.alloc(0))]);
}

function crc32(bytes: Buffer): number {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return (crc ^ 0xffffffff) >>> 0;
}

function largestDifference(a: Uint8Array, b: Uint8Array): number {
  expect(a.length).toBe(b.length);
  return a.reduce((most, value, place) => Math.max(most, Math.abs(value - (b[place] ?? 0))), 0);
}

describe("decoding", () => {
  it("gives the pixels of a PNG and a lossless WebP of the right size exactly, a JPEG's nearly", async () => {
    const expected = Uint8Array.from(picture(24, 16));
    const image = pictureImage(24, 16);
    const png = await decodeImage(await image.clone().png().toBuffer(), format, "x");
    const webp = await decodeImage(await image.clone().webp({ lossless: true }).toBuffer(), format, "x");
    const jpeg = await decodeImage(await image.clone().jpeg({ quality: 100 }).toBuffer(), format, "x");
    expect(Uint8Array.from(png)).toEqual(expected);
    expect(Uint8Array.from(webp)).toEqual(expected);
    expect(largestDifference(jpeg, expected)).toBeLessThanOrEqual(JPEG_LEVELS);
  });

  it("repeats the one channel of a grey model, without a warning of Node's on stderr", async () => {
    const bytes = await pictureImage(24, 16).png().toBuffer();
    const repeated = await decodeImage(bytes, { ...format, greyscale: true }, "a.png");
    const grey = await decodeImage(bytes, { ...format, channels: 1, greyscale: true }, "a.png");
    expect([...repeated]).toEqual([...grey].flatMap((value) => [value, value, value]));
    // `new Buffer(size)` is what Node warns of.
    expect(Buffer.isBuffer(repeated)).toBe(false);
  });

  it("resizes to imshape whatever the aspect ratio", async () => {
    const bytes = await pictureImage(50, 90).png().toBuffer();
    const pixels = await decodeImage(bytes, format, "x");
    expect(pixels).toHaveLength(16 * 24 * 3);
    // Red grows to the right and green downwards, as in the picture.
    expect(pixels[0]).toBeLessThan(20);
    expect(pixels[23 * 3]).toBeGreaterThan(235);
    expect(pixels[15 * 24 * 3 + 1]).toBeGreaterThan(235);
  });

  it("gives identical pixels for all eight EXIF orientations of one picture", async () => {
    const upright = Uint8Array.from(picture(24, 16));
    // Where the stored pixel (x, y) comes from in the upright 24x16 picture: the inverse of what a viewer
    // must do.
    const sources: ((x: number, y: number) => [number, number])[] = [
      (x, y) => [x, y],
      (x, y) => [23 - x, y],
      (x, y) => [23 - x, 15 - y],
      (x, y) => [x, 15 - y],
      (x, y) => [y, x],
      (x, y) => [23 - y, x],
      (x, y) => [23 - y, 15 - x],
      (x, y) => [y, 15 - x],
    ];
    for (const [index, source] of sources.entries()) {
      const [width, height] = index < 4 ? [24, 16] : [16, 24];
      const pixels = Buffer.alloc(width * height * 3);
      for (let place = 0; place < width * height; place++) {
        const [x, y] = source(place % width, Math.floor(place / width));
        pixels.set(upright.subarray((y * 24 + x) * 3, (y * 24 + x + 1) * 3), place * 3);
      }
      const stored = sharp(pixels, { raw: { width, height, channels: 3 } }).withMetadata({
        orientation: index + 1,
      });
      const decoded = await decodeImage(await stored.png().toBuffer(), format, "x");
      expect(Uint8Array.from(decoded), `orientation ${index + 1}`).toEqual(upright);
    }
  });

  it("turns grey, palette, 16-bit, CMYK and transparent images into RGB of 8 bits, alpha onto white", async () => {
    const image = pictureImage(24, 16);
    const variants = {
      grey: await image.clone().greyscale().jpeg().toBuffer(),
      palette: await image.clone().png({ palette: true }).toBuffer(),
      deep: await image.clone().toColourspace("rgb16").png().toBuffer(),
      cmyk: await image.clone().toColourspace("cmyk").jpeg().toBuffer(),
    };
    for (const [name, bytes] of Object.entries(variants)) {
      expect(await decodeImage(bytes, format, name), name).toHaveLength(16 * 24 * 3);
    }
    expect(Uint8Array.from(await decodeImage(variants.deep, format, "x"))).toEqual(
      Uint8Array.from(picture(24, 16)),
    );
    const clear = {
      width: 24,
      height: 16,
      channels: 4,
      background: { r: 0, g: 100, b: 200, alpha: 0 },
    } as const;
    const transparent = await decodeImage(await sharp({ create: clear }).png().toBuffer(), format, "x");
    expect(new Set(transparent)).toEqual(new Set([255]));
  });

  it("gives one grey channel for num_channels 1, three equal ones for single_channel", async () => {
    const bytes = await pictureImage(24, 16).png().toBuffer();
    const spec = { imshape: [16, 24] as [number, number], num_channels: 1 as const, single_channel: false };
    const grey = await decodeImage(bytes, imageFormat(spec), "x");
    expect(grey).toHaveLength(16 * 24);
    const stacked = await decodeImage(
      bytes,
      imageFormat({ ...spec, num_channels: 3, single_channel: true }),
      "x",
    );
    expect([...stacked]).toEqual([...grey].flatMap((value) => [value, value, value]));
    expect(new Set(grey).size).toBeGreaterThan(10);
  });
});

describe("what is no usable image", () => {
  it.each(["svg", "ppm", "tiff with a WebP inside"])(
    "%s is E_IMG_FORMAT, whatever its name",
    async (kind) => {
      expect(await codeOf(`${kind}.png`, foreign[kind] ?? Buffer.alloc(0))).toBe("E_IMG_FORMAT");
    },
  );

  it.each([
    ["an empty file", Buffer.alloc(0)],
    ["one byte", Buffer.from([0xff])],
    ["a page of text", Buffer.from("<html>404 not found</html>")],
  ])("%s is E_IMG_FORMAT", async (name, bytes) => {
    expect(await codeOf(`${name}.jpg`, bytes)).toBe("E_IMG_FORMAT");
  });

  it.each([0.5, 0.95])(
    "a JPEG, a PNG or a WebP cut at %d of its length is E_IMG_TRUNCATED",
    async (share) => {
      const noise = Buffer.from(picture(400, 300).map((value, place) => (value + place * 37) % 256));
      const image = sharp(noise, { raw: { width: 400, height: 300, channels: 3 } });
      for (const kind of ["jpeg", "png", "webp"] as const) {
        const whole = await image.clone().toFormat(kind).toBuffer();
        const cut = whole.subarray(0, Math.floor(whole.length * share));
        expect(await codeOf(`cut.${kind}`, cut), kind).toBe("E_IMG_TRUNCATED");
      }
    },
  );

  it("a header that claims more than 50 megapixels is E_IMG_LIMIT, before anything is decoded", async () => {
    expect(await codeOf("huge.png", pngHeader(60_000, 60_000))).toBe("E_IMG_LIMIT");
    expect(await codeOf("large.png", pngHeader(8_000, 8_000))).toBe("E_IMG_LIMIT");
  });

  it("a side under 8 pixels is E_IMG_SIZE, unless imshape is as small", async () => {
    const tiny = await pictureImage(100, 4).png().toBuffer();
    expect(await codeOf("tiny.png", tiny)).toBe("E_IMG_SIZE");
    await expect(decodeImage(tiny, { ...format, height: 4 }, "x")).resolves.toHaveLength(4 * 24 * 3);
  });
});

describe("what is no regular file", () => {
  const read = (path: string): Promise<readonly { code: string }[]> =>
    faultsOfAsync(() => reader.read(path, new Uint8Array(16 * 24 * 3), place));

  it("a folder, a device, a FIFO (at once) and a symbolic link are E_PATH_TYPE", async () => {
    await mkdir(join(folder, "sub"));
    await symlink(
      await write("real.png", await pictureImage(24, 16).png().toBuffer()),
      join(folder, "link.png"),
    );
    execFileSync("mkfifo", [join(folder, "fifo.png")]);
    for (const path of [
      join(folder, "sub"),
      "/dev/zero",
      join(folder, "fifo.png"),
      join(folder, "link.png"),
    ]) {
      expect((await read(path))[0]?.code, path).toBe("E_PATH_TYPE");
    }
  });

  it("a missing file is E_FILE, one above the size cap E_IMG_LIMIT", async () => {
    expect((await read(join(folder, "missing.png")))[0]?.code).toBe("E_FILE");
    const big = await write("big.png", Buffer.alloc(0));
    await truncate(big, MAX_IMAGE_FILE_BYTES + 1);
    expect((await read(big))[0]?.code).toBe("E_IMG_LIMIT");
  });

  it("all missing files of a table are reported together, in its order", async () => {
    const good = await write("good.png", await pictureImage(24, 16).png().toBuffer());
    const paths = [good, join(folder, "no1.png"), folder, good, join(folder, "no2.png")];
    const faults = await faultsOfAsync(() =>
      checkImageFiles(paths, (row) => ({ file: "t.csv", line: row + 2 })),
    );
    expect(faults.map((fault) => [fault.code, fault.hint])).toEqual([
      ["E_FILE", "listed in t.csv:3"],
      ["E_PATH_TYPE", "listed in t.csv:4"],
      ["E_FILE", "listed in t.csv:6"],
    ]);
    await checkImageFiles([good], () => ({}));
  });
});

describe("the reader", () => {
  it("keeps decoded images up to its budget and no further", async () => {
    const sizeBytes = 16 * 24 * 3;
    const small = new ImageReader(format, 2 * sizeBytes + 1);
    const target = new Uint8Array(sizeBytes);
    const paths = await Promise.all(
      [1, 2, 3].map(async (tint) =>
        write(`kept${tint}.png`, await pictureImage(24, 16, tint).png().toBuffer()),
      ),
    );
    for (const path of paths) await small.read(path, target);
    expect(paths.map((path) => small.copyKept(path, target))).toEqual([true, true, false]);
    small.copyKept(paths[0] ?? "", target);
    expect(target).toEqual(Uint8Array.from(picture(24, 16, 1)));
    await small.read(paths[2] ?? "", target);
    expect(target).toEqual(Uint8Array.from(picture(24, 16, 3)));
  });

  it("passes a fault on as MttcError and keeps nothing of a bad image", async () => {
    const path = await write("bad.png", Buffer.from("bad"));
    const target = new Uint8Array(16 * 24 * 3);
    await expect(reader.read(path, target)).rejects.toBeInstanceOf(MttcError);
    expect(reader.copyKept(path, target)).toBe(false);
  });
});
