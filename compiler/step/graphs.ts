// The graphs of a bundle that change state: train (a whole step), and its two halves grad and apply. All
// three are put together from the gradient graph and the update, so train = grad + apply by construction.
import { nextName } from "../bundle/manifest.ts";
import { InternalError } from "../diagnostics.ts";
import { GraphBuilder } from "../ir/builder.ts";
import type { Graph, Value } from "../ir/types.ts";
import { classWeightName, inverseCountName, labelName } from "../model/objective.ts";
import { isStatistic, type Parameter } from "../model/parameters.ts";
import { type GradientGraph, gradientName, statisticName, type TrainingModel } from "./gradientGraph.ts";
import { emitAllFinite } from "./lossScaling.ts";
import { emitStatistics } from "./statistics.ts";
import { emitUpdate } from "./update.ts";

export function accumulatorName(parameter: string): string {
  return `accumulated/${parameter}`;
}

/** Whether a graph of this name computes gradients: one of train and grad, on images or features. */
export function isTrainingGraph(name: string): boolean {
  return /^(train|grad)(_|$)/.test(name);
}

/** Parameters that the optimizer updates, in the order of the network. */
export function optimizedParameters(gradients: GradientGraph): Parameter[] {
  return gradients.parameters.filter((parameter) => parameter.trained && !isStatistic(parameter));
}

/** state + batch -> next state + metrics; the counts of labels are taken from the batch itself. */
export function buildTrainGraph(model: TrainingModel, gradients: GradientGraph, name = "train"): Graph {
  const b = new GraphBuilder(name, model.ops);
  const inverseCounts = new Map<string, Value>();
  const computed = new Set(model.tasks.map(({ name }) => inverseCountName(name)));
  for (const input of gradients.graph.inputs) if (!computed.has(input.name)) b.adoptInput(input);
  for (const task of model.tasks) {
    const { name } = task;
    const labels = inputOf(b, labelName(name));
    const weights = b.findInput(classWeightName(name));
    const inverseCount = () => task.inverseCount(b, labels, weights);
    inverseCounts.set(name, b.within(`tasks.${name}.loss`, inverseCount));
  }
  const feeds = new Map([...inverseCounts].map(([task, value]) => [inverseCountName(task), value]));
  const outputs = b.inline(gradients.graph, feeds);
  const { isApplied } = emitUpdate(b, model, {
    parameters: optimizedParameters(gradients),
    gradientOf: ({ name }) => find(outputs, gradientName(name)),
    inputOf: (name, shape) => b.findInput(name) ?? b.input(name, "float32", shape),
    inverseCount: (task) => find(inverseCounts, task),
  });
  emitStatistics(b, model, gradients, { batchOf: (name) => find(outputs, statisticName(name)), isApplied });
  declareMetrics(b, outputs);
  return b.build();
}

/** state + micro-batch + accumulated gradients -> next accumulated gradients, next statistics, metrics. */
export function buildGradGraph(model: TrainingModel, gradients: GradientGraph, name = "grad"): Graph {
  const b = new GraphBuilder(name, model.ops);
  const outputs = b.inline(gradients.graph, new Map());
  const parameters = optimizedParameters(gradients);
  const isApplied = model.scalesLoss
    ? b.within("optimizer", () =>
        emitAllFinite(
          b,
          parameters.map(({ name }) => find(outputs, gradientName(name))),
        ),
      )
    : undefined;
  for (const { name, shape } of parameters) {
    b.within(`accumulated(${name})`, () => {
      const sum = b.add(b.input(accumulatorName(name), "float32", shape), find(outputs, gradientName(name)));
      b.output(nextName(accumulatorName(name)), sum);
    });
  }
  emitStatistics(b, model, gradients, { batchOf: (name) => find(outputs, statisticName(name)), isApplied });
  declareMetrics(b, outputs);
  return b.build();
}

function declareMetrics(b: GraphBuilder, results: ReadonlyMap<string, Value>): void {
  for (const [name, value] of results) if (!/^(gradient|statistic)\//.test(name)) b.output(name, value);
}

/** state + accumulated gradients -> next state. */
export function buildApplyGraph(model: TrainingModel, gradients: GradientGraph): Graph {
  const b = new GraphBuilder("apply", model.ops);
  const input = (name: string, shape: readonly number[]) =>
    b.findInput(name) ?? b.input(name, "float32", shape);
  emitUpdate(b, model, {
    parameters: optimizedParameters(gradients),
    gradientOf: ({ name, shape }) => input(accumulatorName(name), shape),
    inputOf: input,
    inverseCount: (task) => input(inverseCountName(task), []),
  });
  return b.build();
}

function inputOf(b: GraphBuilder, name: string): Value {
  return b.findInput(name) ?? absent(name);
}

function find<T>(map: ReadonlyMap<string, T>, name: string): T {
  return map.get(name) ?? absent(name);
}

function absent(name: string): never {
  throw new InternalError(`the step has no value ${name}`);
}
