// Samples of class losses.
import { floats, indices, positive } from "./inputs.ts";
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

export const CLASS_LOSS_SAMPLES: Readonly<Record<string, readonly Sample[]>> = {
  NegativeLogLikelihoodLoss: LOSSES,
  SoftmaxCrossEntropyLoss: [
    ...LOSSES,
    ...LOSSES.slice(0, 2).map((each) => ({ ...each, title: `${each.title}, and log_prob`, outputs: 2 })),
  ],
};
