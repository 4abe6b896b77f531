// Label tables with three kinds of task, of the demo's pictures: the group (a class), the colours in the
// drawing (tags) and how much of the picture is drawn on (a number). In: the demo's tables and PNGs, OpenMoji's
// SVG files; out: mixed-train.csv and mixed-val.csv beside the demo's. Holes on purpose: flags have no tags,
// and every fourth picture has no number.
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { basename, dirname, join } from "node:path";
import sharp from "sharp";
import { MttcError } from "../../compiler/diagnostics.ts";
import { writeFileAtomically } from "../../runtime/files/atomicDirectory.ts";

/** Names of the colours of OpenMoji's palette, by their number in lower case. */
const COLOURS: Readonly<Record<string, string>> = {
  "#ea5a47": "red",
  "#d22f27": "red",
  "#f4aa41": "orange",
  "#f1b31c": "orange",
  "#e27022": "orange",
  "#fcea2b": "yellow",
  "#b1cc33": "green",
  "#5c9e31": "green",
  "#186648": "green",
  "#92d3f5": "blue",
  "#61b2e4": "blue",
  "#1e50a0": "blue",
  "#b399c8": "purple",
  "#8967aa": "purple",
  "#ffa7c0": "pink",
  "#e67a94": "pink",
  "#a57939": "brown",
  "#6a462f": "brown",
  "#fadcbc": "beige",
  "#debb90": "beige",
  "#c19a65": "beige",
  "#d0cfce": "grey",
  "#9b9b9a": "grey",
  "#3f3f3f": "grey",
};
/** What of 255 a channel must fall below for a pixel not to be the white of the paper. */
const PAPER = 250;
/** Of so many pictures one has no number. */
const UNMEASURED = 4;

/** The tables' paths. */
export interface MixedTables {
  readonly train: string;
  readonly val: string;
}

/** Writes both tables beside the demo's. E_FILE, E_DISK; E_LABEL where a table is not the demo's. */
export async function writeMixedTables(demo: {
  readonly trainLabels: string;
  readonly valLabels: string;
}): Promise<MixedTables> {
  const folder = dirname(demo.trainLabels);
  const tables = { train: join(folder, "mixed-train.csv"), val: join(folder, "mixed-val.csv") };
  await writeFileAtomically(tables.train, await mixedTable(demo.trainLabels));
  await writeFileAtomically(tables.val, await mixedTable(demo.valLabels));
  return tables;
}

/** The rows of one of the demo's tables (filepath, group, ...) with the columns of this example. */
async function mixedTable(path: string): Promise<string> {
  const [header = "", ...lines] = (await readFile(path, "utf8")).trimEnd().split("\n");
  if (!header.startsWith("filepath,group,"))
    throw new MttcError({ code: "E_LABEL", message: "is not the demo's table", at: { file: path, line: 1 } });
  const svg = join(dirname(createRequire(import.meta.url).resolve("openmoji/package.json")), "color", "svg");
  const rows = ["filepath,group,colours,covered"];
  // One after another: thousands of open files at once are more than some systems allow.
  for (const [index, line] of lines.entries()) {
    const [file = "", group = ""] = line.split(",");
    const drawing = await readFile(join(svg, `${basename(file, ".png")}.svg`), "utf8");
    const colours = group === "flags" ? "" : tagCell(coloursOf(drawing));
    const covered =
      index % UNMEASURED === 0 ? "" : (await coveredShare(join(dirname(path), file))).toFixed(1);
    rows.push([file, group, colours, covered].join(","));
  }
  return `${rows.join("\n")}\n`;
}

/** Names of the palette's colours in a drawing, each once, sorted. */
export function coloursOf(svg: string): string[] {
  const found = svg.toLowerCase().match(/(?<=(?:fill|stroke)[=:]"?)#[0-9a-f]{6}/g) ?? [];
  return [...new Set(found.flatMap((colour) => COLOURS[colour] ?? []))].sort();
}

/** A cell of tags; "[]" is a picture with none, which an empty cell, a missing label, is not. */
export function tagCell(tags: readonly string[]): string {
  return tags.length === 0 ? "[]" : tags.join("|");
}

/** Share of an image's pixels that are not paper, in percent. */
async function coveredShare(path: string): Promise<number> {
  const { data, info } = await sharp(path).removeAlpha().raw().toBuffer({ resolveWithObject: true });
  let covered = 0;
  for (let at = 0; at < data.length; at += info.channels) {
    const pixel = data.subarray(at, at + info.channels);
    if (pixel.some((value) => value < PAPER)) covered += 1;
  }
  return (100 * covered) / (info.width * info.height);
}
