// How images are read is said in exported files, and holds: odd images (turned, transparent, of 16 bits,
// CMYK, with a profile) are read as a committed expectation has it, and the Python client reads them alike.
// UPDATE_READINGS=1 writes the expectation anew.
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import sharp from "sharp";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { imageReading } from "../../compiler/export/imageReading.ts";
import { fullMetadata } from "../../compiler/export/modelMetadata.ts";
import { decodeImage, type ImageFormat } from "../../runtime/images/images.ts";
import { PROJECT_ROOT } from "../projectRoot.ts";
import { pythonWith } from "../python.ts";
import {
  CMYK_READ_MEAN,
  PYTHON_DEEP_MEAN,
  PYTHON_READ_MEAN,
  PYTHON_WEBP_MEAN,
  READ_PIXELS,
} from "../tolerances.ts";

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

/** The client in Python, on images of one size: what it reads of each, or the code of its refusal. */
function pythonReads(python: string, format: ImageFormat, paths: readonly string[]): (Buffer | string)[] {
  const dtype = "uint8" as const;
  const metadata = fullMetadata({
    ...{ producer: "mttc", kind: "model", tasks: [{ name: "a", output: "a", classes: ["x"] }] },
    preprocessing: { ...SIZELESS, ...format, dtype },
    reading: imageReading({ ...format, dtype }),
  });
  const script = `
import base64, sys
from fault import Fault
from metadata import read_metadata
from reader import read_image
model = read_metadata(sys.argv[1])
for path in sys.argv[2:]:
    try:
        print(base64.b64encode(read_image(path, model).tobytes()).decode())
    except Fault as fault:
        print(fault.code)`;
  const own = { PYTHONPATH: CLIENT, PYTHONDONTWRITEBYTECODE: "1", PYTHONWARNINGS: "ignore" };
  const args = ["-c", script, JSON.stringify(metadata), ...paths];
  const env = { ...process.env, ...own };
  const { status, stdout, stderr } = spawnSync(python, args, { encoding: "utf8", env, maxBuffer: 2 ** 27 });
  expect([status, stderr]).toEqual([0, ""]);
  const lines = stdout.trim().split("\n");
  return lines.map((line) => (line.startsWith("E_") ? line : Buffer.from(line, "base64")));
}

const CLIENT = join(PROJECT_ROOT, "examples", "clients", "python");
const SIZELESS = { norm: 255, layout: "NHWC" } as const;

function pythonLimit(name: string): number {
  if (name === "cmyk.jpg") return CMYK_READ_MEAN;
  if (name.endsWith(".webp")) return PYTHON_WEBP_MEAN;
  return /16|profile/.test(name) ? PYTHON_DEEP_MEAN : PYTHON_READ_MEAN;
}

describe("the client in Python", () => {
  const python = pythonWith("numpy", "PIL");

  test.for([
    ["reduced", FORMAT],
    ["reduced to grey", { ...FORMAT, greyscale: true }],
    ["a little larger", { ...FORMAT, height: 64, width: 60 }],
    ["larger one way", { ...FORMAT, height: 9, width: 200 }],
  ] as const)("reads the odd images as training does: %s", async ([, format], context) => {
    if (python === undefined) return context.skip("no python3 with numpy and pillow");
    const theirs = pythonReads(python, format, images);
    expect(theirs).toHaveLength(images.length);
    for (const [i, path] of images.entries()) {
      const name = basename(path);
      const ours = await decodeImage(readFileSync(path), format, name);
      const read = theirs[i];
      if (!(read instanceof Buffer)) throw new Error(`${name}: ${read}`);
      expect([name, meanDifference(ours, read) <= pythonLimit(name)]).toEqual([name, true]);
    }
  });

  test("refuses by code what it cannot read as training does", async (context) => {
    if (python === undefined) return context.skip("no python3 with numpy and pillow");
    const at = (name: string): string => join(folder, "refused", name);
    mkdirSync(join(folder, "refused"));
    const deep = sharp(join(FIXTURES, "plain.png")).toColourspace("rgb16").withIccProfile("p3");
    await deep.png().toFile(at("deep-profile.png"));
    const plain = readFileSync(join(FIXTURES, "plain.png"));
    await sharp(plain).gif().toFile(at("plain.gif"));
    await sharp(plain).resize(7, 40, { fit: "fill" }).png().toFile(at("narrow.png"));
    writeFileSync(at("cut.png"), plain.subarray(0, plain.length / 2));
    writeFileSync(at("cut.jpg"), readFileSync(join(FIXTURES, "plain.jpg")).subarray(0, 700));
    writeFileSync(at("empty.png"), "");
    const codes = {
      "deep-profile.png": "E_IMG_FORMAT",
      "plain.gif": "E_IMG_FORMAT",
      "narrow.png": "E_IMG_SIZE",
      "cut.png": "E_IMG_TRUNCATED",
      "cut.jpg": "E_IMG_TRUNCATED",
      "empty.png": "E_IMG_FORMAT",
      "nothing.png": "E_FILE",
      "": "E_PATH_TYPE",
    };
    const paths = Object.keys(codes).map(at);
    expect(pythonReads(python, FORMAT, paths)).toEqual(Object.values(codes));
  });
});
