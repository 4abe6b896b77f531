// Graphs that stock ONNX Runtime would get wrong as they stand, run on it as they are lowered.
import { describe, expect, test } from "vitest";
import { encodeGraph } from "../../compiler/codec/encodeGraph.ts";
import { GraphBuilder } from "../../compiler/ir/builder.ts";
import { interpret } from "../../compiler/ir/interpret.ts";
import type { NDArray } from "../../compiler/ir/op.ts";
import type { OpName } from "../../compiler/ir/opNames.ts";
import type { Graph } from "../../compiler/ir/types.ts";
import { OPS } from "../../compiler/ops/table.ts";
import { OrtLibrary } from "../../runtime/ort/library.ts";
import { assertClose } from "../assertClose.ts";
import { runBytesOnOrt, runOnOrt } from "../ops/runOnOrt.ts";
import { ORT_FLOAT32 } from "../tolerances.ts";

/** Negative images, so that a border of zeros is the maximum of its windows. */
const IMAGE: NDArray = {
  dtype: "float32",
  shape: [1, 2, 4, 4],
  data: Float64Array.from({ length: 32 }, (_, i) => -1 - (i % 7)),
};

function paddedPooling(pooling: OpName): Graph {
  const b = new GraphBuilder("pooling", OPS);
  const x = b.input("x", "float32", [1, 2, 4, 4]);
  const padded = b.emit("Pad", [x, b.ints([0, 0, 1, 1, 0, 0, 1, 1]), b.scalar(0)]);
  b.output("y", b.emit(pooling, [padded], { kernel_shape: [3, 3], strides: [2, 2] }));
  return b.build();
}

describe.each(["MaxPool", "AveragePool"] as const)("zeros padded before %s", (pooling) => {
  test("count on ONNX Runtime as in the reference", () => {
    using library = OrtLibrary.open();
    const graph = paddedPooling(pooling);
    const feeds = new Map([["x", IMAGE]]);
    const expected = interpret(graph, feeds).get("y")?.data ?? new Float64Array();
    const actual = runOnOrt(library, graph, feeds, OPS).get("y")?.data ?? new Float64Array();
    assertClose(actual, expected, { tolerance: ORT_FLOAT32, what: pooling });
  });
});

test("ONNX Runtime still needs the guard: unguarded, the maximum of zeros and negative numbers is negative", () => {
  using library = OrtLibrary.open();
  const bytes = encodeGraph(paddedPooling("MaxPool"));
  const results = runBytesOnOrt(library, { name: "bare", bytes, outputs: ["y"] }, new Map([["x", IMAGE]]));
  expect(results.get("y")?.data[0]).toBeLessThan(0);
});
