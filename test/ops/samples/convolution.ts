// Samples of the convolutions and their gradients: strides, asymmetric pads, dilations, groups, odd sizes.
import type { Attrs } from "../../../compiler/ir/types.ts";
import type { Sample } from "./sample.ts";

interface ConvCase {
  readonly title: string;
  readonly x: readonly number[];
  readonly w: readonly number[];
  readonly attrs?: Attrs;
}

const CASES: readonly ConvCase[] = [
  { title: "a 3x3 kernel and pad 1", x: [2, 3, 5, 6], w: [4, 3, 3, 3], attrs: { pads: [1, 1, 1, 1] } },
  { title: "a 3x3 kernel and no pad", x: [1, 2, 5, 4], w: [3, 2, 3, 3] },
  { title: "a 1x1 kernel", x: [2, 4, 3, 3], w: [5, 4, 1, 1] },
  { title: "a 1x1 kernel and stride 2", x: [1, 3, 5, 4], w: [2, 3, 1, 1], attrs: { strides: [2, 2] } },
  { title: "a 2x3 kernel", x: [1, 2, 4, 5], w: [2, 2, 2, 3] },
  {
    title: "strides that leave pixels over and asymmetric pads",
    x: [2, 2, 7, 6],
    w: [3, 2, 3, 3],
    attrs: { strides: [2, 3], pads: [1, 0, 0, 2] },
  },
  { title: "dilations", x: [1, 2, 7, 8], w: [2, 2, 3, 2], attrs: { dilations: [2, 3], pads: [2, 1, 1, 0] } },
  {
    title: "dilations and strides",
    x: [1, 2, 8, 7],
    w: [2, 2, 2, 2],
    attrs: { dilations: [3, 2], strides: [2, 2], pads: [1, 1, 1, 1] },
  },
  { title: "two groups", x: [2, 4, 4, 5], w: [6, 2, 3, 3], attrs: { group: 2, pads: [1, 1, 1, 1] } },
  { title: "one group a channel", x: [2, 3, 5, 4], w: [3, 1, 3, 3], attrs: { group: 3, pads: [1, 1, 1, 1] } },
  {
    title: "two filters a channel",
    x: [1, 3, 4, 4],
    w: [6, 1, 3, 3],
    attrs: { group: 3, pads: [1, 1, 1, 1] },
  },
  {
    title: "one group a channel and stride 2",
    x: [1, 2, 6, 5],
    w: [2, 1, 3, 3],
    attrs: { group: 2, strides: [2, 2], pads: [0, 1, 1, 0] },
  },
  { title: "a kernel as large as the image", x: [2, 2, 4, 3], w: [3, 2, 4, 3] },
  { title: "pads wider than the kernel", x: [1, 2, 3, 3], w: [2, 2, 1, 2], attrs: { pads: [1, 2, 1, 2] } },
];

/** [N,K,P,Q] of a case, counted independently of the shape rule. */
function outputShape({ x, w, attrs = {} }: ConvCase): readonly number[] {
  const { strides = [1, 1], pads = [0, 0, 0, 0], dilations = [1, 1] } = attrs as Record<string, number[]>;
  const count = (axis: 0 | 1): number => {
    let positions = 0;
    const last = (x[axis + 2] ?? 0) + (pads[axis] ?? 0) + (pads[axis + 2] ?? 0) - 1;
    for (let at = 0; at + ((w[axis + 2] ?? 1) - 1) * (dilations[axis] ?? 1) <= last; at += strides[axis] ?? 1)
      positions++;
    return positions;
  };
  return [x[0] ?? 1, w[0] ?? 1, count(0), count(1)];
}

export const CONVOLUTION_SAMPLES: Readonly<Record<string, readonly Sample[]>> = {
  Conv: CASES.map(({ title, x, w, attrs = {} }, i) => ({
    title: i % 2 ? `${title}, and a bias` : title,
    inputs: [{ shape: x }, { shape: w }, i % 2 ? { shape: w.slice(0, 1) } : undefined],
    attrs,
  })),
  ConvInputGrad: CASES.map((each) => ({
    title: each.title,
    inputs: [{ shape: outputShape(each) }, { shape: each.w }],
    attrs: { ...each.attrs, input_shape: each.x },
  })),
  ConvWeightGrad: CASES.map((each) => ({
    title: each.title,
    inputs: [{ shape: each.x }, { shape: outputShape(each) }],
    attrs: { ...each.attrs, kernel_shape: each.w.slice(2) },
  })),
  ConvTranspose: [
    { title: "a 3x3 kernel", inputs: [{ shape: [1, 2, 3, 4] }, { shape: [2, 3, 3, 3] }] },
    {
      title: "strides, pads, output padding, groups and a bias",
      inputs: [{ shape: [2, 4, 3, 2] }, { shape: [4, 2, 3, 2] }, { shape: [4] }],
      attrs: { strides: [2, 3], pads: [1, 0, 0, 1], output_padding: [1, 2], group: 2, dilations: [2, 1] },
    },
    {
      title: "one group a channel and stride 2",
      inputs: [{ shape: [1, 3, 3, 2] }, { shape: [3, 1, 2, 2] }],
      attrs: { strides: [2, 2], group: 3 },
    },
    {
      title: "a bias, and stride 2 that doubles the size",
      inputs: [{ shape: [1, 2, 2, 3] }, { shape: [2, 2, 3, 3] }, { shape: [2] }],
      attrs: { strides: [2, 2], pads: [1, 1, 1, 1], output_padding: [1, 1] },
    },
  ],
};
