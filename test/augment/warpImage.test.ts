// The loader's warps against augment.onnx: each alone and in every combination, with drawn parameters, is
// within one level of the 255 of what the graph makes of the same image by the same row.
import { afterAll, describe, expect, test } from "vitest";
import { buildAugmentGraph } from "../../compiler/augment/augmentGraph.ts";
import { settingsOf, splitAugmentation } from "../../compiler/augment/augmentSplit.ts";
import { augmentColumns } from "../../compiler/augment/augmentTable.ts";
import type { ImageSize } from "../../compiler/augment/operation.ts";
import type { NDArray } from "../../compiler/ir/op.ts";
import { OPS } from "../../compiler/ops/table.ts";
import {
  AUGMENT_KEYS,
  AUGMENT_NAMES,
  type AugmentName,
  type AugmentSettings,
} from "../../compiler/spec/augmentKeys.ts";
import { drawAugmentRows } from "../../runtime/augment/augmentRows.ts";
import { ImageWarp } from "../../runtime/augment/warpImage.ts";
import { fixedTaps, resampleColumns, resampleRows, rowsRead } from "../../runtime/augment/warpPixels.ts";
import { SimdWarp } from "../../runtime/augment/warpSimd.ts";
import { cubicTaps, mirrorTaps } from "../../runtime/augment/warpTaps.ts";
import { OrtLibrary } from "../../runtime/ort/library.ts";
import { runOnOrt } from "../ops/runOnOrt.ts";
import { AUGMENT_WARP_LEVELS } from "../tolerances.ts";

const library = OrtLibrary.open();
afterAll(() => library[Symbol.dispose]());

/** Noise, with flat stretches of black and white in it: cubics overshoot there. */
function makeImage({ height, width, channels }: ImageSize, seed: number): Uint8Array {
  return Uint8Array.from({ length: height * width * channels }, (_, i) => {
    const stretch = Math.floor(i / 37) % 4;
    if (stretch < 2) return stretch * 255;
    return Math.imul(i + 7919 * seed, 2654435761) >>> 24;
  });
}

/** Levels (255ths) of augment.onnx, as HWC. */
function graphLevels(
  settings: AugmentSettings,
  size: ImageSize,
  images: readonly Uint8Array[],
  rows: Float32Array,
): Float64Array[] {
  const { height, width, channels } = size;
  const count = images.length;
  const array = (dtype: NDArray["dtype"], shape: number[], data: Iterable<number>): NDArray => ({
    dtype,
    shape,
    data: Float64Array.from(data),
  });
  const feeds = new Map([
    [
      "image",
      array(
        "uint8",
        [count, height, width, channels],
        images.flatMap((image) => [...image]),
      ),
    ],
    ["augment", array("float32", [count, rows.length / count], rows)],
  ]);
  const { data } = runOnOrt(library, buildAugmentGraph(OPS, settings, size), feeds, OPS).get("augmented")!;
  const plane = height * width;
  return images.map((_, n) =>
    Float64Array.from(
      { length: plane * channels },
      (_, i) => 255 * data[(n * channels + (i % channels)) * plane + Math.floor(i / channels)]!,
    ),
  );
}

/** The largest difference in levels over `count` draws. */
function worstDifference(settings: AugmentSettings, size: ImageSize, count: number): number {
  const rows = drawAugmentRows({ settings, size, seed: 5, epoch: 1 }, 0, count);
  const images = Array.from({ length: count }, (_, n) => makeImage(size, n));
  const expected = graphLevels(settings, size, images, rows);
  const kernel = new ImageWarp(settings, size);
  let worst = 0;
  images.forEach((image, n) => {
    const found = new Uint8Array(image.length);
    kernel.warp(image, found, rows.subarray(n * kernel.rowLength, (n + 1) * kernel.rowLength));
    found.forEach((level, i) => {
      worst = Math.max(worst, Math.abs(level - expected[n]![i]!));
    });
    // A warp that did nothing would be far from the graph's.
    const still = image.reduce((most, level, i) => Math.max(most, Math.abs(level - expected[n]![i]!)), 0);
    if (n === 0 && "zoom_scale" in settings) expect(still).toBeGreaterThan(50);
  });
  return worst;
}

const WARPS: readonly AugmentName[] = splitAugmentation(
  Object.fromEntries(AUGMENT_NAMES.filter((name) => name !== "shear").map((name) => [name, 1])),
  true,
).loader;
const SQUARE: ImageSize = { height: 40, width: 40, channels: 3 };

test("the loader's warps are those along the axes", () => {
  expect(WARPS).toEqual(["flip_left_right", "flip_up_down", "rot90", "zoom_scale", "center_zoom_scale"]);
});

