// Forward and backward of one (micro-)batch as a graph: state and batch in, gradients, the batch's
// statistics and metrics out. train and grad are both made from it, so they cannot differ.
import { emitAugmentation } from "../augment/augmentGraph.ts";
import { settingsOf, splitAugmentation } from "../augment/augmentSplit.ts";
import type { Combination, Learning } from "../combine/combiners.ts";
import { need } from "../diagnostics.ts";
import { GraphBuilder } from "../ir/builder.ts";
import type { OpTable } from "../ir/op.ts";
import type { MaskRole } from "../ir/roles.ts";
import type { Dim, Graph, Value } from "../ir/types.ts";
import { buildDistillation, DISTILLATION, type Teacher } from "../model/distillation.ts";
import type { ImportedTrunk } from "../model/importedTrunk.ts";
import type { BatchStatistic, LayerContext } from "../model/layers.ts";
import {
  buildFcn,
  buildHeads,
  buildShared,
  buildTrainedPart,
  featuresInput,
  imageInput,
} from "../model/network.ts";
import {
  buildObjective,
  buildTaskLoss,
  classWeightsOf,
  figureName,
  inverseCountInput,
  lossChoicesOf,
  type Objective,
} from "../model/objective.ts";
import { isStatistic, type Parameter, type ParameterSource } from "../model/parameters.ts";
import { augmentSettings } from "../spec/augmentKeys.ts";
import { whiteLevel } from "../spec/pixelRange.ts";
import type { Spec } from "../spec/schema.ts";
import type { Task, TaskLoss } from "../tasks/task.ts";
import { averageName, isAveraged } from "./averages.ts";
import { type CombinedTask, combinedTasks } from "./combination.ts";
import { emitFactoredGradients, type LossSource } from "./lossFactors.ts";
import { stateInput } from "./stateTensors.ts";
import { emitGradients, type SharedParameters } from "./taskGradients.ts";
import type { Joining } from "./updateGroups.ts";

/** What a training graph is made from. */
export interface TrainingModel {
  readonly spec: Spec;
  readonly tasks: readonly Task[];
  readonly ops: OpTable;
  /** Value of a parameter that is not trained: it becomes a constant. */
  readonly frozenValue: (parameter: Parameter) => Float32Array;
  /** The imported network that the spec's fcn names, where it names one. */
  readonly trunk?: ImportedTrunk | undefined;
  /** The network that the heads are distilled from. */
  readonly teacher?: Teacher | undefined;
  /** Whether the loader does the leading warps of augmentation, and the training graphs the rest. */
  readonly loaderWarps?: boolean | undefined;
  /** Whether training graphs augment in the form for CPUs. */
  readonly augmentsForCpu?: boolean;
  /** Whether gradients are those of the loss times the state `optimizer.loss_scale` (lossScaling.ts). */
  readonly scalesLoss?: boolean;
  /** How gradients by task become one, where they do not by themselves. */
  readonly combination?: Combination | undefined;
  /** How the factors of the losses are learned, where the step learns them. */
  readonly learning?: Learning | undefined;
  /** Which small tensors are updated together; none by default. */
  readonly joinsUpdates?: Joining;
  /** Processes that each take their share of the rows; default 1. */
  readonly ranks?: number | undefined;
}

/** What of it decides how images are augmented. */
export type AugmentingModel = Pick<TrainingModel, "spec" | "loaderWarps" | "augmentsForCpu">;

/** Outputs of the graph of a forward pass: the objective, the mean of a task, and what its head gives. */
export const RESULTS = {
  objective: "objective",
  mean: (task: string): string => `mean/${task}`,
  head: (task: string): string => `head/${task}`,
} as const;

export interface GradientGraph {
  readonly graph: Graph;
  /** All parameters in the order of the network, frozen ones too. */
  readonly parameters: readonly Parameter[];
  /** Running statistics, each with the momentum of its norm; the batch's are outputs. */
  readonly statistics: readonly Omit<BatchStatistic, "batch">[];
  /** Parameters of which there is a gradient by task; absent where nothing is left to combine. */
  readonly shared?: SharedParameters | undefined;
}

