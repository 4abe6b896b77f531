// Equal nodes become one; what only looks equal stays.
import { describe, expect, test } from "vitest";
import type { OpTable } from "../../compiler/ir/op.ts";
import { commonSubexpressions } from "../../compiler/passes/commonSubexpressions.ts";
import { runPass, trimmed, WITH_RANDOM } from "./passText.ts";

const run = (text: string, ops?: OpTable) => runPass(commonSubexpressions, text, ops);

describe("common subexpressions", () => {
  test("are merged, through all that depends on them", () => {
    const text = `
      %x: f32[2] = Input
      %a: f32[2] = Exp %x
      %b: f32[2] = Exp %x
      %c: f32[2] = Neg %a
      %d: f32[2] = Neg %b
      %y: f32[2] = Mul %c, %d
      output y = %y
      output d = %d`;
    expect(run(text)).toBe(
      trimmed(`
      %x: f32[2] = Input
      %a: f32[2] = Exp %x
      %c: f32[2] = Neg %a
      %y: f32[2] = Mul %c, %c
      output y = %y
      output d = %c`),
    );
  });

  const pair = (first: string, second: string, type = "f32[2]") =>
    trimmed(`
      %x: f32[2] = Input
      %z: f32[2] = Input
      %a: ${type} = ${first}
      %b: ${type} = ${second}
      output a = %a
      output b = %b`);

  test.each([
    ["a sum in either order", "Add %x, %z", "Add %z, %x"],
    ["a product in either order", "Mul %x, %z", "Mul %z, %x"],
    ["a default that is written and one that is not", "Softmax %x", "Softmax %x {axis=-1}"],
  ])("merges %s", (_, first, second) => {
    expect(run(pair(first, second))).toBe(
      pair(first, second)
        .replace(/\n%b.*/, "")
        .replace("= %b", "= %a"),
    );
  });

  test.each([
    ["a difference in either order", "Sub %x, %z", "Sub %z, %x"],
    ["different operators", "Exp %x", "Neg %x"],
    ["different inputs", "Exp %x", "Exp %z"],
    ["different attributes", "Softmax %x {axis=0}", "Softmax %x {axis=-1}"],
  ])("keeps %s", (_, first, second) => {
    expect(run(pair(first, second))).toBe(pair(first, second));
  });

  test("keeps operators that are random", () => {
    const text = pair("Noise %x", "Noise %x");
    expect(run(text, WITH_RANDOM)).toBe(text);
  });

  test("keeps an omitted input apart from a given one", () => {
    const text = trimmed(`
      %x: i64[2] = Input
      %p: i64[2] = Constant [1 1]
      %z: i64[1] = Constant [0]
      %a: i64[4] = Pad %x, %p, %z
      %b: i64[4] = Pad %x, %p, -, %z
      output a = %a
      output b = %b`);
    expect(run(text)).toBe(text);
  });

  test("a pooling and the same pooling with indices become one, in the place of the first", () => {
    const text = `
      %x: f32[1,1,4,4] = Input
      %a: f32[1,1,2,2] = MaxPool %x {kernel_shape=[2,2], strides=[2,2]}
      %r: f32[1,1,2,2] = Relu %a
      %b: f32[1,1,2,2], %i: i64[1,1,2,2] = MaxPool %x {kernel_shape=[2,2], strides=[2,2], pads=[0,0,0,0]}
      %s: f32[1,1,2,2] = Add %r, %b
      output s = %s
      output i = %i`;
    expect(run(text)).toBe(
      trimmed(`
      %x: f32[1,1,4,4] = Input
      %a: f32[1,1,2,2], %i: i64[1,1,2,2] = MaxPool %x {kernel_shape=[2,2], strides=[2,2]}
      %r: f32[1,1,2,2] = Relu %a
      %s: f32[1,1,2,2] = Add %r, %a
      output s = %s
      output i = %i`),
    );
  });

  test("the other way round, the one with fewer outputs goes", () => {
    const text = `
      %x: f32[1,1,4,4] = Input
      %a: f32[1,1,2,2], %i: i64[1,1,2,2] = MaxPool %x {kernel_shape=[2,2], strides=[2,2]}
      %b: f32[1,1,2,2] = MaxPool %x {kernel_shape=[2,2], strides=[2,2]}
      output b = %b
      output i = %i`;
    expect(run(text)).toBe(trimmed(text.replace(/\n *%b.*/, "").replace("= %b", "= %a")));
  });

  test("merged outputs take the origin of the node that stays", () => {
    const graph = `
      %x: f32[1,1,2,2] = Input
      %a: f32[1,1,1,1] = MaxPool %x {kernel_shape=[2,2]}
      %b: f32[1,1,1,1], %i: i64[1,1,1,1] = MaxPool %x {kernel_shape=[2,2]}
      output a = %a
      output i = %i`;
    expect(run(graph)).toContain("%a: f32[1,1,1,1], %i: i64[1,1,1,1] = MaxPool");
  });
});
