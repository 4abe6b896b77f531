// A heat map over a picture: the picture in muted colours, and where the map is high a glow from yellow to
// red. Pixels and map in, pixels of another size out.

/** uint8 [height, width, 3]. */
export interface Picture {
  readonly pixels: Uint8Array;
  readonly height: number;
  readonly width: number;
}

/** Row-major [height, width], from 0 to 1. */
export interface HeatGrid {
  readonly data: Float32Array;
  readonly height: number;
  readonly width: number;
}

/** How much of its colours the picture keeps below the map, and how much of the glow covers it at most. */
const KEPT_COLOUR = 0.6;
const COVER = 0.75;
/** The glow's colours from the map's lowest to its highest numbers. */
const GLOW: readonly (readonly [number, number, number])[] = [
  [255, 237, 160],
  [254, 178, 76],
  [240, 59, 32],
  [160, 0, 38],
];

/** The picture with the map over it, in the picture's size. */
export function heatOverlay({ pixels, height, width }: Picture, map: HeatGrid): Picture {
  const heat = stretched(map, height, width);
  const shown = new Uint8Array(pixels.length);
  for (let i = 0; i < heat.length; i++) {
    const value = Math.min(1, Math.max(0, heat[i] ?? 0));
    const [r = 0, g = 0, b = 0] = pixels.subarray(3 * i, 3 * i + 3);
    const grey = 0.299 * r + 0.587 * g + 0.114 * b;
    const glow = glowAt(value);
    const cover = COVER * Math.sqrt(value);
    for (const [channel, colour] of [r, g, b].entries()) {
      const muted = KEPT_COLOUR * colour + (1 - KEPT_COLOUR) * grey;
      shown[3 * i + channel] = Math.round(muted + (glow[channel] ?? 0) * cover - muted * cover);
    }
  }
  return { pixels: shown, height, width };
}

/** The colour of a number from 0 to 1. */
export function glowAt(value: number): readonly [number, number, number] {
  const place = Math.min(1, Math.max(0, value)) * (GLOW.length - 1);
  const below = Math.min(GLOW.length - 2, Math.floor(place));
  const [from, to] = [GLOW[below], GLOW[below + 1]];
  const mixed = [0, 1, 2].map(
    (i) => (from?.[i] ?? 0) + ((to?.[i] ?? 0) - (from?.[i] ?? 0)) * (place - below),
  );
  return [mixed[0] ?? 0, mixed[1] ?? 0, mixed[2] ?? 0];
}

/** The map at another size, linear between the centres of its cells, which tile the picture. */
export function stretched(map: HeatGrid, height: number, width: number): Float32Array {
  const rows = sources(map.height, height);
  const columns = sources(map.width, width);
  const result = new Float32Array(height * width);
  const at = (row: number, column: number): number => map.data[row * map.width + column] ?? 0;
  for (const [y, { low: top, high: bottom, share: down }] of rows.entries())
    for (const [x, { low: left, high: right, share: across }] of columns.entries()) {
      const above = at(top, left) * (1 - across) + at(top, right) * across;
      const below = at(bottom, left) * (1 - across) + at(bottom, right) * across;
      result[y * width + x] = above * (1 - down) + below * down;
    }
  return result;
}

/** Of each of `to` pixels the two of `from` cells that it lies between, and how near it is to the second. */
function sources(from: number, to: number): { low: number; high: number; share: number }[] {
  return Array.from({ length: to }, (_, i) => {
    const place = Math.min(from - 1, Math.max(0, ((i + 0.5) * from) / to - 0.5));
    const low = Math.floor(place);
    return { low, high: Math.min(from - 1, low + 1), share: place - low };
  });
}
