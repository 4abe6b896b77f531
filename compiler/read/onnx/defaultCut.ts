// Where a network is cut when nobody says: at the last features of places (a map, or tokens) that all of its
// results depend on, before the global pooling and the classifier; and before the layer that makes class maps
// or the like, where that comes before the pooling.
import { MttcError } from "../../diagnostics.ts";
import type { Graph, Node, Shape, Value } from "../../ir/types.ts";
import type { AxisRoles } from "./axisRoles.ts";
import { commonNodes } from "./dominators.ts";
import { type FeaturePlace, featurePlace } from "./featureMap.ts";

/**
 * Layers on whole maps or tokens that a global pooling and a classifier may have: attention pooling has
 * three, a convolution to class maps one. A block of a transformer or a mixer has at least three of its own.
 */
const MAX_LAYERS_AFTER = 3;
/** Channels that are few enough to be classes, where the layer takes at least twice as many. */
const FEW_CHANNELS = 32;
/** Numbers of classes that networks are trained on: ImageNet's, with a background, and its larger form's. */
const CLASS_COUNTS: readonly number[] = [1000, 1001, 21841, 21843];
/** Names that an error gives. */
const MAX_CANDIDATES = 5;

type Roles = ReadonlyMap<Value, AxisRoles>;

export interface DefaultCut {
  readonly place: FeaturePlace;
  /** What the user should know of it, one sentence each. */
  readonly remarks: readonly string[];
}

/**
 * The place to cut `graph` at. E_MODEL_SHAPE if there is none; E_MODEL_OUTPUT with the names of candidates
 * where more than a pooling and a classifier would be left out.
 */
export function defaultCut(graph: Graph, roles: Roles): DefaultCut {
  const chain = commonNodes(graph);
  const { places } = featuresOf(graph, roles, chain);
  const last = places.at(-1);
  if (!last) return refuseAll(graph, roles);
  const layers = layersOf(graph);
  const left = layersAfter(graph, last.value, layers);
  if (left.length > MAX_LAYERS_AFTER) return refuseStem(graph, roles, last, left.length);
  const result = resultLayer(graph, chain, last, layers);
  if (!result) return { place: last, remarks: [] };
  const before = places.filter(({ value }) => isBefore(chain, value, result.node)).at(-1);
  const name = result.node.outputs[0]?.name ?? "";
  if (before)
    return { place: before, remarks: [`"${name}" gives ${result.what}: features are those before it`] };
  const remark = `the features are poor: "${name}" gives ${result.what}, and there is no map before it`;
  return { place: last, remarks: [remark] };
}

/** Whether a global pooling, or what else leaves no places, lies on every way from image to outputs. */
export function isPooled(graph: Graph, roles: Roles): boolean {
  return featuresOf(graph, roles, commonNodes(graph)).isPooled;
}

/** Features on the way to the results, up to the first global pooling if there is one. */
function featuresOf(
  graph: Graph,
  roles: Roles,
  chain: readonly Node[],
): { readonly places: readonly FeaturePlace[]; readonly isPooled: boolean } {
  const places: FeaturePlace[] = [];
  for (const node of chain) {
    if (poolsGlobally(graph, node)) return { places, isPooled: true };
    const [value] = node.outputs;
    if (!value || node.outputs.length > 1) continue;
    const known = roles.get(value) ?? [];
    const place = featurePlace(value, known);
    if (place) places.push(place);
    else if (places.length > 0 && isCollapsed(known)) return { places, isPooled: true };
  }
  return { places, isPooled: false };
}

