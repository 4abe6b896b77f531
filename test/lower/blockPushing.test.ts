// Reorderings between convolutions on blocks of channels go through what works number by number, and away;
// the numbers stay.
import { describe, expect, test } from "vitest";
import { GraphBuilder } from "../../compiler/ir/builder.ts";
import { interpret } from "../../compiler/ir/interpret.ts";
import type { Graph, Value } from "../../compiler/ir/types.ts";
import { pushBlocks } from "../../compiler/lower/blockPushing.ts";
import { blockedConvName, reorderInputName, reorderOutputName } from "../../compiler/ops/channelBlocks.ts";
import { OPS } from "../../compiler/ops/table.ts";
import { randomFeeds } from "../step/randomFeeds.ts";
import { sameBits } from "../step/tensors.ts";

const C = 8;

/** Two convolutions with `between` in the middle; outputs y, and `also` where there are such. */
function twoConvolutions(between: (b: GraphBuilder, x: Value) => Value, also = false): Graph {
  const b = new GraphBuilder("two", OPS);
  const convolve = (x: Value, name: string): Value => {
    const blocks = b.emit(reorderInputName(8), [x]);
    const w = b.input(name, "float32", [C, C, 1, 1]);
    const y = b.emit(blockedConvName(8), [blocks, w], { kernel_shape: [1, 1] });
    return b.emit(reorderOutputName(8), [y], { channels: C });
  };
  const first = convolve(b.input("x", "float32", [2, C, 2, 3]), "w1");
  const middle = between(b, first);
  b.output("y", convolve(middle, "w2"));
  if (also) b.output("also", b.reduceSum(middle, [0, 2, 3], 0));
  return b.build();
}

const reorderings = (graph: Graph): number =>
  graph.nodes.filter(({ op }) => op.opType?.startsWith("Reorder")).length;

function expectSameNumbers(graph: Graph, pushed: Graph): void {
  const feeds = randomFeeds(graph, "pushed");
  const expected = interpret(graph, feeds);
  for (const [name, value] of interpret(pushed, feeds))
    expect(sameBits(value, expected.get(name)), name).toBe(true);
}

describe("reorderings between convolutions", () => {
  const CASES: Record<string, (b: GraphBuilder, x: Value) => Value> = {
    "with nothing between": (_b, x) => x,
    "with a Relu between": (b, x) => b.emit("Relu", [x]),
    "with a chain that reads a value twice": (b, x) => b.mul(b.emit("Sigmoid", [x]), x),
    "with scalars of any rank": (b, x) => {
      const one = b.constant({ dtype: "float32", shape: [1, 1, 1, 1], data: Float64Array.of(0.5) });
      return b.mul(b.add(x, b.scalar(1)), one);
    },
  };
  test.each(Object.entries(CASES))("%s cancel", (_title, between) => {
    const graph = twoConvolutions(between);
    const pushed = pushBlocks(graph, OPS);
    const live = pushed.nodes.filter(({ outputs }) => isRead(pushed, outputs[0]!));
    expect(live.filter(({ op }) => op.opType?.startsWith("Reorder"))).toHaveLength(2);
    expectSameNumbers(graph, pushed);
  });

  test("stay for others who read what is between", () => {
    const graph = twoConvolutions((b, x) => b.emit("Relu", [x]), true);
    const pushed = pushBlocks(graph, OPS);
    expect(pushed.nodes.find(({ op }) => op.name === "ReduceSum")!.inputs[0]!.name).toMatch(/ReorderOutput/);
    expectSameNumbers(graph, pushed);
  });
});

test.each<[string, (b: GraphBuilder, x: Value) => Value]>([
  ["a number for each channel", (b, x) => b.mul(x, b.input("scale", "float32", [1, C, 1, 1]))],
  ["a tensor in order of channels", (b, x) => b.add(x, b.input("skip", "float32", [2, C, 2, 3]))],
  ["truth values", (b, x) => b.mul(x, b.cast(b.emit("Greater", [x, b.scalar(0)]), "float32"))],
  ["another order", (b, x) => b.transpose(x, [0, 1, 3, 2])],
])("%s keeps the reorderings where they are", (_title, between) => {
  const graph = twoConvolutions(between);
  const pushed = pushBlocks(graph, OPS);
  expect(reorderings(pushed)).toBe(reorderings(graph));
  expectSameNumbers(graph, pushed);
});

test("a graph without convolutions on blocks is left alone", () => {
  const b = new GraphBuilder("plain", OPS);
  b.output("y", b.emit("Relu", [b.input("x", "float32", [1, C, 2, 2])]));
  const graph = b.build();
  expect(pushBlocks(graph, OPS)).toBe(graph);
});

function isRead(graph: Graph, value: Value): boolean {
  return (
    graph.outputs.some((output) => output.value === value) ||
    graph.nodes.some(({ inputs, outputs }) => inputs.includes(value) && isRead(graph, outputs[0]!))
  );
}
