// Which form each operator of ours takes on the CPU, by shape. Every rule states what was measured, with the script
// test/bench/lowerings.ts (stock ONNX Runtime, 2 threads, AVX2) or, where it says "facts", by the project's first
// benchmark of convolutions. Where forms are within noise of each other, the one that needs less memory.
import type { Node, Value } from "../ir/types.ts";
import { concreteShape } from "../ir/types.ts";

function dims(value: Value | undefined): readonly number[] {
  return concreteShape(value?.type.shape ?? []);
}

function ints(node: Node, name: string, otherwise: readonly number[]): readonly number[] {
  const value = node.attrs[name];
  return Array.isArray(value) ? value : otherwise;
}

/** The name of the form of an own operator for a node; an operator that is not here has no form on the CPU. */
export const cpuForms: Readonly<Record<string, (node: Node) => string>> = {
  ConvInputGrad: inputGradientForm,
  ConvWeightGrad: weightGradientForm,
  MaxPoolGrad: poolGradientForm,
  BatchNormTraining: () => "trainingMode",
  BatchNormTrainingGrad: () => "channelAffine",
  MaskedCrossEntropy: () => "logSoftmax",
  MaskedCrossEntropyGrad: () => "softmax",
  AdamUpdate: () => "elementwise",
  MomentumUpdate: () => "elementwise",
};

function inputGradientForm(node: Node): string {
  const [, , p = 1, q = 1] = dims(node.inputs[0]);
  const [k = 1, , r = 1, s = 1] = dims(node.inputs[1]);
  const pads = ints(node, "pads", [0, 0, 0, 0]);
  const dilations = ints(node, "dilations", [1, 1]);
  const reach = [(r - 1) * (dilations[0] ?? 1), (s - 1) * (dilations[1] ?? 1)];
  // The flipped filters would need negative padding, or a cotangent spread over strides.
  if (ints(node, "strides", [1, 1]).some((stride) => stride !== 1)) return "convTranspose";
  if (pads.some((pad, i) => pad > (reach[i % 2] ?? 0))) return "convTranspose";
  // 512 filters on 8x8 pixels: 138 against 119 GFLOP/s (facts), 70 against 62; elsewhere 1.1 to 4 times slower.
  return p * q <= 64 && k >= 256 && r * s > 1 ? "convTranspose" : "flippedConv";
}

function weightGradientForm(node: Node): string {
  const [, c = 1] = dims(node.inputs[0]);
  const [, k = 1] = dims(node.inputs[1]);
  const group = typeof node.attrs.group === "number" ? node.attrs.group : 1;
  if (group > 1) return group === c && group === k ? "depthwise" : "perTap";
  // 3 channels at 48 and 64 pixels: 24 GFLOP/s, perTap 4 to 9 (its products are 3 columns wide).
  if (c <= 8 && ints(node, "kernel_shape", [1, 1]).some((size) => size > 1)) return "im2colChannelMajor";
  return "perTap";
}

function poolGradientForm(node: Node): string {
  const kernel = ints(node, "kernel_shape", [1, 1]);
  const dilations = ints(node, "dilations", [1, 1]);
  const strides = ints(node, "strides", [1, 1]);
  const overlap = kernel.some((size, i) => (size - 1) * (dilations[i] ?? 1) + 1 > (strides[i] ?? 1));
  // 2x2 windows: ScatterElements takes 1.2 to 1.7 times as long.
  return overlap || node.attrs.ceil_mode === 1 ? "scatterAdd" : "unpool";
}
