// LpNormalization: numbers divided by their norm along an axis.
import { defineOp, type Op } from "../ir/op.ts";
import { resolveAxis } from "./axes.ts";
import { sameAsInput, scalarLike } from "./elementwise.ts";
import { groupOffsets, outputWith } from "./strided.ts";

const LpNormalization = defineOp("LpNormalization", {
  doc: "y = x / m along `axis`, m the sum of |x| (p = 1) or sqrt(sum of x^2) (p = 2); zeros stay zeros",
  source: "ONNX LpNormalization-1",
  inputs: ["x"],
  attrs: { axis: { kind: "int", default: -1 }, p: { kind: "int", default: 2 } },
  axes: "stops",
  precision: "float32",
  infer: (ctx) => {
    resolveAxis(ctx.attrs.int("axis"), ctx.input(0).shape.length, ctx.fail);
    if (![1, 2].includes(ctx.attrs.int("p"))) ctx.fail(`expected p 1 or 2, found ${ctx.attrs.int("p")}`);
    return sameAsInput("float")(ctx);
  },
  // dx = (dy - g sum(dy y)) / m with g the derivative of m: sign(x) for p = 1, y for p = 2; m = 1 in place
  // of 0
  vjp: ({ b, dy, input, output, attrs }) => {
    const [x, axis, one] = [input(0), b.ints([attrs.int("axis")]), attrs.int("p") === 1];
    const m = b.emit(one ? "ReduceL1" : "ReduceL2", [x, axis], { keepdims: 1 });
    const isZero = b.emit("Equal", [m, scalarLike(b, 0, m)]);
    const along = b.reduceSum(b.mul(dy, output(0)), [attrs.int("axis")], 1);
    const away = b.mul(one ? b.emit("Sign", [x]) : output(0), along);
    return [b.div(b.sub(dy, away), b.where(isZero, scalarLike(b, 1, m), m))];
  },
  evaluate: (ctx) => {
    const x = ctx.input(0);
    const p = ctx.attrs.int("p");
    const group = groupOffsets(x.shape, [resolveAxis(ctx.attrs.int("axis"), x.shape.length)]);
    const sums = new Float64Array(x.data.length);
    x.data.forEach((value, i) => {
      sums[group[i]!]! += Math.abs(value) ** p;
    });
    return outputWith(
      ctx,
      x.data.map((value, i) => (sums[group[i]!] === 0 ? 0 : value / sums[group[i]!]! ** (1 / p))),
    );
  },
});

/** Ops of this family. */
export const LP_NORMALIZATION: readonly Op[] = [LpNormalization];
