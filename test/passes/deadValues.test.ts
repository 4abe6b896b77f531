// What no output needs goes; inputs stay, for they are the graph's contract.
import { expect, test } from "vitest";
import { OPS } from "../../compiler/ops/table.ts";
import { deadValues } from "../../compiler/passes/deadValues.ts";
import { graphOf, runPass, trimmed } from "./passText.ts";

test("dead nodes go with everything that only they need", () => {
  const text = `
    %x: f32[2] = Input
    %unused: f32[7] = Input
    %one: f32[] = Constant [1]
    %two: f32[] = Constant [2]
    %a: f32[2] = Add %x, %one
    %b: f32[2] = Neg %a
    %y: f32[2] = Mul %x, %two
    output y = %y`;
  expect(runPass(deadValues, text)).toBe(
    trimmed(`
    %x: f32[2] = Input
    %unused: f32[7] = Input
    %two: f32[] = Constant [2]
    %y: f32[2] = Mul %x, %two
    output y = %y`),
  );
});

test("a node stays whole while one of its outputs is needed", () => {
  const text = trimmed(`
    %x: f32[1,1,2,2] = Input
    %p: f32[1,1,1,1], %i: i64[1,1,1,1] = MaxPool %x {kernel_shape=[2,2]}
    output i = %i`);
  expect(runPass(deadValues, text)).toBe(text);
});

test("a graph in which everything is needed is returned as it is", () => {
  const graph = graphOf("%x: f32[2] = Input\n%y: f32[2] = Neg %x\noutput y = %y\noutput x = %x");
  expect(deadValues.run(graph, OPS)).toBe(graph);
});
