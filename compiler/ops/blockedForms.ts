// Spellings of convolutions and their gradients by ONNX Runtime's convolution on blocks of channels
// (channelBlocks.ts), a form for each size of block. The reordering of filters costs little for depthwise
// ones, and for a cotangent that is used as filters.
import type { GraphBuilder } from "../ir/builder.ts";
import type { Forms, LowerContext, Lowering } from "../ir/op.ts";
import type { Attrs } from "../ir/types.ts";
import { concreteShape, type Value } from "../ir/types.ts";
import {
  blockedConvName,
  CHANNEL_BLOCKS,
  type ChannelBlock,
  reorderInputName,
  reorderOutputName,
} from "./channelBlocks.ts";
import { convAttrs } from "./convolutionGeometry.ts";
import { flippedPads, readWindow, type WindowAxis } from "./slidingWindow.ts";
import { padImage, type Sizes, sizesOf } from "./weightGradientSizes.ts";

type BlockedLowering = (ctx: LowerContext, block: ChannelBlock) => Value;

/** The forms of a name, one for each size of block. */
export type BlockedForm<Name extends string> = `${Name}${ChannelBlock}`;

/** "blockedDepthwise" for blocks of 16: "blockedDepthwise16". */
export function blockedForm<Name extends string>(name: Name, block: ChannelBlock): BlockedForm<Name> {
  return `${name}${block}`;
}

function forAllBlocks<Name extends string>(name: Name, lowering: BlockedLowering): Forms<BlockedForm<Name>> {
  const forms = CHANNEL_BLOCKS.map((block): [string, Lowering] => [
    blockedForm(name, block),
    (ctx) => [lowering(ctx, block)],
  ]);
  return Object.fromEntries(forms) as Forms<BlockedForm<Name>>;
}

/** The convolution of x, in order of channels, by filters that lie as the operator wants them. */
function convolve(
  b: GraphBuilder,
  [x, filters, bias]: readonly (Value | undefined)[],
  attrs: Attrs,
  block: ChannelBlock,
): Value {
  const [k = 1, , r = 1, s = 1] = concreteShape(filters?.type.shape ?? []);
  const inputs = bias ? [x, filters, bias] : [x, filters];
  const y = b.emit(blockedConvName(block), inputs, { ...attrs, kernel_shape: [r, s] });
  return b.emit(reorderOutputName(block), [y], { channels: k });
}

/** Filters [K,C,R,S] as [K/B, C/B, R, S, B of C, B of K], or [K/B, C, R, S, B of K] for C below B. */
function denseFilters(b: GraphBuilder, w: Value, block: ChannelBlock): Value {
  const [k = 1, c = 1, r = 1, s = 1] = concreteShape(w.type.shape);
  const ofFilters = b.emit(reorderInputName(block), [b.reshape(w, [1, k, c * r, s])]);
  if (c < block || r * s === 1) return b.reshape(ofFilters, [k, c, r, s]);
  const apart = b.reshape(ofFilters, [k / block, c / block, block, r * s, block]);
  return b.reshape(b.transpose(apart, [0, 1, 3, 2, 4]), [k, c, r, s]);
}

/** The same of filters that give dx: input and output channels exchanged, taps reversed. */
function reversedFilters(b: GraphBuilder, w: Value, block: ChannelBlock): Value {
  const [k = 1, c = 1, r = 1, s = 1] = concreteShape(w.type.shape);
  const ofChannels = b.emit(reorderInputName(block), [w]);
  const apart = b.reshape(ofChannels, [k / block, block, c / block, r * s, block]);
  const exchanged = b.transpose(apart, [2, 0, 3, 1, 4]);
  const taps = Array.from({ length: r * s }, (_, tap) => r * s - 1 - tap);
  const reversed = taps.length > 1 ? b.emit("Gather", [exchanged, b.ints(taps)], { axis: 2 }) : exchanged;
  return b.reshape(reversed, [c, k, r, s]);
}

/** Conv without groups, K a multiple of B, C too or below it. */
const dense: BlockedLowering = (ctx, block) => {
  const { b } = ctx;
  const [, c = 1] = concreteShape(ctx.input(1).type.shape);
  const x = c < block ? ctx.input(0) : b.emit(reorderInputName(block), [ctx.input(0)]);
  return convolve(b, [x, denseFilters(b, ctx.input(1), block), ctx.inputs[2]], convAttrs(ctx.attrs), block);
};