/** Name of the output that holds the batch's own value of a running statistic. */
export function statisticName(parameter: string): string {
  return `statistic/${parameter}`;
}

/** A source that feeds trained parameters as inputs of their name and holds the others as constants. */
function trainingSource(model: TrainingModel, declared: Parameter[] = []): ParameterSource {
  return (b, parameter) => {
    declared.push(parameter);
    const { name, shape } = parameter;
    if (parameter.trained) return stateInput(b, { name, of: name, shape });
    const data = model.frozenValue(parameter);
    return b.constant({ dtype: "float32", shape, data }, name);
  };
}

/** The same for evaluations: where averages are kept of trained parameters, these are what is fed. */
export function evaluationSource(model: TrainingModel): ParameterSource {
  const source = trainingSource(model);
  return (b, parameter) => {
    if (!isAveraged(model.spec, parameter)) return source(b, parameter);
    const { name, shape } = parameter;
    return stateInput(b, { name: averageName(name), of: name, shape });
  };
}

/**
 * Builds the graph for micro-batches of `batch` images; with `features`, the shape of a batch of what the
 * frozen part of the FCN gives, for micro-batches of that as input `features`.
 */
export function buildGradientGraph(
  model: TrainingModel,
  batch: number,
  features?: readonly Dim[],
): GradientGraph {
  const { spec, tasks, ops, ranks = 1 } = model;
  const b = new GraphBuilder("gradients", ops);
  const parameters: Parameter[] = [];
  const statistics: BatchStatistic[] = [];
  const ctx: LayerContext = {
    b,
    spec,
    source: trainingSource(model, parameters),
    trunk: model.trunk,
    training: true,
    mask: (layer, shape) => b.input(`mask/${layer}`, "float32", shape, maskRole(spec, layer)),
    normRanks: spec.sync_batchnorm ? ranks : 1,
    onStatistic: (statistic) => statistics.push(statistic),
  };
  // A teacher sees the images that its student sees.
  const image = features ? undefined : trainingImage(b, model, batch);
  const fcn = image
    ? buildFcn(spec.train_fcn === false ? frozen(ctx) : ctx, image)
    : buildTrainedPart(ctx, featuresInput(b, batch, features ?? []));
  const heads = buildHeads(ctx, buildShared(ctx, fcn), tasks);
  const losses = new Map<Task, TaskLoss>();
  for (const [task, y] of heads)
    losses.set(task, buildTaskLoss(b, task, y, batch, classWeightsOf(spec, task), lossChoicesOf(spec, task)));
  const supervised = buildObjective(b, spec, losses, ctx.source);
  const distilled =
    model.teacher && image && spec.distill_weight > 0
      ? buildDistillation(b, spec, model.teacher, image, heads)
      : undefined;
  const objective = distilled ? b.add(supervised.total, distilled.objective) : supervised.total;

  const trained = parameters.filter((parameter) => parameter.trained && !isStatistic(parameter));
  const objectives = { ...supervised, total: objective, rest: distilled?.objective };
  // Of a part of the rows the losses say too little.
  const source = batch * ranks < spec.batch_size ? "looks" : "batch";
  const shared = differentiate(b, { ...model, source }, objectives, inputsByName(b, trained));
  for (const { parameter, batch } of statistics) b.output(statisticName(parameter.name), batch);
  for (const [{ name: task }, { figures }] of losses)
    for (const [figure, value] of Object.entries(figures))
      b.output(figureName(figure, task), value, { role: "figure", task, figure });
  declareResults(b, { ...supervised, total: objective }, heads);
  for (const [task, value] of distilled?.divergences ?? [])
    b.output(figureName(DISTILLATION, task), value, { role: "figure", task, figure: DISTILLATION });
  return { graph: b.build(), parameters, statistics, shared };
}

