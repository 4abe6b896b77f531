// Transpose: axes in another order. The reference reads through strided offsets.
import { defineOp, type InferContext, type Op } from "../ir/op.ts";
import { range } from "./axes.ts";
import { outputWith, stridesOf, takeOffsets, viewOffsets } from "./strided.ts";

const Transpose = defineOp("Transpose", {
  doc: "y = x with axis i of y being axis perm[i] of x; without perm, all axes reversed",
  source: "ONNX Transpose-13",
  inputs: ["x"],
  attrs: { perm: { kind: "ints", default: null } },
  traits: ["movesData"],
  axes: "permutes",
  precision: "follows",
  identity: "permutation",
  infer: (ctx) => {
    const { dtype, shape } = ctx.input(0);
    const perm = permutation(ctx, shape.length);
    const isPermutation = perm.length === shape.length && range(perm.length).every((i) => perm.includes(i));
    if (!isPermutation) ctx.fail(`expected a permutation of ${shape.length} axes, found [${perm}]`);
    return [{ dtype, shape: perm.map((axis) => shape[axis] ?? 1) }];
  },
  // dx = dy with the axes put back
  vjp: (ctx) => {
    const perm = permutation(ctx, ctx.input(0).type.shape.length);
    return [
      ctx.b.transpose(
        ctx.dy,
        range(perm.length).map((axis) => perm.indexOf(axis)),
      ),
    ];
  },
  evaluate: (ctx) => {
    const x = ctx.input(0);
    const strides = stridesOf(x.shape);
    const perm = permutation(ctx, x.shape.length);
    const offsets = viewOffsets(
      perm.map((axis) => x.shape[axis]!),
      perm.map((axis) => strides[axis]!),
    );
    return outputWith(ctx, takeOffsets(x.data, offsets));
  },
});

function permutation(ctx: Pick<InferContext, "attrs">, rank: number): readonly number[] {
  return ctx.attrs.has("perm") ? ctx.attrs.ints("perm") : range(rank).reverse();
}

/** Ops of this family. */
export const TRANSPOSITION: readonly Op[] = [Transpose];
