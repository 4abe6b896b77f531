// What the mixed-precision pass makes of small graphs, as text.
import { expect, test } from "vitest";
import { deadValues } from "../../compiler/passes/deadValues.ts";
import { mixedPrecision } from "../../compiler/passes/mixedPrecision.ts";
import type { Pass } from "../../compiler/passes/pass.ts";
import { runPass, trimmed } from "./passText.ts";

const pass: Pass = {
  name: "mixed precision without dead values",
  run: (graph, ops) => deadValues.run(mixedPrecision.run(graph, ops), ops),
};

test("between two products the activation stays float16; sums and results are float32", () => {
  const before = `
    %x: f32[2,3] = Input
    %w: f32[3,3] = Input
    %b: f32[3] = Input
    %axes: i64[1] = Constant [1]
    %p: f32[2,3] = MatMul %x, %w
    %q: f32[2,3] = Add %p, %b
    %r: f32[2,3] = Relu %q
    %s: f32[2,3] = MatMul %r, %w
    %y: f32[2,1] = ReduceSum %s, %axes
    output y = %y`;
  const text = runPass(pass, before);
  const types = [...text.matchAll(/: (f16|f32)\[.*\] = (\w+)/g)].map(([, type, op]) => `${op} ${type}`);
  expect(types.filter((line) => !/Input|Constant/.test(line))).toEqual([
    ...["Cast f16", "Cast f16", "MatMul f16", "Cast f16", "Add f16", "Relu f16"],
    ...["MatMul f16", "Cast f32", "ReduceSum f32"],
  ]);
});

test("a sum of a float16 activation and a large float32 value stays float32", () => {
  const text = runPass(
    pass,
    `%x: f32[2,3] = Input
    %w: f32[3,3] = Input
    %p: f32[2,3] = MatMul %x, %w
    %y: f32[2,3] = Add %p, %x
    output y = %y`,
  );
  expect(text).toContain(": f32[2,3] = Add");
});

test("a mask of booleans is cast to float16 at once", () => {
  const text = runPass(
    pass,
    `%x: f32[2,3] = Input
    %w: f32[3,3] = Input
    %z: f32[2,3] = Input
    %p: f32[2,3] = MatMul %x, %w
    %g: bool[2,3] = Greater %z, %x
    %m: f32[2,3] = Cast %g {to="float32"}
    %y: f32[2,3] = Mul %p, %m
    output y = %y`,
  );
  expect(text).toContain(": f16[2,3] = Mul");
  expect(text).toMatch(/: f16\[2,3\] = Cast %g/);
});

test("a batch norm and its gradient take and give float16 beside parameters and statistics in float32", () => {
  const text = runPass(
    pass,
    `%x: f32[2,3] = Input
    %w: f32[3,3] = Input
    %scale: f32[3] = Input
    %bias: f32[3] = Input
    %dy: f32[2,3] = Input
    %p: f32[2,3] = MatMul %x, %w
    %y: f32[2,3], %mean: f32[3], %var: f32[3] = BatchNormTraining %p, %scale, %bias {epsilon=0.001}
    %r: f32[2,3] = Relu %y
    %dx: f32[2,3], %ds: f32[3], %db: f32[3] = BatchNormTrainingGrad %p, %dy, %scale, %mean, %var
    %dw: f32[3,3] = Gemm %x, %dx {transA=1}
    output r = %r
    output var = %var
    output ds = %ds
    output dw = %dw`,
  );
  expect(text).toMatch(
    /: f16\[2,3\], %\S+: f32\[3\], %\S+: f32\[3\] = BatchNormTraining %o\/MatMul, %scale, %bias/,
  );
  expect(text).toMatch(/: f16\[2,3\], %\S+: f32\[3\], %\S+: f32\[3\] = BatchNormTrainingGrad/);
  // The two inputs of the product, dy; r and dw widened: nothing between is cast.
  expect(text.match(/= Cast/g)).toHaveLength(5);
});

test("a batch norm of what was computed in float32 stays there; only what it hands on is rounded", () => {
  const text = runPass(
    pass,
    `%x: f32[2,3] = Input
    %scale: f32[3] = Input
    %bias: f32[3] = Input
    %y: f32[2,3], %mean: f32[3], %var: f32[3] = BatchNormTraining %x, %scale, %bias
    %r: f32[2,3] = Relu %y
    output r = %r`,
  );
  expect(text).toMatch(/: f32\[2,3\], .* = BatchNormTraining %x,/);
  expect(text).toContain(": f16[2,3] = Relu");
});

test.each([
  ["nothing to gain", "%x: f32[2,3] = Input\n%y: f32[2,3] = Relu %x\noutput y = %y"],
  ["float64", "%x: f64[3,3] = Input\n%y: f64[3,3] = MatMul %x, %x\noutput y = %y"],
])("left alone: %s", (_what, text) => {
  expect(runPass(pass, text)).toBe(trimmed(text));
});
