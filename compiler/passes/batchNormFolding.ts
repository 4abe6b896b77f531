// Folds a batch norm in inference form into the convolution before it: one node less, and nothing left of
// the norm. Fires where all parameters are constants: exported graphs and frozen trunks. The result differs
// from the unfolded graph by rounding.
import type { GraphBuilder } from "../ir/builder.ts";
import { readAttrs } from "../ir/op.ts";
import { rewriteGraph } from "../ir/rewrite.ts";
import type { Graph, Node, TensorData, Value } from "../ir/types.ts";
import type { Pass } from "./pass.ts";

/**
 * y = scale (conv(x, W) + B - mean) / sqrt(var + eps) + bias = conv(x, f W) + f (B - mean) + bias, with f[k]
 * = scale[k] / sqrt(var[k] + eps) (Jacob et al., arXiv 1712.05877, section 3.2). Applies where the
 * convolution's filters and bias and the norm are constants and nothing else reads the convolution's result.
 */
export const batchNormFolding: Pass = {
  name: "batch-norm-folding",
  run: (graph, ops) => {
    const [norm, conv] = [ops.get("BatchNormalization"), ops.get("Conv")];
    if (!graph.nodes.some(({ op }) => op === norm)) return graph;
    const producers = new Map<Value, Node>();
    const uses = countUses(graph);
    const result = rewriteGraph(graph, ops, (node, b) => {
      const [x] = node.inputs;
      const before = x && producers.get(x);
      if (x && before && node.op === norm && before.op === conv && uses.get(x) === 1) {
        const folded = fold(node, before, b);
        if (folded) return [folded];
      }
      for (const output of node.outputs) producers.set(output, node);
      return undefined;
    });
    return result.changed ? result.graph : graph;
  },
};

/** The folded convolution, or undefined where a number that it needs is not constant. */
function fold(norm: Node, conv: Node, b: GraphBuilder): Value | undefined {
  const [x, kernel, bias] = conv.inputs;
  const weights = b.constantData(kernel);
  const [scale, shift, mean, variance] = norm.inputs.slice(1).map((input) => b.constantData(input)?.data);
  const oldBias = b.constantData(bias)?.data;
  if (!weights || !scale || !shift || !mean || !variance || (bias && !oldBias)) return undefined;
  const epsilon = readAttrs(norm.op, norm.attrs).float("epsilon");
  const factors = scale.map((gain, k) => gain / Math.sqrt((variance[k] ?? 0) + epsilon));
  const newBias = Float64Array.from(
    factors,
    (factor, k) => factor * ((oldBias?.[k] ?? 0) - (mean[k] ?? 0)) + (shift[k] ?? 0),
  );
  const origin = norm.outputs[0]?.origin ?? b.origin;
  const inputs = [
    x,
    b.constant(scaleFilters(weights, factors), `${kernel?.name ?? origin}.folded`),
    b.constant(asFloat32([factors.length], newBias), `${kernel?.name ?? origin}.folded_bias`),
  ];
  return b.emit(conv.op.name, inputs, conv.attrs);
}

/** Filter k of weights [K,...] times factors[k]. A plain loop: `from` with a function boxes every number. */
function scaleFilters({ shape, data }: TensorData, factors: Float32Array | Float64Array): TensorData {
  const size = data.length / factors.length;
  const scaled = new Float32Array(data.length);
  for (let i = 0; i < data.length; i++) scaled[i] = (data[i] ?? 0) * (factors[Math.floor(i / size)] ?? 0);
  return { dtype: "float32", shape, data: scaled };
}

function asFloat32(shape: readonly number[], data: Float64Array): TensorData {
  return { dtype: "float32", shape, data: Float32Array.from(data) };
}

/** How often each value is read, by nodes and by the graph's outputs. */
function countUses(graph: Graph): Map<Value, number> {
  const uses = new Map<Value, number>();
  const count = (value: Value | undefined) => value && uses.set(value, (uses.get(value) ?? 0) + 1);
  for (const node of graph.nodes) for (const input of node.inputs) count(input);
  for (const { value } of graph.outputs) count(value);
  return uses;
}
