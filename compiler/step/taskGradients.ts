// Gradients of a (micro-)batch: one of the whole objective, or, where the spec combines gradients, one by
// task of what tasks share. What is shared is found by what losses reach: no name says it. Heads and adaptive
// weights belong to one task and have the one gradient that they always had.
import {
  appendCotangents,
  appendGradients,
  appendSweeps,
  type SeededValue,
  zerosLike,
} from "../autodiff/reverse.ts";
import type { Combination } from "../combine/combiners.ts";
import { MttcError, need } from "../diagnostics.ts";
import type { GraphBuilder } from "../ir/builder.ts";
import { concreteShape, type Node, type Value } from "../ir/types.ts";
import type { Spec } from "../spec/schema.ts";
import { asRows, type CombinedTask, emitCombination, weighedSum } from "./combination.ts";
import { lossScaleInput } from "./lossScaling.ts";

/** Name of the output that holds a gradient; `byTask`: of each task one, along a first axis. */
export function gradientName(parameter: string, byTask = false): string {
  return `gradient/${parameter}${byTask ? "/tasks" : ""}`;
}

/** What is differentiated, float32 scalars. */
export interface Objectives {
  readonly total: Value;
  /** Of each task its part of the total. */
  readonly terms: ReadonlyMap<CombinedTask, Value>;
  /** What of the total is no task's: distillation. */
  readonly rest: Value | undefined;
}

/** How they are differentiated. */
export interface CombiningModel {
  readonly spec: Pick<Spec, "precision">;
  /** How gradients by task become one, where they do not by themselves. */
  readonly combination?: Combination | undefined;
  /** Whether gradients are those of the loss times the state `optimizer.loss_scale` (lossScaling.ts). */
  readonly scalesLoss?: boolean;
}

/** Of which parameters a step is given a gradient by task. */
export interface SharedParameters {
  /** The tasks along the first axis. */
  readonly tasks: readonly string[];
  readonly names: ReadonlySet<string>;
  /** Whether they have a gradient that is no task's as well. */
  readonly hasRest: boolean;
}

/**
 * Declares the gradients of `parameters`, by name: output gradientName(name) of each, but of what tasks share
 * gradientName(name, true), [T, ...shape], where the step is to combine them; then it says so. Combined at
 * the features, they are declared as one already. Undefined, and the gradient of `total`, where nothing is to
 * be combined.
 */
export function emitGradients(
  b: GraphBuilder,
  model: CombiningModel,
  objectives: Objectives,
  parameters: ReadonlyMap<string, Value>,
): SharedParameters | undefined {
  const { total, terms, rest } = objectives;
  const scaled = (value: Value): Value => (model.scalesLoss ? b.mul(value, lossScaleInput(b)) : value);
  const { combination } = model;
  const shared = combination ? sharedAmong(b.nodes, [...terms.values()], [...parameters.values()]) : [];
  if (!combination || shared.length === 0) {
    const gradients = appendGradients(b, scaled(total), [...parameters.values()]);
    for (const [name, value] of parameters) b.output(gradientName(name), gradients.get(value) ?? value);
    return undefined;
  }
  const seeded = [...terms.values(), ...(rest ? [rest] : [])].map((value) => seededWith1(b, scaled(value)));
  const all: Differentiated = { parameters, shared, terms, seeded };
  if (!combination.atFeatures) return emitByTask(b, all);
  emitAtFeatures(b, combination, all, model);
  return undefined;
}

interface Differentiated extends Pick<Objectives, "terms"> {
  readonly parameters: ReadonlyMap<string, Value>;
  readonly shared: readonly Value[];
  /** The terms in their order, then what is no task's, where there is something. */
  readonly seeded: readonly SeededValue[];
}

function emitByTask(
  b: GraphBuilder,
  { parameters, shared, terms, seeded }: Differentiated,
): SharedParameters {
  const sweeps = appendSweeps(b, seeded, [...parameters.values()]);
  const names = new Set<string>();
  for (const [name, value] of parameters) {
    const found = sweeps.map((sweep) => sweep.get(value));
    if (!shared.includes(value)) {
      b.output(gradientName(name), sumOf(b, found) ?? zerosLike(b, value));
      continue;
    }
    names.add(name);
    const [ofTasks, rest] = [found.slice(0, terms.size), found.slice(terms.size)];
    b.output(gradientName(name, true), stacked(b, value, ofTasks));
    for (const gradient of rest) b.output(gradientName(name), gradient ?? zerosLike(b, value));
  }
  const tasks = [...terms.keys()].map(({ name }) => name);
  return { tasks, names, hasRest: seeded.length > terms.size };
}

