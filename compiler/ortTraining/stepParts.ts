// What the graphs of training and evaluation share: a forward pass with its losses becomes a graph that asks
// for images and labels alone. What a step of mttc is told beside these (counts of labels, weights) is
// counted from the labels or becomes a constant; parameters are inputs in one order in both, as ONNX Runtime
// hands them over by their places.
import { need } from "../diagnostics.ts";
import type { GraphBuilder } from "../ir/builder.ts";
import type { ScalarRole, TensorRole } from "../ir/roles.ts";
import type { Graph, Value } from "../ir/types.ts";
import { headOutput, outputName } from "../model/network.ts";
import { classWeightName, inverseCountName, labelName, logVariance } from "../model/objective.ts";
import { isStatistic, type Parameter, partOfTask } from "../model/parameters.ts";
import { RESULTS, type TrainingModel } from "../step/gradientGraph.ts";
import { presenceOf } from "../step/update.ts";
import { LOSS, taskLossName } from "./artifactNames.ts";

/** A forward pass within a graph. */
export interface InlinedPass {
  /** Outputs of the pass by name. */
  readonly results: ReadonlyMap<string, Value>;
  /** 1 / labelled rows of a task, float32 scalar; 0 without any. */
  readonly inverseCount: (task: string) => Value;
}

/** Parameters that are inputs, in their order: what the optimizer updates, then running statistics. */
export function fedParameters(parameters: readonly Parameter[]): readonly Parameter[] {
  const trained = parameters.filter((parameter) => parameter.trained);
  return [...trained.filter((each) => !isStatistic(each)), ...trained.filter(isStatistic)];
}

/**
 * Copies `pass` into `b`, whose inputs are then what a caller feeds, in the order of the pass, and the
 * parameters.
 */
export function inlinePass(
  b: GraphBuilder,
  { tasks }: Pick<TrainingModel, "tasks">,
  pass: Graph,
  parameters: readonly Parameter[],
): InlinedPass {
  const [states, others] = partition(pass.inputs, ({ role }) => role?.role === "state");
  for (const input of others) if (!isAnswered(input.role)) b.adoptInput(input);
  const byName = new Map(states.map((input) => [input.name, input]));
  for (const { name, shape } of parameters) {
    const known = byName.get(name);
    if (known) b.adoptInput(known);
    else b.input(name, "float32", shape, { role: "state", of: name });
  }
  const feeds = new Map<string, Value>();
  for (const { name, role } of others) {
    const value = constantOf(b, role);
    if (value) feeds.set(name, value);
  }
  for (const task of tasks) {
    const { name } = task;
    const labels = need(b.findInput(labelName(name)), labelName(name));
    const weights = feeds.get(classWeightName(name)) ?? b.findInput(classWeightName(name));
    const count = () => task.inverseCount(b, labels, weights);
    feeds.set(inverseCountName(name), b.within(`tasks.${name}.loss`, count, { part: partOfTask(name) }));
  }
  const inverseCount = (task: string): Value => need(feeds.get(inverseCountName(task)), task);
  return { results: b.inline(pass, feeds), inverseCount };
}

/**
 * Declares what both graphs give, in the same order: the loss, that of each task, and what each task serves.
 * The loss is the objective, and with adaptive weights s/2 of each task that has a label.
 */
export function declareUserOutputs(
  b: GraphBuilder,
  { tasks, spec }: Pick<TrainingModel, "tasks" | "spec">,
  { results, inverseCount }: InlinedPass,
): void {
  const result = (name: string): Value => need(results.get(name), name);
  let loss = result(RESULTS.objective);
  if (spec.task_weights === "adaptive")
    for (const { name } of tasks) {
      const parameter = logVariance(name);
      const s = need(b.findInput(parameter.name), parameter.name);
      const isPresent = b.cast(presenceOf(b, parameter, inverseCount), "float32");
      loss = b.add(loss, b.mul(b.mul(s, b.scalar(0.5)), isPresent));
    }
  b.output(LOSS, loss);
  for (const { name } of tasks) b.output(taskLossName(name), result(RESULTS.mean(name)));
  for (const task of tasks)
    b.output(
      outputName(task, task.served.name),
      headOutput(b, task, task.served, result(RESULTS.head(task.name))),
      { role: "prediction", task: task.name, prediction: task.served.name },
    );
}

/** Whether nobody is asked for it. */
function isAnswered(role: TensorRole | undefined): boolean {
  return role?.role === "scalar" && (role.scalar === "inverse_count" || constantNumbers(role) !== undefined);
}

function constantOf(b: GraphBuilder, role: TensorRole | undefined): Value | undefined {
  const numbers = role?.role === "scalar" ? constantNumbers(role) : undefined;
  if (numbers === undefined) return undefined;
  if (typeof numbers === "number") return b.scalar(numbers);
  return b.constant({ dtype: "float32", shape: [numbers.length], data: Float64Array.from(numbers) });
}

/** Numbers that the spec gives; undefined for what depends on labels. */
function constantNumbers(role: ScalarRole): number | readonly number[] | undefined {
  if (role.scalar === "task_weight") return role.value.value;
  return role.scalar === "class_weights" && role.value.formula === "constant" ? role.value.value : undefined;
}

function partition<T>(items: readonly T[], test: (item: T) => boolean): readonly [T[], T[]] {
  return [items.filter(test), items.filter((item) => !test(item))];
}
