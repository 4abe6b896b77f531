// Elementary functions of one tensor, elementwise.
import { defineOp, type Op, zeroDerivative } from "../ir/op.ts";
import { mapWith, sameAsInput, scalarLike } from "./elementwise.ts";

const Neg = defineOp("Neg", {
  doc: "y = -x",
  source: "ONNX Neg-13",
  inputs: ["x"],
  axes: "elementwise",
  precision: "follows",
  identity: "involution",
  infer: sameAsInput("number"),
  // dx = -dy
  vjp: ({ b, dy }) => [b.neg(dy)],
  evaluate: mapWith((x) => -x),
});

const Sqrt = defineOp("Sqrt", {
  doc: "y = sqrt(x)",
  source: "ONNX Sqrt-13",
  inputs: ["x"],
  axes: "elementwise",
  precision: "float32",
  infer: sameAsInput("float"),
  // dx = dy / (2 y)
  vjp: ({ b, dy, output }) => [b.div(dy, b.mul(scalarLike(b, 2, dy), output(0)))],
  evaluate: mapWith(Math.sqrt),
});

const Reciprocal = defineOp("Reciprocal", {
  doc: "y = 1 / x",
  source: "ONNX Reciprocal-13",
  inputs: ["x"],
  axes: "elementwise",
  precision: "float32",
  infer: sameAsInput("float"),
  // dx = -dy y^2
  vjp: ({ b, dy, output }) => [b.neg(b.mul(dy, b.mul(output(0), output(0))))],
  evaluate: mapWith((x) => 1 / x),
});

const Exp = defineOp("Exp", {
  doc: "y = e^x",
  source: "ONNX Exp-13",
  inputs: ["x"],
  axes: "elementwise",
  precision: "float32",
  infer: sameAsInput("float"),
  // dx = dy y
  vjp: ({ b, dy, output }) => [b.mul(dy, output(0))],
  evaluate: mapWith(Math.exp),
});

const Log = defineOp("Log", {
  doc: "y = ln x",
  source: "ONNX Log-13",
  inputs: ["x"],
  axes: "elementwise",
  precision: "float32",
  infer: sameAsInput("float"),
  // dx = dy / x
  vjp: ({ b, dy, input }) => [b.div(dy, input(0))],
  evaluate: mapWith(Math.log),
});

const Abs = defineOp("Abs", {
  doc: "y = |x|",
  source: "ONNX Abs-13",
  inputs: ["x"],
  axes: "elementwise",
  precision: "follows",
  infer: sameAsInput("number"),
  // dx = dy sign(x), 0 at 0
  vjp: ({ b, dy, input }) => [b.mul(dy, b.emit("Sign", [input(0)]))],
  evaluate: mapWith(Math.abs),
});

const Sign = defineOp("Sign", {
  doc: "y = -1, 0 or 1, as x is negative, zero or positive",
  source: "ONNX Sign-13",
  inputs: ["x"],
  axes: "elementwise",
  precision: "follows",
  infer: sameAsInput("number"),
  vjp: zeroDerivative("the sign is constant on either side of 0"),
  evaluate: mapWith(Math.sign),
});

const Floor = defineOp("Floor", {
  doc: "y = the largest integer not above x",
  source: "ONNX Floor-13",
  inputs: ["x"],
  axes: "elementwise",
  precision: "float32",
  infer: sameAsInput("float"),
  vjp: zeroDerivative("it is constant between integers"),
  evaluate: mapWith(Math.floor),
});

/** Ops of this family. */
export const ELEMENTARY: readonly Op[] = [Neg, Sqrt, Reciprocal, Exp, Log, Abs, Sign, Floor];
