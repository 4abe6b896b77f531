// JPEGs that take as long to decode as photographs of their size.
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import sharp from "sharp";

const [WIDTH, HEIGHT] = [500, 375];

/** Writes `count` images of 500x375 pixels with noise, about 90 kB each; their paths. */
export async function writeNoisyJpegs(folder: string, count: number): Promise<string[]> {
  const paths: string[] = [];
  for (let image = 0; image < count; image++) {
    const pixels = Buffer.alloc(WIDTH * HEIGHT * 3);
    for (let at = 0; at < pixels.length; at++)
      pixels[at] = ((at / 1_500) & 127) + ((Math.imul(at + image * 7_919, 2_654_435_761) >>> 26) & 63);
    const path = join(folder, `${image}.jpg`);
    const raw = { width: WIDTH, height: HEIGHT, channels: 3 } as const;
    await writeFile(path, await sharp(pixels, { raw }).jpeg().toBuffer());
    paths.push(path);
  }
  return paths;
}
