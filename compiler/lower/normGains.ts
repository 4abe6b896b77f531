// The gradient of a batch norm ends in a factor for each channel, and what it gives goes, mostly, into the
// two gradients of the convolution before it and nowhere else. These are linear in it, channel by channel:
// they take the factor on their filters, which are far smaller than images, and no images are multiplied.
//   dx = ConvInputGrad(g r, w) = ConvInputGrad(r, g w),  dw = ConvWeightGrad(x, g r) = g ConvWeightGrad(x, r)
// with g[k] a factor of output channel k. Saves 4 bytes of float16 a pixel, of some 80.
import type { GraphBuilder } from "../ir/builder.ts";
import { concreteShape, type Graph, type Node, type Value } from "../ir/types.ts";

/**
 * Results of gradients of convolutions whose cotangent comes from a batch norm's gradient and goes to such
 * gradients only.
 */
export function gradientsBehindNorms({ nodes, outputs }: Graph): ReadonlySet<Value> {
  const norms = new Set(
    nodes.flatMap((node) => (node.op.name === "BatchNormTrainingGrad" ? (node.outputs[0] ?? []) : [])),
  );
  const readers = new Map<Value, Value[]>();
  for (const { value } of outputs) norms.delete(value);
  for (const node of nodes)
    node.inputs.forEach((input, index) => {
      if (input === undefined || !norms.has(input)) return;
      const [result] = node.outputs;
      if (node.op.channelGain?.cotangent !== index || result === undefined) norms.delete(input);
      else readers.set(input, [...(readers.get(input) ?? []), result]);
    });
  return new Set([...norms].flatMap((cotangent) => readers.get(cotangent) ?? []));
}

/** A gradient of a convolution whose cotangent has lost its factor. */
export interface ApartFromGain {
  /** Inputs that give the same result, but for `finish`. */
  readonly inputs: Node["inputs"];
  readonly finish: (values: readonly Value[]) => readonly Value[];
}

/** Takes the factor off a node's cotangent, where that is such a product; undefined where it is none. */
export function apartFromGain(b: GraphBuilder, { op, inputs }: Node): ApartFromGain | undefined {
  const { channelGain } = op;
  if (!channelGain) return undefined;
  const { cotangent: index, takenBy } = channelGain;
  const cotangent = inputs[index];
  const product = cotangent && b.nodes.findLast(({ outputs }) => outputs[0] === cotangent);
  const [rest, gain] = product?.op.name === "Mul" ? product.inputs : [];
  const channels = cotangent?.type.shape[1];
  if (!rest || !gain || String(gain.type.shape) !== String([channels, 1, 1])) return undefined;
  const ofFilters = (): Value => b.reshape(gain, [...concreteShape(gain.type.shape), 1]);
  const apart = inputs.with(index, rest);
  if (takenBy === "result")
    return {
      inputs: apart,
      finish: ([dw, ...others]) => (dw ? [b.mul(dw, ofFilters()), ...others] : others),
    };
  const filters = inputs[takenBy];
  return filters && { inputs: apart.with(takenBy, b.mul(filters, ofFilters())), finish: (values) => values };
}
