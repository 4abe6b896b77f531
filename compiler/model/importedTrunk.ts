// A pretrained network as the trunk: its graph is replayed node by node behind the preprocessing, its weights
// become parameters (frozen, trained whole, or trained from a node on), its batch norms keep their statistics
// or train them. Names: `fcn.<name of the tensor in the file>`.
import { InternalError, MttcError, nearestName } from "../diagnostics.ts";
import { readAttrs } from "../ir/op.ts";
import type { Graph, Node, TensorData, Value } from "../ir/types.ts";
import type { ImportedFcn, Spec } from "../spec/schema.ts";
import type { LayerContext } from "./layers.ts";
import type { Parameter, ParameterRole } from "./parameters.ts";
import { replayGraph } from "./replay.ts";

/** An imported network, cut at its feature map. */
export interface ImportedTrunk {
  /** One float32 image input [N,C,H,W] (or [N,H,W,C]) with symbolic N, one output, weights as constants. */
  readonly graph: Graph;
  readonly layout: "NCHW" | "NHWC";
  /** What was cut, removed or decided on import, one sentence each. */
  readonly notes: readonly string[];
  /** SHA-256 of the file, for checkpoints. */
  readonly hash: string;
}

/** Which constants of a trunk are parameters, and which nodes are in its trained part. */
interface TrunkPlan {
  readonly parameters: ReadonlyMap<Value, Parameter>;
  /** Batch norms whose statistics are trained. */
  readonly trainedNorms: ReadonlySet<Node>;
}

/** Whether the spec's fcn is an imported network. */
export function importedFcn(spec: Spec): ImportedFcn | undefined {
  return "path" in spec.fcn ? spec.fcn : undefined;
}

/** Values of a trunk's parameters by parameter name, row-major float32. */
export function importedValues(trunk: ImportedTrunk, spec: Spec): Map<string, Float32Array> {
  const { parameters } = planTrunk(trunk, spec);
  const data = (value: Value): TensorData => trunk.graph.constants.get(value) ?? absent(value.name);
  return new Map([...parameters].map(([value, { name }]) => [name, Float32Array.from(data(value).data)]));
}

/**
 * Replays the trunk on images (float32 [N,C,H,W] preprocessed, or uint8 [N,H,W,C] where it takes bytes) and
 * returns its features [N,C,H,W]. E_SHAPE where they do not fit.
 */
export function buildImportedTrunk(ctx: LayerContext, image: Value, trunk: ImportedTrunk): Value {
  const features = replayTrunk(ctx, image, trunk, trunk);
  if (features.type.shape.length !== 4)
    throw new MttcError({
      code: "E_SHAPE",
      message: `expected features [N,C,H,W], found [${features.type.shape}]`,
      at: { path: "fcn.output" },
    });
  return features;
}

/** A trunk in two, at the one value that passes from its frozen part to its trained one. */
export interface TrunkParts {
  /** Images -> that value, whatever its shape. */
  readonly frozen: Pick<ImportedTrunk, "graph" | "layout">;
  /** That value -> features. */
  readonly trained: Pick<ImportedTrunk, "graph" | "layout">;
}

/**
 * Cuts a trunk that is trained from a node on; undefined where nothing is frozen, or more than one value
 * passes (a skip connection around the cut). E_MODEL_OUTPUT as buildImportedTrunk.
 */
export function trunkParts({ graph, layout }: ImportedTrunk, spec: Spec): TrunkParts | undefined {
  const first = firstTrainedNode(graph, spec);
  const [before, after] = [graph.nodes.slice(0, first), graph.nodes.slice(first)];
  const made = new Set([...graph.inputs, ...before.flatMap(({ outputs }) => outputs)]);
  const used = [...after.flatMap(({ inputs }) => inputs), ...graph.outputs.map(({ value }) => value)];
  const passing = new Set(used.filter((value) => value !== undefined && made.has(value)));
  const [value] = passing;
  if (!value || passing.size > 1 || graph.inputs.includes(value)) return undefined;
  return {
    frozen: { graph: { ...graph, nodes: before, outputs: [{ name: value.name, value }] }, layout },
    // What passes has the layout of the file already.
    trained: { graph: { ...graph, nodes: after, inputs: [value] }, layout: "NCHW" },
  };
}

/** Replays one of the parts, or the whole, of `trunk`. */
export function replayTrunk(
  ctx: LayerContext,
  input: Value,
  { graph, layout }: Pick<ImportedTrunk, "graph" | "layout">,
  trunk: ImportedTrunk,
): Value {
  const { b } = ctx;
  const plan = planTrunk(trunk, ctx.spec);
  const outputs = replayGraph(b, {
    ...{ graph, layout, image: input, prefix: "fcn" },
    constant: (value, data) => {
      const parameter = plan.parameters.get(value);
      return parameter ? ctx.source(b, parameter) : b.constant(data);
    },
    special: (node, inputs) =>
      ctx.training && plan.trainedNorms.has(node) ? trainedNorm(ctx, node, inputs, plan) : undefined,
  });
  const [output = absent("its output")] = outputs.values();
  return output;
}

