// Image files and augmentation settings -> a contact sheet: originals beside samples of what training would
// see, drawn by the same graph and the same streams. With `each`, every operation has a row of its own.
import { buildAugmentGraph, imageSize } from "../../compiler/augment/augmentGraph.ts";
import type { ImageSize } from "../../compiler/augment/operation.ts";
import { finishGraph } from "../../compiler/lower/finishGraph.ts";
import { encodeGraph } from "../../compiler/onnx/encodeGraph.ts";
import { OPS } from "../../compiler/ops/table.ts";
import {
  AUGMENT_KEYS,
  AUGMENT_NAMES,
  type AugmentName,
  type AugmentSettings,
  augmentSettings,
} from "../../compiler/spec/augmentKeys.ts";
import { whiteLevel } from "../../compiler/spec/pixelRange.ts";
import type { Spec } from "../../compiler/spec/schema.ts";
import { imageDepth, numbersOver } from "../data/imageFormat.ts";
import { ImageReader, imageBytes, imageFormat } from "../data/images.ts";
import { OrtLibrary } from "../ort/library.ts";
import { OrtSession } from "../ort/session.ts";
import { OrtTensor } from "../ort/tensor.ts";
import { drawAugmentRows } from "./augmentRows.ts";
import { drawContactSheet, type SheetRow } from "./contactSheet.ts";

/** The keys of a spec that a sheet depends on. */
export type SheetSpec = Pick<
  Spec,
  "augment" | "imshape" | "num_channels" | "single_channel" | "bit_depth" | "norm" | "seed"
>;

export interface AugmentSheetOptions {
  /** Image files, one row each; with `each`, a row for each operation and file. */
  readonly paths: readonly string[];
  /** Samples beside each original; default 8. */
  readonly samples?: number | undefined;
  /**
   * Shows every operation of the spec alone (all of them where `augment` is off), applied for certain where
   * training would apply it by chance.
   */
  readonly each?: boolean | undefined;
  /** Folder or file of another ONNX Runtime. */
  readonly ortLibrary?: string | undefined;
}

const DEFAULT_SAMPLES = 8;

/** The sheet as a PNG. Errors of reading images; without operations to show, copies of the originals. */
export async function drawAugmentSheet(spec: SheetSpec, options: AugmentSheetOptions): Promise<Buffer> {
  const size = imageSize(spec);
  const samples = options.samples ?? DEFAULT_SAMPLES;
  const originals = await readOriginals(spec, options.paths);
  using library = OrtLibrary.open(options.ortLibrary);
  const sampled = (settings: AugmentSettings, image: Uint8Array, place: number): Uint8Array[] => {
    const draws = { settings, size, seed: spec.seed, epoch: 1 };
    return augmentImage(library, draws, image, { first: place * samples, count: samples });
  };
  const settings = augmentSettings(spec.augment) ?? {};
  const rows: SheetRow[] = options.each
    ? shownOperations(spec).flatMap(([name, strength]) =>
        originals.map((image, i) => ({
          label: operationLabel(name, strength),
          images: [image, ...sampled({ [name]: certain(name, strength) }, image, i)],
        })),
      )
    : originals.map((image, i) => ({ label: "", images: [image, ...sampled(settings, image, i)] }));
  const shown = rows.map(({ label, images }) => ({
    label,
    images: images.map((image) => shownChannels(image, size)),
  }));
  const operations = Object.entries(settings).map(([name, value]) =>
    operationLabel(name as AugmentName, value),
  );
  const what = options.each ? "each operation alone, applied for certain" : operations.join(", ");
  return await drawContactSheet(`augment: ${what || "off"}`, ["original", "samples"], shown, {
    ...size,
    channels: shownCount(size),
  });
}

function operationLabel(name: AugmentName, strength: number): string {
  return AUGMENT_KEYS[name].kind === "flag" ? name : `${name} ${strength}`;
}

/** The operations of the spec, or all that suit its images, with their numbers. */
function shownOperations({ augment, imshape }: SheetSpec): (readonly [AugmentName, number])[] {
  const settings = augmentSettings(augment);
  const isSquare = imshape[0] === imshape[1];
  return AUGMENT_NAMES.flatMap((name) => {
    const strength = settings ? settings[name] : AUGMENT_KEYS[name].normal;
    return strength === undefined || (name === "rot90" && !isSquare) ? [] : [[name, strength] as const];
  });
}

/** A chance becomes certainty; other numbers stay. */
function certain(name: AugmentName, strength: number): number {
  return AUGMENT_KEYS[name].doc.startsWith("chance of") ? 1 : strength;
}

/** The images as read, uint8 HWC; of wider numbers the levels that augmentation works on. */
async function readOriginals(spec: SheetSpec, paths: readonly string[]): Promise<Uint8Array[]> {
  const reader = new ImageReader(imageFormat(spec), 0);
  const depth = imageDepth(reader.format);
  const perLevel = 255 / whiteLevel(spec);
  return await Promise.all(
    paths.map(async (path) => {
      const bytes = new Uint8Array(imageBytes(reader.format));
      await reader.read(path, bytes);
      if (depth === "uint8") return bytes;
      const levels = Uint8ClampedArray.from(numbersOver(depth, bytes.buffer), (value) => value * perLevel);
      return new Uint8Array(levels.buffer);
    }),
  );
}

/** A sheet shows the first three channels, or the first where there are fewer. */
function shownCount({ channels }: ImageSize): 1 | 3 {
  return channels < 3 ? 1 : 3;
}

function shownChannels(image: Uint8Array, size: ImageSize): Uint8Array {
  const count = shownCount(size);
  if (count === size.channels) return image;
  return Uint8Array.from(
    { length: size.height * size.width * count },
    (_, i) => image[Math.floor(i / count) * size.channels + (i % count)] ?? 0,
  );
}

/** What samples `first` to `first + count` of an epoch would make of an image: uint8 HWC each. */
function augmentImage(
  library: OrtLibrary,
  draws: { readonly settings: AugmentSettings; readonly size: ImageSize; seed: number; epoch: number },
  image: Uint8Array,
  { first, count }: { readonly first: number; readonly count: number },
): Uint8Array[] {
  const { settings, size } = draws;
  if (Object.keys(settings).length === 0) return Array.from({ length: count }, () => image);
  const { height, width, channels } = size;
  const rows = drawAugmentRows(draws, first, count);
  const bytes = encodeGraph(finishGraph(buildAugmentGraph(OPS, settings, size)));
  using session = OrtSession.open(library, "augment", { bytes });
  using images = OrtTensor.allocate(library, "image", "uint8", [count, height, width, channels]);
  using parameters = OrtTensor.allocate(library, "augment", "float32", [count, rows.length / count]);
  const batch = new Uint8Array(count * image.length);
  for (let n = 0; n < count; n++) batch.set(image, n * image.length);
  images.write(batch);
  parameters.write(rows);
  const feeds = new Map([
    ["image", images],
    ["augment", parameters],
  ]);
  const [result] = session.run(feeds, ["augmented"]);
  if (!result) return [];
  using augmented = result;
  const pixels = augmented.read().data as Float32Array;
  return Array.from({ length: count }, (_, n) => toBytes(pixels.subarray(n * image.length), size));
}

/** float32 [C,H,W] of [0, 1] -> uint8 [H,W,C]. */
function toBytes(pixels: Float32Array, { height, width, channels }: ImageSize): Uint8Array {
  const plane = height * width;
  return Uint8Array.from({ length: plane * channels }, (_, i) => {
    const value = pixels[(i % channels) * plane + Math.floor(i / channels)] ?? 0;
    return Math.round(255 * value);
  });
}
