// Samples of normalisations: with given statistics, by those of the numbers, by neighbours and norms.
import { floats, positive } from "./inputs.ts";
import type { Sample } from "./sample.ts";

export const NORMALIZATION_SAMPLES: Readonly<Record<string, readonly Sample[]>> = {
  BatchNormalization: [
    {
      title: "images",
      inputs: [floats(2, 3, 2, 2), positive(3), floats(3), floats(3), positive(3)],
      attrs: { epsilon: 1e-3 },
    },
    {
      title: "vectors and a large epsilon",
      inputs: [floats(4, 2), positive(2), floats(2), floats(2), positive(2)],
      attrs: { epsilon: 0.3 },
    },
  ],
  LayerNormalization: [
    { title: "the last axis", inputs: [floats(3, 4), floats(4), floats(4)] },
    { title: "no bias", inputs: [floats(2, 2, 3), floats(3)], attrs: { epsilon: 1e-3 } },
    { title: "two axes", inputs: [floats(2, 3, 4), floats(3, 4), floats(3, 4)], attrs: { axis: 1 } },
    {
      title: "statistics asked for",
      inputs: [floats(2, 3, 4), floats(4)],
      attrs: { epsilon: 0.1 },
      outputs: 3,
    },
    {
      title: "statistics over two axes",
      inputs: [floats(2, 2, 3), floats(2, 3), floats(2, 3)],
      attrs: { axis: 1, epsilon: 1e-3 },
      outputs: 3,
    },
  ],
  InstanceNormalization: [
    { title: "images", inputs: [floats(2, 2, 3, 3), floats(2), floats(2)] },
    { title: "rows", inputs: [floats(2, 3, 5), floats(3), floats(3)], attrs: { epsilon: 1e-2 } },
  ],
  GroupNormalization: [
    { title: "two groups", inputs: [floats(2, 4, 2, 2), floats(2), floats(2)], attrs: { num_groups: 2 } },
    {
      title: "one group",
      inputs: [floats(2, 3, 3), floats(1), floats(1)],
      attrs: { num_groups: 1, epsilon: 1e-3 },
    },
  ],
  MeanVarianceNormalization: [
    { title: "channels of all images, by default", inputs: [floats(2, 2, 3, 2)] },
    { title: "the pixels of each image", inputs: [floats(2, 2, 3, 2)], attrs: { axes: [1, 2, 3] } },
  ],
  LRN: [
    {
      title: "three neighbours",
      inputs: [floats(1, 5, 2, 2)],
      attrs: { size: 3, alpha: 0.5, beta: 0.6, bias: 1.5 },
    },
    {
      title: "five neighbours, other attributes by default",
      inputs: [floats(2, 6, 2, 1)],
      attrs: { size: 5, alpha: 1 },
    },
    {
      title: "more neighbours than channels",
      inputs: [floats(1, 3, 2, 2)],
      attrs: { size: 7, alpha: 2, bias: 0.8 },
    },
  ],
  LpNormalization: [
    { title: "the last axis, by default", inputs: [floats(3, 4)] },
    { title: "p = 1 along the first axis", inputs: [floats(3, 4)], attrs: { axis: 0, p: 1 } },
    { title: "p = 2 along channels", inputs: [floats(2, 3, 2)], attrs: { axis: 1 } },
  ],
};
