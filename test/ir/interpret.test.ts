// The float64 reference: feeds in, outputs by name, sizes from the feeds; what does not fit is refused.
import { expect, test } from "vitest";
import { InternalError } from "../../compiler/diagnostics.ts";
import { GraphBuilder } from "../../compiler/ir/builder.ts";
import { interpret } from "../../compiler/ir/interpret.ts";
import type { NDArray } from "../../compiler/ir/op.ts";
import { OPS } from "../../compiler/ops/table.ts";

function array(
  shape: readonly number[],
  numbers: readonly number[],
  dtype: NDArray["dtype"] = "float32",
): NDArray {
  return { dtype, shape, data: Float64Array.from(numbers) };
}

function doubling() {
  const b = new GraphBuilder("g", OPS);
  const x = b.input("x", "float32", ["N", 2]);
  const twice = b.mul(x, b.scalar(2));
  b.output("twice", twice);
  b.output("sum", b.reduceSum(twice, [1], 0));
  b.output("again", twice);
  b.output("two", b.scalar(2));
  return b.build();
}

test("outputs come by name; a value may be several of them, and a constant may be one", () => {
  const outputs = interpret(doubling(), new Map([["x", array([1, 2], [3, 0.1])]]));
  expect([...outputs.keys()]).toEqual(["twice", "sum", "again", "two"]);
  expect(outputs.get("twice")).toEqual(array([1, 2], [6, 0.2]));
  expect(outputs.get("again")).toEqual(outputs.get("twice"));
  expect(outputs.get("two")).toEqual(array([], [2]));
  // Sums are taken in float64, whatever the dtype says.
  expect(outputs.get("sum")?.data[0]).toBe(6.2);
});

test("symbolic sizes are those of the feeds", () => {
  for (const n of [0, 1, 3]) {
    const x = array(
      [n, 2],
      Array.from({ length: 2 * n }, (_, i) => i),
    );
    expect(interpret(doubling(), new Map([["x", x]])).get("sum")?.shape).toEqual([n]);
  }
});

test("a value is kept until its last use, and outputs to the end", () => {
  const b = new GraphBuilder("g", OPS);
  const x = b.input("x", "float32", [1]);
  const y = b.neg(x);
  const z = b.neg(y);
  b.output("sum", b.add(b.add(x, y), b.add(z, y)));
  b.output("y", y);
  const outputs = interpret(b.build(), new Map([["x", array([1], [5])]]));
  expect([...outputs].map(([name, { data }]) => [name, data[0]])).toEqual([
    ["sum", 0],
    ["y", -5],
  ]);
});

test("feeds are not changed, and the results are arrays of their own", () => {
  const x = array([1, 2], [1, 2]);
  const outputs = interpret(doubling(), new Map([["x", x]]));
  outputs.get("twice")?.data.fill(0);
  expect(x.data).toEqual(Float64Array.of(1, 2));
  expect(interpret(doubling(), new Map([["x", x]])).get("twice")?.data).toEqual(Float64Array.of(2, 4));
});

test.each([
  ["is missing", undefined, "input x is missing"],
  ["has another dtype", array([1, 2], [1, 2], "int64"), "input x is f32[N,2], its feed i64[1,2]"],
  ["has another size", array([1, 3], [1, 2, 3]), "input x is f32[N,2], its feed f32[1,3]"],
  ["has another rank", array([2], [1, 2]), "input x is f32[N,2], its feed f32[2]"],
])("a feed that %s is refused", (_, feed, message) => {
  const run = () => interpret(doubling(), new Map(feed ? [["x", feed]] : []));
  expect(run).toThrow(InternalError);
  expect(run).toThrow(message);
});
