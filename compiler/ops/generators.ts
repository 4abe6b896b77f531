// Tensors made from a shape or from constants, not from other numbers (ONNX calls them generators): nothing
// passes through them to be differentiated.
import { defineOp, type Op, zeroDerivative } from "../ir/op.ts";
import { concreteShape } from "../ir/types.ts";
import { range } from "./axes.ts";
import { expectKind } from "./elementwise.ts";
import { outputWith, zerosForOutput } from "./strided.ts";

const EyeLike = defineOp("EyeLike", {
  doc: "y = 1 on the k-th diagonal of a matrix of the shape and dtype of x, else 0",
  source: "ONNX EyeLike-9",
  inputs: ["x"],
  attrs: { k: { kind: "int", default: 0 } },
  axes: "stops",
  precision: "float32",
  infer: (ctx) => {
    expectKind(ctx, ctx.input(0), "number");
    if (ctx.input(0).shape.length !== 2) ctx.fail(`expected a matrix, found [${ctx.input(0).shape}]`);
    return [ctx.input(0)];
  },
  vjp: zeroDerivative("it depends on the shape of its input only"),
  evaluate: (ctx) => {
    const y = zerosForOutput(ctx);
    const [, columns = 1] = y.shape;
    const k = ctx.attrs.int("k");
    return outputWith(
      ctx,
      y.data.map((_, i) => ((i % columns) - Math.floor(i / columns) === k ? 1 : 0)),
    );
  },
});

const Range = defineOp("Range", {
  doc: "y = start, start + delta, ... before limit (all constant)",
  source: "ONNX Range-11",
  inputs: ["start", "limit", "delta"],
  axes: "stops",
  precision: "float32",
  hostInputs: [0, 1, 2],
  infer: (ctx) => {
    const [start = 0, limit = 0, delta = 1] = [0, 1, 2].map((i) => ctx.constant(i)[0] ?? 0);
    const { dtype } = ctx.input(0);
    expectKind(ctx, ctx.input(0), "number");
    if (!Number.isFinite((limit - start) / delta)) ctx.fail(`no range from ${start} to ${limit} by ${delta}`);
    return [{ dtype, shape: [Math.max(0, Math.ceil((limit - start) / delta))] }];
  },
  vjp: zeroDerivative("its inputs are constants"),
  evaluate: (ctx) => {
    const [start, delta] = [ctx.input(0).data[0] ?? 0, ctx.input(2).data[0] ?? 1];
    const [count = 0] = concreteShape(ctx.outputs[0]!.shape);
    return outputWith(
      ctx,
      Float64Array.from(range(count), (i) => start + i * delta),
    );
  },
});

/** Ops of this family. */
export const GENERATORS: readonly Op[] = [EyeLike, Range];
