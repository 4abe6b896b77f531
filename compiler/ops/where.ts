// Where: a choice between two tensors, element by element. Rows are chosen with it, never by a product with a
// mask, which would hand on what is infinite or undefined.
import { defineOp, type Op } from "../ir/op.ts";
import { broadcastShapes, expectKind, scalarLike, sumToShape } from "./elementwise.ts";
import { broadcastData, zerosForOutput } from "./strided.ts";

const Where = defineOp("Where", {
  doc: "z = x where the condition (bool) holds, else y; all three broadcast",
  source: "ONNX Where-16",
  inputs: ["condition", "x", "y"],
  outputs: ["z"],
  axes: "elementwise",
  precision: "follows",
  infer: (ctx) => {
    const [condition, x, y] = [ctx.input(0), ctx.input(1), ctx.input(2)];
    expectKind(ctx, condition, "bool");
    if (x.dtype !== y.dtype) ctx.fail(`expected two tensors of one dtype, found ${x.dtype} and ${y.dtype}`);
    return [{ dtype: x.dtype, shape: broadcastShapes([condition.shape, x.shape, y.shape], ctx.fail) }];
  },
  // dx = dz where the condition holds, else 0; dy = 0 where the condition holds, else dz
  vjp: (ctx) => {
    const { b, dy: dz } = ctx;
    const [condition, x, y] = [ctx.input(0), ctx.input(1), ctx.input(2)];
    const zero = scalarLike(b, 0, dz);
    return [
      undefined,
      ctx.needs[1] ? sumToShape(b, b.where(condition, dz, zero), x.type.shape) : undefined,
      ctx.needs[2] ? sumToShape(b, b.where(condition, zero, dz), y.type.shape) : undefined,
    ];
  },
  evaluate: (ctx) => {
    const z = zerosForOutput(ctx);
    const condition = broadcastData(ctx.input(0), z.shape);
    const x = broadcastData(ctx.input(1), z.shape);
    const y = broadcastData(ctx.input(2), z.shape);
    for (let i = 0; i < z.data.length; i++) z.data[i] = condition[i] === 0 ? y[i]! : x[i]!;
    return [z];
  },
});

/** Ops of this family. */
export const CHOICE: readonly Op[] = [Where];
