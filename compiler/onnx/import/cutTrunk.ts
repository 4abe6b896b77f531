// Cuts a feature extractor out of a whole network: everything up to one value, which becomes the only
// output. Without a name it is the last feature map [N,C,H,W] that all of the network's results depend on,
// before the global pooling and the classifier.
import { MttcError } from "../../diagnostics.ts";
import type { Graph, Node, Value } from "../../ir/types.ts";
import { deadValues } from "../../passes/deadValues.ts";
import { nearestNames } from "./nearestNames.ts";

export interface Trunk {
  /** One image input, one output of four dimensions, named as the value that it is. */
  readonly graph: Graph;
  /** Name of the value that was cut at. */
  readonly output: string;
  /** Remarks for the log: where it was cut, and what shape that has. */
  readonly notes: readonly string[];
}

/**
 * The part of `graph` that `output` (a value's or an output's name) needs. E_MODEL_OUTPUT for an unknown
 * name, with the nearest ones; E_MODEL_SHAPE unless it is [N,C,H,W] of the image's batch, or if nothing
 * fits.
 */
export function cutTrunk(graph: Graph, output?: string): Trunk {
  const features = channelsFirst(
    graph,
    output === undefined ? lastFeatureMap(graph) : findValue(graph, output),
  );
  const [image] = graph.inputs;
  const { shape } = features.type;
  const isMap = shape.length === 4 && shape.slice(1).every((dim) => typeof dim === "number");
  if (!isMap || shape[0] !== image?.type.shape[0])
    refuse(
      `"${features.name}" is [${shape}], expected feature maps [N,C,H,W] of the images' batch`,
      graph,
      features,
    );
  const [, channels, height, width] = shape;
  const how = output === undefined ? "features are taken from" : "features are, as asked,";
  const cut = deadValues.run({ ...graph, outputs: [{ name: features.name, value: features }] }, new Map());
  const left = graph.nodes.length - cut.nodes.length;
  const rest = left === 0 ? "" : `; ${left} nodes after it are left out`;
  const note = `${how} "${features.name}": ${channels} channels of ${height}x${width}${rest}`;
  return { graph: cut, output: features.name, notes: [note] };
}

/** Maps that were only turned to [N,H,W,C] are taken before that. */
function channelsFirst(graph: Graph, value: Value): Value {
  const maker = graph.nodes.find((node) => node.outputs.includes(value));
  const isTurned = maker?.op.name === "Transpose" && String(maker.attrs.perm) === "0,2,3,1";
  return (isTurned ? maker?.inputs[0] : undefined) ?? value;
}

function findValue(graph: Graph, name: string): Value {
  const values = graph.nodes.flatMap((node) => node.outputs);
  const found =
    values.find((value) => value.name === name) ?? graph.outputs.find((each) => each.name === name)?.value;
  if (found) return found;
  const names = [...values.map((value) => value.name), ...graph.outputs.map((each) => each.name)];
  const hint = `the nearest names: ${nearestNames(name, names).join(", ")}`;
  throw new MttcError({ code: "E_MODEL_OUTPUT", message: `there is no value "${name}"`, hint });
}

/**
 * Of the nodes that every way from the image to the results passes: the last one that gives [N,C,H,W]
 * before the first global pooling among them. (A squeeze-and-excitation pools too, but there is a way
 * around it.)
 */
function lastFeatureMap(graph: Graph): Value {
  let best: Value | undefined;
  for (const node of commonNodes(graph)) {
    if (poolsGlobally(graph, node)) break;
    const [value] = node.outputs;
    const isMap = value?.type.shape.length === 4 && node.outputs.length === 1;
    if (value && isMap && value.type.shape[0] === graph.inputs[0]?.type.shape[0]) best = value;
  }
  return best ?? refuse("there is no feature map [N,C,H,W] that all results depend on", graph, undefined);
}

/**
 * The nodes, in order, that all ways from the inputs to the outputs pass: the dominators of the outputs.
 * Each node's closest dominator is where the ways to its inputs first part, walking back (Cooper, Harvey,
 * Kennedy: "A Simple, Fast Dominance Algorithm", 2001; one sweep suffices, since the graph has no cycle).
 */
function commonNodes(graph: Graph): readonly Node[] {
  interface Place {
    readonly node: Node | undefined;
    readonly above: Place | undefined;
    readonly depth: number;
  }
  const root: Place = { node: undefined, above: undefined, depth: 0 };
  const places = new Map<Value, Place>(graph.inputs.map((input) => [input, root]));
  const meet = (a: Place, b: Place): Place => {
    let [x, y] = [a, b];
    while (x !== y)
      if (x.depth >= y.depth) x = x.above ?? root;
      else y = y.above ?? root;
    return x;
  };
  const meetAll = (values: readonly (Value | undefined)[]): Place | undefined => {
    const known = values.map((value) => value && places.get(value)).filter((place) => place !== undefined);
    return known.length === 0 ? undefined : known.reduce(meet);
  };
  for (const node of graph.nodes) {
    const above = meetAll(node.inputs);
    if (!above) continue;
    const place = { node, above, depth: above.depth + 1 };
    for (const output of node.outputs) places.set(output, place);
  }
  const nodes: Node[] = [];
  let place = meetAll(graph.outputs.map(({ value }) => value));
  for (; place?.node; place = place.above) nodes.push(place.node);
  return nodes.reverse();
}

/** Whether a node makes one number of each whole map [H,W]. */
function poolsGlobally(graph: Graph, node: Node): boolean {
  const [x] = node.inputs;
  if (x?.type.shape.length !== 4) return false;
  const [, , height, width] = x.type.shape;
  if (/^Global\w*Pool$/.test(node.op.name)) return true;
  if (/^Reduce/.test(node.op.name)) {
    const axes = node.inputs[1] && graph.constants.get(node.inputs[1])?.data;
    return axes === undefined || [2, 3].every((axis) => axes.includes(axis) || axes.includes(axis - 4));
  }
  const kernel = /Pool$/.test(node.op.name) && node.attrs.kernel_shape;
  if (!kernel || (height === 1 && width === 1)) return false;
  return String(kernel) === String([height, width]) && String(node.outputs[0]?.type.shape.slice(2)) === "1,1";
}

function refuse(message: string, graph: Graph, value: Value | undefined): never {
  const maps = graph.nodes
    .flatMap((node) => node.outputs)
    .filter(({ type }) => type.shape.length === 4)
    .slice(-5)
    .map(({ name }) => name);
  const hint = maps.length > 0 ? `name one as \`output\`, for example: ${maps.join(", ")}` : undefined;
  const at = value ? { node: value.name, origin: value.origin } : { node: graph.name };
  throw new MttcError({ code: "E_MODEL_SHAPE", message, at, ...(hint !== undefined && { hint }) });
}
