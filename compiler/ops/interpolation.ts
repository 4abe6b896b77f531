// Interpolation along one axis as a matrix: row p holds the weights of the source pixels in target pixel p.
// The numbers of ONNX Resize-18; every mode is such a matrix on each axis in turn.
import { range } from "./axes.ts";

/** How Resize reads one axis. */
export interface AxisResize {
  /** Source and target sizes in pixels. */
  readonly from: number;
  readonly to: number;
  /** Target pixels for each source pixel; what was asked for, not the rounded `to / from`. */
  readonly scale: number;
}

/** Attributes of Resize that decide the weights. */
export interface Interpolation {
  readonly mode: string;
  readonly coordinates: string;
  readonly nearest: string;
  readonly cubicA: number;
  readonly excludeOutside: boolean;
}

/** Ways to find the source coordinate of a target pixel. */
export const COORDINATES: readonly string[] = [
  "half_pixel",
  "pytorch_half_pixel",
  "align_corners",
  "asymmetric",
];

/** Ways to round a coordinate to a pixel. */
export const NEAREST: readonly string[] = ["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"];

/** The weights, row-major [to, from]. */
export function interpolationMatrix(axis: AxisResize, how: Interpolation): Float64Array {
  const matrix = new Float64Array(axis.to * axis.from);
  for (const target of range(axis.to)) {
    for (const [place, weight] of weightsAt(sourceCoordinate(target, axis, how.coordinates), axis, how)) {
      const source = Math.min(Math.max(place, 0), axis.from - 1);
      matrix[target * axis.from + source]! += weight;
    }
  }
  return matrix;
}

function sourceCoordinate(target: number, { from, to, scale }: AxisResize, coordinates: string): number {
  switch (coordinates) {
    case "asymmetric":
      return target / scale;
    case "align_corners":
      return to === 1 ? 0 : (target * (from - 1)) / (to - 1);
    case "pytorch_half_pixel":
      return to > 1 ? (target + 0.5) / scale - 0.5 : 0;
    default:
      return (target + 0.5) / scale - 0.5;
  }
}

/** Source pixels, some perhaps outside of the image, and their weights. */
function weightsAt(
  x: number,
  { from }: AxisResize,
  { mode, nearest, cubicA, excludeOutside }: Interpolation,
): readonly (readonly [place: number, weight: number])[] {
  if (mode === "nearest") return [[roundTo(x, nearest), 1]];
  if (mode === "linear") {
    const inside = Math.min(Math.max(x, 0), from - 1);
    const first = Math.floor(inside);
    return [
      [first, 1 - (inside - first)],
      [first + 1, inside - first],
    ];
  }
  const first = Math.floor(x) - 1;
  const taps = range(4).map((i) => [first + i, cubicWeight(x - (first + i), cubicA)] as const);
  if (!excludeOutside) return taps;
  const kept = taps.filter(([place]) => place >= 0 && place < from);
  const total = kept.reduce((sum, [, weight]) => sum + weight, 0);
  return kept.map(([place, weight]) => [place, weight / total]);
}

function roundTo(x: number, nearest: string): number {
  if (nearest === "floor") return Math.floor(x);
  if (nearest === "ceil") return Math.ceil(x);
  return nearest === "round_prefer_ceil" ? Math.floor(x + 0.5) : Math.ceil(x - 0.5);
}

/** Keys' convolution kernel (1981) with the parameter a. */
function cubicWeight(distance: number, a: number): number {
  const t = Math.abs(distance);
  if (t <= 1) return ((a + 2) * t - (a + 3)) * t * t + 1;
  return t < 2 ? a * (((t - 5) * t + 8) * t - 4) : 0;
}
