// Every augmentation operation against TensorFlow as patchwork calls it (committed fixtures), in float64 and
// on ONNX Runtime; noise and pixel_mask by their distribution.
import { afterAll, describe, expect, test } from "vitest";
import { buildAugmentGraph } from "../../compiler/augment/augmentGraph.ts";
import { augmentColumns } from "../../compiler/augment/augmentTable.ts";
import { adjustHue, adjustSaturation } from "../../compiler/augment/colours.ts";
import type { ImageSize } from "../../compiler/augment/operation.ts";
import { GraphBuilder } from "../../compiler/ir/builder.ts";
import { interpret } from "../../compiler/ir/interpret.ts";
import type { NDArray } from "../../compiler/ir/op.ts";
import type { Value } from "../../compiler/ir/types.ts";
import { OPS } from "../../compiler/ops/table.ts";
import { AUGMENT_KEYS, AUGMENT_NAMES, type AugmentSettings } from "../../compiler/spec/augmentKeys.ts";
import { drawAugmentRows } from "../../runtime/augment/augmentRows.ts";
import { OrtLibrary } from "../../runtime/ort/library.ts";
import { type AugmentCase, readAugmentCases } from "../fixtures/augment/readAugment.ts";
import { runOnOrt } from "../ops/runOnOrt.ts";
import { AUGMENT_FLOAT32, AUGMENT_JPEG_MEAN } from "../tolerances.ts";

const library = OrtLibrary.open();
afterAll(() => library[Symbol.dispose]());
const CASES = readAugmentCases();
const isApproximate = ({ operations }: AugmentCase) => operations.includes("jpeg_degrade");
const RUNNERS = {
  "the float64 reference": interpret,
  "ONNX Runtime": (graph, feeds) => runOnOrt(library, graph, feeds, OPS),
} satisfies Record<string, typeof interpret>;

/** Augments images (HWC bytes) by rows of parameters; the result is HWC. */
function augment(
  run: typeof interpret,
  settings: AugmentSettings,
  size: ImageSize,
  images: readonly Uint8Array[],
  rows: readonly (readonly number[])[],
): Float64Array[] {
  const { height, width, channels } = size;
  const graph = buildAugmentGraph(OPS, settings, size);
  const feeds = new Map<string, NDArray>([
    [
      "image",
      array(
        "uint8",
        [images.length, height, width, channels],
        images.flatMap((x) => Array.from(x)),
      ),
    ],
    ["augment", array("float32", [rows.length, rows[0]?.length ?? 0], rows.flat())],
  ]);
  const { data, shape } = run(graph, feeds).get("augmented")!;
  expect(shape).toEqual([images.length, channels, height, width]);
  const plane = height * width;
  return images.map((_, n) =>
    Float64Array.from({ length: plane * channels }, (_, i) => {
      const [pixel, c] = [Math.floor(i / channels), i % channels];
      return data[(n * channels + c) * plane + pixel]!;
    }),
  );
}

function array(dtype: NDArray["dtype"], shape: number[], data: number[]): NDArray {
  return { dtype, shape, data: Float64Array.from(data) };
}

function settingsOf({ operations }: Pick<AugmentCase, "operations">): AugmentSettings {
  return Object.fromEntries(operations.map((name) => [name, 1]));
}

function runCase(run: typeof interpret, fixture: AugmentCase): Float64Array {
  const [height, width, channels] = fixture.shape;
  const settings = settingsOf(fixture);
  const row = augmentColumns(settings).map((column) => fixture.row[column]!);
  expect(Object.keys(fixture.row).toSorted()).toEqual(augmentColumns(settings).toSorted());
  return augment(run, settings, { height, width, channels }, [fixture.image], [row])[0]!;
}

describe.each(Object.entries(RUNNERS))("on %s", (_, run) => {
  test.each(CASES.filter((fixture) => !isApproximate(fixture)))("$name is as TensorFlow's", (fixture) => {
    const found = runCase(run, fixture);
    const worst = found.reduce((most, value, i) => Math.max(most, Math.abs(value - fixture.expected[i]!)), 0);
    expect(worst).toBeLessThan(AUGMENT_FLOAT32);
    expect(Math.max(...found)).toBeGreaterThan(0.5);
  });

  test.each(CASES.filter(isApproximate))("$name is near TensorFlow's", (fixture) => {
    const found = runCase(run, fixture);
    const sum = found.reduce((total, value, i) => total + Math.abs(value - fixture.expected[i]!), 0);
    expect(sum / found.length).toBeLessThan(AUGMENT_JPEG_MEAN);
  });
});

