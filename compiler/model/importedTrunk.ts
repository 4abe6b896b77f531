// A pretrained network as the trunk: its graph is replayed node by node behind the preprocessing, its weights
// become parameters (frozen, trained whole, or trained from a node on), its batch norms keep their statistics
// or train them. Names: `fcn.<name of the tensor in the file>`.
import { MttcError, nearestName, need } from "../diagnostics.ts";
import { isUnnamedConstant } from "../ir/constantNames.ts";
import { readAttrs } from "../ir/op.ts";
import { sourceOf, type TensorSources } from "../ir/tensorSource.ts";
import type { Graph, Node, Value } from "../ir/types.ts";
import type { ImportedFcn, NetworkSpec } from "../spec/schema.ts";
import { type LayerContext, normAttrs } from "./layers.ts";
import { FCN, isStatistic, type Parameter } from "./parameters.ts";
import { replayGraph } from "./replay.ts";
import { judgeTensors, type TensorJudgement } from "./trunkTensors.ts";

/** An imported network, cut at its feature map. */
export interface ImportedTrunk {
  /** One float32 image input [N,C,H,W] (or [N,H,W,C]) with symbolic N, one output, weights as constants. */
  readonly graph: Graph;
  readonly layout: "NCHW" | "NHWC";
  /** What was cut, removed or decided on import, one sentence each. */
  readonly notes: readonly string[];
  /** SHA-256 of the file, for checkpoints. */
  readonly hash: string;
  /** What the file says of the constants; absent where every one is a stored tensor. */
  readonly sources?: TensorSources | undefined;
  /** Factor of the pixels where the network divides them itself; absent: 1 / norm, unless the spec says. */
  readonly pixelScale?: number | undefined;
}

/** Which constants of a trunk are parameters, and which nodes are in its trained part. */
interface TrunkPlan {
  readonly parameters: ReadonlyMap<Value, Parameter>;
  /** Batch norms whose statistics are trained. */
  readonly trainedNorms: ReadonlySet<Node>;
}

/** Whether the spec's fcn is an imported network. */
export function importedFcn(spec: Pick<NetworkSpec, "fcn">): ImportedFcn | undefined {
  return "path" in spec.fcn ? spec.fcn : undefined;
}

/**
 * Values of a trunk's parameters by parameter name, row-major float32: those of its graph where they are
 * float32 there, which nobody may change.
 */
export function importedValues(trunk: ImportedTrunk, spec: NetworkSpec): Map<string, Float32Array> {
  const { parameters } = planTrunk(trunk, spec);
  const valuesOf = (value: Value): Float32Array => {
    const { data } = need(trunk.graph.constants.get(value), value.name);
    return data instanceof Float32Array ? data : Float32Array.from(data);
  };
  return new Map([...parameters].map(([value, { name }]) => [name, valuesOf(value)]));
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
export function trunkParts({ graph, layout }: ImportedTrunk, spec: NetworkSpec): TrunkParts | undefined {
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
    ...{ graph, layout, image: input, prefix: "fcn", region: { part: FCN } },
    constant: (value, data) => {
      const parameter = plan.parameters.get(value);
      return parameter ? ctx.source(b, parameter) : b.constant(data);
    },
    special: (node, inputs) =>
      ctx.training && plan.trainedNorms.has(node) ? trainedNorm(ctx, node, inputs, plan) : undefined,
  });
  const [output] = outputs.values();
  return need(output, "its output");
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
  const outputs = ctx.b.emitAll("BatchNormTraining", inputs.slice(0, 3), normAttrs(ctx, epsilon), 3);
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
  /** Tensors that are never trained, by name, with what speaks against it. */
  readonly fixed: readonly FixedTensor[];
}

export interface FixedTensor {
  readonly name: string;
  readonly shape: readonly number[];
  readonly reason: string;
}

/**
 * Counts what of a trunk is trained, by the spec; E_MODEL_OUTPUT as buildImportedTrunk, E_CONFIG as
 * judgeTensors.
 */
export function trunkShare(trunk: ImportedTrunk, spec: NetworkSpec): TrunkShare {
  const { nodes, constants } = trunk.graph;
  const first = firstTrainedNode(trunk.graph, spec);
  const [from] = nodes[first] ? nodeNames(nodes[first]).slice(-1) : [];
  const norms = nodes.filter((node) => node.op.traits.includes("runningStatistics")).length;
  const trainedNorms = planTrunk(trunk, spec).trainedNorms.size;
  const fixed = [...judged(trunk, spec)].flatMap(([value, { fixedBecause: reason }]): FixedTensor[] => {
    const shape = constants.get(value)?.shape ?? [];
    return reason === undefined || isNumberOfFormula(value, trunk)
      ? []
      : [{ name: value.name, shape, reason }];
  });
  return { nodes: nodes.length, trainedNodes: nodes.length - first, from, norms, trainedNorms, fixed };
}

/** A single number among the nodes of the file, or one that the importer made: nobody thinks it learned. */
function isNumberOfFormula(value: Value, { sources, graph }: ImportedTrunk): boolean {
  const kind = sources ? sourceOf(sources, value.name).kind : "initializer";
  const count = graph.constants.get(value)?.data.length ?? 0;
  return (kind === "constant" && count === 1) || (kind === "made" && isUnnamedConstant(value.name));
}

/** What each tensor is; one of which nothing is known is a stored one. */
function judged({ graph, sources }: ImportedTrunk, spec: NetworkSpec): ReadonlyMap<Value, TensorJudgement> {
  const known = sources ?? new Map([...graph.constants.keys()].map(({ name }) => [name, STORED]));
  return judgeTensors(graph, known, importedFcn(spec) ?? undefined);
}

const STORED = { kind: "initializer" } as const;

function planTrunk(trunk: ImportedTrunk, spec: NetworkSpec): TrunkPlan {
  const { graph } = trunk;
  const judgements = judged(trunk, spec);
  const first = firstTrainedNode(graph, spec);
  const trainsStatistics = importedFcn(spec)?.batchnorm === "train";
  const parameters = new Map<Value, Parameter>();
  const trainedNorms = new Set<Node>();
  graph.nodes.forEach((node, position) => {
    const isTrained = position >= first;
    // Statistics that are computed belong to a formula: weights that are standardised, say.
    const hasStatistics = node.inputs.slice(3, 5).every((value) => value && graph.constants.has(value));
    const isNorm = node.op.traits.includes("runningStatistics") && hasStatistics;
    if (isNorm && isTrained && trainsStatistics) trainedNorms.add(node);
    for (const value of node.inputs) {
      const judgement = value && judgements.get(value);
      if (!value || !judgement || judgement.fixedBecause !== undefined) continue;
      const { role } = judgement;
      const known = parameters.get(value);
      const shape = graph.constants.get(value)?.shape ?? [];
      const parameter = {
        name: `fcn.${value.name}`,
        shape,
        role,
        part: FCN,
        initial: { kind: "imported" },
      } as const;
      const isFree = trainsStatistics || !isStatistic({ ...parameter, trained: false });
      parameters.set(value, { ...parameter, trained: known?.trained || (isTrained && isFree) });
    }
  });
  return { parameters, trainedNorms };
}

/** Position of the first node whose weights are trained; past the end where none is. */
function firstTrainedNode(graph: Graph, spec: NetworkSpec): number {
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
