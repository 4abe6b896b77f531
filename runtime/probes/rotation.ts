// Quarter turns of images as they are read: the task that tells how much features know without any labels
// (Reed et al. 2020, "Evaluating Self-Supervised Pretraining Without Using Labels"; patchwork's
// rotation_classification_test).
import { InternalError } from "../../compiler/diagnostics.ts";
import { RandomStream } from "../draws/randomStream.ts";

/** The classes of the task: degrees against the clock, as tf.image.rot90 turns. */
export const TURNS = ["0", "90", "180", "270"] as const;

/** A quarter turn for each of `rows` images, from 0 to 3: a function of the seed. */
export function drawTurns(seed: number, rows: number): Int32Array {
  const random = new RandomStream(seed, "probe/rotation", 0);
  return Int32Array.from({ length: rows }, () => random.nextUint32() >>> 30);
}

/** Turns a square image of [side, side] pixels of `pixelBytes` bytes (all channels), in place. */
export function turnImage(image: Uint8Array, side: number, pixelBytes: number, turns: number): void {
  if (image.length !== side * side * pixelBytes) throw new InternalError("only a square image can be turned");
  const last = side - 1;
  // Pixel of the image before that lands in the corner, and how far on that is for a row and a column.
  const ways = [
    [0, side, 1],
    [last, -1, side],
    [last * side + last, -side, -1],
    [last * side, 1, -side],
  ];
  const [corner = 0, perRow = 0, perColumn = 0] = ways[turns % ways.length] ?? [];
  const before = image.slice();
  for (let y = 0; y < side; y++)
    for (let x = 0; x < side; x++) {
      const from = (corner + y * perRow + x * perColumn) * pixelBytes;
      const to = (y * side + x) * pixelBytes;
      for (let i = 0; i < pixelBytes; i++) image[to + i] = before[from + i] ?? 0;
    }
}
