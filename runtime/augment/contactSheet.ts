// Rows of small images under a title -> one PNG: what a person looks at to judge an augmentation. Knows
// nothing of where the images come from.
import sharp, { type OverlayOptions } from "sharp";
import type { ImageSize } from "../../compiler/augment/operation.ts";

/** One row: a label at its left, images beside it; the first is set apart as the original. */
export interface SheetRow {
  readonly label: string;
  /** uint8 HWC, all of the sheet's image size. */
  readonly images: readonly Uint8Array[];
}

const LEAST_SIDE = 112;
const MOST_SIDE = 176;
const GAP = 6;
/** Between the original and what became of it. */
const WIDE_GAP = 22;
const MARGIN = 20;
const TEXT_HEIGHT = 22;
/** Neither the white nor the black of an image. */
const BACKGROUND = "#dcdfe4";
const TEXT_COLOUR = "#222222";
/** Pixels that the longest label may take. */
const MOST_LABEL = 190;

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
  const most = Math.max(...rows.map(({ images }) => images.length), 1);
  const left = (column: number): number =>
    MARGIN + labelWidth + column * (cell.width + GAP) + (column > 0 ? WIDE_GAP - GAP : 0);
  const top = (row: number): number => MARGIN + 2 * TEXT_HEIGHT + row * (cell.height + GAP);
  const parts: Promise<OverlayOptions | undefined>[] = [
    drawText(title, MARGIN, MARGIN - 4, left(most) - GAP - MARGIN),
  ];
  columns.forEach((name, column) => {
    parts.push(drawText(name, left(column), MARGIN + TEXT_HEIGHT, cell.width * (column === 0 ? 1 : 4)));
  });
  rows.forEach(({ label, images }, row) => {
    const middle = top(row) + Math.round(cell.height / 2) - 8;
    parts.push(drawText(label, MARGIN, middle, MOST_LABEL));
    images.forEach((image, column) => {
      parts.push(drawCell(image, size, cell, { left: left(column), top: top(row) }));
    });
  });
  const overlays = (await Promise.all(parts)).filter((part) => part !== undefined);
  const width = left(most) - GAP + MARGIN;
  const height = top(rows.length) - GAP + MARGIN;
  return await sharp({ create: { width, height, channels: 3, background: BACKGROUND } })
    .composite(overlays)
    .png()
    .toBuffer();
}

async function drawCell(
  image: Uint8Array,
  { height, width, channels }: ImageSize,
  cell: { readonly height: number; readonly width: number; readonly enlarged: boolean },
  place: { readonly left: number; readonly top: number },
): Promise<OverlayOptions> {
  const raw = { width, height, channels: channels === 1 ? 1 : 3 } as const;
  const { data, info } = await sharp(image, { raw })
    .resize(cell.width, cell.height, { fit: "fill", kernel: cell.enlarged ? "nearest" : "lanczos3" })
    .toColourspace("srgb")
    .raw()
    .toBuffer({ resolveWithObject: true });
  return { input: data, raw: { width: info.width, height: info.height, channels: info.channels }, ...place };
}

/** A line of text, cut at `most` pixels; undefined for an empty one. */
async function drawText(
  text: string,
  left: number,
  top: number,
  most: number,
): Promise<OverlayOptions | undefined> {
  if (text === "") return undefined;
  const escaped = text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
  const marked = `<span foreground="${TEXT_COLOUR}">${escaped}</span>`;
  const drawn = sharp({ text: { text: marked, font: "sans 10", dpi: 96, rgba: true } });
  const { data, info } = await drawn.raw().toBuffer({ resolveWithObject: true });
  const width = Math.min(info.width, most);
  const raw = { width: info.width, height: info.height, channels: info.channels };
  const cut = await sharp(data, { raw })
    .extract({ left: 0, top: 0, width, height: info.height })
    .raw()
    .toBuffer();
  return { input: cut, raw: { ...raw, width }, left, top };
}
