// Samples of Softmax and its logarithm.
import { floats } from "./inputs.ts";
import type { Sample } from "./sample.ts";

const ALONG_AXIS: readonly Sample[] = [
  { title: "the last axis, by default", inputs: [floats(3, 4)] },
  { title: "axis 1 of three", inputs: [floats(2, 3, 4)], attrs: { axis: 1 } },
  { title: "the first axis of three, from the end", inputs: [floats(3, 2, 2)], attrs: { axis: -3 } },
  { title: "large logits", inputs: [{ shape: [2, 3], data: [1000, 1001, 1000.5, -800, -801, -799.5] }] },
];

export const SOFTMAX_SAMPLES: Readonly<Record<string, readonly Sample[]>> = {
  Softmax: ALONG_AXIS,
  LogSoftmax: ALONG_AXIS,
};