describe("flips and turns", () => {
  const { image, shape } = CASES.find(({ operations }) => operations.includes("rot90"))!;
  const size = { height: shape[0], width: shape[1], channels: shape[2] };
  const bytesOf = (settings: AugmentSettings, x: Uint8Array, row: number[]): Uint8Array =>
    Uint8Array.from(augment(interpret, settings, size, [x], [row])[0]!, (value) => Math.round(255 * value));

  test.each(
    [0, 1, 2, 3, 4, 5, 6, 7].flatMap((flags) => [0, 1, 2, 3].map((turns) => [flags, turns] as const)),
  )(
    "in a row, with flips %i and %i turns, and a zoom at their end, are as one after the other",
    (flags, turns) => {
      const [leftRight, upDown, isCentre] = [flags & 1, (flags >> 1) & 1, (flags >> 2) & 1];
      const turn = [turns % 2, turns === 1 || turns === 2 ? 1 : 0, turns >= 2 ? 1 : 0];
      const zoom: AugmentSettings = isCentre ? { center_zoom_scale: 1 } : { zoom_scale: 1 };
      const box = isCentre ? [0.2] : [2, 5, 13, 11];
      const flipped = bytesOf({ flip_left_right: 1, flip_up_down: 1 }, image, [leftRight, upDown]);
      const turned = bytesOf({ rot90: 1 }, flipped, turn);
      const [expected] = augment(interpret, zoom, size, [turned], [box]);
      const together = { flip_left_right: 1, flip_up_down: 1, rot90: 1, ...zoom };
      const row = [leftRight, upDown, ...turn, ...box];
      const [found] = augment(interpret, together, size, [image], [row]);
      const worst = found!.reduce((most, x, i) => Math.max(most, Math.abs(x - expected![i]!)), 0);
      expect(worst).toBeLessThan(AUGMENT_FLOAT32);
    },
  );
});

describe("noise", () => {
  const size = { height: 48, width: 64, channels: 3 };
  const grey = new Uint8Array(48 * 64 * 3).fill(128);
  const middle = 128 / 255;
  const COUNT = 6;
  const noisy = (settings: AugmentSettings): Float64Array[] => {
    const rows = drawAugmentRows({ settings, size, seed: 1, epoch: 1 }, 0, COUNT);
    const width = rows.length / COUNT;
    const parts = Array.from({ length: COUNT }, (_, i) => Array.from(rows.slice(i * width, (i + 1) * width)));
    const images = parts.map(() => grey);
    const found = augment((g, feeds) => runOnOrt(library, g, feeds, OPS), settings, size, images, parts);
    const reference = augment(interpret, settings, size, images, parts);
    found.forEach((image, n) => {
      const worst = image.reduce((most, x, i) => Math.max(most, Math.abs(x - reference[n]![i]!)), 0);
      expect(worst).toBeLessThan(AUGMENT_FLOAT32);
    });
    return found;
  };

  test("is normal with deviation 0.1, and other for each image, channel and pixel", () => {
    const images = noisy({ gaussian_noise: 1 }).map((image) => image.map((x) => (x - middle) / 0.1));
    for (const z of images) {
      const moment = (power: number) => z.reduce((sum, x) => sum + x ** power, 0) / z.length;
      // 9216 numbers: four deviations of a mean are 0.042, of a variance 0.06, of the fourth moment 0.41.
      expect(Math.abs(moment(1))).toBeLessThan(0.042);
      expect(Math.abs(moment(2) - 1)).toBeLessThan(0.06);
      expect(Math.abs(moment(4) - 3)).toBeLessThan(0.41);
      const beside = z.reduce((sum, x, i) => sum + x * (z[i + 3] ?? 0), 0) / z.length;
      const channel = z.reduce((sum, x, i) => sum + (i % 3 === 0 ? x * z[i + 1]! : 0), 0) / (z.length / 3);
      expect(Math.abs(beside)).toBeLessThan(0.05);
      expect(Math.abs(channel)).toBeLessThan(0.08);
    }
    for (const [n, z] of images.entries())
      for (const other of images.slice(n + 1)) {
        const correlation = z.reduce((sum, x, i) => sum + x * other[i]!, 0) / z.length;
        expect(Math.abs(correlation)).toBeLessThan(0.05);
      }
  });

  test("keeps 30 % of the pixels in pixel_mask, all channels together", () => {
    for (const image of noisy({ pixel_mask: 1 })) {
      const pixels = Array.from({ length: image.length / 3 }, (_, i) => image.slice(3 * i, 3 * i + 3));
      const kept = pixels.filter((pixel) => pixel.every((x) => Math.abs(x - middle) < AUGMENT_FLOAT32));
      expect(pixels.filter((pixel) => pixel.every((x) => x === 0)).length + kept.length).toBe(pixels.length);
      // Four deviations of a share of 3072.
      expect(Math.abs(kept.length / pixels.length - 0.3)).toBeLessThan(0.033);
    }
  });

  test("leaves an image alone where it is not drawn", () => {
    for (const settings of [{ gaussian_noise: 0 }, { pixel_mask: 0 }])
      for (const image of noisy(settings))
        expect(image.every((x) => Math.abs(x - middle) < AUGMENT_FLOAT32)).toBe(true);
  });
});

