// Every operator of the table: has samples, and its derivative agrees with central differences of its
// reference.
import { describe, expect, test } from "vitest";
import { interpret } from "../../compiler/ir/interpret.ts";
import { OP_NAMES } from "../../compiler/ir/opNames.ts";
import { isFloat } from "../../compiler/ir/types.ts";
import { OPS } from "../../compiler/ops/table.ts";
import { gradientFaults } from "./gradientCheck.ts";
import { drawSample, forwardGraph } from "./sampleGraph.ts";
import { SAMPLES } from "./samples/allSamples.ts";

test("every operator of the table has samples, and every sample has its operator", () => {
  expect(Object.keys(SAMPLES).toSorted()).toEqual([...OPS.keys()].toSorted());
});

test("every name that the types know is an operator's of the table, under that name", () => {
  expect([...OP_NAMES].toSorted()).toEqual([...OPS.keys()].toSorted());
  for (const [name, op] of OPS) expect(op.name).toBe(name);
});

test("every operator has its doc, its source, and a reason where there is no derivative", () => {
  for (const op of OPS.values()) {
    expect(op.doc, op.name).not.toBe("");
    expect(op.source, op.name).not.toBe("");
    if (typeof op.vjp !== "function") expect(op.vjp.notDifferentiable, op.name).not.toBe("");
  }
});

for (const op of OPS.values())
  describe(op.name, () => {
    for (const sample of SAMPLES[op.name] ?? []) {
      test(`${op.name} with ${sample.title}: the reference is finite and of the inferred shape`, () => {
        const drawn = drawSample(op, sample);
        const graph = forwardGraph(drawn, OPS);
        const results = interpret(graph, drawn.feeds);
        for (const { name, value } of graph.outputs) {
          const result = results.get(name)!;
          // A symbol stands for a size that only the values tell (NonZero).
          const shape = value.type.shape.map((dim, i) => (typeof dim === "string" ? result.shape[i] : dim));
          expect({ dtype: result.dtype, shape: result.shape }).toEqual({ ...value.type, shape });
          expect(result.data.length).toBe(result.shape.reduce((product, size) => product * size, 1));
          expect(result.data.every(Number.isFinite)).toBe(true);
        }
      });
      const differentiable = sample.inputs.some(
        (input) => input && !input.constant && isFloat(input.dtype ?? "float32"),
      );
      if (typeof op.vjp === "function" && differentiable)
        test(`${op.name} with ${sample.title}: the derivative agrees with central differences`, () => {
          expect(gradientFaults(op, sample, OPS)).toEqual([]);
        });
    }
  });
