// Which pixels a foreign network expects: many divide by 255 themselves (Keras's Rescaling and Normalization,
// exported preprocessing), so that images divided before would be divided twice. In: the graph; out: what its
// arithmetic before the first layer says.
import type { OpName } from "../ir/opNames.ts";
import type { Graph, Node, Value } from "../ir/types.ts";
import { TensorUses } from "./tensorUses.ts";

/** y = gain x + shift, for each channel or for all. */
type Affine = readonly { readonly gain: number; readonly shift: number }[];

/** Factors up to this take pixels of 0 to 255 to what networks read; 1 / (255 * 0.1) is about the largest. */
const LARGEST_BYTE_GAIN = 0.05;
/** The pixel that becomes 0, a mean, is above this only where pixels do not end at 1. */
const LARGEST_UNIT_ZERO = 1;
/** Longer lists of numbers are no arithmetic by channel. */
const MAX_CHANNELS = 16;

/** Operators that change the type alone. */
const CARRYING: ReadonlySet<OpName> = new Set<OpName>(["Cast", "Identity"]);

/** What an operator with a number makes of y = gain x + shift, the pixels being its first input or not. */
const RULES: Readonly<
  Partial<Record<OpName, (y: Affine[number], number: number, isFirst: boolean) => Affine[number]>>
> = {
  Add: ({ gain, shift }, number) => ({ gain, shift: shift + number }),
  Sub: ({ gain, shift }, number, isFirst) =>
    isFirst ? { gain, shift: shift - number } : { gain: -gain, shift: number - shift },
  Mul: ({ gain, shift }, number) => ({ gain: gain * number, shift: shift * number }),
  Div: ({ gain, shift }, number, isFirst) =>
    isFirst ? { gain: gain / number, shift: shift / number } : { gain: Number.NaN, shift: 0 },
};

/**
 * Whether the network takes pixels of 0 to 255 and brings them to its own scale itself: what it does before
 * its first layer divides them so far, or takes away a mean that only such pixels have.
 */
export function expectsBytePixels(graph: Graph): boolean {
  const [image] = graph.inputs;
  if (image?.type.dtype !== "float32") return false;
  const uses = new TensorUses(graph);
  const known = new Map<Value, Affine>([[image, [{ gain: 1, shift: 0 }]]]);
  const ends: Affine[] = [];
  for (const node of graph.nodes) {
    const index = node.inputs.findIndex((input) => input && known.has(input));
    if (index < 0) continue;
    const from = known.get(node.inputs[index] ?? image) ?? [];
    if (!uses.isOnPixels({ node, index })) ends.push(from);
    else for (const output of node.outputs) known.set(output, following(node, index, from, graph));
  }
  return ends.length > 0 && ends.every((affine) => affine.length > 0 && isOfBytes(affine));
}

function isOfBytes(affine: Affine): boolean {
  const gains = affine.map(({ gain }) => Math.abs(gain));
  const zeros = affine.map(({ gain, shift }) => -shift / gain);
  return (
    gains.every((gain) => gain > 0 && gain <= LARGEST_BYTE_GAIN) ||
    zeros.some((zero) => zero > LARGEST_UNIT_ZERO)
  );
}

/** After one more node; empty where it cannot be followed. */
function following({ op, inputs }: Node, index: number, from: Affine, graph: Graph): Affine {
  const rule = RULES[op.name];
  // What moves pixels leaves them as they are; the order of channels does not matter here.
  if (!rule) return op.traits.includes("movesData") || CARRYING.has(op.name) ? from : [];
  const other = inputs[1 - index];
  const numbers = other && graph.constants.get(other)?.data;
  if (!numbers || numbers.length > MAX_CHANNELS) return [];
  const count = Math.max(from.length, numbers.length);
  if (count % from.length !== 0 || count % numbers.length !== 0) return [];
  return Array.from({ length: count }, (_, i) =>
    rule(from[i % from.length] ?? { gain: 1, shift: 0 }, numbers[i % numbers.length] ?? 0, index === 0),
  );
}