/** Whether nothing of height and width is left: what is longer than 1 is known, and none of it is places. */
function isCollapsed(roles: AxisRoles): boolean {
  return roles.every((parts) => parts.every(({ kind }) => kind === "batch" || kind === "channels"));
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

/** Convolutions and matrix products of something of the image with weights. */
function layersOf(graph: Graph): ReadonlySet<Node> {
  const ofImage = new Set<Value>(graph.inputs);
  const layers = new Set<Node>();
  for (const node of graph.nodes) {
    const given = node.inputs.filter((input) => input !== undefined);
    if (!given.some((input) => ofImage.has(input))) continue;
    for (const output of node.outputs) ofImage.add(output);
    const isProduct = /^(Conv|ConvTranspose|MatMul|Gemm|Einsum)$/.test(node.op.name);
    if (isProduct && given.slice(0, 2).some((input) => !ofImage.has(input))) layers.add(node);
  }
  return layers;
}

/** Layers that `value` does not need and that work on whole maps or tokens. */
function layersAfter(graph: Graph, value: Value, layers: ReadonlySet<Node>): readonly Node[] {
  const needed = nodesFor(graph, value);
  const batch = graph.inputs[0]?.type.shape[0];
  return graph.nodes.filter((node) => {
    const shape = node.outputs[0]?.type.shape ?? [];
    const isOfPlaces = shape[0] !== batch || shape.slice(1).filter((dim) => dim !== 1).length > 1;
    return layers.has(node) && !needed.has(node) && isOfPlaces;
  });
}

function nodesFor(graph: Graph, value: Value): ReadonlySet<Node> {
  const wanted = new Set<Value | undefined>([value]);
  const nodes = new Set<Node>();
  for (const node of graph.nodes.toReversed()) {
    if (!node.outputs.some((output) => wanted.has(output))) continue;
    nodes.add(node);
    for (const input of node.inputs) wanted.add(input);
  }
  return nodes;
}

interface ResultLayer {
  readonly node: Node;
  /** What it gives, for the log. */
  readonly what: string;
}

/**
 * The layer whose maps are results rather than features: nothing is learned behind it, and it gives few
 * channels, those of known classes, probabilities, or a picture of the image's size.
 */
function resultLayer(
  graph: Graph,
  chain: readonly Node[],
  last: FeaturePlace,
  layers: ReadonlySet<Node>,
): ResultLayer | undefined {
  const needed = nodesFor(graph, last.value);
  if (graph.nodes.some((node) => layers.has(node) && !needed.has(node))) return undefined;
  const position = chain.findLastIndex((node) => layers.has(node));
  const node = chain[position];
  const [from, to] = [channelsInto(node), channelsOutOf(node)];
  if (!node || from === undefined || to === undefined) return undefined;
  const after = chain.slice(position + 1).map(({ op }) => op.name);
  const activation = after.find((name) => /^(Sigmoid|Softmax|LogSoftmax|Hardmax|ArgMax)$/.test(name));
  const channels = `${to} channels`;
  if (activation !== undefined)
    return { node, what: `${channels}, then ${activation}: the network's result` };
  // Numbers of either sign are results; what is rectified is features.
  const isRectified = after.some((name) => /^(Relu|LeakyRelu|PRelu|Elu|Selu|HardSwish|Clip)$/.test(name));
  const isFew = to <= FEW_CHANNELS && 2 * to <= from && !isRectified;
  const enlarges = after.includes("Resize") && to < from;
  if (isFew || enlarges || CLASS_COUNTS.includes(to))
    return { node, what: `${channels} of ${from}, taken for classes` };
  return undefined;
}

function channelsInto(node: Node | undefined): number | undefined {
  const [x] = node?.inputs ?? [];
  const size = x?.type.shape[node?.op.name === "Conv" ? 1 : x.type.shape.length - 1];
  return typeof size === "number" ? size : undefined;
}

function channelsOutOf(node: Node | undefined): number | undefined {
  const shape = node?.outputs[0]?.type.shape ?? [];
  const size = shape[node?.op.name === "Conv" ? 1 : shape.length - 1];
  return typeof size === "number" ? size : undefined;
}

function isBefore(chain: readonly Node[], value: Value, node: Node): boolean {
  const position = chain.findIndex(({ outputs }) => outputs.includes(value));
  return position < chain.indexOf(node);
}

/** Names that features may be taken from: those that no others are made of, then the last of all. */
function candidates(graph: Graph, roles: Roles, without?: Value): string {
  const made = graph.nodes.flatMap(({ outputs }) => outputs).toReversed();
  const maps = new Set(made.filter((value) => isWide(value, roles)));
  const isFed = new Set<Value | undefined>();
  for (const { inputs, outputs } of graph.nodes)
    if (outputs.some((output) => maps.has(output))) for (const input of inputs) isFed.add(input);
  const ends = [...maps].filter((value) => !isFed.has(value));
  const others = made.filter(({ type: { shape } }) => shape.length === 4 && isOfBatch(graph, shape));
  const values = [...new Set([...ends, ...maps, ...others])].filter((value) => value !== without);
  const names = values.map(({ name }) => name);
  return names.slice(0, MAX_CANDIDATES).join(", ");
}

/** Whether a value has the images' batch and sizes that are known: what may be named as maps. */
function isOfBatch(graph: Graph, [batch, ...sizes]: Shape): boolean {
  return batch === graph.inputs[0]?.type.shape[0] && sizes.every((size) => typeof size === "number");
}

/** Features of more than one place. */
function isWide(value: Value, roles: Roles): boolean {
  const [height, width] = featurePlace(value, roles.get(value) ?? [])?.grid ?? [1, 1];
  return height * width > 1;
}

function refuseStem(graph: Graph, roles: Roles, place: FeaturePlace, layers: number): never {
  const { name, origin } = place.value;
  throw new MttcError({
    code: "E_MODEL_OUTPUT",
    message:
      `"${name}" is the last map that all results depend on, and ${layers} layers on maps or tokens come after it: ` +
      "more than a pooling and a classifier would be left out",
    at: { node: name, origin },
    hint: `name the features as \`output\`, for example: ${candidates(graph, roles, place.value)}`,
  });
}

function refuseAll(graph: Graph, roles: Roles): never {
  const names = candidates(graph, roles);
  const hint = names === "" ? undefined : `name one as \`output\`, for example: ${names}`;
  throw new MttcError({
    code: "E_MODEL_SHAPE",
    message: "there is no feature map [N,C,H,W] that all results depend on",
    at: { node: graph.name },
    ...(hint !== undefined && { hint }),
  });
}
