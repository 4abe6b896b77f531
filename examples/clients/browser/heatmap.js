// @ts-check
// A heat map over a photo: from where in the image an answer comes.

/** @typedef {import("./model.js").HeatMap} HeatMap */

/** From nothing to all, as [red, green, blue, alpha]: dark red, orange, light yellow. */
const COLOURS = /** @type {const} */ ([
  [120, 0, 40, 0],
  [200, 20, 30, 110],
  [250, 110, 20, 170],
  [255, 235, 120, 215],
]);

/**
 * Draws the map, one pixel for each of its places; the page stretches the canvas over the photo, linearly.
 * @param {HTMLCanvasElement} canvas
 * @param {HeatMap} map
 */
export function drawHeatMap(canvas, { height, width, data }) {
  canvas.width = width;
  canvas.height = height;
  const image = new ImageData(width, height);
  for (const [i, value] of data.entries()) image.data.set(colourOf(value), 4 * i);
  canvas.getContext("2d")?.putImageData(image, 0, 0);
}

/** @param {number} value from 0 to 1 */
function colourOf(value) {
  const place = Math.min(1, Math.max(0, value)) * (COLOURS.length - 1);
  const step = Math.min(COLOURS.length - 2, Math.floor(place));
  const [low, high] = [COLOURS[step] ?? COLOURS[0], COLOURS[step + 1] ?? COLOURS[0]];
  return low.map((from, c) => from + ((high[c] ?? from) - from) * (place - step));
}