/** Declares the gradients of `parameters`: of the total, by task, or with factors that the step learns. */
function differentiate(
  b: GraphBuilder,
  model: TrainingModel & { readonly source: LossSource },
  objective: Objective & { readonly rest: Value | undefined },
  parameters: ReadonlyMap<string, Value>,
): SharedParameters | undefined {
  const { spec, learning, scalesLoss, source, ranks } = model;
  const { total, means, rest } = objective;
  if (!learning)
    return emitGradients(b, model, { total, terms: termsByTask(b, spec, objective), rest }, parameters);
  const losses = {
    tasks: [...means.keys()].map(({ name }) => name),
    means: [...means.values()],
    inverseCounts: [...means.keys()].map((task) => inverseCountInput(b, spec, task)),
  };
  emitFactoredGradients(b, { learning, scalesLoss, source, ranks }, losses, rest, parameters);
  return undefined;
}

function termsByTask(
  b: GraphBuilder,
  spec: Spec,
  { terms }: Pick<Objective, "terms">,
): ReadonlyMap<CombinedTask, Value> {
  const byName = new Map([...terms.keys()].map((task) => [task.name, task]));
  const inverseCount = (task: string): Value => inverseCountInput(b, spec, need(byName.get(task), task));
  const combined = combinedTasks(spec, [...byName.keys()], inverseCount);
  return new Map([...terms.values()].map((term, i) => [need(combined[i], `task ${i}`), term]));
}

/** Declares RESULTS: no host is told of them, graphs that are made from this one may use them. */
export function declareResults(
  b: GraphBuilder,
  { total, means }: Pick<Objective, "total" | "means">,
  heads: ReadonlyMap<Task, Value>,
): void {
  b.output(RESULTS.objective, total);
  for (const [{ name }, mean] of means) b.output(RESULTS.mean(name), mean);
  for (const [{ name }, y] of heads) b.output(RESULTS.head(name), y);
}

/** Declares what of a gradient graph's `outputs` is told to the host, those with a role, by its results. */
export function declareFigures(
  b: GraphBuilder,
  { outputs }: Pick<Graph, "outputs">,
  results: ReadonlyMap<string, Value>,
): void {
  for (const { name, role } of outputs) if (role) b.output(name, need(results.get(name), name), role);
}

function maskRole({ dropout_rate: rate }: Spec, layer: string): MaskRole {
  return { role: "mask", layer, rate, draw: "scaled_bernoulli", stream: `dropout mask/${layer}` };
}

/** The images of a micro-batch, augmented where the spec says so by what the loader has not done. */
export function trainingImage(
  b: GraphBuilder,
  { spec, loaderWarps = false, augmentsForCpu = false }: AugmentingModel,
  batch: Dim,
): Value {
  const augment = augmentSettings(spec.augment) ?? {};
  const read = imageInput(b, spec, batch);
  const { graph } = splitAugmentation(augment, loaderWarps);
  if (graph.length === 0) return read;
  // Augmentation divides by 255: other numbers are brought to as much first.
  const toLevels = (): Value => b.mul(b.cast(read, "float32"), b.scalar(255 / whiteLevel(spec)));
  const levels = spec.bit_depth === 8 ? read : b.within("image", toLevels);
  return emitAugmentation(b, settingsOf(augment, graph), levels, { forCpu: augmentsForCpu });
}

/** The same context in inference form: a frozen FCN's statistics and dropout stand still. */
function frozen({ mask: _mask, onStatistic: _onStatistic, ...ctx }: LayerContext): LayerContext {
  return { ...ctx, training: false };
}

function inputsByName(b: GraphBuilder, parameters: readonly Parameter[]): Map<string, Value> {
  const wanted = new Set(parameters.map((parameter) => parameter.name));
  return new Map(b.build().inputs.flatMap((input) => (wanted.has(input.name) ? [[input.name, input]] : [])));
}