/** Combines the gradients at the one value where the tasks meet, and goes back from there once. */
function emitAtFeatures(
  b: GraphBuilder,
  combination: Combination,
  { parameters, shared, terms, seeded }: Differentiated,
  { spec, scalesLoss }: CombiningModel,
): void {
  const lossScale = scalesLoss ? lossScaleInput(b) : undefined;
  const features = meetingPoint(b.nodes, [...terms.values()], shared);
  const own = [...parameters.values()].filter((value) => !shared.includes(value));
  const sweeps = appendSweeps(b, seeded, [features, ...own]);
  const found = sweeps.map((sweep) => sweep.get(features));
  const combine = (): Value => {
    const stack = asRows(b, stacked(b, features, found.slice(0, terms.size)));
    const unscale = lossScale && b.div(b.scalar(1), lossScale);
    const weights = emitCombination(b, combination, [...terms.keys()], [stack], unscale);
    const combined = weighedSum(b, weights, stack, concreteShape(features.type.shape), spec);
    return need(sumOf(b, [combined, ...found.slice(terms.size)]), features.name);
  };
  const seed = b.within("combine", combine, { isFloat32: true });
  const below = appendCotangents(b, features, seed, shared);
  for (const [name, value] of parameters) {
    const gradient = shared.includes(value)
      ? below.get(value)
      : sumOf(
          b,
          sweeps.map((sweep) => sweep.get(value)),
        );
    b.output(gradientName(name), gradient ?? zerosLike(b, value));
  }
}

function seededWith1(b: GraphBuilder, value: Value): SeededValue {
  return { value, seed: b.within(`gradient(${value.origin})`, () => b.scalar(1, value.type.dtype)) };
}

function sumOf(b: GraphBuilder, values: readonly (Value | undefined)[]): Value | undefined {
  return values.reduce((sum, value) => (sum && value ? b.add(sum, value) : (sum ?? value)), undefined);
}

/** Gradients of `value` along a new first axis; zeros for those that there are not. */
function stacked(b: GraphBuilder, value: Value, gradients: readonly (Value | undefined)[]): Value {
  const shape = [1, ...concreteShape(value.type.shape)];
  const rows = gradients.map((gradient) => b.reshape(gradient ?? zerosLike(b, value), shape));
  return b.emit("Concat", rows, { axis: 0 });
}

/** Those of `values` that at least two of `outputs` depend on. */
function sharedAmong(
  nodes: readonly Node[],
  outputs: readonly Value[],
  values: readonly Value[],
): readonly Value[] {
  const reached = outputs.map((output) => dependenciesOf(nodes, output));
  return values.filter((value) => reached.filter((set) => set.has(value)).length > 1);
}

/** All values that `output` depends on, itself too. */
function dependenciesOf(nodes: readonly Node[], output: Value): ReadonlySet<Value> {
  const needed = new Set([output]);
  for (const node of nodes.toReversed())
    if (node.outputs.some((value) => needed.has(value)))
      for (const input of node.inputs) if (input) needed.add(input);
  return needed;
}

/**
 * The last value that several of `terms` depend on, through which all of them depend on `shared`. E_CONFIG
 * where there is none.
 */
export function meetingPoint(
  nodes: readonly Node[],
  terms: readonly Value[],
  shared: readonly Value[],
): Value {
  const reached = terms.map((term) => dependenciesOf(nodes, term));
  const trained = new Set(shared);
  for (const node of nodes)
    if (node.inputs.some((input) => input && trained.has(input)))
      for (const output of node.outputs) trained.add(output);
  const times = (value: Value): number => reached.filter((set) => set.has(value)).length;
  const isCommon = (value: Value): boolean => trained.has(value) && times(value) > 1;
  // Where the way from the shared parameters to a loss leaves what is common.
  const last = new Set(
    nodes.flatMap(({ inputs, outputs }) => {
      const leaves = outputs.some((output) => times(output) === 1);
      return leaves ? inputs.filter((input): input is Value => input !== undefined && isCommon(input)) : [];
    }),
  );
  const [found, ...others] = last;
  if (found && others.length === 0) return found;
  const names = [...last].map(({ name }) => name).slice(0, 3);
  throw new MttcError({
    code: "E_CONFIG",
    message: `the tasks have no single value in common before their heads, but ${last.size}: ${names.join(", ")}`,
    at: { path: "combine.features" },
    hint: "take the line out: gradients by task need no such value",
  });
}
