// The cheap look at every image before the first epoch: sound files pass without being decoded, whatever is
// open is decoded, and every fault that decoding would find in head or end is found.
import { readFileSync } from "node:fs";
import { mkdir, rm, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { crc32 } from "node:zlib";
import sharp from "sharp";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { checkHeaders } from "../../runtime/checks/headerCheck.ts";
import type { ImageFormat } from "../../runtime/images/images.ts";
import { makeFolder, picture, pictureImage } from "../images/imageFixtures.ts";
import { median } from "../median.ts";
import { faultsOfAsync } from "../spec/faultsOf.ts";

const FORMAT: ImageFormat = { height: 16, width: 16, channels: 3, greyscale: false };
let folder: string;
const sound: string[] = [];
/** Bytes by name, and the code that they are refused with. */
const bad: Record<string, [Buffer, string]> = {};

beforeAll(async () => {
  folder = await makeFolder();
  await mkdir(join(folder, "folder.png"));
  const image = pictureImage(60, 40);
  const raw = { raw: { width: 60, height: 40, channels: 3 as const } };
  const png = await image.clone().png().toBuffer();
  const jpeg = await image.clone().jpeg().toBuffer();
  const webp = await image.clone().webp().toBuffer();
  const tiff = await image.clone().tiff({ compression: "lzw" }).toBuffer();
  const good: Record<string, Buffer> = {
    ...{ "a.png": png, "a.jpg": jpeg, "a.webp": webp, "a.tif": tiff },
    "lossless.webp": await image.clone().webp({ lossless: true }).toBuffer(),
    "exif.webp": await image
      .clone()
      .withExif({ IFD0: { Artist: "me" } })
      .webp()
      .toBuffer(),
    "progressive.jpg": await image.clone().jpeg({ progressive: true }).toBuffer(),
    "grey.png": await image.clone().greyscale().png().toBuffer(),
    "alpha.png": await image.clone().ensureAlpha(0.5).png().toBuffer(),
    "cmyk.jpg": await sharp(picture(60, 40), raw).toColourspace("cmyk").jpeg().toBuffer(),
    // What follows the image's end is ignored by decoding, too.
    "trailing.png": Buffer.concat([png, Buffer.from("PK a second file")]),
    "trailing.jpg": Buffer.concat([jpeg, Buffer.alloc(100)]),
  };
  const formats = new URL("../fixtures/formats/", import.meta.url);
  for (const name of ["bmp24.bmp", "two-pictures.gif", "picture.avif", "palette.tif", "jpeg-rgb.tif"])
    good[name] = readFileSync(new URL(name, formats));
  for (const [name, bytes] of Object.entries(good)) {
    sound.push(join(folder, name));
    await writeFile(join(folder, name), bytes);
  }
  Object.assign(bad, {
    "empty.jpg": [Buffer.alloc(0), "E_IMG_FORMAT"],
    "text.jpg": [Buffer.from("<html>404 not found</html>"), "E_IMG_FORMAT"],
    "cut.png": [png.subarray(0, png.length / 2), "E_IMG_TRUNCATED"],
    "cut.jpg": [jpeg.subarray(0, jpeg.length - 40), "E_IMG_TRUNCATED"],
    "cut.webp": [webp.subarray(0, webp.length - 40), "E_IMG_TRUNCATED"],
    "cut.tif": [tiff.subarray(0, tiff.length / 2), "E_IMG_TRUNCATED"],
    "head.jpg": [jpeg.subarray(0, 20), "E_IMG_FORMAT"],
    "tiny.png": [await pictureImage(4, 40).png().toBuffer(), "E_IMG_SIZE"],
    "huge.png": [hugePng(), "E_IMG_LIMIT"],
    "bands.tif": [
      await image.clone().toColourspace("b-w").tiff({ compression: "lzw" }).toBuffer(),
      "E_IMG_CHANNELS",
    ],
    "svg.png": [
      Buffer.from('<svg xmlns="http://www.w3.org/2000/svg" width="60" height="60"/>'),
      "E_IMG_FORMAT",
    ],
  });
  const missing = readFileSync(new URL("nodata-byte.tif", formats));
  // One band, as a grey image of three channels is not: the mark is found first where it may be.
  bad["missing.tif"] = [missing, "E_IMG_CHANNELS"];
  bad["cut.bmp"] = [(good["bmp24.bmp"] ?? png).subarray(0, 200), "E_IMG_TRUNCATED"];
  for (const [name, [bytes]] of Object.entries(bad)) await writeFile(join(folder, name), bytes);
  await symlink(join(folder, "a.png"), join(folder, "link.png"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** A PNG whose header says 20000x20000. */
function hugePng(): Buffer {
  const header = Buffer.from("89504e470d0a1a0a0000000d494844520000000000000000080200000000000000", "hex");
  header.writeUInt32BE(20_000, 16);
  header.writeUInt32BE(20_000, 20);
  header.writeUInt32BE(crc32(header.subarray(12, 29)), 29);
  return Buffer.concat([
    header,
    Buffer.from("000000004944415435af061e", "hex"),
    Buffer.from("0000000049454e44ae426082", "hex"),
  ]);
}

const items = (paths: readonly string[]) =>
  paths.map((path) => ({ path, place: { file: "t.csv", line: 7 } }));

describe("the look at heads and ends", () => {
  it.each([false, true])("finds no fault in sound files of any kind (decoding all: %s)", async (decode) => {
    expect(await checkHeaders(items(sound), { format: FORMAT, decode })).toEqual(new Map());
  });

  it.each([false, true])(
    "finds every bad one with the code of decoding (decoding all: %s)",
    async (decode) => {
      const names = Object.keys(bad);
      const paths = [...names, "link.png", "folder.png", "none.png"].map((name) => join(folder, name));
      const faults = await checkHeaders(items([...paths, ...sound]), { format: FORMAT, decode });
      const codes = Object.fromEntries(
        [...faults].map(([path, { code }]) => [path.slice(folder.length + 1), code]),
      );
      expect(codes).toEqual({
        ...Object.fromEntries(names.map((name) => [name, bad[name]?.[1]])),
        ...{ "link.png": "E_PATH_TYPE", "folder.png": "E_PATH_TYPE", "none.png": "E_FILE" },
      });
      expect([...faults.keys()]).toEqual(paths);
      for (const { hint } of faults.values()) expect(hint).toBe("listed in t.csv:7");
    },
  );

  it("has four channels decoded, which need alpha", async () => {
    const format = { ...FORMAT, channels: 4 };
    const paths = ["a.png", "alpha.png"].map((name) => join(folder, name));
    const faults = await checkHeaders(items(paths), { format });
    expect([...faults.values()].map(({ code, at }) => [code, at?.file])).toEqual([
      ["E_IMG_CHANNELS", paths[0]],
    ]);
  });

  it("leaves damage in an image's middle to decoding, which `decode` does", async () => {
    const path = join(folder, "middle.png");
    const bytes = await pictureImage(200, 200).png().toBuffer();
    bytes.fill(0x11, bytes.length >> 1, (bytes.length >> 1) + 40);
    await writeFile(path, bytes);
    expect((await checkHeaders(items([path]), { format: FORMAT })).size).toBe(0);
    const faults = await checkHeaders(items([path]), { format: FORMAT, decode: true });
    expect(faults.get(path)?.code).toBe("E_IMG_TRUNCATED");
  });

  it("counts, and ends when it is interrupted", async () => {
    const counts: number[] = [];
    const onProgress = (done: number, total: number): void => void counts.push(done, total);
    await checkHeaders(items(sound), { format: FORMAT, onProgress });
    expect(counts.slice(-2)).toEqual([sound.length, sound.length]);
    const signal = AbortSignal.abort();
    const faults = await faultsOfAsync(async () => {
      await checkHeaders(items(sound), { format: FORMAT, signal });
    });
    expect(faults[0]?.code).toBe("E_INTERRUPTED");
  });

  it("takes seconds for 10,000 images", async () => {
    const many = Array.from({ length: 5 }, () => sound.slice(0, 3)).flat();
    const rates: number[] = [];
    for (let round = 0; round < 5; round++) {
      const began = performance.now();
      const repeated = Array.from({ length: 100 }, () => many).flat();
      await checkHeaders(items(repeated), { format: FORMAT });
      rates.push(((performance.now() - began) / 1000) * (10_000 / repeated.length));
    }
    expect(median(rates)).toBeLessThan(20);
  });
});
