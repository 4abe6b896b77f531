// Trigonometric and hyperbolic functions and their inverses, elementwise; each row is one operator.
import type { GraphBuilder } from "../ir/builder.ts";
import { defineOp, type Op } from "../ir/op.ts";
import type { OpName } from "../ir/opNames.ts";
import type { Value } from "../ir/types.ts";
import { mapWith, sameAsInput, scalarLike } from "./elementwise.ts";

/** An operator y = f(x) with dx = dy f'(x); `slope` gives f'(x) from x and y. */
function defineFunction(
  name: OpName,
  source: string,
  entry: {
    readonly doc: string;
    readonly evaluate: (x: number) => number;
    readonly slope: (b: GraphBuilder, x: Value, y: Value) => Value;
  },
): Op {
  return defineOp(name, {
    doc: entry.doc,
    source,
    inputs: ["x"],
    axes: "elementwise",
    precision: "float32",
    infer: sameAsInput("float"),
    vjp: ({ b, dy, input, output }) => [b.mul(dy, entry.slope(b, input(0), output(0)))],
    evaluate: mapWith(entry.evaluate),
  });
}

/** 1 + sign x^2. */
function onePlusSquare(b: GraphBuilder, x: Value, sign: 1 | -1): Value {
  const [one, square] = [scalarLike(b, 1, x), b.mul(x, x)];
  return sign === 1 ? b.add(one, square) : b.sub(one, square);
}

/** 1 / sqrt(x). */
function inverseRoot(b: GraphBuilder, x: Value): Value {
  return b.emit("Reciprocal", [b.emit("Sqrt", [x])]);
}

/** Ops of this family. */
export const TRIGONOMETRY: readonly Op[] = [
  defineFunction("Sin", "ONNX Sin-7", {
    doc: "y = sin x",
    evaluate: Math.sin,
    // dx = dy cos x
    slope: (b, x) => b.emit("Cos", [x]),
  }),
  defineFunction("Cos", "ONNX Cos-7", {
    doc: "y = cos x",
    evaluate: Math.cos,
    // dx = -dy sin x
    slope: (b, x) => b.neg(b.emit("Sin", [x])),
  }),
  defineFunction("Tan", "ONNX Tan-7", {
    doc: "y = tan x",
    evaluate: Math.tan,
    // dx = dy (1 + y^2)
    slope: (b, _, y) => onePlusSquare(b, y, 1),
  }),
  defineFunction("Asin", "ONNX Asin-7", {
    doc: "y = arcsin x",
    evaluate: Math.asin,
    // dx = dy / sqrt(1 - x^2)
    slope: (b, x) => inverseRoot(b, onePlusSquare(b, x, -1)),
  }),
  defineFunction("Acos", "ONNX Acos-7", {
    doc: "y = arccos x",
    evaluate: Math.acos,
    // dx = -dy / sqrt(1 - x^2)
    slope: (b, x) => b.neg(inverseRoot(b, onePlusSquare(b, x, -1))),
  }),
  defineFunction("Atan", "ONNX Atan-7", {
    doc: "y = arctan x",
    evaluate: Math.atan,
    // dx = dy / (1 + x^2)
    slope: (b, x) => b.emit("Reciprocal", [onePlusSquare(b, x, 1)]),
  }),
  defineFunction("Sinh", "ONNX Sinh-9", {
    doc: "y = sinh x",
    evaluate: Math.sinh,
    // dx = dy cosh x
    slope: (b, x) => b.emit("Cosh", [x]),
  }),
  defineFunction("Cosh", "ONNX Cosh-9", {
    doc: "y = cosh x",
    evaluate: Math.cosh,
    // dx = dy sinh x
    slope: (b, x) => b.emit("Sinh", [x]),
  }),
  defineFunction("Asinh", "ONNX Asinh-9", {
    doc: "y = arsinh x",
    evaluate: Math.asinh,
    // dx = dy / sqrt(1 + x^2)
    slope: (b, x) => inverseRoot(b, onePlusSquare(b, x, 1)),
  }),
  defineFunction("Acosh", "ONNX Acosh-9", {
    doc: "y = arcosh x",
    evaluate: Math.acosh,
    // dx = dy / sqrt(x^2 - 1)
    slope: (b, x) => inverseRoot(b, b.neg(onePlusSquare(b, x, -1))),
  }),
  defineFunction("Atanh", "ONNX Atanh-9", {
    doc: "y = artanh x",
    evaluate: Math.atanh,
    // dx = dy / (1 - x^2)
    slope: (b, x) => b.emit("Reciprocal", [onePlusSquare(b, x, -1)]),
  }),
];
