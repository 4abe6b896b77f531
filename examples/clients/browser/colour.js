// @ts-check
// What is done to pixels between their file and the model, as training does it (docs/predict.md):
// transparency onto white, grey, the turn that EXIF asks for.

/** @typedef {import("./resize.js").Pixels} Pixels */

const WHITE = 255;
/** BT.709. */
const LUMINANCE = [0.2126, 0.7152, 0.0722].map(Math.fround);

/**
 * Lays pixels with alpha (2 or 4 channels) onto white, rounding down; others stay.
 * @param {Pixels} pixels
 * @returns {Pixels}
 */
export function flatten({ height, width, channels, data }) {
  if (channels % 2 === 1) return { height, width, channels, data };
  const colours = channels - 1;
  const flat = new Uint8Array(height * width * colours);
  for (let i = 0, to = 0; i < data.length; i += channels) {
    const alpha = data[i + colours] ?? 0;
    for (let c = 0; c < colours; c++)
      flat[to++] = Math.floor(((data[i + c] ?? 0) * alpha + WHITE * (WHITE - alpha)) / WHITE);
  }
  return { height, width, channels: colours, data: flat };
}

/**
 * Colours as grey: luminance of linear light, back through a table of 256 steps as libvips has it; grey
 * stays.
 * @param {Pixels} pixels
 * @returns {Pixels}
 */
export function toGrey({ height, width, channels, data }) {
  if (channels === 1) return { height, width, channels, data };
  const light = Float32Array.from({ length: 256 }, (_, value) => {
    const share = value / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  });
  const back = Float32Array.from({ length: 257 }, (_, i) => {
    const share = Math.min(i, 255) / 255;
    return Math.round(255 * (share <= 0.0031308 ? 12.92 * share : 1.055 * share ** (1 / 2.4) - 0.055));
  });
  const [red = 0, green = 0, blue = 0] = LUMINANCE;
  const grey = new Uint8Array(height * width);
  for (let i = 0, from = 0; i < grey.length; i++, from += 3) {
    const [r, g, b] = [data[from] ?? 0, data[from + 1] ?? 0, data[from + 2] ?? 0];
    const place = 255 * (red * (light[r] ?? 0) + green * (light[g] ?? 0) + blue * (light[b] ?? 0));
    const step = Math.min(255, Math.floor(place));
    const [low = 0, high = 0] = back.subarray(step, step + 2);
    grey[i] = Math.round(low + (high - low) * (place - step));
  }
  return { height, width, channels: 1, data: grey };
}

/**
 * Turns and mirrors pixels as EXIF's orientation says.
 * @param {Pixels} pixels as stored
 * @param {number} orientation 1 to 8
 * @returns {Pixels} upright
 */
export function upright({ height, width, channels, data }, orientation) {
  if (orientation === 1) return { height, width, channels, data };
  const isSwapped = orientation >= 5;
  const [rows, columns] = isSwapped ? [width, height] : [height, width];
  const fromRight = [2, 3, 7, 8].includes(orientation);
  const fromBelow = [3, 4, 6, 7].includes(orientation);
  const turned = new Uint8Array(data.length);
  for (let y = 0, to = 0; y < rows; y++)
    for (let x = 0; x < columns; x++) {
      const [down, right] = isSwapped ? [x, y] : [y, x];
      const row = fromBelow ? height - 1 - down : down;
      const column = fromRight ? width - 1 - right : right;
      const from = (row * width + column) * channels;
      for (let c = 0; c < channels; c++) turned[to++] = data[from + c] ?? 0;
    }
  return { height: rows, width: columns, channels, data: turned };
}

/**
 * Repeats a single channel; `channels` of 1 for grey itself.
 * @param {Pixels} pixels
 * @param {number} channels
 * @returns {Pixels}
 */
export function spread(pixels, channels) {
  if (pixels.channels === channels) return pixels;
  const data = new Uint8Array(pixels.data.length * channels);
  for (const [i, value] of pixels.data.entries()) data.fill(value, i * channels, (i + 1) * channels);
  return { ...pixels, channels, data };
}
