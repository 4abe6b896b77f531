// Nodes that read constants only are computed at compile time, unless they are random or too large.
import { describe, expect, test } from "vitest";
import type { OpTable } from "../../compiler/ir/op.ts";
import { OPS } from "../../compiler/ops/table.ts";
import { constantFolding } from "../../compiler/passes/constantFolding.ts";
import { graphOf, runPass, trimmed, WITH_RANDOM } from "./passText.ts";

const run = (text: string, ops?: OpTable) => runPass(constantFolding, text, ops);

describe("constant folding", () => {
  test("computes chains of constants and stops at inputs", () => {
    const text = `
      %x: f32[2] = Input
      %a: f32[2] = Constant [1 2]
      %b: f32[] = Constant [3]
      %c: f32[2] = Mul %a, %b
      %d: f32[2] = Neg %c
      %y: f32[2] = Add %x, %d
      output y = %y`;
    expect(run(text)).toBe(
      trimmed(`
      %x: f32[2] = Input
      %a: f32[2] = Constant [1 2]
      %b: f32[] = Constant [3]
      %const/float32[2](3;6): f32[2] = Constant [3 6]
      %const/float32[2](-3;-6): f32[2] = Constant [-3 -6]
      %y: f32[2] = Add %x, %const/float32[2](-3;-6)
      output y = %y`),
    );
  });

  test("folds a node with omitted inputs, and all outputs of one that has several", () => {
    const text = `
      %x: f32[1,1,2,2] = Constant [1 4 3 2]
      %pads: i64[2] = Constant [1 0]
      %axes: i64[1] = Constant [3]
      %c: f32[1,1,2,3] = Pad %x, %pads, -, %axes
      %p: f32[1,1,1,1], %i: i64[1,1,1,1] = MaxPool %x {kernel_shape=[2,2]}
      output c = %c
      output p = %p
      output i = %i`;
    const after = run(text);
    expect(after).toContain("Constant [0 1 4 0 3 2]");
    expect(after).toContain("%const/float32[1x1x1x1](4): f32[1,1,1,1] = Constant [4]");
    expect(after).toContain("%const/int64[1x1x1x1](1): i64[1,1,1,1] = Constant [1]");
    expect(after).not.toContain("MaxPool");
  });

  test("leaves operators alone whose inputs are not all constant", () => {
    const text = trimmed(`
      %x: f32[2] = Input
      %a: f32[2] = Constant [1 2]
      %y: f32[2] = Add %a, %x
      output y = %y`);
    expect(run(text)).toBe(text);
  });

  test("leaves random operators alone", () => {
    const text = "%a: f32[1] = Constant [1]\n%y: f32[1] = Noise %a\noutput y = %y";
    expect(run(text, WITH_RANDOM)).toBe(text);
  });

  test("leaves results above 2^24 elements to the runtime", () => {
    const expand = (count: number) =>
      trimmed(`
      %a: u8[1] = Constant [1]
      %s: i64[1] = Constant [${count}]
      %y: u8[${count}] = Expand %a, %s
      output y = %y`);
    expect(run(expand(2 ** 24 + 1))).toBe(expand(2 ** 24 + 1));
    expect(run(expand(100))).not.toContain("Expand");
  });

  test("returns the same graph where there is nothing to fold", () => {
    const graph = graphOf("%x: f32[2] = Input\n%y: f32[2] = Neg %x\noutput y = %y");
    expect(constantFolding.run(graph, OPS)).toBe(graph);
  });
});
