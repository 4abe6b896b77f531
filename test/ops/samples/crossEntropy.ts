// Samples of the masked cross-entropy and its gradient, with and without missing labels.
import type { Sample, SampleInput } from "./sample.ts";

function labels(...data: number[]): SampleInput {
  return { shape: [data.length], dtype: "int64", data };
}

/** Rows 1 and 4 have their largest number where the labels below say. */
const LOGITS: SampleInput = {
  shape: [5, 3],
  data: [0.5, -1, 2, -0.25, 0.75, 1.5, 3, 1, -2, 0.125, 2.5, 1.75, -3, 1.25, -0.5],
};

export const CROSS_ENTROPY_SAMPLES: Readonly<Record<string, readonly Sample[]>> = {
  MaskedCrossEntropy: [
    { title: "all labels", inputs: [{ shape: [3, 4] }, labels(0, 3, 1)], outputs: 3 },
    {
      title: "missing labels",
      inputs: [LOGITS, labels(-1, 2, -1, 0, 1)],
      outputs: 3,
    },
    {
      title: "two classes and large logits",
      inputs: [{ shape: [2, 2], low: 60, high: 64 }, labels(1, 0)],
      outputs: 3,
    },
  ],
  MaskedCrossEntropyGrad: [
    { title: "all labels", inputs: [{ shape: [3, 4] }, labels(0, 3, 1), { shape: [] }] },
    { title: "missing labels", inputs: [{ shape: [5, 3] }, labels(-1, 2, -1, 0, 1), { shape: [] }] },
  ],
};
