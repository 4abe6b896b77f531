// Replays a foreign graph inside the graph that is being built: node by node, so that types follow the
// images that come in (another batch size, say). Used for an imported trunk and for a teacher.
import { need } from "../diagnostics.ts";
import type { GraphBuilder } from "../ir/builder.ts";
import type { Graph, Node, Region, TensorData, Value } from "../ir/types.ts";

export interface Replay {
  readonly graph: Graph;
  /**
   * What stands for the graph's image input: float32 [N,C,H,W], or uint8 [N,H,W,C] for a graph that takes
   * bytes.
   */
  readonly image: Value;
  readonly layout: "NCHW" | "NHWC";
  /** Prefix of the origins: `<prefix>/<origin in the graph>`. */
  readonly prefix: string;
  /** Region of what is emitted. */
  readonly region?: Region;
  /** The value of a constant of the graph; asked once for each, where it is first used. */
  readonly constant: (value: Value, data: TensorData) => Value;
  /** Emits a node otherwise than as it stands; undefined leaves it. */
  readonly special?: (node: Node, inputs: readonly (Value | undefined)[]) => readonly Value[] | undefined;
}

/** How images as they come are turned to what the graph takes; nothing where they are so already. */
const PERMUTATIONS: Readonly<Record<string, readonly number[]>> = {
  "NCHW to NHWC": [0, 2, 3, 1],
  "NHWC to NCHW": [0, 3, 1, 2],
};

/**
 * Emits the graph's nodes and returns what became of its outputs, by name. E_SHAPE where the images do not
 * fit.
 */
export function replayGraph(b: GraphBuilder, replay: Replay): Map<string, Value> {
  const { graph, image, layout, prefix, region } = replay;
  const here = new Map<Value, Value>();
  const perm = PERMUTATIONS[`${image.type.dtype === "uint8" ? "NHWC" : "NCHW"} to ${layout}`];
  const input = perm ? b.within(prefix, () => b.transpose(image, perm), region) : image;
  here.set(need(graph.inputs[0], "an image input"), input);
  const read = (value: Value): Value => {
    const data = graph.constants.get(value);
    const made = here.get(value) ?? replay.constant(value, need(data, value.name));
    here.set(value, made);
    return made;
  };
  for (const node of graph.nodes) {
    const emit = (): void => {
      const inputs = node.inputs.map((value) => value && read(value));
      const outputs =
        replay.special?.(node, inputs) ?? b.emitAll(node.op.name, inputs, node.attrs, node.outputs.length);
      node.outputs.forEach((output, i) => {
        here.set(output, need(outputs[i], output.name));
      });
    };
    b.within(originWithin(prefix, node), emit, region);
  }
  return new Map(graph.outputs.map(({ name, value }) => [name, read(value)]));
}

/** Importers give origins within the prefix already; others are put there. */
function originWithin(prefix: string, node: Node): string {
  const origin = node.outputs[0]?.origin ?? node.op.name;
  return origin.startsWith(`${prefix}/`) ? origin : `${prefix}/${origin}`;
}
