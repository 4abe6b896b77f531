// Samples of batch norm in training form and its gradient.
import type { Sample } from "./sample.ts";

const POSITIVE = { low: 0.5, high: 1.5 } as const;

export const BATCH_NORM_TRAINING_SAMPLES: Readonly<Record<string, readonly Sample[]>> = {
  BatchNormTraining: [
    { title: "images", inputs: [{ shape: [3, 2, 3, 4] }, { shape: [2] }, { shape: [2] }], outputs: 3 },
    {
      title: "its own epsilon",
      inputs: [{ shape: [2, 3, 2, 2] }, { shape: [3] }, { shape: [3] }],
      attrs: { epsilon: 0.1 },
      outputs: 3,
    },
    { title: "rows without pixels", inputs: [{ shape: [5, 3] }, { shape: [3] }, { shape: [3] }], outputs: 3 },
  ],
  BatchNormTrainingGrad: [
    {
      title: "images",
      inputs: [
        { shape: [3, 2, 3, 4] },
        { shape: [3, 2, 3, 4] },
        { shape: [2] },
        { shape: [2] },
        { shape: [2], ...POSITIVE },
      ],
      outputs: 3,
    },
    {
      title: "rows without pixels",
      inputs: [
        { shape: [5, 3] },
        { shape: [5, 3] },
        { shape: [3] },
        { shape: [3] },
        { shape: [3], ...POSITIVE },
      ],
      outputs: 3,
    },
  ],
};
