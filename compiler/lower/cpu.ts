// Which form each operator of ours takes on the CPU, by shape. Every rule states what was measured, with the
// script test/bench/lowerings.ts (stock ONNX Runtime, 2 threads, AVX2) or, where it says "facts", by the
// project's first benchmark of convolutions. The machine was shared: ranges are over several runs, and
// differences under 1.2 are noise.
import type { Node } from "../ir/types.ts";
import { type BlockedForm, blockedForm } from "../ops/blockedForms.ts";
import type { ChannelBlock } from "../ops/channelBlocks.ts";
import type { FormOf } from "../ops/loweredOps.ts";
import { pushBlocks } from "./blockPushing.ts";
import {
  groupCount,
  hasColumns,
  hasPointFilters,
  hasStrides,
  isDepthwise,
  isFlippable,
  isPlain,
  listAttr,
  sizesOfValue,
} from "./convolutionShapes.ts";
import { AS_IS, type FormSite, type FormTable, type MeasuredForms } from "./forms.ts";
import { rankScalars } from "./scalarRanks.ts";
import type { TargetTraits } from "./target.ts";

/**
 * The name of the form of an own operator for a node; an operator that is not here has no form on the CPU.
 */
export const cpuForms: FormTable = {
  Conv: convolutionForm,
  ConvInputGrad: inputGradientForm,
  ConvWeightGrad: weightGradientForm,
  MaxPoolGrad: poolGradientForm,
  // 64 to 8 pixels a side, 16 to 256 channels: twoPass takes 1.5 to 2 times as long.
  BatchNormTraining: () => "trainingMode",
  BatchNormTrainingGrad: () => "channelAffine",
  // 8x256x32x32: select takes 5 to 10 times as long, product 1.2 to 1.9 times. HardSigmoid is float32's only.
  ReluGrad: ({ inputs }) => (inputs[0]?.type.dtype === "float32" ? "steepProduct" : "product"),
  MaskGrad: () => "product",
  PieceGrad: () => "blend",
  MaskedCrossEntropy: () => "logSoftmax",
  MaskedCrossEntropyGrad: () => "softmax",
  // 10 thousand to 1 million numbers: each a x + b y as one Gemm took 1.07, 1.2 and 0.9 times as long.
  AdamUpdate: () => "elementwise",
  MomentumUpdate: () => "elementwise",
};

/** Whether there is one filter for each of `channels` channels, and their `planes` come in whole blocks. */
function isBlockedDepthwise(
  node: Node,
  channels: number,
  planes: number,
  { channelBlock }: FormSite,
): boolean {
  const isApart = groupCount(node) > 1 && groupCount(node) === channels;
  return channelBlock !== undefined && isApart && planes % channelBlock === 0;
}

/** Whether filters [K,C,R,S] without groups come in whole blocks: K, and C unless it is less than one. */
function hasBlockedChannels(node: Node, { channelBlock: block }: FormSite): boolean {
  const [k = 1, c = 1] = sizesOfValue(node.inputs[1]);
  return block !== undefined && groupCount(node) === 1 && k % block === 0 && (c < block || c % block === 0);
}

/** Multiply-adds with one filter from which on reordering the filters pays. */
const ENOUGH_POSITIONS = 512;

/**
 * By filters that are fed. 4 to 32 pixels a side, 96 to 1152 channels: as it is, a depthwise one takes 1.6 to
 * 25 times as long. 3x3 at 6 to 32 pixels, 16 to 256 channels: 1.05 to 1.4 times as long, 4 times at 6 pixels
 * in a batch of 32; with few positions (512 channels at 4 pixels) 0.7 to 1.3. 1x1: 0.6 to 1.1, but from 1024
 * channels at 8 pixels on 1.3 to 2. From 3 channels: 0.2 to 1.4.
 */
function convolutionForm(node: Node, site: FormSite = {}): FormOf<"Conv"> | undefined {
  const [x, filters] = node.inputs;
  const [k = 1, channels = 1, r = 1, s = 1] = sizesOfValue(filters);
  const c = Number(x?.type.shape[1]);
  const [n = 1, , p = 1, q = 1] = sizesOfValue(node.outputs[0]);
  const { channelBlock: block } = site;
  if (block === undefined) return undefined;
  if (c === k && isBlockedDepthwise(node, c, c, site)) return blockedForm("blockedDepthwise", block);
  if (channels < block || !hasBlockedChannels(node, site)) return undefined;
  const isFaster = r * s > 1 ? n * p * q >= ENOUGH_POSITIONS : channels >= 1024 && p * q <= 64;
  return isFaster ? blockedForm("blockedChannels", block) : undefined;
}

