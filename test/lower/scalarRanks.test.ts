// Scalars beside tensors whose last axis is 1 get the rank of the result on the CPU, and nothing else does.
import { expect, test } from "vitest";
import { GraphBuilder } from "../../compiler/ir/builder.ts";
import { interpret } from "../../compiler/ir/interpret.ts";
import type { Dim, Graph } from "../../compiler/ir/types.ts";
import { finishGraph } from "../../compiler/lower/finishGraph.ts";
import { rankScalars } from "../../compiler/lower/scalarRanks.ts";
import { OPS } from "../../compiler/ops/table.ts";

/** y = (x rate) 0.5 held in [-1, 1], for an x of the shape. */
function scaledBy(shape: readonly Dim[]): Graph {
  const b = new GraphBuilder("scaled", OPS);
  const x = b.input("x", "float32", shape);
  const scaled = b.mul(b.mul(x, b.input("rate", "float32", [])), b.scalar(0.5));
  b.output("y", b.emit("Clip", [scaled, b.scalar(-1), b.scalar(1)]));
  return b.build();
}

const shapesOf = (graph: Graph, op: string): string[] =>
  graph.nodes
    .filter((node) => node.op.name === op)
    .map(({ inputs }) => inputs.map((input) => `[${input?.type.shape}]`).join(" "));

test("scalars get the rank of a filter of one pixel, and the numbers stay", () => {
  const graph = scaledBy([3, 2, 1, 1]);
  const ranked = rankScalars(graph, OPS);
  expect(shapesOf(ranked, "Mul")).toEqual(["[3,2,1,1] [1,1,1,1]", "[3,2,1,1] [1,1,1,1]"]);
  expect(shapesOf(ranked, "Clip")).toEqual(["[3,2,1,1] [] []"]);
  const feeds = new Map([
    ["x", { dtype: "float32" as const, shape: [3, 2, 1, 1], data: Float64Array.of(1, -2, 3, -4, 5, 9) }],
    ["rate", { dtype: "float32" as const, shape: [], data: Float64Array.of(0.3) }],
  ]);
  expect(interpret(ranked, feeds)).toEqual(interpret(graph, feeds));
});

test.each([[[3, 2]], [[4]], [[1, 1]], [[3, 1, 2]], [[]]])("a tensor of [%s] is left alone", (shape) => {
  const graph = scaledBy(shape);
  expect(rankScalars(graph, OPS)).toBe(graph);
});

test("one reshape of a fed scalar serves all who read it; on CUDA there is none", () => {
  const b = new GraphBuilder("two", OPS);
  const rate = b.input("rate", "float32", []);
  for (const name of ["x", "y"])
    b.output(`${name}-scaled`, b.mul(b.input(name, "float32", [3, 2, 1, 1]), rate));
  const graph = b.build();
  const reshapes = (target: "cpu" | "cuda") =>
    finishGraph(graph, { target }).nodes.filter(({ op }) => op.name === "Reshape").length;
  expect([reshapes("cpu"), reshapes("cuda")]).toEqual([1, 0]);
});
