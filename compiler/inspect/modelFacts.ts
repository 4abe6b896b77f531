// What a spec amounts to, taken from its compiled graphs: parameters, shapes, operations, memory, and which
// task's loss trains which part. Spec and classes in, plain data out.
import { type Manifest, withRole } from "../bundle/manifest.ts";
import { taskOfEntry } from "../bundle/manifestTasks.ts";
import { combinationOf, learningOf } from "../combine/combiners.ts";
import { type CompileOptions, compile } from "../compile.ts";
import { InternalError } from "../diagnostics.ts";
import type { Dim, Graph, Output } from "../ir/types.ts";
import type { TaskClasses } from "../model/network.ts";
import { lossChoicesOf } from "../model/objective.ts";
import { FCN, partOfTask, SHARED_LAYERS } from "../model/parameters.ts";
import { networkChannels } from "../spec/pixelRange.ts";
import type { LayerEntry, Spec } from "../spec/schema.ts";
import { specWarnings } from "../spec/specWarnings.ts";
import { type CombineFacts, combineFacts, looksOf, partRuns } from "./combineFacts.ts";
import { countFlops, inputsReached, NO_PART, peakActivationBytes, valueBytes } from "./graphCosts.ts";
import { StageLog } from "./stages.ts";
import { type TrunkFacts, trunkFacts } from "./trunkFacts.ts";

/**
 * One part: `fcn`, `shared_layers`, `tasks.<task>`, and `other` (image, loss, optimizer) where it costs
 * anything.
 */
export interface PartFacts {
  readonly part: string;
  /** Numbers of parameters. */
  readonly trained: number;
  readonly frozen: number;
  /** Running means and variances of batch norms. */
  readonly statistics: number;
  /** Operations of one image forward (multiply-add = 2). */
  readonly forwardFlops: number;
  /** Operations of one whole training step, forward and backward, batch_size images. */
  readonly stepFlops: number;
}

/** One layer; `shape` is that of its result for one image: [C,H,W], or [classes] of a dense layer. */
export interface LayerFacts {
  readonly origin: string;
  readonly layer: LayerEntry | "dense" | "imported";
  readonly part: string;
  readonly shape: readonly Dim[];
}

/** Bytes. */
export interface MemoryFacts {
  /** Parameters, optimizer slots, statistics: once. Training keeps two sets that alternate. */
  readonly state: number;
  /** Frozen parameters. */
  readonly constants: number;
  /** Gradient sums between micro-batches, both sets; 0 without accumulate. */
  readonly accumulators: number;
  /** Estimate of the intermediate values of one (micro-)batch in training. */
  readonly activations: number;
}

/** Which trained parts the loss of a task reaches; none where its weight is 0. */
export interface ReachFacts {
  readonly task: string;
  /** That its head gives: one for each class, say. */
  readonly numbers: number;
  readonly weight: number | "adaptive";
  /** Which loss is trained; absent where its kind has but one. */
  readonly loss?: string | undefined;
  readonly parts: readonly string[];
}

export interface ModelFacts {
  readonly batchSize: number;
  readonly microBatches: number;
  readonly parts: readonly PartFacts[];
  readonly layers: readonly LayerFacts[];
  readonly memory: MemoryFacts;
  readonly reach: readonly ReachFacts[];
  /** Where gradients are combined by task, or losses weighed by factors that the step learns. */
  readonly combine?: CombineFacts;
  /** Of an imported fcn. */
  readonly trunk?: TrunkFacts;
  readonly warnings: readonly string[];
}

