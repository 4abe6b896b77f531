// Expand and Tile: elements repeated along axes, by shapes and counts that are constants of the graph. The
// derivatives are sums over the copies.
import { quotientDim } from "../ir/dims.ts";
import { defineOp, type Op } from "../ir/op.ts";
import type { Shape } from "../ir/types.ts";
import { constantNumbers, range, reshapeTo } from "./axes.ts";
import { broadcastShapes, sumToShape } from "./elementwise.ts";
import { broadcastData, outputWith, stridesOf, takeOffsets, viewOffsets, zerosForOutput } from "./strided.ts";

const Expand = defineOp("Expand", {
  doc: "y = x broadcast together with a shape (constant)",
  source: "ONNX Expand-13",
  inputs: ["x", "shape"],
  traits: ["movesData"],
  axes: "stops",
  precision: "follows",
  hostInputs: [1],
  identity: "typeKept",
  infer: (ctx) => {
    const { dtype, shape } = ctx.input(0);
    return [{ dtype, shape: broadcastShapes([shape, ctx.constant(1)], ctx.fail) }];
  },
  // dx = dy summed over the axes that were stretched
  vjp: ({ b, dy, input }) => [sumToShape(b, dy, input(0).type.shape), undefined],
  evaluate: (ctx) => outputWith(ctx, broadcastData(ctx.input(0), zerosForOutput(ctx).shape)),
});

const Tile = defineOp("Tile", {
  doc: "y = x repeated along each axis as often as `repeats` (constant) says",
  source: "ONNX Tile-13",
  inputs: ["x", "repeats"],
  traits: ["movesData"],
  axes: "stops",
  precision: "follows",
  hostInputs: [1],
  infer: (ctx) => {
    const { dtype, shape } = ctx.input(0);
    const repeats = ctx.constant(1);
    if (repeats.length !== shape.length)
      ctx.fail(`expected ${shape.length} numbers of repeats, found [${repeats}]`);
    return [{ dtype, shape: shape.map((dim, i) => quotientDim([dim, repeats[i]!], [], ctx.fail)) }];
  },
  // dx = sum of dy over the repeats
  vjp: ({ b, dy, input, inputs }) => {
    const { shape } = input(0).type;
    const repeats = constantNumbers(b, inputs[1]) ?? [];
    const split: Shape = shape.flatMap((dim, i) => [repeats[i]!, dim]);
    const axes = range(shape.length).map((axis) => 2 * axis);
    return [b.reduceSum(reshapeTo(b, dy, split), axes, 0), undefined];
  },
  evaluate: (ctx) => {
    const x = ctx.input(0);
    const strides = stridesOf(x.shape);
    const repeats = Array.from(ctx.input(1).data);
    const offsets = viewOffsets(
      x.shape.flatMap((size, i) => [repeats[i]!, size]),
      strides.flatMap((stride) => [0, stride]),
    );
    return outputWith(ctx, takeOffsets(x.data, offsets));
  },
});

/** Ops of this family. */
export const REPETITION: readonly Op[] = [Expand, Tile];
