// Between two convolutions on blocks of channels, what works number by number works on blocks as well: the
// reordering behind the first goes through it, and cancels with the one before the second. Only where it
// leads to one: elsewhere nothing would be gained. Values are the same to the bit.
import type { GraphBuilder } from "../ir/builder.ts";
import type { OpTable } from "../ir/op.ts";
import { rewriteGraph } from "../ir/rewrite.ts";
import { elementCount, type Graph, type Node, sameShape, type Value } from "../ir/types.ts";
import { channelOrder } from "../ops/channelBlocks.ts";

/** Takes reorderings through elementwise operators until they meet, and away. */
export function pushBlocks(graph: Graph, ops: OpTable): Graph {
  const wanted = wantedInBlocks(graph);
  if (wanted.size === 0) return graph;
  const reordered = new Map<Value, Node>();
  const emit = (b: GraphBuilder, reordering: Node, blocks: Value): Value => {
    const [ordered] = b.emitAll(reordering.op.name, [blocks], reordering.attrs);
    if (ordered) reordered.set(ordered, { ...reordering, inputs: [blocks] });
    return ordered!;
  };
  return rewriteGraph(graph, ops, (node, b) => {
    const [first, result] = [node.inputs[0], node.outputs[0]];
    const before = first && reordered.get(first);
    if (channelOrder(node.op) === "intoBlocks" && before?.inputs[0]) return [before.inputs[0]];
    if (channelOrder(node.op) === "outOfBlocks" && result) reordered.set(result, node);
    if (!result || !wanted.has(result) || !isNumberByNumber(node)) return undefined;
    const tensors = node.inputs.filter((input) => input && !isScalar(input));
    const origins = tensors.map((input) => input && reordered.get(input));
    const [reordering] = origins;
    if (!reordering || origins.some((each) => each?.op !== reordering.op)) return undefined;
    const inputs = node.inputs.map((input) => (input && reordered.get(input)?.inputs[0]) ?? input);
    return [emit(b, reordering, b.emit(node.op.name, inputs, node.attrs))];
  }).graph;
}

/** Values that a reordering into blocks reads, or reads what is made of them number by number. */
function wantedInBlocks(graph: Graph): ReadonlySet<Value> {
  const wanted = new Set<Value>();
  for (const node of graph.nodes.toReversed()) {
    const [result] = node.outputs;
    const leadsOn = result !== undefined && wanted.has(result) && isNumberByNumber(node);
    if (leadsOn || channelOrder(node.op) === "intoBlocks")
      for (const input of node.inputs) if (input && !isScalar(input)) wanted.add(input);
  }
  return wanted;
}

/** Whether a node makes one float32 tensor, number by number, of others of its shape and of scalars. */
function isNumberByNumber({ op, inputs, outputs }: Node): boolean {
  const [result, ...others] = outputs;
  if (op.axes !== "elementwise" || result?.type.dtype !== "float32" || others.length > 0) return false;
  return inputs.every(
    (input) =>
      !input ||
      isScalar(input) ||
      (input.type.dtype === "float32" && sameShape(input.type.shape, result.type.shape)),
  );
}

function isScalar({ type }: Value): boolean {
  return elementCount(type.shape) === 1;
}
