// Samples of tensors that follow from shapes and constants.
import { floats } from "./inputs.ts";
import type { Sample } from "./sample.ts";

const scalar = (dtype: "float32" | "int64", value: number) => ({
  dtype,
  shape: [],
  data: [value],
  constant: true,
});

export const GENERATOR_SAMPLES: Readonly<Record<string, readonly Sample[]>> = {
  Shape: [
    { title: "all sizes", inputs: [floats(2, 3)] },
    { title: "some sizes", inputs: [floats(2, 3, 4, 1)], attrs: { start: -3, end: 3 } },
  ],
  Size: [{ title: "a matrix", inputs: [floats(2, 3)] }],
  EyeLike: [
    { title: "the diagonal", inputs: [floats(2, 3)] },
    { title: "another diagonal", inputs: [floats(3, 3)], attrs: { k: -1 } },
    { title: "another diagonal of a wide matrix", inputs: [floats(2, 3)], attrs: { k: 1 } },
  ],
  Range: [
    { title: "integers", inputs: [scalar("int64", 2), scalar("int64", 9), scalar("int64", 3)] },
    {
      title: "floats downwards",
      inputs: [scalar("float32", 1), scalar("float32", -1), scalar("float32", -0.5)],
    },
  ],
};
