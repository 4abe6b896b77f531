// The factor that ends a batch norm's gradient goes to the filters of the convolution before it, and only
// there: the numbers are the same, and no images are multiplied.
import { describe, expect, test } from "vitest";
import { GraphBuilder } from "../../compiler/ir/builder.ts";
import { interpret } from "../../compiler/ir/interpret.ts";
import { elementCount, type Graph, type Value } from "../../compiler/ir/types.ts";
import { finishGraph } from "../../compiler/lower/finishGraph.ts";
import { gradientsBehindNorms } from "../../compiler/lower/normGains.ts";
import { OPS } from "../../compiler/ops/table.ts";
import { assertClose } from "../assertClose.ts";
import { randomFrom } from "../ops/sampleGraph.ts";
import { FORM_FLOAT64 } from "../tolerances.ts";

/** The gradients of a convolution in `group` groups and the norm behind it; `more` may read dy, too. */
function backward(group: number, more: (b: GraphBuilder, dy: Value) => void = () => undefined): Graph {
  const b = new GraphBuilder("backward", OPS);
  const x = b.input("x", "float32", [2, 4, 8, 8]);
  const w = b.input("w", "float32", [6, 4 / group, 3, 3]);
  const [scale, bias] = [b.input("scale", "float32", [6]), b.input("bias", "float32", [6])];
  const dz = b.input("dz", "float32", [2, 6, 8, 8]);
  const attrs = { pads: [1, 1, 1, 1], group };
  const y = b.emit("Conv", [x, w], attrs);
  const [, mean, variance] = b.emitAll("BatchNormTraining", [y, scale, bias], {}, 3);
  const [dy] = b.emitAll("BatchNormTrainingGrad", [y, dz, scale, mean, variance], {}, 3);
  const sizes = { ...attrs, kernel_shape: [3, 3] };
  b.output("dw", b.emit("ConvWeightGrad", [x, dy], sizes));
  b.output("dx", b.emit("ConvInputGrad", [dy, w], { ...attrs, input_shape: [2, 4, 8, 8] }));
  more(b, dy!);
  return b.build();
}

function feedsOf(graph: Graph) {
  const random = randomFrom("norm gains");
  return new Map(
    graph.inputs.map(({ name, type }) => {
      const shape = type.shape.map(Number);
      const data = Float64Array.from({ length: elementCount(shape) }, () => 2 * random() - 1);
      return [name, { dtype: type.dtype, shape, data }] as const;
    }),
  );
}

/** Products of images of dy's size with a vector of channels. */
function imageProducts(graph: Graph): number {
  return graph.nodes.filter(
    ({ op, inputs }) => op.name === "Mul" && String(inputs[1]?.type.shape) === String([6, 1, 1]),
  ).length;
}

describe.each([1, 2])("in %i groups", (group) => {
  test("the gradients are the same, and the factor is on the filters", () => {
    const graph = backward(group);
    expect(gradientsBehindNorms(graph).size).toBe(2);
    const lowered = finishGraph(graph, { target: "cuda" });
    expect(imageProducts(lowered)).toBe(0);
    const feeds = feedsOf(graph);
    const [expected, found] = [interpret(graph, feeds), interpret(lowered, feeds)];
    for (const [name, { data }] of expected)
      assertClose(found.get(name)!.data, data, { tolerance: FORM_FLOAT64, what: name });
  });
});

test.each<[string, (b: GraphBuilder, dy: Value) => void]>([
  ["another operator", (b, dy) => b.output("more", b.emit("Relu", [dy]))],
  ["an output", (b, dy) => b.output("dy", dy)],
])("where %s reads the cotangent, too, it keeps its factor", (_, more) => {
  const graph = backward(1, more);
  expect(gradientsBehindNorms(graph).size).toBe(0);
  expect(imageProducts(finishGraph(graph, { target: "cuda" }))).toBe(1);
});
