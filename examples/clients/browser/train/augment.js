// @ts-check
// What is drawn to augment an image, by operation: the columns of the input "augment" (CONTRACT.md,
// Augmentation). The graph does the rest.
import { Stream } from "./streams.js";

/**
 * @typedef {import("./streams.js").StreamName} StreamName
 * @typedef {object} Drawing what an operation draws with
 * @property {number} q its strength
 * @property {number} height of the image
 * @property {number} width
 * @property {() => number} u the next uniform number
 * @property {() => boolean} chance
 * @property {(a: number, b: number) => number} between
 * @property {(a: number, b: number) => number} integer
 * @property {(d: number) => number} factor
 */

const CROP_TRIES = 100;
/** Grey of a pixel that is masked: fixed, so that a mask is one number. */
const MASKED = 0.5244005127080407;
const NEVER = 1e9;

/** @param {number} x */
const round = (x) => Math.floor(x + 0.5);

/** @type {Readonly<Record<string, (drawing: Drawing) => readonly number[]>>} */
const OPERATIONS = {
  flip_left_right: ({ u }) => [Number(u() < 0.5)],
  flip_up_down: ({ u }) => [Number(u() < 0.5)],
  rot90: ({ integer }) => {
    const turns = integer(0, 4);
    return [turns % 2, Number(turns === 1 || turns === 2), Number(turns >= 2)];
  },
  shear: ({ between, q }) => [between(-q, q), between(-q, q)],
  zoom_scale: (drawing) => {
    for (let attempt = 0; attempt < CROP_TRIES; attempt++) {
      const crop = cropOf(drawing);
      if (crop) return crop;
    }
    return [0, 0, drawing.height, drawing.width];
  },
  center_zoom_scale: ({ between, q }) => [between(0, (1 - q) / 2)],
  solarize: ({ chance, u }) => [chance() ? u() : NEVER],
  jitter: ({ integer, factor, between, q }) => {
    const order = [0, 1, 2, 3];
    for (const last of [3, 2, 1]) {
      const chosen = integer(0, last + 1);
      [order[last], order[chosen]] = [order[chosen] ?? 0, order[last] ?? 0];
    }
    return [...order, factor(0.8 * q), factor(0.8 * q), factor(0.8 * q), between(-0.2 * q, 0.2 * q)];
  },
  brightness_delta: ({ factor, q }) => [factor(q)],
  contrast_delta: ({ factor, q }) => [factor(q)],
  saturation_delta: ({ factor, q }) => [factor(q)],
  hue_delta: ({ between, q }) => [between(-q, q)],
  gaussian_blur: ({ chance, between }) => [chance() ? between(0.1, 2) : 0.01],
  gaussian_noise: (drawing) => (drawing.chance() ? noiseOf(drawing, 0.1) : [0, 0, 0, 0]),
  autocontrast: ({ chance }) => [Number(chance())],
  drop_color: ({ chance }) => [Number(chance())],
  sobel_prob: ({ chance }) => [Number(chance())],
  jpeg_degrade: ({ chance }) => (chance() ? [1, Number(chance())] : [0, 0]),
  mask: (drawing) => (drawing.chance() ? rectangleOf(drawing) : [0, 0, 0, 0]),
  pixel_mask: (drawing) => (drawing.chance() ? [...noiseOf(drawing, 1), MASKED] : [0, 0, 0, 0, -1]),
};

/** Whether there is such an operation. @param {string} name */
export function isOperation(name) {
  return Object.hasOwn(OPERATIONS, name);
}

/**
 * The columns of an operation for one image, float64.
 * @param {{ name: string, strength: number }} operation
 * @param {StreamName} stream
 * @param {{ height: number, width: number }} size
 * @returns {readonly number[]}
 */
export function drawColumns({ name, strength: q }, stream, { height, width }) {
  const numbers = new Stream(stream);
  const u = () => numbers.uniform();
  const between = (/** @type {number} */ a, /** @type {number} */ b) => a + u() * (b - a);
  return (
    OPERATIONS[name]?.({
      ...{ q, height, width, u, between },
      chance: () => u() < q,
      integer: (a, b) => a + Math.floor(u() * Math.max(b - a, 0)),
      factor: (d) => between(Math.max(0, 1 - d), 1 + d),
    }) ?? []
  );
}

/** A crop of at least the share q of the image; undefined where a try fails. @param {Drawing} drawing */
function cropOf({ q, height, width, between, integer }) {
  const aspect = between(3 / 4, 4 / 3) * (width / height);
  const area = height * width;
  const wide = (/** @type {number} */ rows) => round(rows * aspect);
  let tall = round(Math.sqrt(area / aspect));
  if (wide(tall) > width) tall = Math.floor((width + 0.5) / aspect);
  if (wide(tall) > width) tall -= 1;
  tall = Math.min(tall, height);
  let rows = integer(Math.min(round(Math.sqrt((q * area) / aspect)), tall), tall + 1);
  if (wide(rows) * rows < q * area) rows += 1;
  if (wide(rows) * rows > area) rows -= 1;
  const columns = wide(rows);
  const share = columns * rows;
  if (!(rows >= 1 && rows <= height && columns >= 1 && columns <= width)) return undefined;
  if (share < q * area || share > area) return undefined;
  return [integer(0, height - rows), integer(0, width - columns), rows, columns];
}

/** @param {Drawing} drawing @param {number} deviation */
function noiseOf({ width, integer, between }, deviation) {
  const rows = Math.ceil(2 ** 19 / width);
  const places = [integer(0, rows), integer(0, rows)];
  const angle = between(0, 2 * Math.PI);
  return [...places, deviation * Math.cos(angle), deviation * Math.sin(angle)];
}

/** @param {Drawing} drawing */
function rectangleOf({ height, width, integer }) {
  // By the height, both of them.
  const least = Math.floor(height / 20);
  const rows = integer(least, Math.floor(height / 2));
  const columns = integer(least, Math.floor(width / 2));
  const column = integer(0, width - columns);
  return [integer(0, height - rows), column, rows, columns];
}
