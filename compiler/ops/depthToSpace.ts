// Blocks of pixels that become channels, and back: x [N,C,H,W], square blocks. Each is the other's
// derivative.
import type { GraphBuilder } from "../ir/builder.ts";
import { defineOp, type InferContext, type NDArray, type Op } from "../ir/op.ts";
import type { Value } from "../ir/types.ts";
import { sizesOr } from "./axes.ts";
import { imageDims } from "./slidingWindow.ts";
import { outputWith, stridesOf, takeOffsets, viewOffsets } from "./strided.ts";

/** A reshape to `split`, then a transposition by `perm`, then a reshape to the result. */
interface BlockMove {
  readonly split: readonly number[];
  readonly perm: readonly number[];
}

/** DCR: the channel of the result varies fastest within a channel of x; CRD: the block does. */
function depthToSpace(shape: readonly number[], size: number, mode: string): BlockMove {
  const [n = 1, c = 1, h = 1, w = 1] = shape;
  const depth = c / size ** 2;
  return mode === "CRD"
    ? { split: [n, depth, size, size, h, w], perm: [0, 1, 4, 2, 5, 3] }
    : { split: [n, size, size, depth, h, w], perm: [0, 3, 4, 1, 5, 2] };
}

function spaceToDepth(shape: readonly number[], size: number): BlockMove {
  const [n = 1, c = 1, h = 1, w = 1] = shape;
  return { split: [n, c, h / size, size, w / size, size], perm: [0, 3, 5, 1, 2, 4] };
}

const DepthToSpace = defineOp("DepthToSpace", {
  doc: "y = x [N,C,H,W] with blocksize^2 channels as a block of pixels; mode DCR or CRD (pixel shuffle)",
  source: "ONNX DepthToSpace-13",
  inputs: ["x"],
  attrs: { blocksize: { kind: "int" }, mode: { kind: "string", default: "DCR" } },
  traits: ["movesData"],
  axes: "stops",
  precision: "follows",
  infer: (ctx) => {
    const [n, c, h, w] = imageDims(ctx, 0);
    const [size, mode] = [blockSize(ctx), ctx.attrs.string("mode")];
    if (mode !== "DCR" && mode !== "CRD") ctx.fail(`expected the mode DCR or CRD, found ${mode}`);
    if (c % size ** 2 !== 0) ctx.fail(`expected a multiple of ${size ** 2} channels, found ${c}`);
    return [{ dtype: ctx.input(0).dtype, shape: [n, c / size ** 2, h * size, w * size] }];
  },
  // dx = dy with the pixels of each block back as channels
  vjp: ({ b, dy, input, attrs }) => {
    const shape = sizesOr(input(0).type.shape, -1);
    return [undoMove(b, dy, depthToSpace(shape, attrs.int("blocksize"), attrs.string("mode")), shape)];
  },
  evaluate: (ctx) => {
    const { int, string } = ctx.attrs;
    return outputWith(
      ctx,
      moved(ctx.input(0), depthToSpace(ctx.input(0).shape, int("blocksize"), string("mode"))),
    );
  },
});

const SpaceToDepth = defineOp("SpaceToDepth", {
  doc: "y = x [N,C,H,W] with each block of blocksize^2 pixels as channels, the block varying slowest",
  source: "ONNX SpaceToDepth-13",
  inputs: ["x"],
  attrs: { blocksize: { kind: "int" } },
  traits: ["movesData"],
  axes: "stops",
  precision: "follows",
  infer: (ctx) => {
    const [n, c, h, w] = imageDims(ctx, 0);
    const size = blockSize(ctx);
    if (h % size !== 0 || w % size !== 0) ctx.fail(`blocks of ${size}x${size} do not tile ${h}x${w} pixels`);
    return [{ dtype: ctx.input(0).dtype, shape: [n, c * size ** 2, h / size, w / size] }];
  },
  // dx = dy with the channels back as pixels of each block
  vjp: ({ b, dy, input, attrs }) => {
    const shape = sizesOr(input(0).type.shape, -1);
    return [undoMove(b, dy, spaceToDepth(shape, attrs.int("blocksize")), shape)];
  },
  evaluate: (ctx) =>
    outputWith(ctx, moved(ctx.input(0), spaceToDepth(ctx.input(0).shape, ctx.attrs.int("blocksize")))),
});

function blockSize(ctx: InferContext): number {
  const size = ctx.attrs.int("blocksize");
  return size >= 1 ? size : ctx.fail(`expected a blocksize of 1 or more, found ${size}`);
}

function undoMove(b: GraphBuilder, dy: Value, { split, perm }: BlockMove, shape: readonly number[]): Value {
  const transposed = b.reshape(
    dy,
    perm.map((axis) => split[axis]!),
  );
  const back = perm.map((_, axis) => perm.indexOf(axis));
  return b.reshape(b.transpose(transposed, back), shape);
}

function moved(x: NDArray, { split, perm }: BlockMove): Float64Array {
  const strides = stridesOf(split);
  const sizes = perm.map((axis) => split[axis]!);
  return takeOffsets(
    x.data,
    viewOffsets(
      sizes,
      perm.map((axis) => strides[axis]!),
    ),
  );
}

/** Ops of this family. */
export const DEPTH_TO_SPACE: readonly Op[] = [DepthToSpace, SpaceToDepth];
