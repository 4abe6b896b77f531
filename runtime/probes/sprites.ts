// Small pictures of images in a grid, row by row, as TensorBoard's projector takes them (a sprite image: the
// side of the grid is the root of their number, rounded up).
import sharp from "sharp";
import type { ImageSize } from "../../compiler/augment/operation.ts";

/** Side of a picture in pixels, as patchwork has it. */
export const SPRITE_SIDE = 50;

/** `images` are uint8 HWC of `size`, grey or RGB. PNG out. */
export async function drawSprites(
  images: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  count: number,
  { height, width, channels }: ImageSize,
): Promise<Buffer> {
  const columns = Math.ceil(Math.sqrt(count));
  const side = columns * SPRITE_SIDE;
  const pixels = Buffer.alloc(side * side * 3, 255);
  let place = 0;
  for await (const image of images) {
    const small = await sharp(image, { raw: { width, height, channels: channels === 1 ? 1 : 3 } })
      .resize(SPRITE_SIDE, SPRITE_SIDE, { fit: "fill", kernel: width < SPRITE_SIDE ? "nearest" : "lanczos3" })
      .toColourspace("srgb")
      .removeAlpha()
      .raw()
      .toBuffer();
    const [row, column] = [Math.floor(place / columns), place % columns];
    for (let y = 0; y < SPRITE_SIDE; y++) {
      const from = small.subarray(y * SPRITE_SIDE * 3, (y + 1) * SPRITE_SIDE * 3);
      from.copy(pixels, ((row * SPRITE_SIDE + y) * side + column * SPRITE_SIDE) * 3);
    }
    place++;
  }
  return await sharp(pixels, { raw: { width: side, height: side, channels: 3 } })
    .png()
    .toBuffer();
}
