// A tiny data set for tests of the command line and of exports: coloured shapes of 16x16 pixels that a small
// net tells apart, with holes in the labels, and a spec for them.
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import sharp from "sharp";

const SIDE = 16;
export const COLOURS = ["blue", "red"] as const;
export const SHAPES = ["bar", "dot", "ring"] as const;

/** A folder with `images/`, `train.csv` (36 rows), `val.csv` (12 rows) and `spec.yml`. */
export interface TinyData extends AsyncDisposable {
  readonly folder: string;
}

/** Makes the data set in a new folder below the system's temporary one; `spec` replaces lines of the spec. */
export async function makeTinyData(spec: Readonly<Record<string, string>> = {}): Promise<TinyData> {
  const folder = await mkdtemp(join(tmpdir(), "mttc-test-"));
  await mkdir(join(folder, "images"));
  await writeTable(folder, "train", 36);
  await writeTable(folder, "val", 12);
  await writeFile(join(folder, "spec.yml"), tinySpec(spec));
  return { folder, [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }) };
}

/** The spec as text: YAML lines by key. */
export function tinySpec(changes: Readonly<Record<string, string>> = {}): string {
  const keys: Record<string, string> = {
    train_labels: "train.csv",
    val_labels: "val.csv",
    filepaths: "file",
    tasks: '[colour, "its shape"]',
    imshape: `[${SIDE}, ${SIDE}]`,
    fcn: "{layers: [4, p]}",
    train_fcn: "true",
    shared_layers: "[6]",
    task_layers: "[4]",
    task_weights: "adaptive",
    batch_size: "12",
    epochs: "2",
    logdir: "run",
    ...changes,
  };
  return Object.entries(keys)
    .map(([key, value]) => `${key}: ${value}\n`)
    .join("");
}

/** Every fifth row lacks its colour, every seventh its shape. */
async function writeTable(folder: string, name: string, rows: number): Promise<void> {
  const lines = ["file,colour,its shape,serial"];
  for (let row = 0; row < rows; row++) {
    const [colour, shape] = [row % 2, row % 3];
    const file = `images/${name}-${row}.png`;
    const pixels = drawShape(colour, shape, row);
    // No image of one table may be in the other.
    if (name === "val") pixels[0] = 21;
    await sharp(pixels, { raw: { width: SIDE, height: SIDE, channels: 3 } })
      .png()
      .toFile(join(folder, file));
    const labels = [row % 5 === 4 ? "" : COLOURS[colour], row % 7 === 6 ? "NA" : SHAPES[shape]];
    lines.push([file, ...labels, `n${row}`].join(","));
  }
  await writeFile(join(folder, `${name}.csv`), `${lines.join("\n")}\n`);
}

/** RGB pixels of one shape, moved a little by `row`. */
function drawShape(colour: number, shape: number, row: number): Uint8Array {
  const pixels = new Uint8Array(SIDE * SIDE * 3).fill(20);
  const centre = 7 + (row % 3);
  for (let y = 0; y < SIDE; y++)
    for (let x = 0; x < SIDE; x++) {
      const radius = Math.hypot(x - centre, y - centre);
      const isInside = [Math.abs(y - centre) < 2, radius < 3, radius > 4 && radius < 6][shape];
      if (isInside) pixels[(y * SIDE + x) * 3 + (colour === 0 ? 2 : 0)] = 200 + (row % 5) * 10;
    }
  return pixels;
}