/** Compiles and reports; E_SHAPE as compile. */
export function inspectModel(
  spec: Spec,
  classes: TaskClasses,
  models: Pick<CompileOptions, "trunk" | "teacher"> = {},
): ModelFacts {
  const trunk = trunkFacts(spec, models.trunk);
  const log = new StageLog();
  const { manifest } = compile(spec, classes, { ...models, trace: log.trace });
  const evaluate = graphOf(log, "evaluate/1-");
  const train = builtGraph(log, "train");
  const looks = looksOf(spec);
  // Of rounds over parts the whole step says too little: what it computes once they compute in each.
  const flops = stepFlops(log, looks < 2 ? { train: 1 } : partRuns(spec));
  const combine = combining(spec, classes, models, { manifest, looks, flops });
  const step = graphOf(log, spec.accumulate === 1 ? "train/5-" : "grad/5-");
  return {
    batchSize: spec.batch_size,
    microBatches: spec.accumulate,
    parts: partFacts(manifest, countFlops(evaluate), flops),
    layers: layerFacts(spec, evaluate),
    memory: memoryFacts(manifest, step),
    reach: reachFacts(manifest, train),
    ...(combine && { combine }),
    ...(trunk && { trunk }),
    warnings: specWarnings(spec),
  };
}

/** Operations of a step by part of the network; `runs`: how often it runs which graph. */
function stepFlops(log: StageLog, runs: Readonly<Record<string, number>>): ReadonlyMap<string, number> {
  const all = new Map<string, number>();
  for (const [graph, times] of Object.entries(runs))
    for (const [part, flops] of countFlops(builtGraph(log, graph)))
      all.set(part, (all.get(part) ?? 0) + times * flops);
  return all;
}

/** Facts of a step that combines gradients or learns factors, beside the step of the sum. */
function combining(
  spec: Spec,
  classes: TaskClasses,
  models: Pick<CompileOptions, "trunk" | "teacher">,
  own: Pick<CombineFacts, "looks"> & {
    readonly manifest: Manifest;
    readonly flops: ReadonlyMap<string, number>;
  },
): CombineFacts | undefined {
  const [combination, learning] = [combinationOf(spec), learningOf(spec)];
  const method = combination?.combiner.name ?? learning?.method;
  if (method === undefined) return undefined;
  const log = new StageLog();
  const plain: Spec = { ...spec, combine: { method: "sum" } };
  compile(plain, classes, { ...models, trace: log.trace, graphs: (name) => name === "train" });
  const { atFeatures = false } = combination ?? {};
  const total = (flops: ReadonlyMap<string, number>): number =>
    [...flops.values()].reduce((sum, each) => sum + each, 0);
  const flops = { stepFlops: total(own.flops), sumFlops: total(countFlops(builtGraph(log, "train"))) };
  return combineFacts({ method, atFeatures, looks: own.looks, ...flops }, own.manifest);
}

/** Before lowering, where a gradient of a convolution is one node, whatever form the target gives it. */
function builtGraph(log: StageLog, graph: string): Graph {
  return graphOf(log, `${graph}/2-`, `${graph}/1-`);
}

function graphOf(log: StageLog, ...prefixes: readonly string[]): Graph {
  const graph = log.latest(...prefixes);
  if (!graph) throw new InternalError(`the compilation showed no stage ${prefixes.join(" or ")}`);
  return graph;
}

function partFacts(
  manifest: Manifest,
  forward: ReadonlyMap<string, number>,
  step: ReadonlyMap<string, number>,
): PartFacts[] {
  const parts = new Set([FCN, SHARED_LAYERS, ...manifest.tasks.map(({ name }) => partOfTask(name))]);
  for (const { part } of manifest.parameters) parts.add(part);
  if (step.has(NO_PART)) parts.add(NO_PART);
  return [...parts].map((part) => {
    const own = manifest.parameters.filter((parameter) => parameter.part === part);
    const count = (wanted: (parameter: Manifest["parameters"][number]) => boolean): number =>
      own
        .filter(wanted)
        .reduce((sum, { shape }) => sum + shape.reduce((product, dim) => product * dim, 1), 0);
    const isStatistic = (role: string): boolean => role === "running_mean" || role === "running_var";
    return {
      part,
      trained: count(({ role, trained }) => trained && !isStatistic(role)),
      frozen: count(({ role, trained }) => !trained && !isStatistic(role)),
      statistics: count(({ role }) => isStatistic(role)),
      forwardFlops: (forward.get(part) ?? 0) / manifest.batchSize,
      stepFlops: step.get(part) ?? 0,
    };
  });
}

