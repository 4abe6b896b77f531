// How images are read is said in exported files, and holds: odd images (turned, transparent, of 16 bits,
// CMYK, with a profile) are read as a committed expectation has it, and the docs' Python reads them alike.
// UPDATE_READINGS=1 writes the expectation anew.
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import sharp from "sharp";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { imageReading } from "../../compiler/export/imageReading.ts";
import { decodeImage } from "../../runtime/images/images.ts";
import { PROJECT_ROOT } from "../projectRoot.ts";
import { pythonWith } from "../python.ts";
import { CMYK_READ_MEAN, PYTHON_READ_MEAN, PYTHON_WEBP_MEAN, READ_PIXELS } from "../tolerances.ts";

const FIXTURES = join(PROJECT_ROOT, "test", "fixtures", "oddImages");
const EXPECTED = join(FIXTURES, "expected.json");
const FORMAT = { height: 12, width: 16, channels: 3, greyscale: false };
const ODD = readdirSync(FIXTURES).filter((name) => /\.(png|jpg|webp)$/.test(name));

let folder: string;
/** Beside the committed ones: with profiles, which are large. */
let images: string[];

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "mttc-reading-"));
  const plain = join(FIXTURES, "plain.png");
  await sharp(plain).withIccProfile("p3").png().toFile(join(folder, "profile-p3.png"));
  const inks = sharp(plain).toColourspace("cmyk").withIccProfile("cmyk").jpeg({ quality: 95 });
  await inks.toFile(join(folder, "profile-cmyk.jpg"));
  images = [FIXTURES, folder].flatMap((place) =>
    readdirSync(place).flatMap((name) => (/\.(png|jpg|webp)$/.test(name) ? [join(place, name)] : [])),
  );
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const readOdd = (name: string): Promise<Uint8Array> =>
  decodeImage(readFileSync(join(FIXTURES, name)), FORMAT, name);

function meanDifference(a: Uint8Array, b: Uint8Array): number {
  expect(a.length).toBe(b.length);
  return a.reduce((sum, value, i) => sum + Math.abs(value - (b[i] ?? 0)), 0) / a.length;
}

if (process.env.UPDATE_READINGS === "1") {
  if (process.env.CI) throw new Error("UPDATE_READINGS is for people, not for CI");
  const read = await Promise.all(ODD.map(async (name) => [name, Buffer.from(await readOdd(name))] as const));
  const texts = read.map(([name, pixels]) => [name, pixels.toString("base64")]);
  writeFileSync(EXPECTED, `${JSON.stringify(Object.fromEntries(texts), null, 2)}\n`);
}

describe("training reads", () => {
  const expected: Record<string, string> = JSON.parse(readFileSync(EXPECTED, "utf8"));

  test("every odd image of the fixtures", () => {
    expect(Object.keys(expected).sort()).toEqual([...ODD].sort());
    expect(ODD.length).toBeGreaterThan(12);
  });

  test.each(ODD)("%s as it always has", async (name) => {
    const pixels = await readOdd(name);
    const wanted = Buffer.from(expected[name] ?? "", "base64");
    const largest = Math.max(...pixels.map((value, i) => Math.abs(value - (wanted[i] ?? 0))));
    expect([pixels.length, largest <= READ_PIXELS]).toEqual([wanted.length, true]);
  });
});

test("the grid of CMYK colours in the metadata is what training makes of CMYK without a profile", async () => {
  const { cmyk } = imageReading({ ...FORMAT, dtype: "uint8" });
  const grid = Buffer.from(cmyk ?? "", "base64");
  const script = `
    import sharp from "sharp";
    const read = sharp(${JSON.stringify(join(FIXTURES, "cmyk-grid.tif"))}).toColourspace("srgb").raw();
    process.stdout.write(await read.toBuffer());`;
  // In a process of its own: in this one, TIFFs are closed to the image library once images are read.
  const options = { cwd: PROJECT_ROOT };
  const { stdout } = spawnSync(process.execPath, ["--input-type=module", "-e", script], options);
  expect(grid.length).toBe(5 ** 4 * 3);
  expect(Math.max(...grid.map((value, i) => Math.abs(value - (stdout[i] ?? 0))))).toBeLessThanOrEqual(
    READ_PIXELS,
  );
});

test("the Python of docs/predict.md reads the odd images as training does", (context) => {
  const python = pythonWith("numpy", "PIL", "onnxruntime");
  if (python === undefined) return context.skip("no python3 with numpy, pillow and onnxruntime");
  const [, block = ""] =
    /```python\n(import base64[\s\S]*?)```/.exec(
      readFileSync(join(PROJECT_ROOT, "docs", "predict.md"), "utf8"),
    ) ?? [];
  const [reader = ""] = /[\s\S]*?\n(?=session = )/.exec(block) ?? [];
  expect(reader).toContain("def read_image(path, model):");
  const { height, width } = FORMAT;
  const model = {
    preprocessing: { ...FORMAT, dtype: "uint8" },
    reading: imageReading({ ...FORMAT, dtype: "uint8" }),
  };
  const script = `${reader}
import sys
model = json.loads(${JSON.stringify(JSON.stringify(model))})
for path in sys.argv[1:]:
    print(base64.b64encode(read_image(path, model).tobytes()).decode())`;
  const env = { ...process.env, ORT_DISABLE_TELEMETRY: "1", PYTHONWARNINGS: "ignore" };
  const { status, stdout, stderr } = spawnSync(python, ["-c", script, ...images], { encoding: "utf8", env });
  expect([status, stderr]).toEqual([0, ""]);
  const theirs = stdout.trim().split("\n");
  expect(theirs).toHaveLength(images.length);
  return Promise.all(
    images.map(async (path, i) => {
      const name = basename(path);
      const ours = await decodeImage(readFileSync(path), FORMAT, name);
      const read = Buffer.from(theirs[i] ?? "", "base64");
      expect(read.length).toBe(height * width * 3);
      const reduced = name.endsWith(".webp") ? PYTHON_WEBP_MEAN : PYTHON_READ_MEAN;
      const limit = name === "cmyk.jpg" ? CMYK_READ_MEAN : reduced;
      expect([name, meanDifference(ours, read) <= limit]).toEqual([name, true]);
    }),
  ).then(() => undefined);
});
