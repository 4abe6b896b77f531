// `mttc export --reader-vectors`: odd pictures with the pixels that training sees and the answers that `mttc
// predict` gives, so that readers in other languages can be held to them.
import { mkdir, readdir, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import sharp from "sharp";
import { expect, test } from "vitest";
import { exportRun } from "../../runtime/export/exportRun.ts";
import { Predictor } from "../../runtime/export/predictor.ts";
import { ODD_PICTURES } from "../../runtime/export/readerVectors.ts";
import { decodeImage } from "../../runtime/images/images.ts";
import { makeTinyData } from "../cli/tinyData.ts";
import { PROJECT_ROOT } from "../projectRoot.ts";
import { faultsOfAsync } from "../spec/faultsOf.ts";
import { trainedTiny } from "./trainedTiny.ts";

const PICTURES = join(PROJECT_ROOT, "runtime", "export", "readerVectors");
const FORMAT = { height: 16, width: 16, channels: 3, greyscale: false };

interface Vectors {
  readonly format: string;
  readonly version: number;
  readonly model: string;
  readonly size: readonly [number, number] | null;
  readonly images: readonly {
    readonly file: string;
    readonly about: string;
    readonly lossless: boolean;
    readonly seen: string;
    readonly answers: Readonly<Record<string, readonly number[]>>;
  }[];
}

async function vectorsIn(folder: string): Promise<Vectors> {
  return JSON.parse(await readFile(join(folder, "vectors.json"), "utf8"));
}

async function rgbOf(path: string): Promise<Buffer> {
  const bytes = await readFile(path);
  const metadata = await sharp(bytes).metadata();
  expect([metadata.format, metadata.channels, metadata.depth, metadata.exif, metadata.icc]).toEqual([
    ...["png", 3, "uchar", undefined, undefined],
  ]);
  return await sharp(bytes).raw().toBuffer();
}

test("twelve small pictures are shipped, and no more", async () => {
  const files = (await readdir(PICTURES)).sort();
  expect(files).toEqual(ODD_PICTURES.map(({ file }) => file).sort());
  expect(files).toHaveLength(12);
  const sizes = await Promise.all(files.map(async (file) => (await stat(join(PICTURES, file))).size));
  expect(sizes.reduce((sum, size) => sum + size)).toBeLessThan(100_000);
  const { files: shipped } = JSON.parse(await readFile(join(PROJECT_ROOT, "package.json"), "utf8"));
  expect(shipped).toContain("runtime/export/readerVectors");
});

test("pixels and answers are those of training, and the export is still ours to replace", async () => {
  await using data = await makeTinyData();
  await using trainer = await trainedTiny(data.folder);
  const { directory } = await exportRun(trainer, { readerVectors: true });
  const folder = join(directory, "reader-vectors");
  const { images, ...head } = await vectorsIn(folder);
  expect(head).toEqual({ format: "mttc-reader-vectors", version: 1, model: "model.onnx", size: [16, 16] });
  expect(images.map(({ file }) => file)).toEqual(ODD_PICTURES.map(({ file }) => file));
  await using predictor = await Predictor.open(directory);
  const answers = new Map<string, unknown>();
  for await (const { file, task, probabilities } of predictor.predict(
    images.map(({ file }) => join(folder, file)),
  ))
    answers.set(`${file} ${task}`, Object.values(probabilities as Record<string, number>));
  for (const { file, seen, answers: written } of images) {
    const pixels = await decodeImage(await readFile(join(PICTURES, file)), FORMAT, file);
    expect((await rgbOf(join(folder, seen))).equals(pixels)).toBe(true);
    expect(Object.keys(written)).toEqual(["colour", "its shape"]);
    for (const [task, numbers] of Object.entries(written))
      expect(answers.get(`${join(folder, file)} ${task}`)).toEqual(numbers);
  }
  await exportRun(trainer, { readerVectors: true });
  await writeFile(join(folder, "seen", "mine.txt"), "mine");
  const [fault] = await faultsOfAsync(() => exportRun(trainer, {}));
  expect(fault).toMatchObject({ code: "E_RUN_EXISTS" });
  expect(fault?.message).toContain("reader-vectors/seen/mine.txt");
});

test("a file in the place of the folder is not ours either", async () => {
  await using data = await makeTinyData();
  await using trainer = await trainedTiny(data.folder);
  const directory = join(data.folder, "models");
  await mkdir(join(directory), { recursive: true });
  const list = { format: "mttc-export", files: ["reader-vectors/vectors.json", "export.json"] };
  await writeFile(join(directory, "export.json"), JSON.stringify(list));
  await writeFile(join(directory, "reader-vectors"), "mine");
  const [fault] = await faultsOfAsync(() => exportRun(trainer, { directory }));
  expect(fault).toMatchObject({ code: "E_RUN_EXISTS" });
});

test("of a model of grey images the pixels are grey in all three channels", async () => {
  await using data = await makeTinyData();
  await using trainer = await trainedTiny(data.folder, { num_channels: 1 });
  const { directory } = await exportRun(trainer, { readerVectors: true });
  const folder = join(directory, "reader-vectors");
  const { images } = await vectorsIn(folder);
  for (const { file, seen } of images) {
    const format = { ...FORMAT, channels: 1, greyscale: true };
    const grey = await decodeImage(await readFile(join(PICTURES, file)), format, file);
    const rgb = await rgbOf(join(folder, seen));
    expect([...rgb]).toEqual([...grey].flatMap((value) => [value, value, value]));
  }
});

test("models of 16 bits are refused by name", async () => {
  await using data = await makeTinyData();
  await using trainer = await trainedTiny(data.folder, { bit_depth: 16, norm: 65_535 });
  const [fault] = await faultsOfAsync(() => exportRun(trainer, { readerVectors: true }));
  expect(fault).toMatchObject({ code: "E_USAGE" });
  expect(fault?.message).toContain("3 channels of uint16");
});