/** Layers in the order of the network, with the shape of the last value that each made. */
function layerFacts(spec: Spec, evaluate: Graph): LayerFacts[] {
  const shapes = new Map<string, readonly Dim[]>();
  for (const node of evaluate.nodes)
    for (const { origin, type } of node.outputs) shapes.set(origin, type.shape.slice(1));
  const place = (
    { part, origin }: { readonly part: string; readonly origin: string },
    entries: readonly LayerEntry[],
    before: readonly Dim[],
  ): LayerFacts[] => {
    let shape = before;
    return entries.map((layer, i) => {
      const here = `${origin}[${i}]`;
      // A dropout leaves no node in inference form.
      shape = shapes.get(here) ?? shape;
      return { origin: here, layer, part, shape };
    });
  };
  const trunk =
    "layers" in spec.fcn
      ? place({ part: FCN, origin: "fcn.layers" }, spec.fcn.layers, [networkChannels(spec), ...spec.imshape])
      : [{ origin: "fcn", layer: "imported", part: FCN, shape: lastShape(evaluate, FCN) } as const];
  const shared = place(
    { part: SHARED_LAYERS, origin: "shared_layers" },
    spec.shared_layers,
    trunk.at(-1)?.shape ?? [],
  );
  const features = shared.at(-1)?.shape ?? trunk.at(-1)?.shape ?? [];
  const heads = spec.tasks.flatMap((task): LayerFacts[] => {
    const part = partOfTask(task);
    const origin = `${part}.dense`;
    const dense = { origin, layer: "dense", part, shape: shapes.get(origin) ?? [] } as const;
    return [...place({ part, origin: `${part}.task_layers` }, spec.task_layers, features), dense];
  });
  return [...trunk, ...shared, ...heads];
}

/** Shape, without the batch, of the last value of a part. */
function lastShape(graph: Graph, part: string): readonly Dim[] {
  const values = graph.nodes.flatMap((node) => node.outputs);
  return values.findLast(({ region }) => region?.part === part)?.type.shape.slice(1) ?? [];
}

function memoryFacts(manifest: Manifest, step: Graph): MemoryFacts {
  const bytes = (shapes: readonly { readonly shape: readonly Dim[] }[]): number =>
    shapes.reduce((sum, { shape }) => sum + valueBytes({ dtype: "float32", shape }), 0);
  const accumulators = withRole(manifest.graphs.grad?.inputs ?? [], "accumulator");
  return {
    state: manifest.state.reduce((sum, entry) => sum + valueBytes(entry), 0),
    constants: bytes(manifest.parameters.filter(({ trained }) => !trained)),
    accumulators: manifest.spec.accumulate === 1 ? 0 : 2 * bytes(accumulators),
    activations: peakActivationBytes(step),
  };
}

/** Follows each task's loss back through the graph to the trained parameters that it depends on. */
function reachFacts(manifest: Manifest, train: Graph): ReachFacts[] {
  const trained = manifest.parameters.filter(({ trained: isTrained }) => isTrained);
  return manifest.tasks.map((entry) => {
    const { name, weight } = entry;
    const isLoss = ({ role }: Output): boolean =>
      role?.role === "figure" && role.task === name && role.figure === "loss_sum";
    const inputs = inputsReached(train, isLoss);
    const reached = trained.filter((parameter) => inputs.has(parameter.name)).map(({ part }) => part);
    const task = taskOfEntry(entry);
    return {
      task: name,
      numbers: task.width,
      weight,
      loss: task.lossText?.(lossChoicesOf(manifest.spec, task)),
      parts: weight === 0 ? [] : [...new Set(reached)],
    };
  });
}
