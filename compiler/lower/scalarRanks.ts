// How ONNX Runtime's CPU provider walks a broadcast: from the last axis on, and where the operands' ranks
// differ and that axis is 1, it takes one number at a time. A scalar times [2048,512,1,1] so takes 50 times
// as long as times [2048,512]; with as many axes as the other operand it does not (test/bench/lowerings.ts).
import type { GraphBuilder } from "../ir/builder.ts";
import type { OpTable } from "../ir/op.ts";
import { rewriteGraph } from "../ir/rewrite.ts";
import type { Graph, Node, Shape, Value } from "../ir/types.ts";

/** Gives scalars beside tensors whose last axis is 1 the rank of the result. */
export function rankScalars(graph: Graph, ops: OpTable): Graph {
  const isSlow = (node: Node): boolean =>
    node.op.axes === "elementwise" &&
    node.inputs.length > 1 &&
    !node.op.traits.includes("scalarParameters") &&
    isMany(node.outputs[0]?.type.shape ?? []) &&
    node.inputs.some((input) => input && isScalarOf(input, node.outputs[0]?.type.shape.length ?? 0));
  if (!graph.nodes.some(isSlow)) return graph;
  return rewriteGraph(graph, ops, (node, b) => {
    if (!isSlow(node)) return undefined;
    const rank = node.outputs[0]?.type.shape.length ?? 0;
    const inputs = node.inputs.map((input) =>
      input && isScalarOf(input, rank) ? ranked(b, input, rank) : input,
    );
    return b.emitAll(node.op.name, inputs, node.attrs, node.outputs.length);
  }).graph;
}

function isMany(shape: Shape): boolean {
  return shape.at(-1) === 1 && shape.some((dim) => dim !== 1);
}

/** Whether it is one number, with fewer axes than `rank`. */
function isScalarOf({ type }: Value, rank: number): boolean {
  return type.shape.length < rank && type.shape.every((dim) => dim === 1);
}

function ranked(b: GraphBuilder, scalar: Value, rank: number): Value {
  const shape = new Array<number>(rank).fill(1);
  const known = b.constantData(scalar);
  if (known) return b.constant({ ...known, shape });
  // One for all who read it, though it is emitted for each: commonSubexpressions.ts joins them.
  return b.reshape(scalar, shape);
}
