// Contact sheets: what they show, that they are deterministic, and the command that writes them.
import { readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import sharp from "sharp";
import { afterAll, beforeAll, expect, test } from "vitest";
import { augplot } from "../../runtime/mttc.ts";
import { runCli } from "../cli/runCli.ts";
import { makeTinyData, type TinyData } from "../cli/tinyData.ts";

/** Places in contactSheet.ts for images of 16x16, enlarged 7 times. */
const [SIDE, TOP, LEFT, SECOND, LABEL, CAPTION] = [112, 64, 20, 154, 196, 17];
let data: TinyData;
let path: string;

beforeAll(async () => {
  data = await makeTinyData({ augment: "{flip_left_right: true, mask: 0.5}" });
  path = join(data.folder, "images", "train-1.png");
});

afterAll(() => rm(data.folder, { recursive: true, force: true }));

/** RGB bytes of a cell of a sheet. */
async function cellOf(png: Buffer, left: number, top: number): Promise<Buffer> {
  const cell = { left, top, width: SIDE, height: SIDE };
  return await sharp(png).extract(cell).removeAlpha().raw().toBuffer();
}

async function enlarged(file: string): Promise<Buffer> {
  return await sharp(await readFile(file))
    .resize(SIDE, SIDE, { kernel: "nearest" })
    .removeAlpha()
    .raw()
    .toBuffer();
}

test("a sheet shows each original and its samples, and is the same for the same seed", async () => {
  const other = join(data.folder, "images", "train-2.png");
  const spec = { augment: { hue_delta: 0.5 }, imshape: [16, 16] as [number, number] };
  const png = await augplot([path, other], spec, { samples: 3 });
  expect(await cellOf(png, LEFT, TOP)).toEqual(await enlarged(path));
  expect(await cellOf(png, LEFT, TOP + SIDE + 6 + CAPTION)).toEqual(await enlarged(other));
  expect(await cellOf(png, SECOND, TOP)).not.toEqual(await enlarged(path));
  const { width, height } = await sharp(png).metadata();
  expect([width, height]).toEqual([
    SECOND + 3 * (SIDE + 6) - 6 + 20,
    TOP + 2 * (SIDE + 6 + CAPTION) - 6 + 20,
  ]);
  expect(await augplot([path, other], spec, { samples: 3 })).toEqual(png);
  expect(await augplot([path, other], { ...spec, seed: 1 }, { samples: 3 })).not.toEqual(png);
});

test("with each, a row shows one operation, applied for certain", async () => {
  const spec = { augment: { solarize: 0, drop_color: 0 }, imshape: [16, 16] as [number, number] };
  const png = await augplot([path], spec, { samples: 2, each: true });
  const { height } = await sharp(png).metadata();
  expect(height).toBe(TOP + 2 * (SIDE + 6 + CAPTION) - 6 + 20);
  const grey = await cellOf(png, SECOND + LABEL, TOP + SIDE + 6 + CAPTION);
  for (let i = 0; i < grey.length; i += 3) expect(new Set(grey.subarray(i, i + 3)).size).toBe(1);
  expect(await cellOf(png, SECOND + LABEL, TOP)).not.toEqual(await enlarged(path));
});

test("with each, what was drawn stands below a sample, where it is a number or two", async () => {
  const spec = { augment: { brightness_delta: 0.2, mask: 1 }, imshape: [16, 16] as [number, number] };
  const png = await augplot([path], spec, { samples: 1, each: true });
  const inkBelow = async (left: number, row: number): Promise<number> => {
    const top = TOP + (row + 1) * SIDE + row * (6 + CAPTION) + 1;
    const strip = { left, top, width: SIDE, height: CAPTION };
    const { channels } = await sharp(await sharp(png).extract(strip).png().toBuffer()).stats();
    return channels[0]?.stdev ?? 0;
  };
  expect(await inkBelow(LEFT + LABEL, 0)).toBeGreaterThan(1); // the name of the file
  expect(await inkBelow(SECOND + LABEL, 0)).toBeGreaterThan(1); // the factor
  expect(await inkBelow(SECOND + LABEL, 1)).toBe(0); // a rectangle has four numbers
});

test("faulty settings are refused as in a spec", async () => {
  await expect(augplot([path], { augment: { hue_delta: 7 } })).rejects.toThrow(/E_CONFIG/);
});

test("mttc augplot writes a sheet of the training images", async () => {
  const file = join(data.folder, "sheet.png");
  const { code, stderr } = await runCli(tmpdir(), [
    "augplot",
    join(data.folder, "spec.yml"),
    "-o",
    file,
    "--images",
    "2",
  ]);
  expect([code, stderr.trim()]).toEqual([0, `written to ${relative(tmpdir(), file)}`]);
  const { format, height } = await sharp(await readFile(file)).metadata();
  expect([format, height]).toEqual(["png", TOP + 2 * (SIDE + 6 + CAPTION) - 6 + 20]);
});

test("mttc augplot of a spec without augmentation says what to do", async () => {
  await using off = await makeTinyData();
  const { code, stderr } = await runCli(off.folder, ["augplot", "spec.yml"]);
  expect(code).toBe(2);
  expect(stderr).toContain("--each shows all there are");
});
