// JPEGs that look like photographs to a decoder and to a small network: coarse to fine structure whose
// contrast falls with its scale, 500x375 pixels, about 40 kB each, and labels that can be read off them.
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import sharp from "sharp";
import { RandomStream } from "../../../runtime/draws/randomStream.ts";

const [WIDTH, HEIGHT] = [500, 375];
/** Cells across the image at each scale. */
const SCALES = [3, 7, 15, 31, 63, 125, 250] as const;
/** Contrast of the coarsest scale, of 255; each finer one has so much less. */
const [CONTRAST, FALL] = [60, 0.82];
const QUALITY = 85;
/** One label in so many is missing. */
const MISSING_EVERY = 8;

/** What of an image its labels are made of, each in [0, 1). */
interface Subject {
  readonly red: number;
  readonly green: number;
  readonly blue: number;
}

function subjectOf(image: number): Subject {
  const random = new RandomStream(1, "photo", image);
  const [red, green, blue] = [random.nextUniform(), random.nextUniform(), random.nextUniform()];
  return { red, green, blue };
}

/** Class of a task: the level of its colour. */
function labelOf(image: number, task: number, classes: number): string {
  if ((image + task) % MISSING_EVERY === 0) return "";
  const { red, green, blue } = subjectOf(image);
  return `class${Math.floor(([red, green, blue][task] ?? 0) * classes)}`;
}

async function writePhoto(path: string, image: number): Promise<void> {
  const { red, green, blue } = subjectOf(image);
  const pixels = new Float32Array(WIDTH * HEIGHT * 3);
  for (let at = 0; at < pixels.length; at++) pixels[at] = 60 + 130 * ([red, green, blue][at % 3] ?? 0);
  const random = new RandomStream(2, "photo", image);
  for (const [scale, across] of SCALES.entries()) {
    const down = Math.round((across * HEIGHT) / WIDTH);
    const cells = Uint8Array.from({ length: across * down * 3 }, () => random.nextUint32() & 255);
    const wide = await sharp(cells, { raw: { width: across, height: down, channels: 3 } })
      .resize(WIDTH, HEIGHT, { fit: "fill", kernel: "cubic" })
      .raw()
      .toBuffer();
    const contrast = (CONTRAST * FALL ** scale) / 255;
    for (let at = 0; at < pixels.length; at++) pixels[at]! += contrast * ((wide[at] ?? 0) - 127.5);
  }
  const raw = { width: WIDTH, height: HEIGHT, channels: 3 } as const;
  await writeFile(
    path,
    await sharp(Uint8ClampedArray.from(pixels), { raw }).jpeg({ quality: QUALITY }).toBuffer(),
  );
}

/** The first `count` photographs in `folder`, as far as they are not there yet; their paths. */
export async function photos(folder: string, count: number): Promise<string[]> {
  mkdirSync(folder, { recursive: true });
  const paths = Array.from({ length: count }, (_, image) => join(folder, `${image}.jpg`));
  for (const [image, path] of paths.entries()) if (!existsSync(path)) await writePhoto(path, image);
  return paths;
}

/** Writes a label table of the images `first` to `last - 1`. */
export function writeTable(
  file: string,
  paths: readonly string[],
  {
    first,
    last,
    classes,
  }: { readonly first: number; readonly last: number; readonly classes: readonly number[] },
): void {
  const lines = [["filepath", ...classes.map((_, task) => `task${task}`)]];
  for (let image = first; image < last; image++)
    lines.push([paths[image] ?? "", ...classes.map((count, task) => labelOf(image, task, count))]);
  writeFileSync(file, lines.map((cells) => `${cells.join(",")}\n`).join(""));
}
