// Batch-norm folding as text in, text out, and its agreement with the graph that it replaces.
import { expect, test } from "vitest";
import { interpret } from "../../compiler/ir/interpret.ts";
import { parseGraph, printGraph } from "../../compiler/ir/print.ts";
import { OPS } from "../../compiler/ops/table.ts";
import { batchNormFolding } from "../../compiler/passes/batchNormFolding.ts";
import { deadValues } from "../../compiler/passes/deadValues.ts";
import { runPasses } from "../../compiler/passes/pass.ts";
import { FOLDED_FLOAT32 } from "../tolerances.ts";

const NUMBERS = `\
%k: f32[2,1,1,1] = Constant [2 -1] ; fcn
%bias: f32[2] = Constant [1 0] ; fcn
%scale: f32[2] = Constant [3 1] ; fcn
%shift: f32[2] = Constant [0.5 -0.5] ; fcn
%mean: f32[2] = Constant [1 2] ; fcn
%var: f32[2] = Constant [3 0] ; fcn`;

function fold(text: string) {
  const graph = parseGraph(text, OPS);
  const options = { ops: OPS, allowOwnOps: false, stage: "test" };
  return { before: graph, after: runPasses(graph, [batchNormFolding, deadValues], options) };
}

/** The lines of a printed graph without the padding between their columns. */
function lines(text: string): string[] {
  return text
    .trimEnd()
    .split("\n")
    .map((line) => line.replace(/ +/g, " "));
}

test("a batch norm after a convolution of constants becomes that convolution", () => {
  const { before, after } = fold(
    `graph t
%x: f32[N,1,2,2] = Input ; image
${NUMBERS}
%c: f32[N,2,2,2] = Conv %x, %k, %bias {"pads"=[0,0,0,0]} ; fcn.layers[0]
%n: f32[N,2,2,2] = BatchNormalization %c, %scale, %shift, %mean, %var {"epsilon"=1} ; fcn.layers[0]
output y = %n
`.replaceAll('"', ""),
  );
  expect(lines(printGraph(after, true))).toEqual([
    "graph t",
    "%x: f32[N,1,2,2] = Input ; image",
    "%k.folded: f32[2,1,1,1] = Constant [3 -1] ; fcn.layers[0]",
    "%k.folded_bias: f32[2] = Constant [0.5 -2.5] ; fcn.layers[0]",
    "%fcn.layers[0]/Conv: f32[N,2,2,2] = Conv %x, %k.folded, %k.folded_bias {pads=[0,0,0,0]} ; fcn.layers[0]",
    "output y = %fcn.layers[0]/Conv",
  ]);
  const x = { dtype: "float32", shape: [1, 1, 2, 2], data: Float64Array.of(0.25, -1, 3, 0) } as const;
  const [y, folded] = [before, after].map((graph) => interpret(graph, new Map([["x", x]])).get("y"));
  expect(folded?.shape).toEqual(y?.shape);
  folded?.data.forEach((value, i) => {
    expect(Math.abs(value - (y?.data[i] ?? Number.NaN))).toBeLessThanOrEqual(FOLDED_FLOAT32);
  });
});

test("a convolution without bias gets the norm's", () => {
  const { after } = fold(`graph t
%x: f32[N,1,2,2] = Input ; image
${NUMBERS}
%c: f32[N,2,2,2] = Conv %x, %k ; fcn
%n: f32[N,2,2,2] = BatchNormalization %c, %scale, %shift, %mean, %var {epsilon=1} ; fcn
output y = %n
`);
  expect(lines(printGraph(after, true))).toContain("%k.folded_bias: f32[2] = Constant [-1 -2.5] ; fcn");
});

test("a convolution whose result is read elsewhere too is left as it is", () => {
  const { before, after } = fold(`graph t
%x: f32[N,1,2,2] = Input ; image
${NUMBERS}
%c: f32[N,2,2,2] = Conv %x, %k, %bias ; fcn
%n: f32[N,2,2,2] = BatchNormalization %c, %scale, %shift, %mean, %var ; fcn
%s: f32[N,2,2,2] = Add %c, %n ; fcn
output y = %s
`);
  expect(after).toBe(before);
});

test("a convolution whose result is an output of the graph is left as it is", () => {
  const { before, after } = fold(`graph t
%x: f32[N,1,2,2] = Input ; image
${NUMBERS}
%c: f32[N,2,2,2] = Conv %x, %k, %bias ; fcn
%n: f32[N,2,2,2] = BatchNormalization %c, %scale, %shift, %mean, %var ; fcn
output c = %c
output y = %n
`);
  expect(after).toBe(before);
});

test("a norm whose statistics are fed, and one without a convolution before it, are left alone", () => {
  const { before, after } = fold(`graph t
%x: f32[N,2,2,2] = Input ; image
%fed: f32[2] = Input ; image
%k: f32[2,2,1,1] = Constant [1 0 0 1] ; fcn
%one: f32[2] = Constant [1 1] ; fcn
%n1: f32[N,2,2,2] = BatchNormalization %x, %one, %one, %one, %one ; fcn
%c: f32[N,2,2,2] = Conv %n1, %k ; fcn
%n: f32[N,2,2,2] = BatchNormalization %c, %one, %one, %fed, %one ; fcn
output y = %n
`);
  expect(after).toBe(before);
});
