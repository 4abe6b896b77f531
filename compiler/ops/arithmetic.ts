// Elementwise arithmetic of two or more tensors with numpy broadcasting. Where a derivative is asked for, the
// inputs are float.
import { defineOp, type Op, type Vjp } from "../ir/op.ts";
import { isFloat } from "../ir/types.ts";
import {
  broadcastInputs,
  broadcastShapes,
  expectKind,
  scalarLike,
  unbroadcastAll,
  zipWith,
} from "./elementwise.ts";

const Add = defineOp("Add", {
  doc: "z = x + y",
  source: "ONNX Add-14",
  inputs: ["x", "y"],
  outputs: ["z"],
  traits: ["commutative"],
  axes: "elementwise",
  precision: "follows",
  identity: { neutral: 0, inputs: [0, 1] },
  infer: broadcastInputs("number"),
  // dx = dz, dy = dz
  vjp: (ctx) => unbroadcastAll(ctx, [() => ctx.dy, () => ctx.dy]),
  evaluate: zipWith((x, y) => x + y),
});

const Sub = defineOp("Sub", {
  doc: "z = x - y",
  source: "ONNX Sub-14",
  inputs: ["x", "y"],
  outputs: ["z"],
  axes: "elementwise",
  precision: "follows",
  identity: { neutral: 0, inputs: [1] },
  infer: broadcastInputs("number"),
  // dx = dz, dy = -dz
  vjp: (ctx) => unbroadcastAll(ctx, [() => ctx.dy, () => ctx.b.neg(ctx.dy)]),
  evaluate: zipWith((x, y) => x - y),
});

const Mul = defineOp("Mul", {
  doc: "z = x y",
  source: "ONNX Mul-14",
  inputs: ["x", "y"],
  outputs: ["z"],
  traits: ["commutative"],
  axes: "elementwise",
  precision: "follows",
  identity: { neutral: 1, inputs: [0, 1] },
  infer: broadcastInputs("number"),
  // dx = dz y, dy = dz x
  vjp: (ctx) =>
    unbroadcastAll(ctx, [() => ctx.b.mul(ctx.dy, ctx.input(1)), () => ctx.b.mul(ctx.dy, ctx.input(0))]),
  evaluate: zipWith((x, y) => x * y),
});

const Div = defineOp("Div", {
  doc: "z = x / y; of integers, truncated towards zero",
  source: "ONNX Div-14",
  inputs: ["x", "y"],
  outputs: ["z"],
  axes: "elementwise",
  precision: "float32",
  identity: { neutral: 1, inputs: [1] },
  infer: broadcastInputs("number"),
  // dx = dz / y, dy = -dz z / y
  vjp: (ctx) => {
    const { b } = ctx;
    return unbroadcastAll(ctx, [
      () => b.div(ctx.dy, ctx.input(1)),
      () => b.neg(b.div(b.mul(ctx.dy, ctx.output(0)), ctx.input(1))),
    ]);
  },
  evaluate: (ctx) =>
    zipWith(isFloat(ctx.input(0).dtype) ? (x, y) => x / y : (x, y) => Math.trunc(x / y))(ctx),
});

const Pow = defineOp("Pow", {
  doc: "z = x ^ y; the result has the dtype of x",
  source: "ONNX Pow-15",
  inputs: ["x", "y"],
  outputs: ["z"],
  axes: "elementwise",
  precision: "float32",
  infer: (ctx) => {
    const [x, y] = [ctx.input(0), ctx.input(1)];
    for (const type of [x, y]) expectKind(ctx, type, "number");
    return [{ dtype: x.dtype, shape: broadcastShapes([x.shape, y.shape], ctx.fail) }];
  },
  // dx = dz y x^(y-1), dy = dz z ln x where x > 0, else 0
  vjp: (ctx) => {
    const { b, dy } = ctx;
    const x = ctx.input(0);
    const exponent = b.cast(ctx.input(1), x.type.dtype);
    const lower = () => b.emit("Pow", [x, b.sub(exponent, scalarLike(b, 1, x))]);
    const logarithm = () => {
      const positive = b.emit("Greater", [x, scalarLike(b, 0, x)]);
      return b.emit("Log", [b.where(positive, x, scalarLike(b, 1, x))]);
    };
    return unbroadcastAll(ctx, [
      () => b.mul(dy, b.mul(exponent, lower())),
      () => b.mul(dy, b.mul(ctx.output(0), logarithm())),
    ]);
  },
  evaluate: zipWith((x, y) => x ** y),
});

/** With n(e) the number of inputs that equal y at element e: dx_i = dy / n where x_i = y, else 0. */
const shareAmongEqual: Vjp = (ctx) => {
  const { b, dy } = ctx;
  const y = ctx.output(0);
  const hits = ctx.inputs.map((_, i) => b.cast(b.emit("Equal", [ctx.input(i), y]), y.type.dtype));
  const share = b.div(dy, hits.reduce(b.add.bind(b)));
  return unbroadcastAll(
    ctx,
    hits.map((hit) => () => b.mul(hit, share)),
  );
};

const Max = defineOp("Max", {
  doc: "y = the largest of one or more inputs, elementwise; a tie shares its cotangent evenly",
  source: "ONNX Max-13",
  inputs: ["x", "more*"],
  traits: ["commutative"],
  axes: "elementwise",
  precision: "follows",
  infer: broadcastInputs("number"),
  vjp: shareAmongEqual,
  evaluate: zipWith(Math.max),
});

const Min = defineOp("Min", {
  doc: "y = the smallest of one or more inputs, elementwise; a tie shares its cotangent evenly",
  source: "ONNX Min-13",
  inputs: ["x", "more*"],
  traits: ["commutative"],
  axes: "elementwise",
  precision: "follows",
  infer: broadcastInputs("number"),
  vjp: shareAmongEqual,
  evaluate: zipWith(Math.min),
});

const Sum = defineOp("Sum", {
  doc: "y = the sum of one or more inputs, elementwise",
  source: "ONNX Sum-13",
  inputs: ["x", "more*"],
  traits: ["commutative"],
  axes: "elementwise",
  precision: "float32",
  infer: broadcastInputs("float"),
  // dx_i = dy
  vjp: (ctx) =>
    unbroadcastAll(
      ctx,
      ctx.inputs.map(() => () => ctx.dy),
    ),
  evaluate: zipWith((x, y) => x + y),
});

const Mean = defineOp("Mean", {
  doc: "y = the mean of one or more inputs, elementwise",
  source: "ONNX Mean-13",
  inputs: ["x", "more*"],
  traits: ["commutative"],
  axes: "elementwise",
  precision: "float32",
  infer: broadcastInputs("float"),
  // dx_i = dy / n for n inputs
  vjp: (ctx) => {
    const share = ctx.b.div(ctx.dy, scalarLike(ctx.b, ctx.inputs.length, ctx.dy));
    return unbroadcastAll(
      ctx,
      ctx.inputs.map(() => () => share),
    );
  },
  evaluate: (ctx) => {
    const [sum] = zipWith((x, y) => x + y)(ctx);
    return [{ ...sum!, data: sum!.data.map((value) => value / ctx.inputs.length) }];
  },
});

/** Ops of this family. */
export const ARITHMETIC: readonly Op[] = [Add, Sub, Mul, Div, Pow, Max, Min, Sum, Mean];
