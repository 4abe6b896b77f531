// A confusion matrix of many classes as a small picture: a pixel for each cell, of more than fit the mean of
// the cells that share one. Its ground is transparent, so that it suits a light and a dark page.
import sharp from "sharp";
import type { MatrixPart } from "../../compiler/tasks/reportParts.ts";
import { rowTotals } from "./matrixTotals.ts";

/** Pixels of a side, at most. */
const MOST_PIXELS = 512;
/** Blue for hits and vermillion for confusions, as the page's tables have them. */
const HIT = [0x00, 0x72, 0xb2] as const;
const MISS = [0xd5, 0x5e, 0x00] as const;
/** The lightest cell that holds something. */
const LEAST_SHADE = 0.15;

/** A PNG of at most 512 pixels a side. */
export async function drawMatrixPicture({
  names,
  pairs,
}: Pick<MatrixPart, "names" | "pairs">): Promise<Buffer> {
  const side = Math.min(MOST_PIXELS, names.length);
  const totals = rowTotals(pairs, names.length);
  const shades = new Float64Array(side * side);
  const place = (index: number): number => Math.floor((index * side) / names.length);
  for (const [row, column, count] of pairs) {
    const at = place(row) * side + place(column);
    shades[at] = Math.max(shades[at] ?? 0, count / (totals[row] ?? count));
  }
  const pixels = Buffer.alloc(side * side * 4);
  for (const [at, shade] of shades.entries()) {
    if (shade === 0) continue;
    const colour = Math.floor(at / side) === at % side ? HIT : MISS;
    const alpha = Math.round(255 * (LEAST_SHADE + (1 - LEAST_SHADE) * Math.min(1, shade)));
    pixels.set([...colour, alpha], at * 4);
  }
  const raw = { width: side, height: side, channels: 4 } as const;
  return await sharp(pixels, { raw }).png({ compressionLevel: 9 }).toBuffer();
}
