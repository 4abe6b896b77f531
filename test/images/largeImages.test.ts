// The largest TIFF that is read, in a process of its own: 50 megapixels of three bands in one strip take less
// memory and processor time than any image may.
import { execFileSync } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { deflateSync } from "node:zlib";
import { expect, test } from "vitest";
import { HOSTILE_IMAGE_MS, IMAGE_PROCESS_BYTES } from "../tolerances.ts";
import { makeFolder } from "./imageFixtures.ts";
import { type TiffEntry, tiffOf } from "./tiffFile.ts";

const [WIDTH, HEIGHT] = [7_140, 7_000];

/** A TIFF of three bands of 8 bits, all in one Deflate strip. */
function largeTiff(): Buffer {
  const pixels = Buffer.alloc(WIDTH * HEIGHT * 3, "a picture that repeats itself ");
  const strip = deflateSync(pixels, { level: 1 });
  const [SHORT, LONG] = [3, 4];
  const entries: readonly TiffEntry[] = [
    [256, LONG, 1, WIDTH],
    [257, LONG, 1, HEIGHT],
    [258, SHORT, 1, 8],
    [259, SHORT, 1, 8],
    [262, SHORT, 1, 2],
    [273, LONG, 1, 8],
    [277, SHORT, 1, 3],
    [278, LONG, 1, HEIGHT],
    [279, LONG, 1, strip.length],
  ];
  return tiffOf([strip], entries);
}

test("50 megapixels of three bands are decoded within the bounds of a hostile image", async () => {
  const folder = await makeFolder();
  const path = join(folder, "large.tif");
  await writeFile(path, largeTiff());
  const built = pathToFileURL(
    join(import.meta.dirname, "..", "..", "dist", "runtime", "images", "images.js"),
  );
  const script = `
    import { readFileSync } from "node:fs";
    const { decodeImage } = await import(${JSON.stringify(built.href)});
    const format = { height: 256, width: 256, channels: 3, greyscale: false };
    const pixels = await decodeImage(readFileSync(${JSON.stringify(path)}), format, "large.tif");
    const { userCPUTime, systemCPUTime, maxRSS } = process.resourceUsage();
    const cpuMs = (userCPUTime + systemCPUTime) / 1000;
    console.log(JSON.stringify({ length: pixels.length, cpuMs, bytes: maxRSS * 1024 }));
  `;
  const output = execFileSync(process.execPath, ["--input-type=module", "--eval", script], {
    encoding: "utf8",
  });
  const { length, cpuMs, bytes } = JSON.parse(output) as Record<"length" | "cpuMs" | "bytes", number>;
  expect(length).toBe(256 * 256 * 3);
  expect(cpuMs).toBeLessThan(HOSTILE_IMAGE_MS);
  expect(bytes).toBeLessThan(IMAGE_PROCESS_BYTES);
});