/** dx = Conv of dy, as flippedConv, without groups, K and C multiples of B, for stride 1. */
const flippedDense: BlockedLowering = (ctx, block) => {
  const { b } = ctx;
  const dy = b.emit(reorderInputName(block), [ctx.input(0)]);
  return convolve(b, [dy, reversedFilters(b, ctx.input(1), block)], flippedAttrs(ctx), block);
};

/** Depthwise filters [C,1,R,S] as [C/B, 1, R, S, B]. */
function depthwiseFilters(b: GraphBuilder, w: Value, block: ChannelBlock): Value {
  const [c = 1, , r = 1, s = 1] = concreteShape(w.type.shape);
  return b.reshape(b.emit(reorderInputName(block), [b.reshape(w, [1, c, r, s])]), [c, 1, r, s]);
}

/** Conv with one filter for each channel, C a multiple of B. */
const depthwise: BlockedLowering = (ctx, block) => {
  const { b } = ctx;
  const x = b.emit(reorderInputName(block), [ctx.input(0)]);
  const filters = depthwiseFilters(b, ctx.input(1), block);
  return convolve(b, [x, filters, ctx.inputs[2]], convAttrs(ctx.attrs), block);
};

/** The attributes of the convolution of dy by reversed taps. */
function flippedAttrs(ctx: LowerContext): Attrs {
  const [, , r = 1, s = 1] = concreteShape(ctx.input(1).type.shape);
  return { ...convAttrs(ctx.attrs), pads: flippedPads(readWindow(ctx.attrs, [r, s])) };
}

/**
 * dx = Conv of dy with the taps reversed, as flippedConv, one filter for each channel, C a multiple of B; for
 * stride 1 and pads below the window's extent.
 */
const flippedDepthwise: BlockedLowering = (ctx, block) => {
  const { b } = ctx;
  const [c = 1, , r = 1, s = 1] = concreteShape(ctx.input(1).type.shape);
  const taps = Array.from({ length: r * s }, (_, tap) => r * s - 1 - tap);
  const reversed = b.emit("Gather", [b.reshape(ctx.input(1), [c, r * s]), b.ints(taps)], { axis: 1 });
  const filters = depthwiseFilters(b, b.reshape(reversed, [c, 1, r, s]), block);
  const dy = b.emit(reorderInputName(block), [ctx.input(0)]);
  return convolve(b, [dy, filters], flippedAttrs(ctx), block);
};

/**
 * Pads of the convolution that gives dw: x's, less the rows and columns at the end that no window reached, so
 * that there are as many results as taps.
 */
function gradientPads({ window, h, w, p, q, filter }: Sizes): number[] {
  const [, , r = 1, s = 1] = filter;
  const { rows, columns } = window;
  const unseen = (axis: WindowAxis, size: number, taps: number, positions: number): number =>
    size + axis.padBegin + axis.padEnd - (taps - 1) * axis.dilation - (positions - 1) * axis.stride - 1;
  return [
    rows.padBegin,
    columns.padBegin,
    rows.padEnd - unseen(rows, h, r, p),
    columns.padEnd - unseen(columns, w, s, q),
  ];
}

/** The attributes of that convolution: strides and dilations change places. */
function gradientAttrs(sizes: Sizes, pads: readonly number[], group: number): Attrs {
  const { rows, columns } = sizes.window;
  const strides = [rows.dilation, columns.dilation];
  return { strides, dilations: [rows.stride, columns.stride], pads, group };
}

/** x without the rows and columns at its end that a negative pad takes away, and the pads without them. */
function cropped(b: GraphBuilder, x: Value, pads: readonly number[]): readonly [Value, readonly number[]] {
  const [top = 0, left = 0, bottom = 0, right = 0] = pads;
  const [, , h = 1, w = 1] = concreteShape(x.type.shape);
  if (bottom >= 0 && right >= 0) return [x, pads];
  const ends = [h + Math.min(bottom, 0), w + Math.min(right, 0)];
  return [b.slice(x, [0, 0], ends, [2, 3]), [top, left, Math.max(bottom, 0), Math.max(right, 0)]];
}

/**
 * The planes of x [N,C,H,W] in blocks. Where C comes in whole blocks, that is x in blocks of channels, which
 * the convolution itself and dx want as well (commonSubexpressions.ts joins them).
 */
