// The picture of label statistics: what is drawn is what was counted, whatever the names and however many.
import sharp from "sharp";
import { describe, expect, test } from "vitest";
import { Canvas } from "../../runtime/drawing/canvas.ts";
import { COLOURS } from "../../runtime/drawing/panel.ts";
import { drawStatisticsSheet } from "../../runtime/drawing/statisticsSheet.ts";
import { chanceText } from "../../runtime/labels/chanceText.ts";
import type { LabelStatistics } from "../../runtime/labels/labelStatistics.ts";

interface Picture {
  readonly width: number;
  readonly height: number;
  /** #rrggbb of a pixel. */
  at(x: number, y: number): string;
}

async function decode(png: Buffer): Promise<Picture> {
  const { data, info } = await sharp(png).removeAlpha().raw().toBuffer({ resolveWithObject: true });
  const at = (x: number, y: number): string => {
    const place = (y * info.width + x) * 3;
    return `#${data.subarray(place, place + 3).toString("hex")}`;
  };
  return { width: info.width, height: info.height, at };
}

/** Lengths of the longest run of a colour in each line that has it, runs of lines alike taken together. */
function bars({ width, height, at }: Picture, colour: string, from = 0, to = width): number[] {
  const lengths: number[] = [];
  let before = 0;
  for (let y = 0; y < height; y++) {
    let [longest, run] = [0, 0];
    for (let x = from; x < to; x++) {
      run = at(x, y) === colour ? run + 1 : 0;
      longest = Math.max(longest, run);
    }
    if (longest > 0 && longest !== before) lengths.push(longest);
    before = longest;
  }
  return lengths;
}

function statistics(
  tasks: Record<string, number[]>,
  val?: Record<string, number[]>,
  kind: { areClasses: boolean; areOrdered: boolean } = { areClasses: true, areOrdered: false },
): LabelStatistics {
  const names = Object.keys(tasks);
  const rows = Math.max(...Object.values(tasks).map((counts) => counts.reduce((a, b) => a + b, 0)));
  return {
    rows: { train: rows, val: val ? rows : 0, test: 0 },
    classes: Object.fromEntries(names.map((name) => [name, (tasks[name] ?? []).map((_, i) => `class ${i}`)])),
    train: tasks,
    val: val ?? null,
    test: null,
    tasks: Object.fromEntries(
      names.map((name) => [name, { text: "", ...kind, labelled: { train: rows, val: val ? rows : 0 } }]),
    ),
    together: names.map(() => names.map(() => rows)),
    batch: names.map((task) => ({ task, labelled: rows, perBatch: 4, chanceOfNone: 0 })),
    batchSize: 8,
  };
}

describe("the sheet", () => {
  test("has bars in proportion to the counts, the largest class first", async () => {
    const sheet = await decode(await drawStatisticsSheet(statistics({ a: [25, 100, 0, 50] }), "t"));
    // The left column: the legend stands at the right.
    const found = bars(sheet, COLOURS.train, 0, sheet.width / 2);
    const [first = 0] = found;
    expect(found).toEqual([first, Math.round(first / 2), Math.round(first / 4)]);
    expect(first).toBeGreaterThan(sheet.width / 4);
  });

  test("keeps ranges of numbers in their order, and passes over empty ones", async () => {
    const ranges = statistics({ a: [25, 100, 0, 50] }, undefined, { areClasses: false, areOrdered: true });
    const sheet = await decode(await drawStatisticsSheet(ranges, "t"));
    const [first = 0, second = 0, third = 0] = bars(sheet, COLOURS.train, 0, sheet.width / 2);
    expect([Math.round(second / first), Math.round(second / third)]).toEqual([4, 2]);
    expect(bars(sheet, COLOURS.warning)).toEqual([]);
  });

  test("shows validation beside training, where there is any", async () => {
    const counts = { a: [100, 50] };
    const without = await decode(await drawStatisticsSheet(statistics(counts), "t"));
    const both = await decode(await drawStatisticsSheet(statistics(counts, { a: [20, 80] }), "t"));
    expect(bars(without, COLOURS.val)).toEqual([]);
    const [small = 0, large = 0] = bars(both, COLOURS.val, 0, both.width / 2);
    expect(Math.abs(large - 4 * small)).toBeLessThanOrEqual(4);
  });

  test("stays of readable size with 200 classes and 60 tasks, and takes any name", async () => {
    const many = statistics(Object.fromEntries(Array.from({ length: 60 }, (_, i) => [`t${i}`, [1, 2]])));
    const classes = statistics({ a: Array.from({ length: 200 }, (_, i) => i) });
    const hostile = [
      "<b>&</i>",
      "=cmd()",
      "\u001B[31m\u0000\n",
      "\uD800",
      "x".repeat(1_000),
      "",
      "日本",
      "e\u0301",
    ];
    const named = { ...statistics({ a: hostile.map(() => 3) }), classes: { a: hostile } };
    for (const [facts, most] of [
      [many, 6_000],
      [classes, 1_700],
      [named, 1_000],
    ] as const) {
      const { width, height } = await decode(await drawStatisticsSheet(facts, "<&\u0007 title"));
      expect(width).toBe(2_560);
      expect(height).toBeLessThan(most);
    }
  });

  test("is the same for the same counts", async () => {
    const facts = statistics({ a: [1, 2], b: [3, 4] });
    expect(await drawStatisticsSheet(facts, "t")).toEqual(await drawStatisticsSheet(facts, "t"));
  });
});

