// Tests of passes as text: a graph before and after, as printGraph writes it, without alignment and origins.
import { defineOp, notDifferentiable, type OpTable } from "../../compiler/ir/op.ts";
import type { OpName } from "../../compiler/ir/opNames.ts";
import { parseGraph, printGraph } from "../../compiler/ir/print.ts";
import type { Graph } from "../../compiler/ir/types.ts";
import { verifyGraph } from "../../compiler/ir/verify.ts";
import { OPS } from "../../compiler/ops/table.ts";
import type { Pass } from "../../compiler/passes/pass.ts";

/** The operators and one that gives other numbers at each run. */
export const WITH_RANDOM: OpTable = new Map([
  ...OPS,
  [
    "Noise",
    defineOp("Noise" as OpName, {
      doc: "random numbers in the shape of x",
      source: "this test",
      inputs: ["x"],
      traits: ["random"],
      axes: "stops",
      precision: "float32",
      infer: (ctx) => [ctx.input(0)],
      vjp: notDifferentiable("random"),
      evaluate: ({ input }) => [input(0)],
    }),
  ],
]);

/** Reads lines such as "%y: f32[2] = Neg %x" as a graph; all values are from "o". */
export function graphOf(text: string, ops: OpTable = OPS): Graph {
  const lines = trimmedLines(text).map((line) => (line.startsWith("%") ? `${line} ; o` : line));
  const graph = parseGraph(["graph o", ...lines].join("\n"), ops);
  verifyGraph(graph, { allowOwnOps: true, after: "the test's text" });
  return graph;
}

/** What `pass` makes of the text, verified, in the same form of text. */
export function runPass(pass: Pass, text: string, ops: OpTable = OPS): string {
  const graph = pass.run(graphOf(text, ops), ops);
  verifyGraph(graph, { allowOwnOps: true, after: pass.name });
  return textOf(graph);
}

/** A graph as such text. */
export function textOf(graph: Graph): string {
  const [, ...lines] = printGraph(graph, true).split("\n");
  return trimmedLines(lines.map((line) => line.replace(/ +; o$/, "").replace(/ {2,}/g, " ")).join("\n")).join(
    "\n",
  );
}

/** The text of a test without its indentation. */
export function trimmed(text: string): string {
  return trimmedLines(text).join("\n");
}

function trimmedLines(text: string): string[] {
  return text
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "");
}