function inputGradientForm(node: Node, site: FormSite = {}): FormOf<"ConvInputGrad"> {
  const [, , p = 1, q = 1] = sizesOfValue(node.inputs[0]);
  const [k = 1, channels = 1, r = 1, s = 1] = sizesOfValue(node.inputs[1]);
  const pads = listAttr(node, "pads", [0, 0, 0, 0]);
  const dilations = listAttr(node, "dilations", [1, 1]);
  const reach = [(r - 1) * (dilations[0] ?? 1), (s - 1) * (dilations[1] ?? 1)];
  // The flipped filters would need negative padding, or a cotangent spread over strides.
  if (listAttr(node, "strides", [1, 1]).some((stride) => stride !== 1)) return "convTranspose";
  if (pads.some((pad, i) => pad > (reach[i % 2] ?? 0))) return "convTranspose";
  const { channelBlock: block } = site;
  if (block !== undefined && channels === 1 && isBlockedDepthwise(node, k, k, site))
    return blockedForm("blockedDepthwise", block);
  // 3x3 at 4 to 32 pixels, 32 to 512 channels: the faster one of the others takes 1.15 to 2.2 times as long.
  if (block !== undefined && r * s > 1 && hasBlockedChannels(node, site) && channels % block === 0)
    return blockedForm("blockedChannels", block);
  // Depthwise, 64 to 8 pixels a side: convTranspose takes 1.2 to 3.5 times as long.
  if (groupCount(node) > 1) return "flippedConv";
  // Into 3 channels at 48 and 64 pixels: flippedConv takes 1.05 to 1.5 times as long (once 6).
  if (channels <= 4) return "convTranspose";
  // 1x1 at 4 and 8 pixels: convTranspose takes 1.0 to 1.3 times as long, flippedConv 1.0 to 4.5; at 16 pixels
  // flippedConv 0.9 to 1.1, at 32 and 64 pixels 0.5 to 0.85.
  if (r * s === 1 && groupCount(node) === 1 && p * q <= 64) return "pointwiseStack";
  // 256 and 512 filters at 8x8: flippedConv takes 1.0 to 1.6 times as long (facts: 119 against 138 GFLOP/s);
  // 64 filters at 6x6: 1.2 to 1.7. Elsewhere convTranspose takes 0.9 to 2 times as long.
  return p * q <= 36 || (p * q <= 64 && k >= 256) ? "convTranspose" : "flippedConv";
}

function weightGradientForm(node: Node, site: FormSite = {}): FormOf<"ConvWeightGrad"> {
  const [n = 1, c = 1] = sizesOfValue(node.inputs[0]);
  const [, k = 1, p = 1, q = 1] = sizesOfValue(node.inputs[1]);
  const taps = listAttr(node, "kernel_shape", [1, 1]).reduce((product, size) => product * size, 1);
  const { channelBlock: block } = site;
  if (block !== undefined && c === k && isBlockedDepthwise(node, c, n * c, site))
    return blockedForm("blockedDepthwise", block);
  if (groupCount(node) > 1) {
    if (groupCount(node) !== c || c !== k) return "perTap";
    // Depthwise 3x3: depthwise takes 1.3 to 1.9 times as long at 8 to 24 pixels a side, 1.05 to 1.7 at 32,
    // and 0.4 to 1.5 at 64, where it needs less memory.
    return q <= 32 ? "rowProducts" : "depthwise";
  }
  // 3x3 to 7x7 at 6 to 128 pixels: the fastest of the others takes 1.05 to 2.6 times as long (once 0.9, from
  // 3 channels at 64 pixels), at 4 pixels 0.75 to 0.95.
  if (block !== undefined && taps > 1 && p * q > 16 && hasBlockedPlanes(n, k, site))
    return blockedForm("blockedPlanes", block);
  // From 3 channels at 48 and 64 pixels: perTap takes 3 to 5 times as long (its products are 3 columns wide).
  if (c <= 8 && taps > 1) return "im2colChannelMajor";
  // 3x3 at 24 and 48 pixels: perTap takes 1.3 to 2 times as long, at 16 pixels perTapBatched 1.2, at 8 pixels
  // 1.2 to 2.7. 1x1 at 16 and 24 pixels: perTap takes 1.4 to 1.9 times as long, at 4 pixels perTapBatched 4.
  return p * q >= (taps > 1 ? 400 : 256) ? "perTapBatched" : "perTap";
}