/** Batch norm by batch statistics; the file's momentum is the share of the old running value, as in ONNX. */
function trainedNorm(
  ctx: LayerContext,
  node: Node,
  inputs: readonly (Value | undefined)[],
  plan: TrunkPlan,
): readonly Value[] {
  const attrs = readAttrs(node.op, node.attrs);
  const momentum = attrs.float("momentum");
  const epsilon = attrs.float("epsilon");
  const outputs = ctx.b.emitAll("BatchNormTraining", inputs.slice(0, 3), { epsilon }, 3);
  [3, 4].forEach((index, i) => {
    const statistic = node.inputs[index];
    const parameter = statistic && plan.parameters.get(statistic);
    const batch = outputs[i + 1];
    if (parameter && batch) ctx.onStatistic?.({ parameter, batch, momentum });
  });
  return outputs.slice(0, 1);
}

/** What of a trunk is trained. */
export interface TrunkShare {
  readonly nodes: number;
  readonly trainedNodes: number;
  /** Node that training begins at, undefined where nothing is trained. */
  readonly from: string | undefined;
  readonly norms: number;
  /** Batch norms whose statistics are trained. */
  readonly trainedNorms: number;
}

/** Counts what of a trunk is trained, by the spec; E_MODEL_OUTPUT as buildImportedTrunk. */
export function trunkShare(trunk: ImportedTrunk, spec: Spec): TrunkShare {
  const { nodes } = trunk.graph;
  const first = firstTrainedNode(trunk.graph, spec);
  const [from] = nodes[first] ? nodeNames(nodes[first]).slice(-1) : [];
  const norms = nodes.filter((node) => node.op.traits.includes("runningStatistics")).length;
  const trainedNorms = planTrunk(trunk, spec).trainedNorms.size;
  return { nodes: nodes.length, trainedNodes: nodes.length - first, from, norms, trainedNorms };
}

function planTrunk(trunk: ImportedTrunk, spec: Spec): TrunkPlan {
  const { graph } = trunk;
  const first = firstTrainedNode(graph, spec);
  const trainsStatistics = importedFcn(spec)?.batchnorm === "train";
  const parameters = new Map<Value, Parameter>();
  const trainedNorms = new Set<Node>();
  graph.nodes.forEach((node, position) => {
    const isTrained = position >= first;
    const isNorm = node.op.traits.includes("runningStatistics");
    if (isNorm && isTrained && trainsStatistics) trainedNorms.add(node);
    node.inputs.forEach((value, index) => {
      const data = value && graph.constants.get(value);
      // Scalars are part of the arithmetic; what has a shape was learned.
      if (!value || data?.dtype !== "float32" || data.shape.length === 0) return;
      const role = roleOf(node, index, data);
      const isStatistic = role === "running_mean" || role === "running_var";
      const known = parameters.get(value);
      parameters.set(value, {
        name: `fcn.${value.name}`,
        shape: data.shape,
        role: known?.role ?? role,
        part: "fcn",
        initial: { kind: "imported" },
        trained: known?.trained || (isTrained && (!isStatistic || trainsStatistics)),
      });
    });
  });
  return { parameters, trainedNorms };
}

/** Position of the first node whose weights are trained; past the end where none is. */
function firstTrainedNode(graph: Graph, spec: Spec): number {
  if (typeof spec.train_fcn === "boolean") return spec.train_fcn ? 0 : graph.nodes.length;
  const wanted = spec.train_fcn.from;
  const position = graph.nodes.findIndex((node) => nodeNames(node).includes(wanted));
  if (position >= 0) return position;
  const names = [...new Set(graph.nodes.flatMap(nodeNames))];
  const near = nearestName(wanted, names);
  throw new MttcError({
    code: "E_MODEL_OUTPUT",
    message: `the fcn has no node or value "${wanted}"`,
    at: { path: "train_fcn.from" },
    hint: near === undefined ? `the last ones are ${names.slice(-8).join(", ")}` : `did you mean "${near}"?`,
  });
}

/** Names that a spec may call a node by: those of its values, its origin, and its own in the file. */
function nodeNames(node: Node): string[] {
  return node.outputs.flatMap(({ name, origin }) => [name, origin, origin.replace(/^fcn\//, "")]);
}

function roleOf(node: Node, index: number, data: TensorData): ParameterRole {
  if (!node.op.traits.includes("runningStatistics")) return data.shape.length >= 2 ? "kernel" : "bias";
  return (["bias", "norm_scale", "norm_bias", "running_mean", "running_var"] as const)[index] ?? "bias";
}

function absent(what: string): never {
  throw new InternalError(`the imported trunk lacks ${what}`);
}