function reorderPlanes(b: GraphBuilder, x: Value, block: ChannelBlock): Value {
  const [n = 1, c = 1, h = 1, w = 1] = concreteShape(x.type.shape);
  return b.emit(reorderInputName(block), [c % block === 0 ? x : b.reshape(x, [1, n * c, h, w])]);
}

/**
 * dw by a depthwise convolution of each plane of x [1, N C, H, W] with its plane of dy as the filter, summed
 * over images: exact in operations, and no copy of x for each tap. For group = C = K, N C a multiple of B.
 */
const depthwisePlanes: BlockedLowering = (ctx, block) => {
  const { b } = ctx;
  const sizes = sizesOf(ctx);
  const { n, c, h, w, p, q, filter } = sizes;
  const [image, pads] = cropped(b, ctx.input(0), gradientPads(sizes));
  const [, , height = h, width = w] = concreteShape(image.type.shape);
  const x = b.reshape(reorderPlanes(b, image, block), [1, n * c, height, width]);
  const filters = b.reshape(reorderPlanes(b, ctx.input(1), block), [n * c, 1, p, q]);
  const perImage = convolve(b, [x, filters], gradientAttrs(sizes, pads, n * c), block);
  const [, , r = 1, s = 1] = filter;
  return b.reshape(b.reduceSum(b.reshape(perImage, [n, c * r * s]), [0], 0), filter);
};

/**
 * dw by one convolution of images x[:, c], with the batch as their channels, by the planes dy[:, k] as
 * filters: [C, K, R, S]. Padded beforehand, since the kernel takes results at the border one by one. For
 * group = 1, K a multiple of B, and a batch smaller than B or a multiple of it.
 */
const planes: BlockedLowering = (ctx, block) => {
  const { b } = ctx;
  const sizes = sizesOf(ctx);
  const { n, k, p, q } = sizes;
  const unreached = gradientPads(sizes).map((pad, i) => pad - padOf(sizes, i));
  const [image, pads] = cropped(b, padImage(b, ctx.input(0), 2, sizes), unreached);
  const isBlocked = n >= block;
  const blocks = b.emit(reorderInputName(block), [ctx.input(1)]);
  const filters = isBlocked
    ? b.transpose(b.reshape(blocks, [n / block, block, k / block, p * q, block]), [2, 0, 3, 1, 4])
    : b.transpose(b.reshape(blocks, [n, k / block, p * q * block]), [1, 0, 2]);
  const x = isBlocked ? batchBlocks(b, image, block) : b.transpose(image, [1, 0, 2, 3]);
  const dw = convolve(b, [x, b.reshape(filters, [k, n, p, q])], gradientAttrs(sizes, pads, 1), block);
  return b.transpose(dw, [1, 0, 2, 3]);
};

/** Images [N,C,H,W] as [C, N, H, W] in blocks of N: the batch's planes are what is put side by side. */
function batchBlocks(b: GraphBuilder, images: Value, block: ChannelBlock): Value {
  const [n = 1, c = 1, h = 1, w = 1] = concreteShape(images.type.shape);
  const blocks = b.emit(reorderInputName(block), [b.reshape(images, [1, n, c * h, w])]);
  const apart = b.reshape(blocks, [n / block, c, h * w * block]);
  return b.reshape(b.transpose(apart, [1, 0, 2]), [c, n, h, w]);
}

function padOf({ window: { rows, columns } }: Sizes, side: number): number {
  return [rows.padBegin, columns.padBegin, rows.padEnd, columns.padEnd][side] ?? 0;
}

/** Forms of Conv by name. */
export const BLOCKED_CONV_FORMS = {
  ...forAllBlocks("blockedDepthwise", depthwise),
  ...forAllBlocks("blockedChannels", dense),
};
/** Forms of ConvInputGrad by name. */
export const BLOCKED_INPUT_GRADIENT_FORMS = {
  ...forAllBlocks("blockedDepthwise", flippedDepthwise),
  ...forAllBlocks("blockedChannels", flippedDense),
};
/** Forms of ConvWeightGrad by name. */
export const BLOCKED_WEIGHT_GRADIENT_FORMS = {
  ...forAllBlocks("blockedDepthwise", depthwisePlanes),
  ...forAllBlocks("blockedPlanes", planes),
};
