// Which form each operator of ours takes on the CPU, by shape. Every rule states what was measured, with the
// script test/bench/lowerings.ts (stock ONNX Runtime, 2 threads, AVX2) or, where it says "facts", by the
// project's first benchmark of convolutions. The machine was shared: ranges are over several runs, and
// differences under 1.2 are noise.
import type { Node } from "../ir/types.ts";
import { blockedForm } from "../ops/blockedForms.ts";
import { type FormSite, type FormTable, groupCount, listAttr, sizesOfValue } from "./forms.ts";

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
  // 10 thousand to 1 million numbers: gemm takes 1.07, 1.2 and 0.9 times as long.
  AdamUpdate: () => "elementwise",
  MomentumUpdate: () => "elementwise",
};

/** Whether there is one filter for each of `channels` channels, and their `planes` come in whole blocks. */
export function isBlockedDepthwise(
  node: Node,
  channels: number,
  planes: number,
  { channelBlock }: FormSite,
): boolean {
  const isApart = groupCount(node) > 1 && groupCount(node) === channels;
  return channelBlock !== undefined && isApart && planes % channelBlock === 0;
}

/** 4 to 32 pixels a side, 96 to 1152 channels: as it is, a depthwise one takes 1.6 to 25 times as long. */
function convolutionForm(node: Node, site: FormSite = {}): string | undefined {
  const [x, filters] = node.inputs;
  const [k = 1] = sizesOfValue(filters);
  const c = Number(x?.type.shape[1]);
  const isFixed = filters !== undefined && site.constants?.has(filters) === true;
  return !isFixed && c === k && isBlockedDepthwise(node, c, c, site)
    ? blockedForm("blockedDepthwise", site.channelBlock)
    : undefined;
}

function inputGradientForm(node: Node, site: FormSite = {}): string {
  const [, , p = 1, q = 1] = sizesOfValue(node.inputs[0]);
  const [k = 1, channels = 1, r = 1, s = 1] = sizesOfValue(node.inputs[1]);
  const pads = listAttr(node, "pads", [0, 0, 0, 0]);
  const dilations = listAttr(node, "dilations", [1, 1]);
  const reach = [(r - 1) * (dilations[0] ?? 1), (s - 1) * (dilations[1] ?? 1)];
  // The flipped filters would need negative padding, or a cotangent spread over strides.
  if (listAttr(node, "strides", [1, 1]).some((stride) => stride !== 1)) return "convTranspose";
  if (pads.some((pad, i) => pad > (reach[i % 2] ?? 0))) return "convTranspose";
  if (channels === 1 && isBlockedDepthwise(node, k, k, site))
    return blockedForm("blockedDepthwise", site.channelBlock);
  // Depthwise, 64 to 8 pixels a side: convTranspose takes 1.2 to 3.5 times as long.
  if (groupCount(node) > 1) return "flippedConv";
  // Into 3 channels at 48 and 64 pixels: flippedConv takes 1.05 to 1.5 times as long (once 6).
  if (channels <= 4) return "convTranspose";
  // 256 and 512 filters at 8x8: flippedConv takes 1.0 to 1.6 times as long (facts: 119 against 138 GFLOP/s);
  // 64 filters at 6x6: 1.2 to 1.7; 1x1 with 2048 filters at 4x4: 1.5 to 2.3. Elsewhere convTranspose takes
  // 0.9 to 2 times as long.
  return p * q <= 36 || (p * q <= 64 && k >= 256) ? "convTranspose" : "flippedConv";
}

function weightGradientForm(node: Node, site: FormSite = {}): string {
  const [n = 1, c = 1] = sizesOfValue(node.inputs[0]);
  const [, k = 1, p = 1, q = 1] = sizesOfValue(node.inputs[1]);
  const taps = listAttr(node, "kernel_shape", [1, 1]).reduce((product, size) => product * size, 1);
  if (c === k && isBlockedDepthwise(node, c, n * c, site))
    return blockedForm("blockedDepthwise", site.channelBlock);
  if (groupCount(node) > 1) {
    if (groupCount(node) !== c || c !== k) return "perTap";
    // Depthwise 3x3: depthwise takes 1.3 to 1.9 times as long at 8 to 24 pixels a side, 1.05 to 1.7 at 32,
    // and 0.4 to 1.5 at 64, where it needs less memory.
    return q <= 32 ? "rowProducts" : "depthwise";
  }
  if (taps > 1 && hasBlockedPlanes(n, k, site)) return blockedForm("blockedPlanes", site.channelBlock);
  // From 3 channels at 48 and 64 pixels: perTap takes 3 to 5 times as long (its products are 3 columns wide).
  if (c <= 8 && taps > 1) return "im2colChannelMajor";
  // 3x3 at 24 and 48 pixels: perTap takes 1.3 to 2 times as long, at 16 pixels perTapBatched 1.2, at 8 pixels
  // 1.2 to 2.7. 1x1 at 16 and 24 pixels: perTap takes 1.4 to 1.9 times as long, at 4 pixels perTapBatched 4.
  return p * q >= (taps > 1 ? 400 : 256) ? "perTapBatched" : "perTap";
}

/** Whether filters and batch come in whole blocks, or the batch in less than one. */
export function hasBlockedPlanes(batch: number, filters: number, { channelBlock: block }: FormSite): boolean {
  return block !== undefined && filters % block === 0 && (batch < block || batch % block === 0);
}

function poolGradientForm(node: Node): string {
  const kernel = listAttr(node, "kernel_shape", [1, 1]);
  const dilations = listAttr(node, "dilations", [1, 1]);
  const strides = listAttr(node, "strides", [1, 1]);
  const overlap = kernel.some((size, i) => (size - 1) * (dilations[i] ?? 1) + 1 > (strides[i] ?? 1));
  // 2x2 windows, 64 to 8 pixels a side: scatterAdd takes 1.5 to 2 times as long.
  return overlap || node.attrs.ceil_mode === 1 ? "scatterAdd" : "unpool";
}
