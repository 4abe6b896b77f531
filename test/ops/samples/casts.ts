// Samples of casts, and of Dropout in the inference form.
import { bools, floats, indices } from "./inputs.ts";
import type { Sample } from "./sample.ts";

const scalar = (dtype: "float32" | "int64", value: number) => ({
  dtype,
  shape: [],
  data: [value],
  constant: true,
});

export const CAST_SAMPLES: Readonly<Record<string, readonly Sample[]>> = {
  Cast: [
    { title: "float32 to float64", inputs: [floats(2, 3)], attrs: { to: "float64" } },
    {
      title: "float to int64, truncated",
      inputs: [{ shape: [4], low: -9, high: 9 }],
      attrs: { to: "int64" },
      gradientFloor: 0,
    },
    {
      title: "float to bool",
      inputs: [{ shape: [3], data: [0, 0.5, -2] }],
      attrs: { to: "bool" },
      gradientFloor: 0,
    },
    { title: "bool to float", inputs: [bools([3], 0, 1, 1)], attrs: { to: "float32" } },
    { title: "int64 to float", inputs: [indices([3], -1, 0, 7)], attrs: { to: "float32" } },
  ],
  CastLike: [
    { title: "the same dtype", inputs: [floats(2, 3), { ...floats(1), constant: true }] },
    { title: "integers", inputs: [indices([3], 1, -2, 3), { ...floats(2), constant: true }] },
  ],
  Dropout: [
    { title: "the inference form, by default", inputs: [floats(2, 3)] },
    {
      title: "a ratio, training_mode false, and the mask",
      inputs: [floats(2, 3), scalar("float32", 0.3), { dtype: "bool", shape: [], data: [0], constant: true }],
      outputs: 2,
    },
  ],
};
