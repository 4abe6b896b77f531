// The float64 reference: runs a graph, operator by operator, with each op's `evaluate`. Slow and exact; it is
// what derivatives, lowerings and ONNX Runtime are compared with. Arrays in, arrays out, nothing kept.
import { InternalError, need } from "../diagnostics.ts";
import { type EvaluateContext, inferTypes, type NDArray, readAttrs } from "./op.ts";
import { type Graph, type Node, type TensorData, typeText, type Value } from "./types.ts";

/**
 * Runs `graph` on `feeds` (by input name) and returns the outputs by name. Symbolic sizes follow the feeds; a
 * feed that is missing, or of another type than its input, is an InternalError.
 */
export function interpret(graph: Graph, feeds: ReadonlyMap<string, NDArray>): Map<string, NDArray> {
  return need(interpretTogether(graph, [feeds])[0], graph.name);
}

/** The same for processes that run it together, each on its own feeds: the outputs of each, by rank. */
export function interpretTogether(
  graph: Graph,
  feedsOf: readonly ReadonlyMap<string, NDArray>[],
): readonly Map<string, NDArray>[] {
  const constants = new Map<Value, TensorData>(graph.constants);
  const knownOf = feedsOf.map((feeds) => {
    const known = new Map<Value, NDArray>();
    for (const input of graph.inputs) known.set(input, feedOf(input, feeds));
    for (const [value, data] of graph.constants) known.set(value, toArray(data));
    return known;
  });
  const lastUse = lastUses(graph);
  graph.nodes.forEach((node, position) => {
    const contexts = knownOf.map((known) =>
      evaluation(node, (value) => need(known.get(value), value.name), constants),
    );
    const { evaluate, evaluateTogether } = node.op;
    const together = contexts.length > 1 ? evaluateTogether : undefined;
    const results = together?.(contexts) ?? contexts.map(evaluate);
    knownOf.forEach((known, rank) => {
      node.outputs.forEach((output, i) => {
        known.set(output, need(results[rank]?.[i], output.name));
      });
      for (const value of lastUse.get(position) ?? []) known.delete(value);
    });
  });
  return knownOf.map(
    (known) => new Map(graph.outputs.map(({ name, value }) => [name, need(known.get(value), name)])),
  );
}

function feedOf({ name, type }: Value, feeds: ReadonlyMap<string, NDArray>): NDArray {
  const feed = need(feeds.get(name), `input ${name}`);
  const fits =
    feed.dtype === type.dtype &&
    feed.shape.length === type.shape.length &&
    type.shape.every((dim, i) => typeof dim === "string" || dim === feed.shape[i]);
  if (!fits) throw new InternalError(`input ${name} is ${typeText(type)}, its feed ${typeText(feed)}`);
  return feed;
}

/** Evaluates one node; used by constant folding too. */
export function evaluateNode(
  node: Node,
  read: (value: Value) => NDArray,
  constants: ReadonlyMap<Value, TensorData>,
): readonly NDArray[] {
  return node.op.evaluate(evaluation(node, read, constants));
}

/** What a node is evaluated with. */
function evaluation(
  node: Node,
  read: (value: Value) => NDArray,
  constants: ReadonlyMap<Value, TensorData>,
): EvaluateContext {
  const inputs = node.inputs.map((input) => input && read(input));
  const outputs = inferTypes(
    node.op,
    inputs.map((input) => input && { dtype: input.dtype, shape: input.shape }),
    node.inputs.map((input) => input && constants.get(input)),
    node.attrs,
    node.outputs[0]?.origin ?? node.op.name,
  );
  return {
    inputs,
    outputs,
    attrs: readAttrs(node.op, node.attrs),
    input: (index) => need(inputs[index], node.op.name),
  };
}

export function toArray(data: TensorData): NDArray {
  return { dtype: data.dtype, shape: data.shape, data: Float64Array.from(data.data) };
}

/** Values whose last use is at each node position, so that large runs do not hold everything. */
function lastUses(graph: Graph): Map<number, Value[]> {
  const last = new Map<Value, number>();
  graph.nodes.forEach((node, position) => {
    for (const input of node.inputs) if (input) last.set(input, position);
  });
  for (const output of graph.outputs) last.delete(output.value);
  const at = new Map<number, Value[]>();
  for (const [value, position] of last) {
    const list = at.get(position) ?? [];
    list.push(value);
    at.set(position, list);
  }
  return at;
}
