// What the rules for forms ask of a node's shape: sizes, attributes, and what kind of convolution it is.
import type { Node, Value } from "../ir/types.ts";
import { sizesOr } from "../ops/axes.ts";

/** Sizes of a value; a symbol, the batch of an exported graph, counts as 1. */
export function sizesOfValue(value: Value | undefined): readonly number[] {
  return sizesOr(value?.type.shape ?? [], 1);
}

/** A list attribute of a node, or what it is where it is not given. */
export function listAttr(node: Node, name: string, otherwise: readonly number[]): readonly number[] {
  const value = node.attrs[name];
  return Array.isArray(value) ? value : otherwise;
}

/** The number of groups of a convolution. */
export function groupCount(node: Node): number {
  return typeof node.attrs.group === "number" ? node.attrs.group : 1;
}

/** Numbers that all taps' pixels side by side (im2col) may take: 1 GB in float32. */
export const MOST_COLUMNS = 2 ** 28;

/** Whether a window has the same pads on both sides of each axis; the CUDA ConvTranspose needs that. */
export function hasEqualPads(node: Node): boolean {
  const [top, left, bottom, right] = listAttr(node, "pads", [0, 0, 0, 0]);
  return top === bottom && left === right;
}

/** Whether a node's convolution has 1x1 filters, one group and no pads, so that it is a matrix product. */
export function isPointwise(node: Node, kernel: readonly number[]): boolean {
  const pads = listAttr(node, "pads", [0, 0, 0, 0]);
  return groupCount(node) === 1 && kernel.every((size) => size === 1) && pads.every((pad) => pad === 0);
}

/** ConvWeightGrad with one input and one output channel a group. */
export function isDepthwise(node: Node): boolean {
  const [, c] = sizesOfValue(node.inputs[0]);
  const [, k] = sizesOfValue(node.inputs[1]);
  return groupCount(node) > 1 && groupCount(node) === c && c === k;
}

/** Whether a product for each image, and their sum, is anything but one product. */
export function hasImagesToSplit(node: Node): boolean {
  return sizesOfValue(node.inputs[0])[0] !== 1;
}

export function tapCount(node: Node): number {
  return listAttr(node, "kernel_shape", [1, 1]).reduce((product, size) => product * size, 1);
}

/** Whether all taps' pixels side by side are more than one tap's, and fit. */
export function hasColumns(node: Node): boolean {
  const [, c = 1] = sizesOfValue(node.inputs[0]);
  const [n = 1, , p = 1, q = 1] = sizesOfValue(node.inputs[1]);
  const taps = tapCount(node);
  return taps > 1 && n * c * p * q * taps <= MOST_COLUMNS && !isDepthwise(node);
}

export function hasStrides(node: Node): boolean {
  return listAttr(node, "strides", [1, 1]).some((stride) => stride > 1);
}

/** Whether a flipped filter does the same: stride 1, and pads within the window's reach. */
export function isFlippable(node: Node): boolean {
  const [, , r = 1, s = 1] = sizesOfValue(node.inputs[1]);
  const [down = 1, right = 1] = listAttr(node, "dilations", [1, 1]);
  const reach = [(r - 1) * down, (s - 1) * right];
  return !hasStrides(node) && listAttr(node, "pads", [0, 0, 0, 0]).every((pad, i) => pad <= reach[i % 2]!);
}

/** A convolution without groups. */
export const isPlain = (node: Node): boolean => groupCount(node) === 1;
/** A convolution that is a matrix product: 1x1 filters. */
export const hasPointFilters = (node: Node): boolean =>
  isPointwise(node, sizesOfValue(node.inputs[1]).slice(2));
