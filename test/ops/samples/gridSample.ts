// Samples of GridSample. Coordinates stay away from pixels' centres and edges, where the derivative jumps:
// they are named in pixels of the image and turned into the grid's units.
import { floats } from "./inputs.ts";
import type { Sample } from "./sample.ts";

/** Columns and rows, in pixels of 4 x 3, inside and outside of the image. */
const PIXELS: readonly (readonly [column: number, row: number])[] = [
  [0.3, 0.6],
  [1.7, 1.2],
  [2.4, 0.3],
  [-0.3, 1.6],
  [3.2, 2.3],
  [-1.4, -0.8],
];

function grid(aligned: boolean, images: number): number[] {
  const unit = (pixel: number, size: number): number =>
    aligned ? (2 * pixel) / (size - 1) - 1 : (2 * pixel + 1) / size - 1;
  const places = PIXELS.flatMap(([column, row]) => [unit(column, 4), unit(row, 3)]);
  return Array.from({ length: images }, (_, image) =>
    image === 0 ? places : places.map((at) => -at * 0.97),
  ).flat();
}

const CASES = ["bilinear", "nearest"].flatMap((mode) =>
  ["zeros", "border", "reflection"].flatMap((padding_mode) =>
    [0, 1].map((align_corners) => ({ mode, padding_mode, align_corners })),
  ),
);

export const GRID_SAMPLE_SAMPLES: Readonly<Record<string, readonly Sample[]>> = {
  GridSample: CASES.map((attrs, i) => ({
    title: Object.values(attrs).join(" "),
    inputs: [
      floats(i % 2 === 0 ? 2 : 1, 2, 3, 4),
      {
        shape: [i % 2 === 0 ? 2 : 1, 2, 3, 2],
        data: grid(attrs.align_corners === 1, i % 2 === 0 ? 2 : 1),
        constant: attrs.mode === "nearest",
      },
    ],
    attrs,
  })),
};
