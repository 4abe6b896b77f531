// Samples of batch norm in training form and its gradient, which is given the statistics of its x, and of the
// exchange between processes, which all have the same here.
import { randomFrom } from "../sampleGraph.ts";
import type { Sample } from "./sample.ts";

/** Inputs of the gradient for x [N,C,...]. */
function gradientInputs(shape: readonly [N: number, C: number, ...number[]], shift = 0): Sample["inputs"] {
  const [n, c, ...rest] = shape;
  const pixels = rest.reduce((count, dim) => count * dim, 1);
  const random = randomFrom(`gradient of batch norm ${shape}`);
  const x = Array.from({ length: n * c * pixels }, () => Math.fround(shift + 2 * random() - 1));
  const channels = Array.from({ length: c }, (_, channel) =>
    x.filter((_value, i) => Math.floor(i / pixels) % c === channel),
  );
  const average = (numbers: readonly number[]): number =>
    numbers.reduce((sum, value) => sum + value / numbers.length, 0);
  const mean = channels.map(average);
  const variance = channels.map((numbers, i) => average(numbers.map((value) => (value - mean[i]!) ** 2)));
  return [
    { shape, data: x },
    { shape },
    { shape: [c] },
    { shape: [c], data: mean },
    { shape: [c], data: variance },
  ];
}

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
    {
      title: "a single image",
      inputs: [{ shape: [1, 3, 4, 4] }, { shape: [3] }, { shape: [3] }],
      outputs: 3,
    },
    {
      title: "three processes",
      inputs: [{ shape: [3, 2, 3, 4] }, { shape: [2] }, { shape: [2] }],
      attrs: { ranks: 3 },
      outputs: 3,
    },
  ],
  BatchNormTrainingGrad: [
    { title: "images", inputs: gradientInputs([3, 2, 3, 4]), outputs: 3 },
    {
      title: "its own epsilon",
      inputs: gradientInputs([2, 3, 4, 4], 0.5),
      attrs: { epsilon: 0.1 },
      outputs: 3,
    },
    { title: "rows without pixels", inputs: gradientInputs([5, 3]), outputs: 3 },
    { title: "a single image", inputs: gradientInputs([1, 3, 4, 4]), outputs: 3 },
    { title: "three processes", inputs: gradientInputs([3, 2, 3, 4]), attrs: { ranks: 3 }, outputs: 3 },
  ],
  AllGather: [
    { title: "a vector", inputs: [{ shape: [4] }], attrs: { ranks: 2 } },
    { title: "behind another exchange", inputs: [{ shape: [2, 3] }, { shape: [2, 1] }], attrs: { ranks: 3 } },
    { title: "a scalar", inputs: [{ shape: [] }], attrs: { ranks: 2 } },
  ],
};
