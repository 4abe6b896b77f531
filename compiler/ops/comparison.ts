// Comparisons and logic. Truth values are bool tensors; the derivatives of comparisons are zero.
import { defineOp, type Op, zeroDerivative } from "../ir/op.ts";
import type { OpName } from "../ir/opNames.ts";
import { broadcastInputs, type DTypeKind, expectKind, mapWith, sameAsInput, zipWith } from "./elementwise.ts";

/** A bool of two tensors of one dtype, with broadcasting. */
function defineComparison(
  name: OpName,
  entry: {
    readonly doc: string;
    readonly source: string;
    readonly kind: DTypeKind;
    readonly commutative: boolean;
    readonly test: (x: number, y: number) => boolean;
  },
): Op {
  return defineOp(name, {
    doc: entry.doc,
    source: entry.source,
    inputs: ["x", "y"],
    outputs: ["z"],
    traits: entry.commutative ? ["commutative"] : [],
    axes: "elementwise",
    precision: "follows",
    infer: broadcastInputs(entry.kind, "bool"),
    vjp: zeroDerivative("truth values do not change smoothly"),
    evaluate: zipWith((x, y) => (entry.test(x, y) ? 1 : 0)),
  });
}

const Equal = defineComparison("Equal", {
  doc: "z = x is y",
  source: "ONNX Equal-13",
  kind: "any",
  commutative: true,
  test: (x, y) => x === y,
});

const Greater = defineComparison("Greater", {
  doc: "z = x > y",
  source: "ONNX Greater-13",
  kind: "number",
  commutative: false,
  test: (x, y) => x > y,
});

const GreaterOrEqual = defineComparison("GreaterOrEqual", {
  doc: "z = x >= y",
  source: "ONNX GreaterOrEqual-16",
  kind: "number",
  commutative: false,
  test: (x, y) => x >= y,
});

const Less = defineComparison("Less", {
  doc: "z = x < y",
  source: "ONNX Less-13",
  kind: "number",
  commutative: false,
  test: (x, y) => x < y,
});

const LessOrEqual = defineComparison("LessOrEqual", {
  doc: "z = x <= y",
  source: "ONNX LessOrEqual-16",
  kind: "number",
  commutative: false,
  test: (x, y) => x <= y,
});

const And = defineComparison("And", {
  doc: "z = x and y",
  source: "ONNX And-7",
  kind: "bool",
  commutative: true,
  test: (x, y) => x !== 0 && y !== 0,
});

const Or = defineComparison("Or", {
  doc: "z = x or y",
  source: "ONNX Or-7",
  kind: "bool",
  commutative: true,
  test: (x, y) => x !== 0 || y !== 0,
});

const Not = defineOp("Not", {
  doc: "y = not x",
  source: "ONNX Not-1",
  inputs: ["x"],
  axes: "elementwise",
  precision: "float32",
  infer: sameAsInput("bool"),
  vjp: zeroDerivative("truth values do not change smoothly"),
  evaluate: mapWith((x) => (x === 0 ? 1 : 0)),
});

const Xor = defineComparison("Xor", {
  doc: "z = x or y, but not both",
  source: "ONNX Xor-7",
  kind: "bool",
  commutative: true,
  test: (x, y) => (x !== 0) !== (y !== 0),
});

/** A bool of each number of one float tensor. */
function defineNumberTest(name: OpName, source: string, doc: string, test: (x: number) => boolean): Op {
  return defineOp(name, {
    doc,
    source,
    inputs: ["x"],
    axes: "elementwise",
    precision: "float32",
    infer: (ctx) => {
      expectKind(ctx, ctx.input(0), "float");
      return [{ dtype: "bool", shape: ctx.input(0).shape }];
    },
    vjp: zeroDerivative("truth values do not change smoothly"),
    evaluate: mapWith((x) => (test(x) ? 1 : 0)),
  });
}

const IsNaN = defineNumberTest("IsNaN", "ONNX IsNaN-13", "y = x is not a number", Number.isNaN);

const IsInf = defineNumberTest(
  "IsInf",
  "ONNX IsInf-10",
  "y = x is infinite, of either sign (detect_negative and detect_positive at their default, 1)",
  (x) => Math.abs(x) === Number.POSITIVE_INFINITY,
);

/** Ops of this family. */
export const COMPARISON: readonly Op[] = [
  ...[Equal, Greater, GreaterOrEqual, Less, LessOrEqual],
  ...[And, Or, Xor, Not, IsNaN, IsInf],
];
