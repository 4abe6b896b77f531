// The loss: that of each task over its labelled rows, weighted and summed. Counts of the whole logical batch
// come in as `inv_count/<task>` (1 / labelled rows, 0 if none), so that micro-batches and ranks add up
// exactly.

import { learningOf, taskFactor } from "../combine/combiners.ts";
import type { GraphBuilder } from "../ir/builder.ts";
import type { ClassWeights, InverseCount, TaskWeight } from "../ir/roles.ts";
import type { Dim, Region, Value } from "../ir/types.ts";
import { classKey } from "../spec/classKey.ts";
import type { LabelSpec, StepSpec } from "../spec/schema.ts";
import { chosenGamma } from "../tasks/focalLoss.ts";
import { type LossChoices, PLAIN_LOSS, type Task, type TaskLoss } from "../tasks/task.ts";
import { type Parameter, type ParameterSource, partOfTask } from "./parameters.ts";

/** The keys of a spec that weigh tasks and classes in the loss. */
export type LossSpec = Pick<StepSpec, "task_weights" | "class_weights" | "max_task_weight" | "combine"> &
  Pick<LabelSpec, "tasks">;

/** Start of s = log sigma^2 of an adaptive task weight (patchwork's). */
export const INITIAL_LOG_VARIANCE = 1.0;

/** The least s of a task whose weight c exp(-s) is bounded: ln(c / bound). */
function leastLogVariance({ max_task_weight: most }: LossSpec, certainty: number): number | undefined {
  return most === null ? undefined : Math.log(certainty / most);
}

/** The s of a task: exists only with `task_weights: adaptive`; `least` where its weight is bounded. */
export function logVariance(task: string, least?: number): Parameter {
  return {
    name: `tasks.${task}.log_variance`,
    shape: [],
    role: "log_variance",
    part: partOfTask(task),
    task,
    initial: { kind: "constant", value: Math.max(INITIAL_LOG_VARIANCE, least ?? -Infinity) },
    ...(least === undefined ? {} : { least }),
    trained: true,
  };
}

type WeighedTask = Pick<Task, "name" | "numbers" | "weighs">;

/** Whether the spec weighs the classes of a task: its step then takes `class_weight/<task>`. */
function hasClassWeights({ class_weights: weights }: LossSpec, { name, weighs }: WeighedTask): boolean {
  return (
    weighs !== undefined && (weights === "balanced" || (weights !== null && Object.hasOwn(weights, name)))
  );
}

/** How the spec weighs the classes of a task; 1 for those that it does not name. */
export function classWeightsOf(spec: LossSpec, task: WeighedTask): ClassWeights | undefined {
  if (!hasClassWeights(spec, task)) return undefined;
  const { name: ofTask, numbers } = task;
  const { class_weights: weights } = spec;
  if (weights === null || weights === "balanced")
    return { formula: task.weighs === "positives" ? "balanced_positives" : "balanced" };
  const byKey = new Map(
    Object.entries(weights[ofTask] ?? {}).map(([name, weight]) => [classKey(name), weight]),
  );
  return { formula: "constant", value: numbers.map((name) => byKey.get(classKey(name)) ?? 1) };
}

/** Which loss of a task the spec has trained: what the task's entry says, else what holds for all. */
export function lossChoicesOf(
  spec: Pick<LabelSpec, "task_kinds"> & Pick<StepSpec, "label_smoothing" | "focal_gamma">,
  { name }: Pick<Task, "name">,
): LossChoices {
  const known = Object.hasOwn(spec.task_kinds, name) ? spec.task_kinds[name] : undefined;
  const settings: Readonly<Record<string, unknown>> = known ?? {};
  const { label_smoothing: own } = settings;
  return {
    labelSmoothing: typeof own === "number" ? own : spec.label_smoothing,
    gamma: chosenGamma(settings) ?? spec.focal_gamma,
  };
}

/**
 * Loss of one task; declares `label/<task>` and, where the spec weighs its classes, `class_weight/<task>`
 * (float32 [width]).
 */
