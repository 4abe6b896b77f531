// Samples of the movement family.
import { constants, floats } from "./inputs.ts";
import type { Sample } from "./sample.ts";

export const MOVEMENT_SAMPLES: Readonly<Record<string, readonly Sample[]>> = {
  Transpose: [
    { title: "all axes reversed, by default", inputs: [floats(2, 3, 4)] },
    { title: "a cycle of three axes", inputs: [floats(2, 3, 4)], attrs: { perm: [1, 2, 0] } },
    { title: "channels brought forward", inputs: [floats(2, 2, 3, 2)], attrs: { perm: [0, 3, 1, 2] } },
  ],
  Concat: [
    { title: "two along axis 1", inputs: [floats(2, 1), floats(2, 3)], attrs: { axis: 1 } },
    {
      title: "three along an axis from the end",
      inputs: [floats(1, 2), floats(2, 2), floats(1, 2)],
      attrs: { axis: -2 },
    },
    { title: "one only", inputs: [floats(2, 2)], attrs: { axis: 0 } },
  ],
  Split: [
    { title: "given sizes", inputs: [floats(2, 5), constants(2, 3)], attrs: { axis: 1 }, outputs: 2 },
    { title: "a last part that is smaller", inputs: [floats(5, 2)], attrs: { num_outputs: 3 }, outputs: 3 },
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
  Pad: [
    { title: "zeros around", inputs: [floats(2, 3), constants(1, 0, 2, 1)] },
    {
      title: "another value at one axis",
      inputs: [floats(2, 3), constants(1, 2), { shape: [], data: [0.5], constant: true }, constants(-1)],
    },
    { title: "zeros where nothing was", inputs: [floats(2, 0), constants(0, 1, 0, 2)], gradientFloor: 0 },
    { title: "nothing to add", inputs: [floats(2, 2), constants(0, 0, 0, 0)] },
    { title: "reflection", inputs: [floats(3, 4), constants(1, 2, 2, 3)], attrs: { mode: "reflect" } },
    {
      title: "reflection before one axis only",
      inputs: [floats(2, 3), constants(2, 0), undefined, constants(1)],
      attrs: { mode: "reflect" },
    },
    { title: "the edge repeated", inputs: [floats(2, 3), constants(2, 1, 1, 3)], attrs: { mode: "edge" } },
    { title: "cropping, and zeros elsewhere", inputs: [floats(4, 5), constants(-1, 1, -2, -1)] },
    {
      title: "cropping on one side, reflection on the other",
      inputs: [floats(5, 6), constants(-1, 2, 2, -2)],
      attrs: { mode: "reflect" },
    },
    {
      title: "cropping on one side, the edge on the other",
      inputs: [floats(4, 3), constants(2, -1, -1, 2)],
      attrs: { mode: "edge" },
    },
  ],
};
