// The demo's data: counts of the labels, natural holes, a split without leaks, and the drawing of a few
// emojis. The drawing child runs from dist/ (npm test builds it first).
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import sharp from "sharp";
import { afterAll, describe, expect, it } from "vitest";
import {
  classesOf,
  type EmojiRow,
  type EmojiTask,
  formatLabelCsv,
  readEmojiRows,
  splitByBase,
} from "../../examples/demo/openmojiTable.ts";
import { prepareOpenmoji } from "../../examples/demo/rasterise.ts";
import { readLabelTable } from "../../runtime/tables/labelFiles.ts";
import { tableCells } from "../tables/tableCells.ts";

const root = dirname(createRequire(import.meta.url).resolve("openmoji/package.json"));
const rows = readEmojiRows(readFileSync(join(root, "data", "openmoji.json"), "utf8"));
const { train, val } = splitByBase(rows);

/** How often each class of a task occurs, the holes under "". */
function countsOf(of: readonly EmojiRow[], task: EmojiTask): Map<string, number> {
  const counts = new Map<string, number>();
  for (const { labels } of of) counts.set(labels[task] ?? "", (counts.get(labels[task] ?? "") ?? 0) + 1);
  return counts;
}

describe("the labels of OpenMoji", () => {
  it("are 12 groups without holes, 82 subgroups of at least 10 images, and 5 skin tones of 330", () => {
    expect(rows).toHaveLength(4_495);
    expect(countsOf(rows, "group").size).toBe(12);
    expect(countsOf(rows, "group").has("")).toBe(false);
    const { "": unlabelled, ...subgroups } = Object.fromEntries(countsOf(rows, "subgroup"));
    expect(Object.keys(subgroups)).toHaveLength(82);
    expect(Math.min(...Object.values(subgroups))).toBeGreaterThanOrEqual(10);
    expect(unlabelled).toBeGreaterThan(100);
    const tones = Object.fromEntries(countsOf(rows, "skin_tone"));
    expect(tones).toEqual({ "": 2_845, "1": 330, "2": 330, "3": 330, "4": 330, "5": 330 });
  });

  it("have no skin tone where there are two", () => {
    const two = rows.find(({ hexcode }) => hexcode === "1FAF1-1F3FB-200D-1FAF2-1F3FC");
    expect(two?.labels).toEqual({ group: "people-body", subgroup: "hands", skin_tone: null });
  });

  it("are refused when the catalogue has another form", () => {
    expect(() => readEmojiRows('[{"hexcode": "../x"}]')).toThrow(/E_LABEL/);
  });
});

describe("the split into train and val", () => {
  it("takes every image once, about a fifth of them into val", () => {
    expect(new Set([...train, ...val]).size).toBe(rows.length);
    expect(train.length + val.length).toBe(rows.length);
    expect(val.length / rows.length).toBeGreaterThan(0.15);
    expect(val.length / rows.length).toBeLessThan(0.25);
  });

  it("has no base glyph on both sides, though thousands of images share one", () => {
    const trainBases = new Set(train.map(({ base }) => base));
    expect(val.filter(({ base }) => trainBases.has(base))).toEqual([]);
    expect(rows.length - new Set(rows.map(({ base }) => base)).size).toBeGreaterThan(1_500);
    // A twin is recognised by its name as well, whatever the catalogue calls its base.
    const strip = ({ hexcode }: EmojiRow): string => hexcode.replaceAll(/-1F3F[B-F]/g, "");
    const trainGlyphs = new Set(train.map(strip));
    expect(val.filter((row) => trainGlyphs.has(strip(row)))).toEqual([]);
  });

  it("leaves no class to val alone, even if all its images would go there", () => {
    const missing = (parts: { train: EmojiRow[]; val: EmojiRow[] }): string[] => {
      const known = new Set(parts.train.flatMap(classesOf));
      return parts.val.flatMap(classesOf).filter((name) => !known.has(name));
    };
    expect(missing({ train, val })).toEqual([]);
    const labels = { group: "rare", subgroup: null, skin_tone: null };
    const rare = val.slice(0, 5).map((row) => ({ ...row, labels }));
    expect(missing(splitByBase([...train, ...rare]))).toEqual([]);
  });

  it("does not depend on the order of the rows", () => {
    const again = splitByBase(rows.toReversed());
    expect(new Set(again.val.map(({ hexcode }) => hexcode))).toEqual(
      new Set(val.map(({ hexcode }) => hexcode)),
    );
  });

  it("is written with empty cells for the holes", () => {
    const csv = formatLabelCsv(rows.slice(0, 1), "images");
    expect(csv).toBe("filepath,group,subgroup,skin_tone\nimages/1F600.png,smileys-emotion,face-smiling,\n");
  });
});

describe("drawing", () => {
  const folder = mkdtempSync(join(tmpdir(), "mttc-openmoji-"));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  it("makes opaque PNGs and tables that the runtime reads, once", async () => {
    const progress: number[] = [];
    const onProgress = (done: number): number => progress.push(done);
    const first = await prepareOpenmoji(folder, { limit: 120, onProgress });
    expect([first.reused, first.trainCount + first.valCount, progress.at(-1)]).toEqual([false, 120, 120]);
    const columns = { tasks: ["group", "subgroup", "skin_tone"], filepaths: "filepath" };
    const table = await readLabelTable(first.trainLabels, columns);
    const hasHoles = new Set(tableCells(table)[2]?.map((cell) => cell === null));
    expect([table.paths.length, hasHoles]).toEqual([first.trainCount, new Set([true, false])]);
    expect([...table.paths].every((path) => existsSync(path))).toBe(true);
    const { data, info } = await sharp(first.valImages[0]).raw().toBuffer({ resolveWithObject: true });
    expect([info.width, info.height, info.channels]).toEqual([48, 48, 3]);
    expect([...data.subarray(0, 3)]).toEqual([255, 255, 255]);
    expect(new Set(data).size).toBeGreaterThan(10);

    expect((await prepareOpenmoji(folder, { limit: 120 })).reused).toBe(true);
    rmSync(first.valImages[0]!);
    expect((await prepareOpenmoji(folder, { limit: 120 })).reused).toBe(false);
    expect(existsSync(first.valImages[0]!)).toBe(true);
  });

  it("stops when it is told to, with E_INTERRUPTED", async () => {
    const controller = new AbortController();
    const stopped = prepareOpenmoji(folder, {
      limit: 2_000,
      onProgress: () => controller.abort(),
      signal: controller.signal,
    });
    await expect(stopped).rejects.toMatchObject({ code: "E_INTERRUPTED", exitCode: 130 });
  });
});
