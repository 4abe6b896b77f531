// Runs a graph with every result rounded to its own type, as a device would keep it: operator by operator in
// float64, with no rounding inside. What a spelling loses by its own roundings shows, whatever the kernels.
import { halfToNumber, numberToHalf } from "../../compiler/codec/halfPrecision.ts";
import { evaluateNode, toArray } from "../../compiler/ir/interpret.ts";
import type { NDArray } from "../../compiler/ir/op.ts";
import type { Graph, Value } from "../../compiler/ir/types.ts";

/** The numbers as their dtype holds them. */
export function roundArray(array: NDArray): NDArray {
  if (array.dtype === "float32") return { ...array, data: array.data.map(Math.fround) };
  if (array.dtype === "float16")
    return { ...array, data: array.data.map((x) => halfToNumber(numberToHalf(x))) };
  return array;
}

/** Outputs by name. */
export function interpretRounded(graph: Graph, feeds: ReadonlyMap<string, NDArray>): Map<string, NDArray> {
  const known = new Map<Value, NDArray>();
  const read = (value: Value): NDArray => {
    const found = known.get(value);
    if (!found) throw new Error(`nothing is known of ${value.name}`);
    return found;
  };
  for (const input of graph.inputs) known.set(input, roundArray(feeds.get(input.name)!));
  for (const [value, data] of graph.constants) known.set(value, roundArray(toArray(data)));
  for (const node of graph.nodes) {
    const results = evaluateNode(node, read, graph.constants);
    node.outputs.forEach((output, i) => {
      known.set(output, roundArray(results[i]!));
    });
  }
  return new Map(graph.outputs.map(({ name, value }) => [name, read(value)]));
}
