// Image files as a picture shows them: read as a spec reads them, then bytes of one channel (grey) or three.
// Of more channels the first three are shown; of wider numbers the levels that augmentation works on.
import { imageSize } from "../../compiler/augment/augmentGraph.ts";
import type { ImageSize } from "../../compiler/augment/operation.ts";
import { whiteLevel } from "../../compiler/spec/pixelRange.ts";
import type { ImageSpec } from "../../compiler/spec/schema.ts";
import { imageDepth, numbersOver } from "../images/imageFormat.ts";
import { ImageReader, imageBytes, imageFormat } from "../images/images.ts";

/** How images are read, of a spec's keys. */
export type ShownSpec = Pick<
  ImageSpec,
  "imshape" | "num_channels" | "single_channel" | "bit_depth" | "norm" | "nodata" | "max_megapixels"
>;

/** The images as read, uint8 HWC; of wider numbers the levels that augmentation works on. */
export async function readLevels(spec: ShownSpec, paths: readonly string[]): Promise<Uint8Array[]> {
  const reader = new ImageReader(imageFormat(spec), 0);
  return await Promise.all(
    paths.map(async (path) => {
      const bytes = new Uint8Array(imageBytes(reader.format));
      await reader.read(path, bytes);
      return levelsOf(spec, bytes);
    }),
  );
}

/** Bytes of an image's numbers as they are read -> levels, uint8 HWC. */
export function levelsOf(spec: ShownSpec, bytes: Uint8Array<ArrayBuffer>): Uint8Array {
  const depth = imageDepth(imageFormat(spec));
  if (depth === "uint8") return bytes;
  const perLevel = 255 / whiteLevel(spec);
  const levels = Uint8ClampedArray.from(
    numbersOver(depth, bytes.slice().buffer),
    (value) => value * perLevel,
  );
  return new Uint8Array(levels.buffer);
}

/** The size of an image as it is shown: the first three channels, or the first where there are fewer. */
export function shownSize(size: ImageSize): ImageSize & { readonly channels: 1 | 3 } {
  return { ...size, channels: size.channels < 3 ? 1 : 3 };
}

/** Levels of an image -> those of the channels that are shown. */
export function shownChannels(image: Uint8Array, size: ImageSize): Uint8Array {
  const { channels: count } = shownSize(size);
  if (count === size.channels) return image;
  return Uint8Array.from(
    { length: size.height * size.width * count },
    (_, i) => image[Math.floor(i / count) * size.channels + (i % count)] ?? 0,
  );
}

/** The images as a sheet shows them, and their size. */
export async function readShownImages(
  spec: ShownSpec,
  paths: readonly string[],
): Promise<{ readonly images: readonly Uint8Array[]; readonly size: ReturnType<typeof shownSize> }> {
  const size = imageSize(spec);
  const images = await readLevels(spec, paths);
  return { images: images.map((image) => shownChannels(image, size)), size: shownSize(size) };
}
