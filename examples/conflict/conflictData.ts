// Pictures for two tasks that have nothing in common: noise around a colour whose red and blue know nothing
// of each other. In: numbers; out: PNGs and label tables below a folder.
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import sharp from "sharp";
import { RandomStream } from "../../runtime/draws/randomStream.ts";
import { writeFileAtomically } from "../../runtime/files/atomicDirectory.ts";

const SIZE = 8;
/** Levels of 255: the least of a channel, what a task's 100 % adds, and how far noise reaches. */
const [LEAST, RANGE, NOISE] = [38, 180, 40];

/**
 * Writes `side` x `side` pictures and their table `<split>.csv` below `folder`: every pair of `side` even
 * steps of red and of blue, so that the two are exactly uncorrelated. E_DISK.
 */
export async function writeConflictTable(
  folder: string,
  split: "train" | "val",
  side: number,
): Promise<void> {
  await mkdir(join(folder, "images"), { recursive: true });
  const lines = ["filepath,red,blue"];
  for (let i = 0; i < side * side; i++) {
    const random = new RandomStream(0, `conflict ${split}`, 0, i);
    const [red, blue] = [(Math.floor(i / side) + 0.5) / side, ((i % side) + 0.5) / side];
    const file = `images/${split}-${i}.png`;
    await writeFileAtomically(join(folder, file), await picture(red, blue, random));
    lines.push([file, (100 * red).toFixed(2), (100 * blue).toFixed(2)].join(","));
  }
  await writeFileAtomically(join(folder, `${split}.csv`), `${lines.join("\n")}\n`);
}

async function picture(red: number, blue: number, random: RandomStream): Promise<Buffer> {
  const channels = [red, 0.5, blue].map((share) => LEAST + RANGE * share);
  const pixels = Uint8Array.from({ length: SIZE * SIZE * 3 }, (_, at) => {
    const level = channels[at % 3] ?? 0;
    return Math.min(255, Math.max(0, Math.round(level + NOISE * (2 * random.nextUniform() - 1))));
  });
  const raw = { width: SIZE, height: SIZE, channels: 3 } as const;
  return await sharp(pixels, { raw }).png().toBuffer();
}
