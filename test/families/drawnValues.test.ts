// The rule by which fixtures get their numbers, here and in Python, and the comparison of families with
// planted faults.
import { describe, expect, test } from "vitest";
import { deviations } from "./compareFamily.ts";
import { drawUniform, drawValue, measure } from "./drawnValues.ts";

describe("numbers drawn from names", () => {
  test("are those of drawn_values.py", () => {
    expect([...drawUniform("layer1.0.conv1.weight", "direction 1", 5)]).toEqual([
      -0.11223363876342773, -0.7469463348388672, -0.46718311309814453, 0.9007738828659058,
      -0.2775719165802002,
    ]);
    expect([...drawValue("layer1.0.conv1.weight", [2, 3, 1, 1])]).toEqual([
      1.4065929651260376, 0.9175780415534973, -0.7441309094429016, 0.7758644819259644, 0.25617697834968567,
      -1.357488751411438,
    ]);
    expect([...drawValue("bn1.weight", [2])]).toEqual([1.2325851917266846, 0.9256325364112854]);
    expect([...drawValue("bn1.running_var", [2])]).toEqual([1.0311877727508545, 1.2846829891204834]);
    expect([...drawValue("bn1.running_mean", [2])]).toEqual([0.18221688270568848, -0.2874641418457031]);
    expect([...drawValue("onnx::Conv_193", [2])]).toEqual([0.08957281708717346, 0.04349951446056366]);
  });
});

describe("the comparison", () => {
  const array = (data: number[]) =>
    ({ dtype: "float32", shape: [data.length], data: Float64Array.from(data) }) as const;
  const expected = {
    a: [...measure("a", Float64Array.of(1, 2, 3)), 0],
    b: [...measure("b", Float64Array.of(1e-14, -1e-14)), 0],
  } as const;
  const found = (a: number[], more: Record<string, number[]> = { b: [0, 0] }) =>
    new Map(Object.entries({ a, ...more }).map(([name, data]) => [name, array(data)]));

  test("takes what is right, and rounding in place of zero", () => {
    expect(deviations(found([1, 2, 3]), expected, 1e-8)).toEqual([]);
  });

  test.each([
    ["a flipped sign", found([1, -2, 3])],
    ["two swapped elements", found([2, 1, 3])],
    ["one element off by a thousandth", found([1, 2.001, 3])],
    ["a number that is none", found([Number.NaN, 2, 3])],
    ["a tensor too few", found([1, 2, 3], {})],
    ["a tensor too many", found([1, 2, 3], { b: [0, 0], c: [0] })],
    ["something in place of zero", found([1, 2, 3], { b: [1e-6, 0] })],
  ])("finds %s", (_, wrong) => {
    expect(deviations(wrong, expected, 1e-8)).not.toEqual([]);
  });
});