export function buildTaskLoss(
  b: GraphBuilder,
  task: Task,
  y: Value,
  batch: Dim,
  classWeights?: ClassWeights,
  choices: LossChoices = PLAIN_LOSS,
): TaskLoss {
  const { name, label } = task;
  const { encoding, missing } = label;
  const emit = (): TaskLoss => {
    const ofLabels = { role: "label", task: name, encoding, missing } as const;
    const labels = b.input(labelName(name), label.dtype, [batch, ...label.shape], ofLabels);
    if (!classWeights) return task.loss({ b, y, labels, weights: undefined, choices });
    const role = { role: "scalar", scalar: "class_weights", task: name, value: classWeights } as const;
    const weights = () => b.input(classWeightName(name), "float32", y.type.shape.slice(1), role);
    return task.loss({ b, y, labels, weights, choices });
  };
  return b.within(`tasks.${name}.loss`, emit, regionOf(name));
}

function regionOf(task: string): Region {
  return { part: partOfTask(task) };
}

/** What is trained, float32 scalars. */
export interface Objective {
  readonly total: Value;
  /** Of each task the mean over its labelled rows, unweighted: 0 without any. */
  readonly means: ReadonlyMap<Task, Value>;
  /** Of each task its part of the total: weight * mean. */
  readonly terms: ReadonlyMap<Task, Value>;
}

/**
 * total = sum over tasks of weight * mean, mean = objective sum * inv_count (class weights: inv_count is 1 /
 * sum of the labelled rows' weights). The weight is c exp(-s), c being the kind's `certainty`,
 * where weights are adaptive (Kendall et al., arXiv 1705.07115; the step adds the s/2 terms once per logical
 * batch), else the input `task_weight/<task>`; 1 where the step learns factors, which come to the gradients.
 */
export function buildObjective(
  b: GraphBuilder,
  spec: LossSpec,
  losses: ReadonlyMap<Task, TaskLoss>,
  source: ParameterSource,
): Objective {
  const means = new Map<Task, Value>();
  const terms = [...losses].map(([task, { objective }], i): [Task, Value] => {
    const { name, certainty = 1 } = task;
    const term = (): Value => {
      const mean = b.mul(objective, inverseCountInput(b, spec, task));
      means.set(task, mean);
      const weight = taskWeight(spec, i);
      if (learningOf(spec)) return mean;
      if (weight !== "adaptive") return b.mul(taskWeightInput(b, name, taskFactor(spec, weight)), mean);
      const least = leastLogVariance(spec, certainty);
      const learned = b.emit("Exp", [b.neg(source(b, logVariance(name, least)))]);
      return b.mul(certainty === 1 ? learned : b.mul(learned, b.scalar(certainty)), mean);
    };
    return [task, b.within(`tasks.${name}.loss`, term, regionOf(name))];
  });
  const add = (): Value => terms.map(([, term]) => term).reduce((sum, term) => b.add(sum, term));
  return { total: b.within("objective", add), means, terms: new Map(terms) };
}

/** Weight of a task by its place in the spec: learned, or a fixed number. */
export function taskWeight({ task_weights: weights }: LossSpec, place: number): number | "adaptive" {
  return weights === "adaptive" ? "adaptive" : (weights?.[place] ?? 1);
}

function taskWeightInput(b: GraphBuilder, task: string, value: TaskWeight): Value {
  return b.input(taskWeightName(task), "float32", [], { role: "scalar", scalar: "task_weight", task, value });
}

/** The input of 1 / labelled rows of a task (class weights: 1 / sum of theirs), declared once. */
export function inverseCountInput(b: GraphBuilder, spec: LossSpec, task: WeighedTask): Value {
  const value: InverseCount =
    task.weighs === "classes" && hasClassWeights(spec, task)
      ? { formula: "inverse_weight", weights: classWeightName(task.name) }
      : { formula: "inverse_labelled" };
  const name = inverseCountName(task.name);
  const role = { role: "scalar", scalar: "inverse_count", task: task.name, value } as const;
  return b.findInput(name) ?? b.input(name, "float32", [], role);
}

export function labelName(task: string): string {
  return `label/${task}`;
}

/** Output of a training graph: a sum of a task, by the name of the figure. */
export function figureName(figure: string, task: string): string {
  return `${figure}/${task}`;
}

export function inverseCountName(task: string): string {
  return `inv_count/${task}`;
}

export function classWeightName(task: string): string {
  return `class_weight/${task}`;
}

export function taskWeightName(task: string): string {
  return `task_weight/${task}`;
}
