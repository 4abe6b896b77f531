// Samples of axes in another order, and of elements repeated along axes.
import { constants, floats } from "./inputs.ts";
import type { Sample } from "./sample.ts";

export const TRANSPOSE_SAMPLES: Readonly<Record<string, readonly Sample[]>> = {
  Transpose: [
    { title: "all axes reversed, by default", inputs: [floats(2, 3, 4)] },
    { title: "a cycle of three axes", inputs: [floats(2, 3, 4)], attrs: { perm: [1, 2, 0] } },
    { title: "channels brought forward", inputs: [floats(2, 2, 3, 2)], attrs: { perm: [0, 3, 1, 2] } },
  ],
  Expand: [
    { title: "new and stretched axes", inputs: [floats(3, 1), constants(2, 1, 4)] },
    { title: "a scalar", inputs: [floats(), constants(2, 3)] },
    { title: "nothing to do", inputs: [floats(2, 3), constants(1, 3)] },
  ],
  Tile: [
    { title: "both axes", inputs: [floats(2, 3), constants(2, 3)] },
    { title: "one of three axes", inputs: [floats(2, 1, 3), constants(1, 4, 1)] },
  ],
};
