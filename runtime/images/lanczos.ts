// Resizing of float32 planes, which the image library would round to integers: Lanczos 3, widened by the
// factor of reduction, columns first and rows then, sums in float64; the edges are not extended but the
// weights normalised (as Pillow resamples mode "F").

const SUPPORT = 3;

/** Weights of the source numbers `first`, `first` + 1, ... for one target number. */
interface Tap {
  readonly first: number;
  readonly weights: Float64Array;
}

const NO_TAP: Tap = { first: 0, weights: new Float64Array() };

/** A plane [height,width] -> [toHeight,toWidth], row-major. */
export function resizePlane(
  plane: Float32Array,
  [height, width]: readonly [number, number],
  [toHeight, toWidth]: readonly [number, number],
): Float32Array<ArrayBuffer> {
  const narrow = new Float32Array(height * toWidth);
  const across = taps(width, toWidth);
  for (let y = 0; y < height; y++)
    for (let x = 0; x < toWidth; x++) {
      const { first, weights } = across[x] ?? NO_TAP;
      let sum = 0;
      const from = y * width + first;
      for (let i = 0; i < weights.length; i++) sum += (weights[i] ?? 0) * (plane[from + i] ?? 0);
      narrow[y * toWidth + x] = sum;
    }
  const resized = new Float32Array(toHeight * toWidth);
  const row = new Float64Array(toWidth);
  for (const [y, { first, weights }] of taps(height, toHeight).entries()) {
    row.fill(0);
    for (const [i, weight] of weights.entries()) {
      const from = (first + i) * toWidth;
      for (let x = 0; x < toWidth; x++) row[x] = (row[x] ?? 0) + weight * (narrow[from + x] ?? 0);
    }
    resized.set(row, y * toWidth);
  }
  return resized;
}

function taps(from: number, to: number): Tap[] {
  const scale = from / to;
  const widening = Math.max(scale, 1);
  return Array.from({ length: to }, (_, target) => {
    const centre = (target + 0.5) * scale;
    const first = Math.max(0, Math.floor(centre - SUPPORT * widening + 0.5));
    const end = Math.min(from, Math.floor(centre + SUPPORT * widening + 0.5));
    const weights = Float64Array.from({ length: end - first }, (_, i) =>
      lanczos((first + i + 0.5 - centre) / widening),
    );
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    return { first, weights: weights.map((weight) => weight / total) };
  });
}

/** sinc(x) sinc(x / 3) within the support. */
function lanczos(x: number): number {
  if (x === 0) return 1;
  if (Math.abs(x) >= SUPPORT) return 0;
  const angle = Math.PI * x;
  return (SUPPORT * Math.sin(angle) * Math.sin(angle / SUPPORT)) / (angle * angle);
}
