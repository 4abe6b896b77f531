// Samples of the convolutions and their gradients: strides, asymmetric pads, dilations, groups, odd sizes.
import { type Attrs, elementCount } from "../../../compiler/ir/types.ts";
import {
  blockedConvName,
  CHANNEL_BLOCKS,
  type ChannelBlock,
  reorderInputName,
  reorderOutputName,
} from "../../../compiler/ops/channelBlocks.ts";
import type { Sample, SampleInput } from "./sample.ts";

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

/** In whole blocks of channels, of 8 and of 16: what ONNX Runtime's convolution on blocks is for. */
const BLOCKED: readonly ConvCase[] = [
  {
    title: "sixteen channels, a group each",
    x: [2, 16, 5, 4],
    w: [16, 1, 3, 3],
    attrs: { group: 16, pads: [1, 1, 1, 1] },
  },
  {
    title: "sixteen channels, a group each, dilations and asymmetric pads",
    x: [1, 16, 6, 7],
    w: [16, 1, 2, 3],
    attrs: { group: 16, dilations: [2, 2], pads: [2, 0, 1, 3] },
  },
  {
    title: "sixteen channels, a group each, strides that leave pixels over",
    x: [1, 16, 8, 9],
    w: [16, 1, 3, 3],
    attrs: { group: 16, strides: [2, 3], pads: [1, 0, 0, 1] },
  },
  {
    title: "sixteen channels, a group each, strides that leave all padding over",
    x: [2, 16, 6, 6],
    w: [16, 1, 3, 3],
    attrs: { group: 16, strides: [2, 2], pads: [1, 1, 1, 1] },
  },
  { title: "sixteen filters", x: [2, 3, 5, 6], w: [16, 3, 3, 3], attrs: { pads: [1, 1, 1, 1] } },
  {
    title: "sixteen filters and strides that leave pixels over",
    x: [3, 2, 8, 9],
    w: [16, 2, 3, 3],
    attrs: { strides: [2, 3], pads: [1, 0, 0, 1] },
  },
  {
    title: "sixteen filters, strides that leave all padding over",
    x: [1, 3, 6, 6],
    w: [16, 3, 3, 3],
    attrs: { strides: [2, 2], pads: [1, 1, 1, 1] },
  },
  {
    title: "sixteen filters of sixteen channels",
    x: [1, 16, 4, 3],
    w: [16, 16, 2, 3],
    attrs: { pads: [1, 1, 0, 1] },
  },
  { title: "sixteen filters of sixteen channels and one pixel", x: [2, 16, 3, 3], w: [16, 16, 1, 1] },
  {
    title: "sixteen filters for sixteen images, dilations",
    x: [16, 2, 5, 5],
    w: [16, 2, 2, 2],
    attrs: { dilations: [1, 2], pads: [1, 0, 1, 1] },
  },
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

/** Drawn numbers, of a wider range where there are many: no two are alike. */
function drawnOf(shape: readonly number[]): SampleInput {
  return elementCount(shape) < 400 ? { shape } : { shape, low: -6, high: 6 };
}

function blockedSamples(block: ChannelBlock): Readonly<Record<string, readonly Sample[]>> {
  const image = { title: "two blocks of channels", inputs: [drawnOf([2, 2 * block, 3, 2])] };
  const attrs = { kernel_shape: [3, 3], pads: [1, 1, 1, 1] };
  return {
    [reorderInputName(block)]: [image],
    [reorderOutputName(block)]: [{ ...image, attrs: { channels: 2 * block } }],
    [blockedConvName(block)]: [
      {
        title: "blocks of channels on both sides, and a bias",
        inputs: [drawnOf([1, block, 4, 5]), drawnOf([2 * block, block, 1, 2]), drawnOf([2 * block])],
        attrs: { kernel_shape: [1, 2], pads: [0, 1, 0, 0] },
      },
      {
        title: "fewer input channels than a block",
        inputs: [drawnOf([2, 3, 4, 5]), drawnOf([block, 3, 3, 3])],
        attrs: { ...attrs, strides: [2, 1] },
      },
      {
        title: "a filter for each channel",
        inputs: [drawnOf([2, 2 * block, 5, 4]), drawnOf([2 * block, 1, 3, 3])],
        attrs: { ...attrs, group: 2 * block, dilations: [2, 1] },
      },
    ],
  };
}

export const CONVOLUTION_SAMPLES: Readonly<Record<string, readonly Sample[]>> = {
  Conv: [...CASES, ...BLOCKED].map(({ title, x, w, attrs = {} }, i) => ({
    title: i % 2 ? `${title}, and a bias` : title,
    inputs: [drawnOf(x), drawnOf(w), i % 2 ? { shape: w.slice(0, 1) } : undefined],
    attrs,
  })),
  ConvInputGrad: [...CASES, ...BLOCKED].map((each) => ({
    title: each.title,
    inputs: [drawnOf(outputShape(each)), drawnOf(each.w)],
    attrs: { ...each.attrs, input_shape: each.x },
  })),
  ConvWeightGrad: [...CASES, ...BLOCKED].map((each) => ({
    title: each.title,
    inputs: [drawnOf(each.x), drawnOf(outputShape(each))],
    attrs: { ...each.attrs, kernel_shape: each.w.slice(2) },
  })),
  ...Object.fromEntries(CHANNEL_BLOCKS.flatMap((block) => Object.entries(blockedSamples(block)))),
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
