// Held-out images with what the model says of them, as one picture: SVG text -> PNG, drawn by the child
// process that draws the emojis (this process may not read SVG). Green: right; red: wrong, the label in
// brackets; grey: no label.
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { writeFileAtomically } from "../../runtime/files/atomicDirectory.ts";
import type { AnsweredImage } from "./demoReport.ts";
import { drawSvgFiles } from "./rasterise.ts";

const COLUMNS = 5;
/** Images of a full sheet. */
export const SHEET_IMAGES = COLUMNS * COLUMNS;
/** Side of a cell and of the picture in it, in pixels of the PNG. */
const CELL = 260;
const PICTURE = 160;
const LINE = 17;

/** Writes predictions.svg and predictions.png to `folder`; returns the path of the latter. E_FILE, E_DISK. */
export async function drawPredictionSheet(
  folder: string,
  images: readonly AnsweredImage[],
  signal?: AbortSignal,
): Promise<string> {
  const pictures = await Promise.all(images.map(({ path }) => readFile(path, "base64")));
  const [source, target] = [join(folder, "predictions.svg"), join(folder, "predictions.png")];
  await writeFileAtomically(source, sheetSvg(images, pictures));
  const job = { files: [{ source, target }], size: COLUMNS * CELL, background: "#ffffff" };
  await drawSvgFiles(job, undefined, signal);
  return target;
}

/** The sheet as SVG; `pictures` are the PNG files of `images` in base64. At most SHEET_IMAGES are shown. */
export function sheetSvg(images: readonly AnsweredImage[], pictures: readonly string[]): string {
  const cells = images.slice(0, SHEET_IMAGES).map((image, i) => {
    const [x, y] = [(i % COLUMNS) * CELL, Math.floor(i / COLUMNS) * CELL];
    return `<g transform="translate(${x} ${y})">${cell(image, pictures[i] ?? "")}</g>`;
  });
  // 72 units wide, as OpenMoji's own files: the child takes the size in pixels for dots per inch.
  const side = COLUMNS * CELL;
  const size = `width="72" height="72" viewBox="0 0 ${side} ${side}"`;
  const style = 'font-family="sans-serif" font-size="12" text-anchor="middle"';
  return `<svg xmlns="http://www.w3.org/2000/svg" ${size} ${style}>\n${cells.join("\n")}\n</svg>\n`;
}

function cell({ answers }: AnsweredImage, picture: string): string {
  const left = (CELL - PICTURE) / 2;
  const texts = answers.map((answer, line) => {
    const { predicted, label } = answer;
    const isRight = predicted === label;
    const colour = label === undefined ? "#808080" : isRight ? "#00802b" : "#cc0000";
    const text = label === undefined || isRight ? predicted : `${predicted} (${label})`;
    const y = PICTURE + 24 + line * LINE;
    return `<text x="${CELL / 2}" y="${y}" fill="${colour}">${escapeXml(text)}</text>`;
  });
  const place = `x="${left}" y="6" width="${PICTURE}" height="${PICTURE}"`;
  return `<image ${place} href="data:image/png;base64,${picture}"/>${texts.join("")}`;
}

function escapeXml(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}
