// @ts-check
// The resize of training (sharp, that is libvips), in its own integers: what comes out is equal bit by bit,
// so that a picture is the same numbers here and there. Lanczos 3 where a side becomes smaller, after means
// of whole boxes; Catmull-Rom where one grows. Formulas: docs/predict.md.

/**
 * @typedef {object} Pixels
 * @property {number} height
 * @property {number} width
 * @property {number} channels
 * @property {Uint8Array} data [height,width,channels], row-major
 *
 * @typedef {object} Plane numbers [rows, inner], of which the rows are resized
 * @property {number} rows
 * @property {number} inner
 * @property {Uint8Array | Int32Array} data
 */

/** Weights are multiples of 1 / 4096. */
const WEIGHT_BITS = 12;
const ONE = 2 ** WEIGHT_BITS;
/** Places between two pixels that are told apart. */
const STEPS = 64;
const SUPPORT = 3;
/** libvips adds places up row by row, and begins anew every so many rows. */
const ROWS_OF_A_RUN = 10;

/**
 * Pixels of another size; the aspect ratio is not kept.
 * @param {Pixels} image
 * @param {{ height: number, width: number }} size
 * @returns {Pixels}
 */
export function resize({ height, width, channels, data }, size) {
  const grows = size.width > width || size.height > height;
  /** @type {Plane} */
  let rows = { rows: height, inner: width * channels, data };
  if (size.height < height) rows = reduce(rows, size.height, ROWS_OF_A_RUN);
  if (size.width < width || grows) {
    let columns = turned(rows, channels);
    if (size.width < width) columns = reduce(columns, size.width, size.width);
    if (grows) columns = enlarge(columns, size.width);
    rows = turned(columns, channels);
  }
  if (grows) rows = enlarge(rows, size.height);
  return { ...size, channels, data: new Uint8Array(Uint8ClampedArray.from(rows.data)) };
}

/**
 * Fewer rows: means of whole boxes while at least two rows are left for one, then Lanczos.
 * @param {Plane} plane
 * @param {number} size
 * @param {number} run rows after which places are counted anew
 * @returns {Plane}
 */
function reduce(plane, size, run) {
  const count = plane.rows;
  const box = Math.max(1, Math.floor(count / (2 * size)));
  const boxed = box > 1 ? boxes(plane, box) : plane;
  if (count === box * size) return boxed;
  const { inner, data, rows } = boxed;
  const factor = 1 / (1 / (count / size));
  const step = factor / box;
  const half = Math.round(SUPPORT * step);
  const out = new Int32Array(size * inner);
  const sums = new Int32Array(inner);
  for (let j = 0, place = 0; j < size; j++) {
    const begin = (j + 0.5) * step - 0.5 - ((1 + (size * factor - count) / box) / 2 - 1);
    place = j % run === 0 ? begin : place + step;
    const { first, part } = stepsOf(Math.trunc(place * 2 * STEPS));
    sums.fill(ONE / 2);
    for (const [i, weight] of lanczosWeights(part, step, half).entries())
      addRow(sums, data, clamp(first - half + i, rows) * inner, weight);
    for (let x = 0; x < inner; x++) {
      const value = (sums[x] ?? 0) >> WEIGHT_BITS;
      out[j * inner + x] = value < 0 ? 0 : value > 255 ? 255 : value;
    }
  }
  return { rows: size, inner, data: out };
}

/**
 * Means of `box` rows each; the last row is repeated until they are whole.
 * @param {Plane} plane
 * @param {number} box
 * @returns {Plane}
 */
function boxes({ rows, inner, data }, box) {
  const count = Math.ceil(rows / box);
  const out = new Int32Array(count * inner);
  // (sum + box / 2) * (2^24 / box) >> 24 needs more than 32 bits.
  const share = Math.floor(2 ** 24 / box);
  for (let j = 0; j < count; j++) {
    const sums = out.subarray(j * inner, (j + 1) * inner).fill(box >> 1);
    for (let i = 0; i < box; i++) addRow(sums, data, clamp(j * box + i, rows) * inner, 1);
    for (let x = 0; x < inner; x++) sums[x] = Math.floor(((sums[x] ?? 0) * share) / 2 ** 24);
  }
  return { rows: count, inner, data: out };
}

/**
 * More rows, or as many: Catmull-Rom; what is beyond 0 to 255 stays so.
 * @param {Plane} plane
 * @param {number} size
 * @returns {Plane}
 */
function enlarge({ rows, inner, data }, size) {
  const out = new Int32Array(size * inner);
  for (let j = 0; j < size; j++) {
    const { first, part } = stepsOf(Math.floor((j * rows * 2 * STEPS) / size) - STEPS);
    const sums = out.subarray(j * inner, (j + 1) * inner).fill(ONE / 2);
    for (const [i, weight] of cubicWeights(part / STEPS).entries())
      addRow(sums, data, clamp(first - 1 + i, rows) * inner, weight);
    for (let x = 0; x < inner; x++) sums[x] = (sums[x] ?? 0) >> WEIGHT_BITS;
  }
  return { rows: size, inner, data: out };
}

/** The row before a place, and how many 64ths behind it. @param {number} place in 128ths */
function stepsOf(place) {
  return { first: place >> 7, part: ((place & 127) + 1) >> 1 };
}

/**
 * sinc(x) sinc(x / 3), as integers that sum to about 4096.
 * @param {number} part 64ths
 * @param {number} step
 * @param {number} half
 */
function lanczosWeights(part, step, half) {
  const weights = Float64Array.from({ length: 2 * half + 1 }, (_, i) => {
    const x = (i - (part / STEPS + half - 0.5)) * (1 / step);
    return Math.abs(x) <= SUPPORT ? sinc(x) * sinc(x / SUPPORT) : 0;
  });
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  return weights.map((weight) => Math.trunc(ONE * (weight / total)));
}

/** @param {number} x */
function sinc(x) {
  return x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x);
}

/** @param {number} x from 0 to 1 */
function cubicWeights(x) {
  const weights = [
    (-x * (1 - x) ** 2) / 2,
    (1 - x) * (1 + x - 1.5 * x * x),
    x * (0.5 + 2 * x - 1.5 * x * x),
    (-x * x * (1 - x)) / 2,
  ];
  return weights.map((weight) => Math.trunc(ONE * weight));
}

/**
 * Adds a row times a weight.
 * @param {Int32Array} sums
 * @param {Uint8Array | Int32Array} data
 * @param {number} from
 * @param {number} weight
 */
function addRow(sums, data, from, weight) {
  for (let x = 0; x < sums.length; x++) sums[x] = (sums[x] ?? 0) + weight * (data[from + x] ?? 0);
}

/** @param {number} row @param {number} rows */
function clamp(row, rows) {
  return row < 0 ? 0 : row >= rows ? rows - 1 : row;
}

/**
 * [rows, columns * channels] -> [columns, rows * channels].
 * @param {Plane} plane
 * @param {number} channels
 * @returns {Plane}
 */
function turned({ rows, inner, data }, channels) {
  const columns = inner / channels;
  const out = new Int32Array(data.length);
  for (let y = 0; y < rows; y++)
    for (let x = 0; x < columns; x++)
      for (let c = 0; c < channels; c++)
        out[(x * rows + y) * channels + c] = data[(y * columns + x) * channels + c] ?? 0;
  return { rows: columns, inner: rows * channels, data: out };
}