test("chances are written as people say them", () => {
  const chances = [0, 1e-12, 1e-4, 1 / 34_000, 0.03, 1];
  const words = ["never", "< 1 in 10\u2079", "1 in 10 k", "1 in 34 k", "3 %", "100 %"];
  expect(chances.map(chanceText)).toEqual(words);
});

describe("a canvas", () => {
  /** Columns and lines that have ink. */
  async function inkOf(draw: (canvas: Canvas) => void): Promise<{ x: number[]; y: number[] }> {
    const canvas = new Canvas(120, 40, "#ffffff");
    draw(canvas);
    const { width, height, at } = await decode(await canvas.toPng());
    const dark = (x: number, y: number): boolean => Number.parseInt(at(x, y).slice(1, 3), 16) < 128;
    const columns = Array.from({ length: width }, (_, x) => x);
    const lines = Array.from({ length: height }, (_, y) => y);
    return {
      x: columns.filter((x) => lines.some((y) => dark(x, y))),
      y: lines.filter((y) => columns.some((x) => dark(x, y))),
    };
  }

  test("keeps text on one line whatever its letters, and within its width", async () => {
    const [low, high] = [await inkOf((c) => c.text("xxx", 9, 9)), await inkOf((c) => c.text("Éjxxx", 9, 9))];
    expect(low.y.at(-1)).toBeLessThan(high.y.at(-1) ?? 0);
    expect(low.y[0]).toBeGreaterThan(high.y[0] ?? 0);
    const base = await inkOf((c) => c.text("EEE", 9, 9));
    expect(base.y.at(-1)).toBe(low.y.at(-1));
    const cut = await inkOf((c) => c.text("xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", 9, 9, { most: 50 }));
    expect(cut.x.at(-1)).toBeGreaterThan(40);
    expect(cut.x.at(-1)).toBeLessThanOrEqual(59);
  });

  test("aligns text to the left, to the right and about its middle", async () => {
    const left = await inkOf((c) => c.text("HHHH", 20, 9));
    const right = await inkOf((c) => c.text("HHHH", 100, 9, { align: "right" }));
    const centre = await inkOf((c) => c.text("HHHH", 60, 9, { align: "centre" }));
    expect(left.x[0]).toBeLessThanOrEqual(23);
    expect(right.x.at(-1)).toBeGreaterThanOrEqual(97);
    expect(right.x.at(-1)).toBeLessThanOrEqual(100);
    const middle = ((centre.x[0] ?? 0) + (centre.x.at(-1) ?? 0)) / 2;
    expect(Math.abs(middle - 60)).toBeLessThanOrEqual(2);
  });

  test("leaves out what lies beyond its edges", async () => {
    const canvas = new Canvas(10, 10, "#ffffff");
    canvas.rectangle(-5, 8, 100, 100, "#000000");
    canvas.image(8, 8, new Uint8Array(300).fill(7), 10, 10);
    canvas.text("far away", 500, 500);
    canvas.text("left of it", -20, -6);
    const picture = await decode(await canvas.toPng());
    expect([picture.width, picture.height, picture.at(0, 9), picture.at(9, 9)]).toEqual([
      10,
      10,
      "#000000",
      "#070707",
    ]);
  });
});
