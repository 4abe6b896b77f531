// The graphs of a bundle that change state: train (a whole step), and its two halves grad and apply. All
// three are put together from the gradient graph and the update, so train = grad + apply by construction;
// factorGraphs.ts has what a step of parts needs besides, where it learns factors of the losses.
import { accumulates } from "../bundle/manifest.ts";
import { need } from "../diagnostics.ts";
import { GraphBuilder } from "../ir/builder.ts";
import type { Dim, Graph, Value } from "../ir/types.ts";
import { classWeightName, inverseCountInput, inverseCountName, labelName } from "../model/objective.ts";
import { isStatistic, type Parameter, partOfTask } from "../model/parameters.ts";
import { everywhere, meanOverRanks } from "../ops/allGather.ts";
import { emitStatisticAverages } from "./averages.ts";
import { buildFactorsGraph, buildLossesGraph, meanLosses, meanNames } from "./factorGraphs.ts";
import { emitRepeated, type RepeatedPart, repeatedPart } from "./forwardParts.ts";
import {
  buildGradientGraph,
  declareFigures,
  type GradientGraph,
  statisticName,
  type TrainingModel,
} from "./gradientGraph.ts";
import { emitLossSum, emitMovedFactors, nextValues, wholeLosses } from "./lossFactors.ts";
import { emitAllFinite, withinOptimizer } from "./lossScaling.ts";
import { type Accumulator, accumulatorInput, accumulatorOutput, stateInput } from "./stateTensors.ts";
import { emitStatistics } from "./statistics.ts";
import { gradientName } from "./taskGradients.ts";
import { emitUpdate, STEP_COUNTER } from "./update.ts";

/** Whether it trains or looks at what is trained, on images or features: what mixed precision is for. */
export function computesLosses({ purpose }: Graph): boolean {
  return purpose === "train" || purpose === "grad" || purpose === "losses";
}

/** Parameters that the optimizer updates, in the order of the network. */
export function optimizedParameters(gradients: GradientGraph): Parameter[] {
  return gradients.parameters.filter((parameter) => parameter.trained && !isStatistic(parameter));
}

/** What is summed of the gradients: of parameters that tasks share, where these are combined, by task. */
function accumulatorsOf(gradients: GradientGraph): (Accumulator & Pick<Parameter, "part">)[] {
  const { shared } = gradients;
  return optimizedParameters(gradients).flatMap(({ name, shape, part }) => {
    const plain = { name, shape, part };
    if (!shared?.names.has(name)) return [plain];
    return [{ ...plain, tasks: shared.tasks }, ...(shared.hasRest ? [plain] : [])];
  });
}

/** state + batch -> next state + metrics; the counts of labels are taken from the batch itself. */
function buildTrainGraph(model: TrainingModel, gradients: GradientGraph, name = "train"): Graph {
  const b = new GraphBuilder(name, model.ops, "train");
  const inverseCounts = new Map<string, Value>();
  const computed = new Set(model.tasks.map(({ name }) => inverseCountName(name)));
  for (const input of gradients.graph.inputs) if (!computed.has(input.name)) b.adoptInput(input);
  for (const task of model.tasks) {
    const { name } = task;
    const labels = inputOf(b, labelName(name));
    const weights = b.findInput(classWeightName(name));
    const inverseCount = () => task.inverseCount(b, labels, weights);
    inverseCounts.set(name, b.within(`tasks.${name}.loss`, inverseCount, { part: partOfTask(name) }));
  }
  const feeds = new Map([...inverseCounts].map(([task, value]) => [inverseCountName(task), value]));
  const names = optimizedParameters(gradients).map(({ name }) => name);
  const again = model.learning && repeatedPart(gradients.graph, new Set(names), new Set(meanNames(model)));
  const all = [...gradients.graph.outputs, ...(again?.kept ?? [])];
  const outputs = b.inline({ ...gradients.graph, outputs: all }, feeds);
  const { isApplied, averaging } = emitUpdate(b, model, {
    parameters: optimizedParameters(gradients),
    gradientOf: ({ name }) => find(outputs, gradientName(name)),
    inverseCount: (task) => find(inverseCounts, task),
    shared: gradients.shared && {
      ...gradients.shared,
      byTaskOf: ({ name }) => find(outputs, gradientName(name, true)),
    },
  });
  const batchOf = (name: string): Value => find(outputs, statisticName(name));
  const statistics = emitStatistics(b, model, gradients, { batchOf, isApplied });
  emitStatisticAverages(b, {
    ...{ parameters: gradients.parameters, joining: model.joinsUpdates ?? "nothing", averaging },
    nextOf: ({ name }) => find(statistics, name),
  });
  if (again) lookAgain(b, model, again, { names, outputs, inverseCounts, isApplied });
  declareFigures(b, gradients.graph, outputs);
  return b.build();
}

/** A step that is done, with what of its batch is needed to look at that again. */
interface SteppedBatch {
  /** Of the parameters that were updated. */
  readonly names: readonly string[];
  /** Those of the gradient graph, and what its repeated part keeps. */
  readonly outputs: ReadonlyMap<string, Value>;
  /** By task. */
  readonly inverseCounts: ReadonlyMap<string, Value>;
  readonly isApplied: Value | undefined;
}

