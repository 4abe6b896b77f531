// The conformance run itself: what it makes of a model that is right, wrong, unknown, without derivative.
import { afterAll, describe, expect, test } from "vitest";
import type { NDArray } from "../../compiler/ir/op.ts";
import { OrtLibrary } from "../../runtime/ort/library.ts";
import { encodeForeign, imageOf, type NodeText } from "../import/foreignModel.ts";
import type { ConformanceCase } from "./conformanceCase.ts";
import { readRefusals, refusalsText } from "./refusals.ts";
import { runCase } from "./runCase.ts";

const library = OrtLibrary.open();
afterAll(() => library[Symbol.dispose]());

const x = imageOf([2, 3, 6, 5]);

function caseOf(nodes: readonly NodeText[], expected: (value: number) => number): ConformanceCase {
  const y: NDArray = { dtype: "float32", shape: x.shape, data: x.data.map(expected) };
  const model = encodeForeign({ nodes, image: [2, 3, 6, 5] });
  return { id: "own/case", model, inputs: [["x", x]], outputs: [["y", y]], rtol: 1e-3, atol: 1e-7 };
}

describe("a case", () => {
  test("that is right passes, its derivative by differences and by ONNX Runtime", () => {
    const result = runCase(library, caseOf([["Tanh(x) -> y"]], Math.tanh));
    expect(result).toMatchObject({ verdict: "pass", derivative: { agree: 2, faults: [] } });
  });

  test("whose numbers are others is wrong", () => {
    const result = runCase(library, caseOf([["Tanh(x) -> y"]], Math.sinh));
    expect(result).toMatchObject({ verdict: "wrong", reason: expect.stringContaining("interpreter: y:") });
  });

  test("with an operator that is not read is refused, and listed under the reason", () => {
    const result = runCase(library, caseOf([["Foo(x) -> y"]], Math.tanh));
    expect(result.verdict).toBe("refused");
    expect([...readRefusals(refusalsText([result]))]).toEqual([["own/case", result.reason]]);
  });

  test("without a derivative passes without checks of one", () => {
    const result = runCase(library, caseOf([["Floor(x) -> y"]], Math.floor));
    expect(result).toMatchObject({ verdict: "pass", derivative: { faults: [] } });
  });
});
