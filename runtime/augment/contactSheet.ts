// Rows of small images under a title -> one PNG: what a person looks at to judge an augmentation. Knows
// nothing of where the images come from.
import sharp from "sharp";
import type { ImageSize } from "../../compiler/augment/operation.ts";
import { Canvas, type Colour } from "../drawing/canvas.ts";

/** An image and what is said below it. */
export interface SheetCell {
  /** uint8 HWC, of the sheet's image size. */
  readonly pixels: Uint8Array;
  readonly caption: string;
}

/** One row: what it shows at its left, images beside it; the first is set apart as the original. */
export interface SheetRow {
  readonly label: string;
  /** Below the label, smaller; broken into lines. */
  readonly note: string;
  readonly cells: readonly SheetCell[];
}

const LEAST_SIDE = 112;
const MOST_SIDE = 176;
const GAP = 6;
/** Between the original and what became of it. */
const WIDE_GAP = 22;
const MARGIN = 20;
const TEXT_HEIGHT = 22;
const NOTE_HEIGHT = 15;
/** Below the images of a row, where one has a caption. */
const CAPTION_HEIGHT = 17;
/** Neither the white nor the black of an image. */
const BACKGROUND: Colour = "#dcdfe4";
const MUTED: Colour = "#4b5563";
/** Pixels that a label may take, and characters of a line of its note. */
const MOST_LABEL = 190;
const NOTE_CHARACTERS = 30;

/** Size of an image in the sheet: small ones enlarged by whole factors, large ones reduced. */
function cellSize({ height, width }: ImageSize): { height: number; width: number; enlarged: boolean } {
  const longest = Math.max(height, width);
  const factor = longest > MOST_SIDE ? MOST_SIDE / longest : Math.ceil(LEAST_SIDE / longest);
  const side = (size: number) => Math.max(1, Math.round(size * factor));
  return { height: side(height), width: side(width), enlarged: factor >= 1 };
}

/** The sheet as a PNG. Rows may differ in length. */
export async function drawContactSheet(
  title: string,
  columns: readonly string[],
  rows: readonly SheetRow[],
  size: ImageSize,
): Promise<Buffer> {
  const cell = cellSize(size);
  const labelWidth = rows.some(({ label }) => label !== "") ? MOST_LABEL + GAP : 0;
  const most = Math.max(...rows.map(({ cells }) => cells.length), 1);
  const left = (column: number): number =>
    MARGIN + labelWidth + column * (cell.width + GAP) + (column > 0 ? WIDE_GAP - GAP : 0);
  const heights = rows.map(({ cells }) => {
    return cell.height + GAP + (cells.some(({ caption }) => caption !== "") ? CAPTION_HEIGHT : 0);
  });
  const first = MARGIN + 2 * TEXT_HEIGHT;
  const end = first + heights.reduce((sum, height) => sum + height, 0) - GAP;
  const width = left(most) - GAP + MARGIN;
  const canvas = new Canvas(width, end + MARGIN, BACKGROUND);
  canvas.text(title, MARGIN, MARGIN - 6, { size: 14, bold: true, most: width - 2 * MARGIN });
  columns.forEach((name, column) => {
    const room = cell.width * (column === 0 ? 1 : 4);
    canvas.text(name, left(column), MARGIN + TEXT_HEIGHT, { size: 13, most: room });
  });
  let top = first;
  for (const [row, { label, note, cells }] of rows.entries()) {
    drawLabel(canvas, label, note, top + cell.height / 2);
    for (const [column, { pixels, caption }] of cells.entries()) {
      const shown = await resized(pixels, size, cell);
      canvas.image(left(column), top, shown, cell.width, cell.height);
      const style = { size: 11, colour: MUTED, align: "centre", most: cell.width } as const;
      canvas.text(caption, left(column) + cell.width / 2, top + cell.height + 1, style);
    }
    top += heights[row] ?? 0;
  }
  return await canvas.toPng();
}

/** A label and the lines of its note, about a middle. */
function drawLabel(canvas: Canvas, label: string, note: string, middle: number): void {
  const lines = brokenLines(note);
  const top = middle - (TEXT_HEIGHT + lines.length * NOTE_HEIGHT) / 2;
  canvas.text(label, MARGIN, top, { size: 13, bold: true, most: MOST_LABEL });
  lines.forEach((line, i) => {
    const style = { size: 11, colour: MUTED, most: MOST_LABEL };
    canvas.text(line, MARGIN, top + TEXT_HEIGHT + i * NOTE_HEIGHT, style);
  });
}

/** Words in lines of about NOTE_CHARACTERS. */
function brokenLines(text: string): string[] {
  const lines: string[] = [];
  for (const word of text.split(" ").filter(Boolean)) {
    const longer = `${lines.at(-1) ?? ""} ${word}`.trim();
    if (lines.length > 0 && longer.length <= NOTE_CHARACTERS) lines[lines.length - 1] = longer;
    else lines.push(word);
  }
  return lines;
}

async function resized(
  pixels: Uint8Array,
  { height, width, channels }: ImageSize,
  cell: { readonly height: number; readonly width: number; readonly enlarged: boolean },
): Promise<Buffer> {
  const raw = { width, height, channels: channels === 1 ? 1 : 3 } as const;
  return await sharp(pixels, { raw })
    .resize(cell.width, cell.height, { fit: "fill", kernel: cell.enlarged ? "nearest" : "lanczos3" })
    .toColourspace("srgb")
    .removeAlpha()
    .raw()
    .toBuffer();
}
