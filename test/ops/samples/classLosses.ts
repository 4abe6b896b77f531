// Samples of class losses, of ops that hand their input on, and of tensors that follow from shapes.
import { constants, floats, indices, positive } from "./inputs.ts";
import type { Sample } from "./sample.ts";

const LOSSES: readonly Sample[] = [
  { title: "the mean, by default", inputs: [floats(3, 4), indices([3], 2, 0, 2)] },
  {
    title: "weights and their mean",
    inputs: [floats(3, 3), indices([3], 2, 0, 1), positive(3)],
    attrs: { reduction: "mean" },
  },
  {
    title: "weights, one target ignored, the sum",
    inputs: [floats(3, 2), indices([3], 1, -1, 0), positive(2)],
    attrs: { reduction: "sum", ignore_index: -1 },
  },
  {
    title: "a loss for each pixel",
    inputs: [floats(2, 3, 2), indices([2, 2], 0, 2, 1, 0)],
    attrs: { reduction: "none" },
  },
  {
    title: "weights, pixels, one ignored, their mean",
    inputs: [floats(2, 3, 2), indices([2, 2], 0, 2, 1, 2), positive(3)],
    attrs: { ignore_index: 0 },
    // The class that is ignored has no target: its weight's gradient is 0, the others' are not.
  },
];

const scalar = (dtype: "float32" | "int64", value: number) => ({
  dtype,
  shape: [],
  data: [value],
  constant: true,
});

export const CLASS_LOSS_SAMPLES: Readonly<Record<string, readonly Sample[]>> = {
  NegativeLogLikelihoodLoss: LOSSES,
  SoftmaxCrossEntropyLoss: [
    ...LOSSES,
    ...LOSSES.slice(0, 2).map((each) => ({ ...each, title: `${each.title}, and log_prob`, outputs: 2 })),
  ],
  Dropout: [
    { title: "the inference form, by default", inputs: [floats(2, 3)] },
    {
      title: "a ratio, training_mode false, and the mask",
      inputs: [floats(2, 3), scalar("float32", 0.3), { dtype: "bool", shape: [], data: [0], constant: true }],
      outputs: 2,
    },
  ],
  CastLike: [
    { title: "the same dtype", inputs: [floats(2, 3), { ...floats(1), constant: true }] },
    { title: "integers", inputs: [indices([3], 1, -2, 3), { ...floats(2), constant: true }] },
  ],
  CenterCropPad: [
    { title: "cropping one axis, zeros around the other", inputs: [floats(5, 3), constants(2, 6)] },
    { title: "a named axis", inputs: [floats(2, 4), constants(7)], attrs: { axes: [-1] } },
    { title: "odd rests", inputs: [floats(6, 4), constants(3, 3)] },
  ],
  Shape: [
    { title: "all sizes", inputs: [floats(2, 3)] },
    { title: "some sizes", inputs: [floats(2, 3, 4, 1)], attrs: { start: -3, end: 3 } },
  ],
  Size: [{ title: "a matrix", inputs: [floats(2, 3)] }],
  EyeLike: [
    { title: "the diagonal", inputs: [floats(2, 3)] },
    { title: "another diagonal", inputs: [floats(3, 3)], attrs: { k: -1 } },
  ],
  Range: [
    { title: "integers", inputs: [scalar("int64", 2), scalar("int64", 9), scalar("int64", 3)] },
    {
      title: "floats downwards",
      inputs: [scalar("float32", 1), scalar("float32", -1), scalar("float32", -0.5)],
    },
  ],
};
