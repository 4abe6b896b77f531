// Small images that a tiny network can learn: a hue and a direction of stripes, with holes in the labels.
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import sharp from "sharp";
import type { LabelRow } from "../../runtime/tables/labelTable.ts";
import type { TrainerOptions } from "../../runtime/train/trainerOptions.ts";

const SIDE = 16;
const HUES = ["red", "green", "blue"] as const;
const STRIPES = ["level", "upright"] as const;

/** Writes `count` PNGs into `folder` and returns a label table: tasks `hue` (3 classes) and `stripes` (2). */
export async function writePatternImages(folder: string, count: number): Promise<LabelRow[]> {
  await mkdir(folder, { recursive: true });
  return await Promise.all(
    Array.from({ length: count }, async (_, i): Promise<LabelRow> => {
      const [hue, stripes] = [i % HUES.length, Math.floor(i / HUES.length) % STRIPES.length];
      const pixels = Uint8Array.from({ length: SIDE * SIDE * 3 }, (_value, place) => {
        const [channel, x, y] = [place % 3, Math.floor(place / 3) % SIDE, Math.floor(place / 3 / SIDE)];
        const bright = ((stripes === 0 ? y : x) >> 2) % 2 === 0;
        return (channel === hue ? 140 : 20) + (bright ? 90 : 0) + ((i * 7 + place * 13) % 20);
      });
      const filepath = join(folder, `${i}.png`);
      await sharp(pixels, { raw: { width: SIDE, height: SIDE, channels: 3 } })
        .png()
        .toFile(filepath);
      // Every fourth hue and every third direction is missing.
      return {
        filepath,
        hue: i % 4 === 3 ? null : (HUES[hue] ?? null),
        stripes: i % 5 === 1 ? null : (STRIPES[stripes] ?? null),
      };
    }),
  );
}

/** A run on these images with everything that a resume has to keep: the first `train` rows train. */
export function patternOptions(rows: readonly LabelRow[], train: number): TrainerOptions {
  return {
    train_labels: rows.slice(0, train),
    val_labels: rows.slice(train),
    tasks: ["hue", "stripes"],
    fcn: { layers: [4, "p"] },
    train_fcn: true,
    shared_layers: [6, "d"],
    task_layers: [6],
    task_weights: "adaptive",
    batchnorm: true,
    imshape: [SIDE, SIDE],
    batch_size: 8,
    seed: 5,
  };
}
