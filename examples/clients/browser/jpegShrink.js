// @ts-check
// JPEGs that are far larger than the model are decoded at a half, a quarter or an eighth by training, as
// libjpeg does it: means of whole squares of brightness and of colour, each before they are joined.
// Browsers decode whole; where they hand over the planes of brightness and colour (ImageDecoder), the same
// means are made here.

/** @typedef {import("./resize.js").Pixels} Pixels */

/**
 * By how much training decodes smaller: 8, 4, 2 or 1.
 * @param {{ height: number, width: number }} stored
 * @param {{ height: number, width: number }} wanted of the stored orientation
 */
export function shrinkOf(stored, wanted) {
  const factor = Math.min(stored.width / wanted.width, stored.height / wanted.height);
  const shrink = factor >= 8 ? 8 : factor >= 4 ? 4 : factor >= 2 ? 2 : 1;
  return shrink > 1 && Math.floor(factor) === shrink ? shrink / 2 : shrink;
}

/**
 * A JPEG decoded at 1 / shrink, RGB without regard to a profile; undefined where the browser does not give
 * its planes.
 * @param {Uint8Array} bytes
 * @param {number} shrink
 * @returns {Promise<Pixels | undefined>}
 */
export async function decodeShrunk(bytes, shrink) {
  if (typeof ImageDecoder === "undefined") return undefined;
  const decoder = new ImageDecoder({ data: bytes, type: "image/jpeg", colorSpaceConversion: "none" });
  try {
    const { image } = await decoder.decode();
    const [width, height] = [image.visibleRect?.width ?? 0, image.visibleRect?.height ?? 0];
    /** How many columns and rows a number of colour stands for. */
    const fine = image.format === "I444" ? [1, 1] : image.format === "I422" ? [2, 1] : [2, 2];
    if (!image.format?.startsWith("I4") || image.format.length !== 4) return undefined;
    const planes = new Uint8Array(image.allocationSize());
    const layout = await image.copyTo(planes);
    image.close();
    const size = { height: Math.floor(height / shrink), width: Math.floor(width / shrink) };
    const [y, cb, cr] = layout.map(({ offset, stride }, i) => {
      const [across = 1, down = 1] = i === 0 ? [1, 1] : fine;
      const plane = { data: planes.subarray(offset), stride, width: Math.ceil(width / across) };
      return meansOf(plane, size, shrink, across, down);
    });
    return y && cb && cr ? { ...size, channels: 3, data: joinPlanes(y, cb, cr) } : undefined;
  } finally {
    decoder.close();
  }
}

/**
 * One plane at the size of the picture.
 * @param {{ data: Uint8Array, stride: number, width: number }} plane
 * @param {{ height: number, width: number }} size
 * @param {number} shrink
 * @param {number} across columns of the picture for one of the plane: 1 or 2
 * @param {number} down
 */
function meansOf(plane, size, shrink, across, down) {
  // libjpeg keeps colour finer only where that is so in both directions.
  const isHalved = across === 2 && down === 1;
  const [wide, high] = isHalved ? [shrink, shrink] : [shrink / across, shrink / down];
  const columns = isHalved ? Math.ceil(size.width / 2) : size.width;
  const out = new Uint8Array(size.height * columns);
  for (let row = 0, to = 0; row < size.height; row++)
    for (let column = 0; column < columns; column++) {
      let sum = 0;
      for (let i = 0; i < high; i++)
        for (let j = 0; j < wide; j++) {
          const x = Math.min(column * wide + j, plane.width - 1);
          sum += plane.data[(row * high + i) * plane.stride + x] ?? 0;
        }
      out[to++] = Math.round(sum / (high * wide));
    }
  return isHalved ? doubled(out, size, columns, shrink < 8) : out;
}

/**
 * Twice as many columns: three quarters of the nearer, a quarter of the further one (libjpeg's h2v1), or as
 * they are where libjpeg is not fancy.
 * @param {Uint8Array} plane
 * @param {{ height: number, width: number }} size
 * @param {number} columns of the plane
 * @param {boolean} isFancy
 */
function doubled(plane, { height, width }, columns, isFancy) {
  const out = new Uint8Array(height * width);
  for (let row = 0; row < height; row++)
    for (let x = 0; x < width; x++) {
      const column = x >> 1;
      const near = plane[row * columns + column] ?? 0;
      const next = column + (x % 2 === 0 ? -1 : 1);
      const isEdge = next < 0 || next >= columns;
      const far = isEdge ? near : (plane[row * columns + next] ?? 0);
      out[row * width + x] = isFancy ? (3 * near + far + (x % 2 === 0 ? 1 : 2)) >> 2 : near;
    }
  return out;
}

/**
 * Brightness and colour to RGB, in libjpeg's integers.
 * @param {Uint8Array} brightness
 * @param {Uint8Array} blue
 * @param {Uint8Array} red
 */
function joinPlanes(brightness, blue, red) {
  /** @param {number} share */
  const fixed = (share) => Math.round(share * 65536);
  const [toRed, toBlue] = [fixed(1.402), fixed(1.772)];
  const [greenOfBlue, greenOfRed] = [fixed(0.344136286), fixed(0.714136286)];
  const data = new Uint8ClampedArray(brightness.length * 3);
  for (let i = 0; i < brightness.length; i++) {
    const [y, cb, cr] = [brightness[i] ?? 0, (blue[i] ?? 0) - 128, (red[i] ?? 0) - 128];
    data[3 * i] = y + ((toRed * cr + 32768) >> 16);
    data[3 * i + 1] = y + ((-greenOfBlue * cb - greenOfRed * cr + 32768) >> 16);
    data[3 * i + 2] = y + ((toBlue * cb + 32768) >> 16);
  }
  return new Uint8Array(data.buffer);
}

/**
 * The same of whole RGB or grey pixels: means of squares.
 * @param {Pixels} pixels
 * @param {number} shrink
 * @returns {Pixels}
 */
export function shrinkPixels(pixels, shrink) {
  if (shrink === 1) return pixels;
  const { channels, data, width: stride } = pixels;
  const size = { height: Math.floor(pixels.height / shrink), width: Math.floor(stride / shrink) };
  const out = new Uint8Array(size.height * size.width * channels);
  for (let row = 0, to = 0; row < size.height; row++)
    for (let column = 0; column < size.width; column++)
      for (let c = 0; c < channels; c++) {
        let sum = 0;
        for (let i = 0; i < shrink; i++)
          for (let j = 0; j < shrink; j++)
            sum += data[((row * shrink + i) * stride + column * shrink + j) * channels + c] ?? 0;
        out[to++] = Math.round(sum / shrink ** 2);
      }
  return { ...size, channels, data: out };
}
