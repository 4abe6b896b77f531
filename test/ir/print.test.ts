// Printing and parsing: what is printed in full is read back as the same graph, whatever names it has.
import { describe, expect, test } from "vitest";
import { InternalError } from "../../compiler/diagnostics.ts";
import { GraphBuilder } from "../../compiler/ir/builder.ts";
import { parseGraph, printGraph } from "../../compiler/ir/print.ts";
import type { Graph } from "../../compiler/ir/types.ts";
import { OPS } from "../../compiler/ops/table.ts";
import { resolveSpec } from "../../compiler/spec/parseSpec.ts";
import { compileGoldenCase, GOLDEN_CASES } from "../golden/goldenCases.ts";
import { compileTraced, numberedClasses } from "../training/tracedGraphs.ts";
import { plainGraph } from "./sameGraph.ts";

function expectRoundTrip(graph: Graph): void {
  const text = printGraph(graph, true);
  const parsed = parseGraph(text, OPS);
  expect(plainGraph(parsed)).toEqual(plainGraph(graph));
  expect(printGraph(parsed, true)).toBe(text);
}

describe("parse(print(graph)) is the graph", () => {
  test.each(GOLDEN_CASES)("for every stage of the golden case %s", (name) => {
    const { stages } = compileGoldenCase(name);
    expect(stages.size).toBeGreaterThan(10);
    for (const graph of stages.values()) expectRoundTrip(graph);
  });

  test("for tasks whose names hold what the text uses itself", () => {
    const tasks = [
      "leaf shape",
      "a, b",
      "été 🍂",
      "100%",
      "x = Neg y ; z",
      "{n=[1]}",
      "%0020",
      "u\u2028v",
      "-",
      "a.b",
    ];
    const spec = resolveSpec({
      tasks,
      fcn: { layers: [1] },
      task_layers: [],
      task_weights: "adaptive",
      kernel_size: 1,
      imshape: [2, 2],
      batch_size: 2,
    });
    const classes = numberedClasses(Object.fromEntries(tasks.map((task) => [task, 2])));
    const { stages } = compileTraced(spec, classes);
    for (const graph of stages.values()) expectRoundTrip(graph);
  });

  test("for symbols, omitted inputs, several outputs and every kind of attribute and number", () => {
    const b = new GraphBuilder("g", OPS);
    const x = b.input("x", "float32", ["N", 1, 4, 4]);
    const pads = b.ints([0, 0, 0, 0, 1, 0, 0, 0]);
    b.emit("Pad", [b.input("fixed", "float32", [1, 1, 4, 4]), pads, undefined], { mode: "constant" });
    const [y, indices] = b.emitAll("MaxPool", [x], { kernel_shape: [2, 2], ceil_mode: 0 }, 2);
    const odd = [Number.POSITIVE_INFINITY, -0, 1e-300, 0.1, -7].map((value) => b.scalar(value, "float64"));
    b.constant({ dtype: "bool", shape: [2], data: Float64Array.of(0, 1) });
    b.constant({ dtype: "float32", shape: [0], data: new Float64Array(0) }, "empty");
    const square = b.input("square", "float32", [2, 2]);
    b.emit("Gemm", [square, square], { alpha: 0.25, transB: 1 });
    if (!y || !indices || !odd[0]) throw new Error("no outputs");
    b.output("y", y);
    b.output("the indices", indices);
    b.output("y again", y);
    b.output("infinity", odd[0]);
    expectRoundTrip(b.build());
  });

  test("for a graph without outputs, and for an empty one", () => {
    const b = new GraphBuilder("g", OPS);
    expectRoundTrip(b.build());
    b.within("tasks.a ", () => b.input("x", "uint8", [1]));
    expectRoundTrip(b.build());
  });
});

describe("the text", () => {
  test("has one aligned line a value, with its origin behind it", () => {
    const b = new GraphBuilder("train", OPS);
    const x = b.within("image", () => b.input("image", "uint8", [2, 8]));
    const cast = b.within("image", () => b.cast(x, "float32"));
    b.output(
      "y",
      b.within("tasks.a", () => b.reduceSum(cast, [0], 0)),
    );
    const line = (head: string, body: string, origin: string) =>
      `${head.padEnd(26)} = ${body.padEnd(54)} ; ${origin}`;
    expect(printGraph(b.build()).split("\n")).toEqual([
      "graph train",
      line("%image: u8[2,8]", "Input", "image"),
      line("%const/int64[1](0): i64[1]", "Constant [0]", "tasks.a"),
      line("%image/Cast: f32[2,8]", 'Cast %image {to="float32"}', "image"),
      line("%tasks.a/ReduceSum: f32[8]", "ReduceSum %image/Cast, %const/int64[1](0) {keepdims=0}", "tasks.a"),
      "output y = %tasks.a/ReduceSum",
      "",
    ]);
  });

  test("abbreviates long constants, and is then not to be parsed", () => {
    const b = new GraphBuilder("g", OPS);
    b.output("y", b.constant({ dtype: "float32", shape: [17], data: new Float64Array(17) }));
    const text = printGraph(b.build());
    expect(text).toContain("[0 0 0 0 ... 17 numbers]");
    expect(() => parseGraph(text, OPS)).toThrow("print constants in full");
  });

  test.each([
    ["an operator that does not exist", "%y: f32[] = Frobnicate %x ; o"],
    ["a value that is not defined", "%y: f32[] = Neg %z ; o"],
    ["a type that does not exist", "%y: f31[] = Neg %x ; o"],
    ["a line without an origin", "%y: f32[] = Neg %x"],
    ["an output of nothing", "output y = %z"],
  ])("with %s is refused", (_, line) => {
    expect(() => parseGraph(`graph g\n%x: f32[] = Input ; o\n${line}\n`, OPS)).toThrow(InternalError);
  });
});