/** Whether filters and batch come in whole blocks, or the batch in less than one. */
function hasBlockedPlanes(batch: number, filters: number, { channelBlock: block }: FormSite): boolean {
  return block !== undefined && filters % block === 0 && (batch < block || batch % block === 0);
}

function poolGradientForm(node: Node): FormOf<"MaxPoolGrad"> {
  const kernel = listAttr(node, "kernel_shape", [1, 1]);
  const dilations = listAttr(node, "dilations", [1, 1]);
  const strides = listAttr(node, "strides", [1, 1]);
  const overlap = kernel.some((size, i) => (size - 1) * (dilations[i] ?? 1) + 1 > (strides[i] ?? 1));
  // MaxUnpool takes a shape, and that of a batch of any size is no constant.
  const isOpen = node.inputs[1]?.type.shape.some((dim) => typeof dim === "string") ?? false;
  // 2x2 windows, 64 to 8 pixels a side: scatterAdd takes 1.5 to 2 times as long.
  return overlap || isOpen || node.attrs.ceil_mode === 1 ? "scatterAdd" : "unpool";
}

const always = (): boolean => true;

const measured: MeasuredForms = {
  ConvInputGrad: {
    convTranspose: always,
    flippedConv: isFlippable,
    pointwiseStack: (node) => hasPointFilters(node) && !hasStrides(node),
  },
  ConvWeightGrad: {
    perTap: (node) => !isDepthwise(node),
    perTapBatched: isPlain,
    im2col: (node) => isPlain(node) && hasColumns(node),
    im2colChannelMajor: (node) => isPlain(node) && hasColumns(node),
    depthwise: isDepthwise,
    rowProducts: isDepthwise,
  },
};

/** Forms on blocks of channels that are worth a measurement beside the CPU's others. */
function measuredOnBlocks(block: ChannelBlock): MeasuredForms {
  const site = { channelBlock: block };
  return {
    Conv: {
      [AS_IS]: (node) => hasBlockedChannels(node, site),
      ...onBlocks("blockedChannels", block, (node) => hasBlockedChannels(node, site)),
    },
    ConvInputGrad: {
      ...onBlocks("blockedChannels", block, (node) => {
        const [, c = 1] = sizesOfValue(node.inputs[1]);
        return isFlippable(node) && c % block === 0 && hasBlockedChannels(node, site);
      }),
      ...onBlocks("blockedDepthwise", block, (node) => {
        const [k = 1] = sizesOfValue(node.inputs[1]);
        return isFlippable(node) && groupCount(node) === k && isBlockedDepthwise(node, k, k, site);
      }),
    },
    ConvWeightGrad: {
      ...onBlocks("blockedDepthwise", block, (node) => {
        const [n = 1, c = 1] = sizesOfValue(node.inputs[0]);
        return isDepthwise(node) && isBlockedDepthwise(node, c, n * c, site);
      }),
      ...onBlocks("blockedPlanes", block, (node) => {
        const [[n = 1], [, k = 1]] = [sizesOfValue(node.inputs[0]), sizesOfValue(node.inputs[1])];
        return isPlain(node) && hasBlockedPlanes(n, k, site);
      }),
    },
  };
}

type Applies = (node: Node) => boolean;

/** The form of that name for blocks of that size, and whether it is for a node. */
function onBlocks<Name extends string>(
  name: Name,
  block: ChannelBlock,
  applies: Applies,
): { readonly [Form in BlockedForm<Name>]?: Applies } {
  const forms: { [Form in BlockedForm<Name>]?: Applies } = {};
  forms[blockedForm(name, block)] = applies;
  return forms;
}

/** ONNX Runtime's CPU provider. */
export const cpuTarget: TargetTraits = {
  forms: cpuForms,
  measured,
  measuredOnBlocks,
  isMeasured: false,
  mixesPrecision: false,
  joinsUpdates: "vectors",
  augmentsForCpu: true,
  warpsInLoader: true,
  laysOutFilters: true,
  gainsOnFilters: false,
  respell: (graph, ops) => rankScalars(pushBlocks(graph, ops), ops),
};
