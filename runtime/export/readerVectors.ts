// Test vectors for readers of images: odd pictures beside an exported model, with the pixels that training
// sees of each and the numbers that the model answers. Whoever serves the model elsewhere compares with them.
// In: the bytes of the model; out: files of a folder.
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import sharp from "sharp";
import { MttcError } from "../../compiler/diagnostics.ts";
import type { ExportedFile } from "../../compiler/export/exportModel.ts";
import type { RuntimeOptions } from "../ort/runtimeOptions.ts";
import { Predictor, type SeenImage } from "./predictor.ts";

/** Folder of the vectors in an export's, and their list. */
export const VECTORS_FOLDER = "reader-vectors";
const VECTORS_FILE = "vectors.json";
const VECTORS_FORMAT = "mttc-reader-vectors";
const VECTORS_VERSION = 1;

/** A picture that readers get wrong. */
interface OddPicture {
  readonly file: string;
  readonly about: string;
  /** Whether decoding it loses nothing and converts no colours: then pixels agree within 1 of 255. */
  readonly lossless: boolean;
}

/** What test/fixtures/oddImages/make_vectors.py draws. */
export const ODD_PICTURES: readonly OddPicture[] = [
  { file: "turned-6.jpg", about: "JPEG, 4:2:0, turned by EXIF orientation 6", lossless: false },
  {
    file: "turned-5.png",
    about: "PNG, long and flat, turned and mirrored by EXIF orientation 5",
    lossless: true,
  },
  { file: "rgba.png", about: "PNG with alpha", lossless: true },
  { file: "grey-alpha.png", about: "PNG, grey with alpha", lossless: true },
  { file: "palette-clear.png", about: "PNG, palette with transparent colours", lossless: true },
  { file: "grey-16.png", about: "PNG, grey of 16 bits", lossless: true },
  { file: "rgb-16.png", about: "PNG, RGB of 16 bits", lossless: true },
  { file: "bilevel.png", about: "PNG, black and white, 1 bit, small", lossless: true },
  { file: "grey.jpg", about: "JPEG, grey", lossless: false },
  { file: "profile-p3.png", about: "PNG with the profile Display P3", lossless: false },
  { file: "cmyk.jpg", about: "JPEG, CMYK without a profile", lossless: false },
  {
    file: "large.jpg",
    about: "JPEG, progressive, 4:2:0, large enough to be decoded smaller",
    lossless: false,
  },
];

/**
 * Files of the folder `reader-vectors` by their names in the export's: the pictures, `seen/NAME.png` (8-bit
 * RGB, what the model is given) and the list. `model` is the whole model. E_USAGE for models of other images
 * than 8-bit RGB and grey; errors of Predictor.
 */
export async function readerVectors(
  model: ExportedFile,
  runtime: RuntimeOptions,
): Promise<Map<string, Uint8Array>> {
  refuseOtherImages(model);
  const { resolve } = createRequire(import.meta.url);
  const originals = await Promise.all(
    ODD_PICTURES.map(({ file }) => readFile(resolve(`#reader-vectors/${file}`))),
  );
  const inputs = ODD_PICTURES.map(({ file }, i) => ({ name: file, bytes: originals[i] ?? new Uint8Array() }));
  const seen: SeenImage[] = [];
  await using predictor = await Predictor.openBytes(model.file, model.bytes, runtime);
  for await (const image of predictor.see(inputs)) seen.push(image);
  const { height, width, resize } = model.metadata.preprocessing;
  const files = new Map<string, Uint8Array>(
    ODD_PICTURES.map(({ file }, i) => [file, originals[i] ?? new Uint8Array()]),
  );
  const images = [];
  for (const [i, picture] of ODD_PICTURES.entries()) {
    const image = seen[i];
    if (!image) continue;
    const name = `seen/${picture.file.replace(/\.\w+$/, ".png")}`;
    files.set(name, await pngOf(image));
    images.push({ ...picture, seen: name, answers: Object.fromEntries(image.numbers) });
  }
  const head = { format: VECTORS_FORMAT, version: VECTORS_VERSION, model: model.file };
  const size = resize === "graph" ? null : [height, width];
  files.set(
    VECTORS_FILE,
    new TextEncoder().encode(`${JSON.stringify({ ...head, size, images }, null, 1)}\n`),
  );
  return new Map([...files].map(([name, bytes]) => [`${VECTORS_FOLDER}/${name}`, bytes]));
}

/** E_USAGE where the pictures, of 8 bits and three colours, are not what the model takes. */
function refuseOtherImages({ metadata: { preprocessing } }: ExportedFile): void {
  const { channels, greyscale, dtype } = preprocessing;
  if (dtype === "uint8" && (greyscale || channels === 3)) return;
  throw new MttcError({
    code: "E_USAGE",
    message: `reader vectors are of 8-bit RGB or grey, the model takes ${channels} channels of ${dtype}`,
  });
}

/** The pixels as an RGB PNG, grey in all three channels. */
async function pngOf({ pixels, height, width }: SeenImage): Promise<Buffer> {
  const channels = pixels.length / (height * width);
  const rgb = new Uint8Array(height * width * 3);
  for (let i = 0; i < height * width; i++)
    for (let c = 0; c < 3; c++) rgb[3 * i + c] = pixels[i * channels + (channels === 3 ? c : 0)] ?? 0;
  return await sharp(rgb, { raw: { height, width, channels: 3 } })
    .png({ compressionLevel: 9 })
    .toBuffer();
}
