// ONNX Runtime's convolution on blocks of channels, [N, C/B, H, W, B] in memory: B channels of a pixel lie
// side by side, as many as the processor's registers hold (16 with AVX-512, 8 else). Its kernels for
// depthwise filters take no detour through a matrix product. A file means what it says only on a processor
// with that B, so only the trainer, which compiles for its own machine, takes these forms. Types carry the
// shape [N,C,H,W]; the order of the numbers is the operators' business.
import {
  defineOp,
  type EvaluateContext,
  type InferContext,
  type NDArray,
  notDifferentiable,
  type Op,
} from "../ir/op.ts";
import type { TensorType } from "../ir/types.ts";
import { CONV_ATTRS, convolved } from "./convolutionGeometry.ts";
import { floatType, imageDims, outputSize, readWindow } from "./slidingWindow.ts";
import { outputWith, viewOffsets } from "./strided.ts";

/** Channels of a block: what processors have. */
export const CHANNEL_BLOCKS = [8, 16] as const;
export type ChannelBlock = (typeof CHANNEL_BLOCKS)[number];

const NO_DERIVATIVE = notDifferentiable("only lowerings emit it, after differentiation");
const SOURCE = "ONNX Runtime com.microsoft.nchwc";

export const reorderInputName = (block: ChannelBlock): `ReorderInput${ChannelBlock}` =>
  `ReorderInput${block}`;
export const reorderOutputName = (block: ChannelBlock): `ReorderOutput${ChannelBlock}` =>
  `ReorderOutput${block}`;
export const blockedConvName = (block: ChannelBlock): `NchwcConv${ChannelBlock}` => `NchwcConv${block}`;

/** Whether an operator only puts channels into blocks, or takes them out. */
export function channelOrder({ domain, opType }: Op): "intoBlocks" | "outOfBlocks" | undefined {
  if (domain !== "com.microsoft.nchwc") return undefined;
  if (opType === "ReorderInput") return "intoBlocks";
  return opType === "ReorderOutput" ? "outOfBlocks" : undefined;
}

/** Offsets into [outer, C, inner] for the numbers of [outer, C/B, inner, B], in order. */
function blockedOffsets(outer: number, channels: number, inner: number, block: number): Int32Array {
  return viewOffsets([outer, channels / block, inner, block], [channels * inner, block * inner, 1, inner]);
}

/** The numbers of an image or of filters in order of channels, from those in blocks; see blockedOffsets. */
function unblocked(data: Float64Array, offsets: Int32Array): Float64Array {
  const plain = new Float64Array(data.length);
  offsets.forEach((offset, i) => {
    plain[offset] = data[i]!;
  });
  return plain;
}

function imageOffsets(shape: readonly number[], block: number): Int32Array {
  const [n = 1, c = 1, h = 1, w = 1] = shape;
  return blockedOffsets(n, c, h * w, block);
}

function expectBlocks(ctx: InferContext, channels: number, block: number): void {
  if (channels % block !== 0) ctx.fail(`expected whole blocks of ${block} channels, found ${channels}`);
}

function reorderInput(block: ChannelBlock): Op {
  return defineOp(reorderInputName(block), {
    domain: "com.microsoft.nchwc",
    opType: "ReorderInput",
    doc: `x [N,C,H,W] in blocks of ${block} channels`,
    source: `${SOURCE} ReorderInput-1`,
    inputs: ["x"],
    axes: "stops",
    precision: "float32",
    infer: (ctx) => {
      expectBlocks(ctx, imageDims(ctx, 0)[1], block);
      return [floatType(ctx, ctx.input(0).shape, [0])];
    },
    vjp: NO_DERIVATIVE,
    evaluate: (ctx) => {
      const { data, shape } = ctx.input(0);
      return outputWith(
        ctx,
        Float64Array.from(imageOffsets(shape, block), (offset) => data[offset]!),
      );
    },
  });
}

