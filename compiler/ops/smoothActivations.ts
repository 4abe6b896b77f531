// Activations that are smooth everywhere, and the error function from which exporters build Gelu.
import { defineOp, type Op } from "../ir/op.ts";
import { mapWith, sameAsInput, scalarLike } from "./elementwise.ts";

const Sigmoid = defineOp("Sigmoid", {
  doc: "y = 1 / (1 + e^-x)",
  source: "ONNX Sigmoid-13",
  inputs: ["x"],
  axes: "elementwise",
  precision: "follows",
  infer: sameAsInput("float"),
  // dx = dy y (1 - y)
  vjp: ({ b, dy, output }) => [b.mul(dy, b.mul(output(0), b.sub(scalarLike(b, 1, dy), output(0))))],
  evaluate: mapWith((x) => 1 / (1 + Math.exp(-x))),
});

const Tanh = defineOp("Tanh", {
  doc: "y = tanh x",
  source: "ONNX Tanh-13",
  inputs: ["x"],
  axes: "elementwise",
  precision: "follows",
  infer: sameAsInput("float"),
  // dx = dy (1 - y^2)
  vjp: ({ b, dy, output }) => [b.mul(dy, b.sub(scalarLike(b, 1, dy), b.mul(output(0), output(0))))],
  evaluate: mapWith(Math.tanh),
});

const Softplus = defineOp("Softplus", {
  doc: "y = ln(1 + e^x)",
  source: "ONNX Softplus-1",
  inputs: ["x"],
  axes: "elementwise",
  precision: "float32",
  infer: sameAsInput("float"),
  // dx = dy / (1 + e^-x)
  vjp: ({ b, dy, input }) => [b.mul(dy, b.emit("Sigmoid", [input(0)]))],
  evaluate: mapWith(softplus),
});

const Softsign = defineOp("Softsign", {
  doc: "y = x / (1 + |x|)",
  source: "ONNX Softsign-1",
  inputs: ["x"],
  axes: "elementwise",
  precision: "float32",
  infer: sameAsInput("float"),
  // dx = dy / (1 + |x|)^2
  vjp: ({ b, dy, input }) => {
    const below = b.add(scalarLike(b, 1, dy), b.emit("Abs", [input(0)]));
    return [b.div(dy, b.mul(below, below))];
  },
  evaluate: mapWith((x) => x / (1 + Math.abs(x))),
});

const Mish = defineOp("Mish", {
  doc: "y = x tanh(ln(1 + e^x))",
  source: "ONNX Mish-18 (Misra 2019)",
  inputs: ["x"],
  axes: "elementwise",
  precision: "float32",
  infer: sameAsInput("float"),
  // With t = tanh(ln(1 + e^x)): dx = dy (t + x (1 - t^2) / (1 + e^-x))
  vjp: ({ b, dy, input }) => {
    const x = input(0);
    const t = b.emit("Tanh", [b.emit("Softplus", [x])]);
    const slope = b.mul(b.sub(scalarLike(b, 1, dy), b.mul(t, t)), b.emit("Sigmoid", [x]));
    return [b.mul(dy, b.add(t, b.mul(x, slope)))];
  },
  evaluate: mapWith((x) => x * Math.tanh(softplus(x))),
});

const Erf = defineOp("Erf", {
  doc: "y = 2 / sqrt(pi) times the integral of e^(-t^2) from 0 to x",
  source: "ONNX Erf-13",
  inputs: ["x"],
  axes: "elementwise",
  precision: "float32",
  infer: sameAsInput("float"),
  // dx = dy 2 / sqrt(pi) e^(-x^2)
  vjp: ({ b, dy, input }) => {
    const density = b.emit("Exp", [b.neg(b.mul(input(0), input(0)))]);
    return [b.mul(dy, b.mul(scalarLike(b, 2 / Math.sqrt(Math.PI), dy), density))];
  },
  evaluate: mapWith(errorFunction),
});

/** ln(1 + e^x) without overflow. */
function softplus(x: number): number {
  return Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)));
}

/**
 * erf x = 2 / sqrt(pi) e^(-x^2) sum over n of 2^n x^(2n+1) / (1 3 5 .. (2n+1)) (Abramowitz and Stegun 7.1.6):
 * all terms have one sign, so nothing cancels. Beyond 6 it is 1 in float64.
 */
function errorFunction(x: number): number {
  if (Math.abs(x) > 6) return Math.sign(x);
  let term = x;
  let sum = x;
  for (let n = 1; Math.abs(term) > Number.EPSILON * Math.abs(sum); n++) {
    term *= (2 * x * x) / (2 * n + 1);
    sum += term;
  }
  return (2 / Math.sqrt(Math.PI)) * Math.exp(-x * x) * sum;
}

/** Ops of this family. */
export const SMOOTH_ACTIVATIONS: readonly Op[] = [Sigmoid, Tanh, Softplus, Softsign, Mish, Erf];