describe("within a level of augment.onnx", () => {
  const strengths = { ...Object.fromEntries(WARPS.map((name) => [name, 1])) } as Record<AugmentName, number>;
  strengths.zoom_scale = 0.1;
  strengths.center_zoom_scale = 0.3;
  const combinations = Array.from({ length: 2 ** WARPS.length - 1 }, (_, i) =>
    WARPS.filter((_, bit) => ((i + 1) >> bit) & 1),
  );

  test.each(combinations.map((names) => [names.join(" + "), names] as const))("%s", (_, names) => {
    const settings = settingsOf(strengths, names);
    expect(augmentColumns(settings).length).toBeGreaterThan(0);
    expect(worstDifference(settings, SQUARE, 12)).toBeLessThan(AUGMENT_WARP_LEVELS);
  });

  test.each([
    [31, 58, 3],
    [24, 40, 1],
    [33, 20, 4],
  ])("on images of %i x %i with %i channels", (height, width, channels) => {
    const settings = settingsOf(
      strengths,
      WARPS.filter((name) => name !== "rot90"),
    );
    for (const dropped of [undefined, "zoom_scale", "center_zoom_scale"]) {
      const some = WARPS.filter((name) => name !== "rot90" && name !== dropped);
      expect(worstDifference(settingsOf(settings, some), { height, width, channels }, 8)).toBeLessThan(
        AUGMENT_WARP_LEVELS,
      );
    }
  });

  test.each([1, 2, 3, 5])("on images of %i pixels", (side) => {
    const size = { height: side, width: side, channels: 3 };
    const settings = settingsOf(strengths, WARPS);
    const rows = drawAugmentRows({ settings, size, seed: 5, epoch: 1 }, 0, 1);
    const image = makeImage(size, 1);
    const found = new Uint8Array(image.length);
    new ImageWarp(settings, size).warp(image, found, rows);
    const [expected] = graphLevels(settings, size, [image], rows);
    found.forEach((level, i) => {
      expect(Math.abs(level - expected![i]!)).toBeLessThan(AUGMENT_WARP_LEVELS);
    });
  });

  test("at 256 pixels", () => {
    const size = { height: 256, width: 256, channels: 3 };
    const settings = settingsOf(
      strengths,
      WARPS.filter((name) => name !== "center_zoom_scale"),
    );
    expect(worstDifference(settings, size, 4)).toBeLessThan(AUGMENT_WARP_LEVELS);
  });
});

test("a flat image stays flat whatever the zoom", () => {
  const settings = { zoom_scale: 0.1, center_zoom_scale: 0.3 };
  const rows = drawAugmentRows({ settings, size: SQUARE, seed: 9, epoch: 1 }, 0, 40);
  const kernel = new ImageWarp(settings, SQUARE);
  for (const level of [0, 1, 77, 254, 255])
    for (let n = 0; n < 40; n++) {
      const image = new Uint8Array(40 * 40 * 3).fill(level);
      const found = new Uint8Array(image.length);
      kernel.warp(image, found, rows.subarray(n * kernel.rowLength, (n + 1) * kernel.rowLength));
      expect(found.every((value) => value === level)).toBe(true);
    }
});

describe("with vectors, three channels", () => {
  test.each([
    [40, 40, true],
    [33, 33, true],
    [31, 58, false],
    [58, 31, false],
    [4, 5, false],
    [256, 256, true],
  ])("of %i x %i are resampled to the bit as by plain loops", (height, width, isTransposed) => {
    const size = { height, width, channels: 3 };
    const source = makeImage(size, 3);
    const columns = fixedTaps(mirrorTaps(cubicTaps(width, 1, width - 1)));
    const rows = fixedTaps(cubicTaps(height, 0, Math.ceil(0.7 * height)));
    const between = new Int16Array(source.length);
    const expected = new Uint8ClampedArray(source.length);
    resampleColumns(source, between, 3, columns, rowsRead(rows));
    resampleRows(between, expected, 3, rows, isTransposed);
    const found = new Uint8Array(source.length);
    new SimdWarp(size).resample(source, found, columns, rows, isTransposed);
    expect(found).toEqual(Uint8Array.from(expected));
    expect(found).not.toEqual(source);
  });
});

describe("the split", () => {
  const settings = Object.fromEntries(AUGMENT_NAMES.map((name) => [name, AUGMENT_KEYS[name].normal]));

  test("ends at the first operation that is no warp along the axes", () => {
    const { loader, graph } = splitAugmentation(settings, true);
    expect(loader).toEqual(["flip_left_right", "flip_up_down", "rot90"]);
    expect(graph[0]).toBe("shear");
    expect([...loader, ...graph]).toEqual(AUGMENT_NAMES);
  });

  test("gives the graph everything where the loader does not warp", () => {
    expect(splitAugmentation(settings, false)).toEqual({ loader: [], graph: AUGMENT_NAMES });
  });
});
