// A chain of 50,000 nodes goes through everything that walks a graph: no walk may use the call stack for
// depth.
import { expect, test } from "vitest";
import { appendGradients } from "../../compiler/autodiff/reverse.ts";
import { encodeGraph } from "../../compiler/codec/encodeGraph.ts";
import { GraphBuilder } from "../../compiler/ir/builder.ts";
import { interpret } from "../../compiler/ir/interpret.ts";
import { parseGraph, printGraph } from "../../compiler/ir/print.ts";
import { verifyGraph } from "../../compiler/ir/verify.ts";
import { SIMPLIFY } from "../../compiler/lower/finishGraph.ts";
import { lowerGraph } from "../../compiler/lower/lower.ts";
import { OPS } from "../../compiler/ops/table.ts";
import { runPasses } from "../../compiler/passes/pass.ts";
import { CHAIN_FLOAT64 } from "../tolerances.ts";

const LENGTH = 50_000;

test("50,000 nodes are built, differentiated, verified, simplified, lowered, printed and run", () => {
  const b = new GraphBuilder("chain", OPS);
  const [x, w] = [b.input("x", "float32", []), b.input("w", "float32", [])];
  let y = x;
  for (let i = 0; i < LENGTH / 2; i++) y = b.emit("Relu", [b.mul(y, w)]);
  b.output("y", y);
  b.output("dw", appendGradients(b, y, [w]).get(w) ?? y);
  const built = b.build();
  expect(built.nodes.length).toBeGreaterThan(2 * LENGTH);
  verifyGraph(built, { allowOwnOps: true, after: "building" });
  const simple = runPasses(built, SIMPLIFY, { ops: OPS, allowOwnOps: true, stage: "test" });
  const lowered = lowerGraph(simple, "cpu", OPS);
  const text = printGraph(lowered, true);
  const parsed = parseGraph(text, OPS);
  expect(parsed.nodes.length).toBe(lowered.nodes.length);
  expect(encodeGraph(lowered).length).toBeGreaterThan(LENGTH);
  const scalar = (value: number) => ({ dtype: "float32", shape: [], data: Float64Array.of(value) }) as const;
  const base = 1 + 1 / LENGTH;
  const feeds = new Map([
    ["x", scalar(2)],
    ["w", scalar(base)],
  ] as const);
  // y = x w^n, dy/dw = n x w^(n-1) with n = LENGTH / 2.
  const outputs = interpret(parsed, feeds);
  const power = 2 * base ** (LENGTH / 2);
  expect(Math.abs((outputs.get("y")?.data[0] ?? Number.NaN) / power - 1)).toBeLessThan(CHAIN_FLOAT64);
  const slope = ((LENGTH / 2) * power) / base;
  expect(Math.abs((outputs.get("dw")?.data[0] ?? Number.NaN) / slope - 1)).toBeLessThan(CHAIN_FLOAT64);
});