/** Has factors that the step learns move by the losses of its batch before and after it. */
function lookAgain(b: GraphBuilder, model: TrainingModel, again: RepeatedPart, stepped: SteppedBatch): void {
  const { names, outputs, inverseCounts, isApplied } = stepped;
  const next = nextValues(b, [...names, STEP_COUNTER]);
  const lossesIn = (results: ReadonlyMap<string, Value>): Value =>
    wholeLosses(b, meanLosses(model, results).means);
  const before = lossesIn(outputs);
  const after = lossesIn(emitRepeated(b, again, next, outputs));
  const counted = { tasks: [...inverseCounts.keys()], inverseCounts: [...inverseCounts.values()] };
  const done = { before, after, step: find(next, STEP_COUNTER), isApplied };
  emitMovedFactors(b, need(model.learning, "what the step learns"), counted, done);
}

/**
 * The graph of a whole step; none where processes share it, since their gradients are summed between grad and
 * apply. `micro` is the gradient graph of a micro-batch, `features` as in buildGradientGraph.
 */
export function buildWholeStep(
  model: TrainingModel,
  micro: GradientGraph,
  { name = "train", features }: { readonly name?: string; readonly features?: readonly Dim[] } = {},
): Graph[] {
  const { spec, ranks = 1 } = model;
  if (ranks > 1) return [];
  const whole = spec.accumulate === 1 ? micro : buildGradientGraph(model, spec.batch_size, features);
  return [buildTrainGraph(model, whole, name)];
}

/**
 * The same step in parts. None where a step learns factors of the losses and its batch is never cut: as a
 * whole it takes fewer looks at it.
 */
export function buildStepParts(model: TrainingModel, micro: GradientGraph): Graph[] {
  const graphs = buildMicroGraphs(model, micro);
  if (graphs.length === 0) return [];
  const ends = model.learning ? [buildFactorsGraph(model, accumulatorsOf(micro))] : [];
  return [...graphs, buildApplyGraph(model, micro), ...ends];
}

/** Those of the parts that take a micro-batch, by the names that `named` gives. */
export function buildMicroGraphs(
  model: TrainingModel,
  micro: GradientGraph,
  named: (graph: "grad" | "losses") => string = (graph) => graph,
): Graph[] {
  const { spec, learning, ranks = 1 } = model;
  if (!learning) return [buildGradGraph(model, micro, named("grad"))];
  if (!accumulates({ accumulate: spec.accumulate, ranks })) return [];
  return [buildGradGraph(model, micro, named("grad")), buildLossesGraph(model, micro, named("losses"))];
}

/** state + micro-batch + accumulated gradients -> next accumulated gradients, next statistics, metrics. */
function buildGradGraph(model: TrainingModel, gradients: GradientGraph, name: string): Graph {
  const b = new GraphBuilder(name, model.ops, "grad");
  const outputs = b.inline(gradients.graph, new Map());
  const accumulators = accumulatorsOf(gradients);
  const { ranks = 1 } = model;
  const gradientOf = ({ name, tasks }: Accumulator): Value =>
    find(outputs, gradientName(name, tasks !== undefined));
  const areFinite = (): Value => emitAllFinite(b, accumulators.map(gradientOf));
  const isApplied = model.scalesLoss
    ? withinOptimizer(b, () => everywhere(b, areFinite(), ranks))
    : undefined;
  for (const accumulator of accumulators) {
    const accumulate = (): void =>
      accumulatorOutput(b, accumulator, b.add(accumulatorInput(b, accumulator), gradientOf(accumulator)));
    b.within(`accumulated(${accumulator.name})`, accumulate, { part: accumulator.part, isFloat32: true });
  }
  if (model.learning) emitLossSum(b, "gradients", meanLosses(model, outputs));
  const batches = batchStatistics(b, model, gradients, outputs);
  emitStatistics(b, model, gradients, { batchOf: (name) => find(batches, name), isApplied });
  declareFigures(b, gradients.graph, outputs);
  return b.build();
}

/**
 * What running statistics go towards, by their names: the batch's own. Of norms that know the images of one
 * process alone it is the mean over the processes, whose running statistics so stay the same.
 */
function batchStatistics(
  b: GraphBuilder,
  { spec, ranks = 1 }: TrainingModel,
  { statistics }: Pick<GradientGraph, "statistics">,
  outputs: ReadonlyMap<string, Value>,
): ReadonlyMap<string, Value> {
  const names = statistics.map(({ parameter }) => parameter.name);
  const own = names.map((name) => find(outputs, statisticName(name)));
  const means = spec.sync_batchnorm ? own : b.within("statistics", () => meanOverRanks(b, own, ranks));
  return new Map(names.map((name, i) => [name, need(means[i], name)]));
}

/** state + accumulated gradients -> next state. */
function buildApplyGraph(model: TrainingModel, gradients: GradientGraph): Graph {
  const b = new GraphBuilder("apply", model.ops, "apply");
  const tasks = new Map(model.tasks.map((task) => [task.name, task]));
  const { shared } = gradients;
  const parameters = optimizedParameters(gradients);
  const { averaging } = emitUpdate(b, model, {
    parameters,
    gradientOf: ({ name, shape }) => accumulatorInput(b, { name, shape }),
    shared: shared && {
      ...shared,
      byTaskOf: ({ name, shape }) => accumulatorInput(b, { name, shape, tasks: shared.tasks }),
    },
    inverseCount: (task) => inverseCountInput(b, model.spec, find(tasks, task)),
  });
  // Statistics have moved with the micro-batches.
  emitStatisticAverages(b, {
    ...{ parameters: gradients.parameters, joining: model.joinsUpdates ?? "nothing", averaging },
    nextOf: ({ name, shape }) => stateInput(b, { name, of: name, shape }),
  });
  return b.build();
}

function inputOf(b: GraphBuilder, name: string): Value {
  return need(b.findInput(name), name);
}

function find<T>(map: ReadonlyMap<string, T>, name: string): T {
  return need(map.get(name), name);
}