function reorderOutput(block: ChannelBlock): Op {
  return defineOp(reorderOutputName(block), {
    domain: "com.microsoft.nchwc",
    opType: "ReorderOutput",
    doc: `x [N,C,H,W], which lies in blocks of ${block} channels, in order of channels`,
    source: `${SOURCE} ReorderOutput-1`,
    inputs: ["x"],
    attrs: { channels: { kind: "int" } },
    axes: "stops",
    precision: "float32",
    infer: (ctx) => {
      const [, channels] = imageDims(ctx, 0);
      expectBlocks(ctx, channels, block);
      if (ctx.attrs.int("channels") !== channels) ctx.fail(`expected channels ${channels}`);
      return [floatType(ctx, ctx.input(0).shape, [0])];
    },
    vjp: NO_DERIVATIVE,
    evaluate: (ctx) => {
      const { data, shape } = ctx.input(0);
      return outputWith(ctx, unblocked(data, imageOffsets(shape, block)));
    },
  });
}

function blockedConv(block: ChannelBlock): Op {
  return defineOp(blockedConvName(block), {
    domain: "com.microsoft.nchwc",
    opType: "Conv",
    doc:
      `Conv whose result lies in blocks of ${block} channels, and whose image does if it has as many; filters ` +
      "[K/B, C/B, R, S, B of C, B of K], or [K/B, C, R, S, B of K] for fewer input channels or depthwise",
    source: `${SOURCE} Conv-1`,
    inputs: ["x", "w", "bias?"],
    attrs: { ...CONV_ATTRS, kernel_shape: { kind: "ints" } },
    axes: "stops",
    precision: "float32",
    infer: (ctx) => inferBlockedConv(ctx, block),
    vjp: NO_DERIVATIVE,
    evaluate: (ctx) => evaluateBlockedConv(ctx, block),
  });
}

function inferBlockedConv(ctx: InferContext, block: number): readonly TensorType[] {
  const [n, c, height, width] = imageDims(ctx, 0);
  const [k, channels, r, s] = imageDims(ctx, 1);
  const group = ctx.attrs.int("group");
  if (typeof k !== "number" || channels * group !== c)
    return ctx.fail(`filters [${ctx.input(1).shape}] in ${group} groups do not fit ${c} channels`);
  if (group !== 1 && (group !== c || group !== k)) ctx.fail("expected no groups, or one of each channel");
  expectBlocks(ctx, k, block);
  if (c >= block) expectBlocks(ctx, c, block);
  const [p, q] = outputSize(ctx, readWindow(ctx.attrs, [r, s]), height, width);
  return [floatType(ctx, [n, k, p, q], [0, 1, 2])];
}

function evaluateBlockedConv(ctx: EvaluateContext, block: number): readonly NDArray[] {
  const [x, w] = [ctx.input(0), ctx.input(1)];
  const [k = 1, c = 1, r = 1, s = 1] = w.shape;
  const isDepthwise = ctx.attrs.int("group") !== 1;
  const areImagesBlocked = isDepthwise || c >= block;
  const pixels = areImagesBlocked ? unblocked(x.data, imageOffsets(x.shape, block)) : x.data;
  const isInputBlocked = areImagesBlocked && !isDepthwise;
  const filters = isInputBlocked
    ? unblocked(
        w.data,
        viewOffsets(
          [k / block, c / block, r * s, block, block],
          [block * c * r * s, block * r * s, 1, r * s, c * r * s],
        ),
      )
    : unblocked(w.data, blockedOffsets(1, k, c * r * s, block));
  const y = convolved(ctx, pixels, filters);
  const offsets = imageOffsets(y.shape, block);
  return outputWith(
    ctx,
    Float64Array.from(offsets, (offset) => y.data[offset]!),
  );
}

/** Ops of this family. */
export const CHANNEL_BLOCK_OPS: readonly Op[] = CHANNEL_BLOCKS.flatMap((block) => [
  reorderInput(block),
  reorderOutput(block),
  blockedConv(block),
]);
