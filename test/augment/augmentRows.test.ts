// Drawn parameters: ranges, frequencies, and what a draw depends on.
import { describe, expect, test } from "vitest";
import { augmentColumns } from "../../compiler/augment/augmentTable.ts";
import { AUGMENT_DEFAULTS, AUGMENT_KEYS, AUGMENT_NAMES } from "../../compiler/spec/augmentKeys.ts";
import { type AugmentDraws, drawAugmentRows } from "../../runtime/augment/augmentRows.ts";

const SIZE = { height: 60, width: 80, channels: 3 };
const ALL = Object.fromEntries(AUGMENT_NAMES.map((name) => [name, AUGMENT_KEYS[name].normal]));
const draws: AugmentDraws = { settings: ALL, size: SIZE, seed: 3, epoch: 2 };

/** Drawn numbers of each column. */
function columnsOf(options: AugmentDraws, first: number, count: number): Map<string, number[]> {
  const names = augmentColumns(options.settings);
  const rows = drawAugmentRows(options, first, count);
  return new Map(
    names.map((name, i) => [name, Array.from({ length: count }, (_, n) => rows[n * names.length + i]!)]),
  );
}

describe("a row", () => {
  test("depends on seed, epoch and sample", () => {
    const base = drawAugmentRows(draws, 5, 1);
    expect(drawAugmentRows(draws, 5, 1)).toEqual(base);
    for (const other of [
      { ...draws, seed: 4 },
      { ...draws, epoch: 3 },
    ])
      expect(drawAugmentRows(other, 5, 1)).not.toEqual(base);
    expect(drawAugmentRows(draws, 6, 1)).not.toEqual(base);
  });

  test("does not depend on where the batch begins", () => {
    const together = drawAugmentRows(draws, 0, 12);
    const width = together.length / 12;
    expect(drawAugmentRows(draws, 7, 5)).toEqual(together.slice(7 * width));
  });

  test("holds the same numbers for an operation whatever others are on, in whatever order they are given", () => {
    const whole = columnsOf(draws, 0, 20);
    const some = columnsOf({ ...draws, settings: { mask: 0.25, zoom_scale: 0.1, hue_delta: 0.1 } }, 0, 20);
    expect([...some.keys()][0]).toBe("zoom_scale/row");
    for (const [name, values] of some) expect(values).toEqual(whole.get(name));
  });
});

describe("drawn numbers", () => {
  const COUNT = 4000;
  const drawn = columnsOf(draws, 0, COUNT);
  const column = (name: string): number[] => drawn.get(name)!;
  const share = (name: string, test: (value: number) => boolean) => column(name).filter(test).length / COUNT;

  test("are finite, and vary in every column", () => {
    for (const [name, values] of drawn) {
      expect(values.every(Number.isFinite), name).toBe(true);
      expect(new Set(values).size, name).toBeGreaterThan(1);
    }
  });

  test.each([
    ["flip_left_right/flip", 0.5],
    ["autocontrast/apply", 0.1],
    ["drop_color/apply", 0.25],
    ["sobel_prob/apply", 0.1],
    ["jpeg_degrade/apply", 0.25],
    ["jpeg_degrade/is_worse", 0.25 ** 2],
    ["rot90/transpose", 0.5],
  ])("set %s for a share of %f", (name, expected) => {
    // Four deviations of a share of 4000 draws are at most 0.032.
    expect(Math.abs(share(name, (value) => value > 0.5) - expected)).toBeLessThan(0.032);
  });

  test("crop at least the given share of the area, within the image, at 3/4 to 4/3 of its aspect", () => {
    const [rows, columns] = [column("zoom_scale/row"), column("zoom_scale/column")];
    const [heights, widths] = [column("zoom_scale/height"), column("zoom_scale/width")];
    const areas = heights.map((height, i) => (height * widths[i]!) / (60 * 80));
    expect(Math.min(...areas)).toBeGreaterThanOrEqual(0.1);
    expect(Math.min(...areas)).toBeLessThan(0.15);
    expect(Math.max(...areas)).toBeLessThanOrEqual(1);
    heights.forEach((height, i) => {
      expect(rows[i]! + height).toBeLessThanOrEqual(60);
      expect(columns[i]! + widths[i]!).toBeLessThanOrEqual(80);
      // Half a pixel of rounding.
      expect(widths[i]! + 0.5).toBeGreaterThanOrEqual((height * 80 * 0.75) / 60);
      expect(widths[i]! - 0.5).toBeLessThanOrEqual((height * 80 * 4) / 60 / 3);
    });
  });

  test("mask rectangles inside the image, of patchwork's sizes", () => {
    const heights = column("mask/height").filter((height) => height > 0);
    expect(Math.min(...heights)).toBe(3);
    expect(Math.max(...heights)).toBe(29);
    const widths = column("mask/width").filter((width) => width > 0);
    expect([Math.min(...widths), Math.max(...widths)]).toEqual([3, 39]);
    column("mask/column").forEach((start, i) => {
      expect(start + column("mask/width")[i]!).toBeLessThanOrEqual(80);
    });
  });

  test("stay in the ranges of the strengths", () => {
    const range = (name: string) => [Math.min(...column(name)), Math.max(...column(name))] as const;
    const within = (name: string, from: number, to: number) => {
      const [least, most] = range(name);
      expect(least, name).toBeGreaterThanOrEqual(from);
      expect(most, name).toBeLessThanOrEqual(to);
      expect(most - least, name).toBeGreaterThan(0.9 * (to - from));
    };
    within("hue_delta/turns", -0.1000001, 0.1000001);
    within("brightness_delta/factor", 0.7999999, 1.2000001);
    within("shear/shear_x", -0.3000001, 0.3000001);
    within("center_zoom_scale/margin", 0, 0.45);
    within("jitter/brightness", 0.1999999, 1.8000001);
    for (const i of [0, 1, 2, 3]) within(`jitter/change_${i}`, 0, 3);
    within("gaussian_blur/sigma", 0.0099999, 2);
  });
});

test("the defaults of `augment: true` are within the ranges of their keys", () => {
  for (const [name, value] of Object.entries(AUGMENT_DEFAULTS)) {
    const key = AUGMENT_KEYS[name as keyof typeof AUGMENT_KEYS];
    expect(value).toBeGreaterThanOrEqual(key.least);
    expect(value).toBeLessThanOrEqual(key.most);
  }
});
