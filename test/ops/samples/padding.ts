// Samples of Pad, and of the middle cropped or padded.
import { constants, floats } from "./inputs.ts";
import type { Sample } from "./sample.ts";

export const PADDING_SAMPLES: Readonly<Record<string, readonly Sample[]>> = {
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
  CenterCropPad: [
    { title: "cropping one axis, zeros around the other", inputs: [floats(5, 3), constants(2, 6)] },
    { title: "a named axis", inputs: [floats(2, 4), constants(7)], attrs: { axes: [-1] } },
    { title: "odd rests", inputs: [floats(6, 4), constants(3, 3)] },
  ],
};
