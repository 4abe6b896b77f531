// Where the tasks' ways part: the one value at which gradients are combined with `features: true`, and what is
// said where there is no such value.
import { expect, test } from "vitest";
import { GraphBuilder } from "../../compiler/ir/builder.ts";
import type { Value } from "../../compiler/ir/types.ts";
import { OPS } from "../../compiler/ops/table.ts";
import { meetingPoint } from "../../compiler/step/taskGradients.ts";
import { faultsOf } from "../spec/faultsOf.ts";

/** x * p and x + p, of which the losses are made. */
function begun() {
  const b = new GraphBuilder("ways", OPS);
  const [x, p] = ["x", "p"].map((name) => b.input(name, "float32", [4])) as [Value, Value];
  const sum = (value: Value): Value => b.reduceSum(value, [0], 0);
  return { b, p, x, sum, product: b.mul(x, p), moved: b.add(x, p) };
}

test("it is the last value that the losses have in common, however many come before", () => {
  const { b, p, sum, product } = begun();
  const features = b.emit("Relu", [b.mul(product, product)]);
  const terms = [sum(features), sum(b.mul(features, features)), sum(b.emit("Exp", [features]))];
  expect(meetingPoint(b.nodes, terms, [p])).toBe(features);
});

test("what no trained parameter reaches is no part of it", () => {
  const { b, x, p, sum, product } = begun();
  const pixels = sum(x);
  const terms = [b.mul(sum(product), pixels), b.sub(sum(b.emit("Exp", [product])), pixels)];
  expect(meetingPoint(b.nodes, terms, [p])).toBe(product);
});

test.each([
  ["two values", 2],
  ["three values", 3],
])("losses that have %s in common are refused, by name", (_, count) => {
  const { b, p, sum, product, moved } = begun();
  const common = [product, moved, b.sub(product, moved)].slice(0, count);
  const terms = [1, 2].map((factor) =>
    common.map((value) => b.mul(sum(value), b.scalar(factor))).reduce((all, each) => b.add(all, each)),
  );
  const [fault, ...others] = faultsOf(() => meetingPoint(b.nodes, terms, [p]));
  expect(others).toEqual([]);
  expect(fault).toMatchObject({ code: "E_CONFIG", at: { path: "combine.features" } });
  expect(fault?.message).toContain(`no single value in common before their heads, but ${count}: `);
  for (const { name } of common) expect(fault?.message).toContain(name);
  expect(fault?.hint).toBe("take the line out: gradients by task need no such value");
});
