// What derivatives are where they do not exist: kinks and ties have values that were chosen, and stay as they
// are.
import { expect, test } from "vitest";
import { appendGradients } from "../../compiler/autodiff/reverse.ts";
import { GraphBuilder } from "../../compiler/ir/builder.ts";
import { interpret } from "../../compiler/ir/interpret.ts";
import type { OpName } from "../../compiler/ir/opNames.ts";
import type { Attrs } from "../../compiler/ir/types.ts";
import { OPS } from "../../compiler/ops/table.ts";
import { SUM_FLOAT64 } from "../tolerances.ts";

interface Numbers {
  readonly shape: readonly number[];
  readonly data: readonly number[];
}

/** d(sum of weights times op(x...)) by each x; without weights, of the sum. */
function gradients(
  op: OpName,
  inputs: readonly Numbers[],
  attrs: Attrs = {},
  axes?: readonly number[],
): number[][] {
  const b = new GraphBuilder("pinned", OPS);
  const values = inputs.map(({ shape }, i) => b.input(`x${i}`, "float32", shape));
  const y = b.emit(op, axes ? [...values, b.ints(axes)] : values, attrs);
  const sum = y.type.shape.length === 0 ? y : b.emit("ReduceSum", [y], { keepdims: 0 });
  const found = appendGradients(b, sum, values);
  values.forEach((value, i) => {
    b.output(`d${i}`, found.get(value)!);
  });
  const feeds = inputs.map(
    ({ shape, data }, i) => [`x${i}`, { dtype: "float32", shape, data: Float64Array.from(data) }] as const,
  );
  const results = interpret(b.build(), new Map(feeds));
  return inputs.map((_, i) => Array.from(results.get(`d${i}`)!.data));
}

function vector(...data: readonly number[]): Numbers {
  return { shape: [data.length], data };
}

test("the derivative of Relu at 0, and at -0, is 0", () => {
  expect(gradients("Relu", [vector(-1, -0, 0, 1)])).toEqual([[0, 0, 0, 1]]);
});

test("the derivative of Abs at 0 is 0", () => {
  expect(gradients("Abs", [vector(-2, 0, 3)])).toEqual([[-1, 0, 1]]);
});

test("Max of equal numbers shares the cotangent evenly", () => {
  expect(gradients("Max", [vector(1, 2, 3), vector(3, 2, 1)])).toEqual([
    [0, 0.5, 1],
    [1, 0.5, 0],
  ]);
});

test("Min of three equal numbers gives each a third", () => {
  for (const [share = 0] of gradients("Min", [vector(2), vector(2), vector(2)]))
    expect(Math.abs(share - 1 / 3)).toBeLessThan(SUM_FLOAT64);
});

test("ReduceMax shares the cotangent evenly among the largest", () => {
  const x = { shape: [2, 3], data: [1, 4, 4, 5, 0, 2] };
  expect(gradients("ReduceMax", [x], { keepdims: 0 }, [1])).toEqual([[0, 0.5, 0.5, 1, 0, 0]]);
});

test("ReduceMax over numbers that are all equal is fair to all of them", () => {
  expect(gradients("ReduceMax", [{ shape: [2, 2], data: [7, 7, 7, 7] }])).toEqual([[0.25, 0.25, 0.25, 0.25]]);
});

test("the derivative of a power by its base at 0 is 0 for the exponent 2, and by its exponent 0", () => {
  expect(gradients("Pow", [vector(0), vector(2)])).toEqual([[0], [0]]);
});

test("the derivative of a power by its exponent is 0 where the base is negative", () => {
  expect(gradients("Pow", [vector(-3), vector(2)])).toEqual([[-6], [0]]);
});

test("a value that is used twice gets both cotangents", () => {
  const b = new GraphBuilder("square", OPS);
  const x = b.input("x", "float32", []);
  const found = appendGradients(b, b.mul(x, x), [x]);
  b.output("d", found.get(x)!);
  const feed = { dtype: "float32", shape: [], data: Float64Array.of(3) } as const;
  expect(Array.from(interpret(b.build(), new Map([["x", feed]])).get("d")!.data)).toEqual([6]);
});

test("Floor and comparisons end the way of a cotangent: what lies before gets zeros", () => {
  expect(gradients("Floor", [vector(0.5, 1.5)])).toEqual([[0, 0]]);
});

test("an index that is taken twice gets the sum of both cotangents", () => {
  const b = new GraphBuilder("gather", OPS);
  const x = b.input("x", "float32", [3]);
  const y = b.emit("Gather", [x, b.ints([2, 0, 2])]);
  const found = appendGradients(b, b.emit("ReduceSum", [y], { keepdims: 0 }), [x]);
  b.output("d", found.get(x)!);
  const feed = { dtype: "float32", shape: [3], data: Float64Array.of(1, 2, 3) } as const;
  expect(Array.from(interpret(b.build(), new Map([["x", feed]])).get("d")!.data)).toEqual([1, 0, 2]);
});