describe("an operation whose chance is drawn against", () => {
  test("leaves the image alone", () => {
    const names = AUGMENT_NAMES.filter((name) => AUGMENT_KEYS[name].kind === "chance");
    expect(names.length).toBe(9);
    const settings = Object.fromEntries(names.map((name) => [name, 0]));
    const image = CASES[0]!.image;
    const [height, width, channels] = CASES[0]!.shape;
    const size = { height, width, channels };
    const row = Array.from(drawAugmentRows({ settings, size, seed: 1, epoch: 1 }, 0, 1));
    const [found] = augment((g, feeds) => runOnOrt(library, g, feeds, OPS), settings, size, [image], [row]);
    found!.forEach((x, i) => {
      expect(Math.abs(x - image[i]! / 255)).toBeLessThan(AUGMENT_FLOAT32);
    });
  });
});

describe("a greyscale image of one channel", () => {
  test("goes through all operations", () => {
    const settings = Object.fromEntries(AUGMENT_NAMES.map((name) => [name, AUGMENT_KEYS[name].most]));
    const size = { height: 24, width: 24, channels: 1 };
    const image = Uint8Array.from({ length: 24 * 24 }, (_, i) => (i * 7) % 256);
    const row = Array.from(drawAugmentRows({ settings, size, seed: 1, epoch: 1 }, 0, 1));
    const [found] = augment((g, feeds) => runOnOrt(library, g, feeds, OPS), settings, size, [image], [row]);
    const [expected] = augment(interpret, settings, size, [image], [row]);
    expect(found!.every((x) => x >= 0 && x <= 1)).toBe(true);
    expect(expected!.length).toBe(24 * 24);
  });
});

test("every operation but the two with noise has a case", () => {
  const missing = AUGMENT_NAMES.filter((name) => !CASES.some(({ operations }) => operations.includes(name)));
  expect(missing).toEqual(["gaussian_noise", "pixel_mask"]);
});

test("saturation and hue in one go are as one after the other", () => {
  const b = new GraphBuilder("colours", OPS);
  const shape = [4, 3, 6, 6];
  const [x, factor, turns] = b.within("image", () => [
    b.input("x", "float32", shape),
    b.input("factor", "float32", [4, 1, 1, 1]),
    b.input("turns", "float32", [4, 1, 1, 1]),
  ]) as [Value, Value, Value];
  b.within("image", () => {
    b.output("together", adjustHue(b, x, turns, factor));
    b.output("apart", adjustHue(b, adjustSaturation(b, x, factor), turns));
    b.output("hue", adjustHue(b, x, turns));
  });
  // Greys and negative numbers among them.
  const pixels = Array.from({ length: 4 * 3 * 36 }, (_, i) =>
    i % 36 < 3 ? 0.5 : i % 36 < 6 ? -0.1 : ((i * 37) % 101) / 80,
  );
  const feeds = new Map<string, NDArray>([
    ["x", array("float32", shape, pixels)],
    ["factor", array("float32", [4, 1, 1, 1], [0, 0.6, 1.4, 3])],
    ["turns", array("float32", [4, 1, 1, 1], [0.1, -0.4, 0.07, 0.5])],
  ]);
  const found = interpret(b.build(), feeds);
  const difference = (one: string, other: string): number =>
    found
      .get(one)!
      .data.reduce((most, value, i) => Math.max(most, Math.abs(value - found.get(other)!.data[i]!)), 0);
  expect(difference("together", "apart")).toBeLessThan(AUGMENT_FLOAT32);
  expect(difference("together", "hue")).toBeGreaterThan(0.1);
});
