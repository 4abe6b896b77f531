// Rows of a softmax that are masked throughout: their value is NaN, a graph puts zeros in its place, and the
// derivative is finite, that of the value. As attention does, by Where, in every order of the guard.
import { describe, expect, test } from "vitest";
import { appendGradients } from "../../compiler/autodiff/reverse.ts";
import { GraphBuilder } from "../../compiler/ir/builder.ts";
import { interpret } from "../../compiler/ir/interpret.ts";
import type { NDArray } from "../../compiler/ir/op.ts";
import type { Value } from "../../compiler/ir/types.ts";
import { OPS } from "../../compiler/ops/table.ts";
import { importModel } from "../../compiler/read/onnx/importModel.ts";
import { encodeForeign, imageOf, tensor } from "../import/foreignModel.ts";
import { GRADIENT_CHECK } from "../tolerances.ts";

const NONE = Number.NEGATIVE_INFINITY;
/** Added to [3,4]: the second row is masked throughout, the third in part. */
const MASK = [0, 0, 0, 0, NONE, NONE, NONE, NONE, 0, NONE, 0.5, NONE];

/** Objective sum(w f(x + mask)) of x [3,4], and its gradient. */
function withGradient(guarded: (b: GraphBuilder, x: Value, mask: Value) => Value) {
  const b = new GraphBuilder("masked", OPS);
  const x = b.input("x", "float32", [3, 4]);
  const mask = b.constant({ dtype: "float32", shape: [3, 4], data: Float64Array.from(MASK) });
  const weights = Float64Array.from({ length: 12 }, (_, i) => Math.sin(1 + i));
  const y = b.mul(
    guarded(b, b.add(x, mask), mask),
    b.constant({ dtype: "float32", shape: [3, 4], data: weights }),
  );
  const objective = b.reduceSum(y, [0, 1], 0);
  b.output("objective", objective);
  b.output("gradient", appendGradients(b, objective, [x]).get(x) ?? x);
  return b.build();
}

const GUARDS: Readonly<Record<string, (b: GraphBuilder, x: Value, mask: Value) => Value>> = {
  "Where by the mask": (b, x, mask) => {
    const largest = b.emit("ReduceMax", [mask, b.ints([-1])], { keepdims: 1 });
    const isMasked = b.emit("Equal", [largest, b.scalar(NONE)]);
    return b.where(isMasked, b.scalar(0), b.emit("Softmax", [x], { axis: -1 }));
  },
  "Where by IsNaN": (b, x) => {
    const y = b.emit("Softmax", [x], { axis: -1 });
    return b.where(b.emit("IsNaN", [y]), b.scalar(0), y);
  },
  "Where behind a Cast and an Identity": (b, x) => {
    const y = b.emit("Identity", [b.emit("Cast", [b.emit("Softmax", [x], { axis: -1 })], { to: "float32" })]);
    return b.where(b.emit("IsNaN", [y]), b.scalar(0), y);
  },
  "LogSoftmax, where it is finite": (b, x) => {
    const y = b.emit("LogSoftmax", [x], { axis: -1 });
    const isNone = b.emit("Or", [b.emit("IsNaN", [y]), b.emit("IsInf", [y])]);
    return b.where(isNone, b.scalar(0), y);
  },
};

describe.each(Object.entries(GUARDS))("%s", (_, guarded) => {
  const graph = withGradient(guarded);
  const at = (data: Float64Array): NDArray => ({ dtype: "float32", shape: [3, 4], data });
  const run = (data: Float64Array, output: string) =>
    interpret(graph, new Map([["x", at(data)]])).get(output)?.data ?? new Float64Array(0);
  const x = Float64Array.from({ length: 12 }, (_, i) => Math.cos(2 * i));

  test("the derivative is that of central differences, and zero for the masked row", () => {
    const step = 1e-5;
    const gradient = run(x, "gradient");
    const differences = Array.from(x, (_, i) => {
      const [up, down] = [x.with(i, x[i]! + step), x.with(i, x[i]! - step)];
      return (run(up, "objective")[0]! - run(down, "objective")[0]!) / (2 * step);
    });
    expect(differences.every(Number.isFinite)).toBe(true);
    for (const [i, each] of differences.entries())
      expect(Math.abs(gradient[i]! - each), `element ${i}`).toBeLessThan(GRADIENT_CHECK);
    expect([...gradient.subarray(4, 8)].map(Math.abs)).toEqual([0, 0, 0, 0]);
  });
});

test("a softmax that nothing guards is differentiated without a test for NaN", () => {
  const names = withGradient((b, masked) => b.emit("Softmax", [masked], { axis: -1 })).nodes.map(
    ({ op }) => op.name,
  );
  expect(names).not.toContain("IsNaN");
});

test("Attention gives zeros for a query whose keys are all masked", () => {
  const isKept = Array.from({ length: 36 }, (_, i) => Number(i >= 6));
  const bytes = encodeForeign({
    opset: 23,
    initializers: [tensor("mask", "bool", [6, 6], isKept)],
    nodes: [["Attention(x, x, x, mask) -> y"]],
  });
  const { graph } = importModel(bytes, { file: "m.onnx", imshape: [6, 5], batch: 2 });
  const found = interpret(graph, new Map([["x", imageOf()]])).get("y");
  expect(found?.shape).toEqual([2, 3, 6, 5]);
  expect([...(found?.data.subarray(0, 5) ?? [])]).toEqual([0, 0, 0, 0, 0]);
  expect(found?.data.every(Number.isFinite)).toBe(true);
});
