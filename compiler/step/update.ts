// What happens once per logical batch, after the gradients are complete: the s/2 terms and their presence
// gate, weight decay, the bound on the gradient, the optimizer, averages, the count of steps. Written once;
// train and apply both end with it.
import { InternalError, need } from "../diagnostics.ts";
import type { GraphBuilder } from "../ir/builder.ts";
import { concreteShape, type Value } from "../ir/types.ts";
import { isDecayed, type Parameter } from "../model/parameters.ts";
import type { StepSpec } from "../spec/schema.ts";
import { type Averaging, averagingShare, emitAverages, isAveraged } from "./averages.ts";
import { asRows, combinedTasks, emitCombination, weighedSum } from "./combination.ts";
import type { TrainingModel } from "./gradientGraph.ts";
import { emitClipFactor } from "./gradientNorm.ts";
import { layerRate } from "./layerRates.ts";
import { emitLossScaling, withinOptimizer } from "./lossScaling.ts";
import { OPTIMIZERS, type StepScalars } from "./optimizers.ts";
import { type ScheduleSpec, scheduleOf } from "./schedules.ts";
import { stateInput, stateOutput } from "./stateTensors.ts";
import type { SharedParameters } from "./taskGradients.ts";
import { join, part, updateGroups } from "./updateGroups.ts";

/** Name of the state tensor that counts applied steps, int64 scalar. */
export const STEP_COUNTER = "optimizer.step";

export function slotName(parameter: string, slot: string): string {
  return `${parameter}/${slot}`;
}

/** Where an update finds what it works on. */
export interface UpdateSources {
  readonly parameters: readonly Parameter[];
  /**
   * Complete gradient of a parameter, times the loss scale where the model scales its loss; of what tasks
   * share, where their gradients are combined, what is no task's.
   */
  readonly gradientOf: (parameter: Parameter) => Value;
  /** Float32 scalar 1/labelled rows (0: none) of a task. */
  readonly inverseCount: (task: string) => Value;
  /** Of which parameters gradients are combined, where any are. */
  readonly shared?: SharedGradients | undefined;
}

interface SharedGradients extends SharedParameters {
  /** A parameter's gradients by task, [T, ...shape], as `gradientOf` gives them. */
  readonly byTaskOf: (parameter: Parameter) => Value;
}

type UpdatedModel = Pick<TrainingModel, "spec" | "scalesLoss" | "joinsUpdates" | "combination">;

/** What a step's statistics and averages need to know of its update. */
export interface AppliedUpdate {
  /** Bool scalar where the model scales its loss: a step that overflowed hands on its state as it was. */
  readonly isApplied: Value | undefined;
  /** Where the spec asks for averages. */
  readonly averaging: Averaging | undefined;
}

/** Emits the update of all parameters and declares the outputs `next/<name>`, those of averages too. */
export function emitUpdate(b: GraphBuilder, model: UpdatedModel, sources: UpdateSources): AppliedUpdate {
  const { spec } = model;
  const optimizer = OPTIMIZERS[spec.optimizer];
  const rateOf = (parameter: Parameter): number => layerRate(spec, parameter);
  const isApart = ({ name }: Parameter): boolean => sources.shared?.names.has(name) ?? false;
  const kinds = { isPerTensor: optimizer.isPerTensor, rateOf, isApart };
  const groups = updateGroups(sources.parameters, model.joinsUpdates ?? "nothing", kinds);
  const scaled = groups.map((group) => withinGroup(b, group, () => gradientsOf(b, group, sources)));
  const scaling = model.scalesLoss ? emitLossScaling(b, scaled.flatMap(valuesOf)) : undefined;
  const isApplied = scaling?.isApplied;
  const { scalars, share } = withinOptimizer(b, () => {
    const counted = isApplied ? b.cast(isApplied, "int64") : b.scalar(1, "int64");
    const before = stateInput(b, { name: STEP_COUNTER, shape: [], dtype: "int64" });
    const step = b.add(before, counted);
    stateOutput(b, { name: STEP_COUNTER }, step);
    const ofStep = optimizer.scalars(b, learningRate(b, spec), step);
    return { scalars: ofStep, share: averagingShare(b, spec, step) };
  });
  const averaging = share && { share, isApplied };
  const gradientAt = combinedGradients(b, model, sources, scaled, scaling?.unscale);
  const read = (index: number): ReadGroup => {
    const gradient = (shape: readonly number[]): Value => gradientAt(index, shape);
    return readGroup(b, groups[index] ?? [], gradient, { spec, inverseCount: sources.inverseCount });
  };
  // A norm of all gradients needs all of them before the first update; else each is read where it is used.
  const all = spec.clip_norm === null ? undefined : groups.map((_, index) => read(index));
  const clip =
    all &&
    spec.clip_norm !== null &&
    emitClipFactor(
      b,
      all.map(({ gradient }) => gradient),
      spec.clip_norm,
    );
  for (const [index, group] of groups.entries()) {
    const found = all?.[index] ?? read(index);
    withinGroup(b, group, () => {
      const gradient = clip ? b.mul(found.gradient, clip) : found.gradient;
      const ofLayer = layerScalars(b, scalars, rateOf(group[0] ?? absent()));
      updateGroup(b, group, { ...found, gradient }, { spec, scalars: ofLayer, isApplied, averaging });
    });
  }
  return { isApplied, averaging };
}

/** Gradients of parameters that are updated together, times the loss scale where there is one. */
interface ScaledGradients {
  /** As joined values; absent of what has gradients by task alone. */
  readonly whole?: Value | undefined;
  /** Of what tasks share: float32 [T,n], a row for each. */
  readonly rows?: Value | undefined;
}

function valuesOf({ rows, whole }: ScaledGradients): readonly Value[] {
  return [rows, whole].filter((value) => value !== undefined);
}

function gradientsOf(
  b: GraphBuilder,
  group: readonly Parameter[],
  { gradientOf, shared }: UpdateSources,
): ScaledGradients {
  const whole = (): Value => join(b, group.map(gradientOf));
  if (!shared?.names.has((group[0] ?? absent()).name)) return { whole: whole() };
  const each = group.map((parameter) => asRows(b, shared.byTaskOf(parameter)));
  const rows = each.length === 1 ? each[0] : b.emit("Concat", each, { axis: 1 });
  return { rows, whole: shared.hasRest ? whole() : undefined };
}

/** The gradient of a group, by its place, without the loss scale; of what tasks share, combined. */
function combinedGradients(
  b: GraphBuilder,
  { spec, combination }: UpdatedModel,
  { shared, inverseCount }: UpdateSources,
  scaled: readonly ScaledGradients[],
  unscale: Value | undefined,
): (index: number, shape: readonly number[]) => Value {
  const unscaled = (value: Value): Value => (unscale ? b.mul(value, unscale) : value);
  const given = scaled.flatMap(({ rows }) => rows ?? []);
  const weigh = (): Value => {
    const tasks = combinedTasks(spec, shared?.tasks ?? [], inverseCount);
    return unscaled(emitCombination(b, combination ?? absent(), tasks, given, unscale));
  };
  const weights = given.length > 0 ? withinOptimizer(b, weigh) : undefined;
  return (index, shape) => {
    const { whole, rows } = need(scaled[index], `gradient ${index}`);
    const parts = [
      ...(rows && weights ? [weighedSum(b, weights, rows, shape, spec)] : []),
      ...(whole ? [unscaled(whole)] : []),
    ];
    return parts.length > 0 ? parts.reduce((sum, part) => b.add(sum, part)) : absent();
  };
}

/** Parameters that are updated together, as one value each. */
interface ReadGroup {
  readonly value: Value;
  readonly slots: readonly Value[];
  /** Of a log variance: whether its task has a label in the logical batch. */
  readonly presence: Value | undefined;
  /** Of the whole loss. */
  readonly gradient: Value;
}

function readGroup(
  b: GraphBuilder,
  group: readonly Parameter[],
  gradientOf: (shape: readonly number[]) => Value,
  { spec, inverseCount }: Pick<UpdateSources, "inverseCount"> & Pick<TrainingModel, "spec">,
): ReadGroup {
  const parameter = group[0] ?? absent();
  return withinGroup(b, group, () => {
    const inputs = (nameOf: (name: string) => string): Value =>
      join(
        b,
        group.map(({ name, shape }) => stateInput(b, { name: nameOf(name), of: name, shape })),
      );
    const value = inputs((name) => name);
    const slots = OPTIMIZERS[spec.optimizer].slots.map((slot) => inputs((name) => slotName(name, slot)));
    const presence = parameter.role === "log_variance" ? presenceOf(b, parameter, inverseCount) : undefined;
    const raw = gradientOf(concreteShape(value.type.shape));
    return { value, slots, presence, gradient: completeGradient(b, spec, parameter, value, raw, presence) };
  });
}

function updateGroup(
  b: GraphBuilder,
  group: readonly Parameter[],
  { value, slots, presence, gradient }: ReadGroup,
  {
    spec,
    scalars,
    isApplied,
    averaging,
  }: AppliedUpdate & Pick<TrainingModel, "spec"> & { readonly scalars: StepScalars },
): void {
  const parameter = group[0] ?? absent();
  const optimizer = OPTIMIZERS[spec.optimizer];
  const start = decayed(b, spec, parameter, value, scalars);
  const inputs = { parameter: start, gradient, slots, isDecayed: isDecayed(parameter) };
  const [moved = absent(), ...rest] = optimizer.update(
    b,
    { ...inputs, weightDecay: spec.weight_decay },
    scalars,
  );
  const { least } = parameter;
  const after = [least === undefined ? moved : b.emit("Max", [moved, b.scalar(least)]), ...rest];
  const before = [value, ...slots];
  const moves = presence && isApplied ? b.emit("And", [presence, isApplied]) : (presence ?? isApplied);
  const kept = after.map((next, i) => (moves ? b.where(moves, next, before[i]!) : next));
  const shapes = group.map(({ shape }) => shape);
  const parts = kept.map((next) => part(b, next, shapes));
  for (const [k, { name }] of group.entries()) {
    const names = [name, ...optimizer.slots.map((slot) => slotName(name, slot))];
    names.forEach((each, i) => {
      const next = parts[i]?.[k];
      if (next) stateOutput(b, { name: each, of: name }, next);
    });
  }
  if (averaging && isAveraged(spec, parameter)) emitAverages(b, group, kept[0] ?? absent(), averaging);
}

/** The rates of a part of the network whose factor is `factor`. */
function layerScalars(b: GraphBuilder, scalars: StepScalars, factor: number): StepScalars {
  if (factor === 1) return scalars;
  return withinOptimizer(b, () => ({
    rate: b.mul(scalars.rate, b.scalar(factor)),
    learningRate: b.mul(scalars.learningRate, b.scalar(factor)),
  }));
}

function absent(): never {
  throw new InternalError("an update of nothing");
}

function withinGroup<T>(b: GraphBuilder, group: readonly Parameter[], emit: () => T): T {
  return withinOptimizer(b, emit, group[0]);
}

/** Whether the task of a log variance has a label in the logical batch (bool scalar). */
export function presenceOf(
  b: GraphBuilder,
  parameter: Parameter,
  inverseCount: (task: string) => Value,
): Value {
  const { name, task } = parameter;
  if (task === undefined) throw new InternalError(`${name} is the weight of no task`);
  return b.emit("Greater", [inverseCount(task), b.scalar(0)]);
}

/** The input of the learning rate, float32 scalar. */
function learningRate(b: GraphBuilder, spec: ScheduleSpec): Value {
  const role = { role: "scalar", scalar: "learning_rate", value: scheduleOf(spec) } as const;
  return b.input("learning_rate", "float32", [], role);
}

/** d(s/2)/ds = 1/2 for a present task; wd * k for a decayed kernel (coupled decay). */
export function completeGradient(
  b: GraphBuilder,
  spec: Pick<StepSpec, "optimizer" | "weight_decay">,
  parameter: Parameter,
  value: Value,
  gradient: Value,
  presence: Value | undefined,
): Value {
  if (presence) return b.add(gradient, b.mul(b.cast(presence, "float32"), b.scalar(0.5)));
  const isPenalized =
    isDecayed(parameter) && spec.weight_decay > 0 && OPTIMIZERS[spec.optimizer].decay === "penalty";
  return isPenalized ? b.add(gradient, b.mul(value, b.scalar(spec.weight_decay))) : gradient;
}

/** adamw: w - lr * wd * w before the update (Keras AdamW); otherwise w. */
function decayed(
  b: GraphBuilder,
  spec: Pick<StepSpec, "optimizer" | "weight_decay">,
  parameter: Parameter,
  value: Value,
  scalars: StepScalars,
): Value {
  const isDecoupled = OPTIMIZERS[spec.optimizer].decay === "decoupled";
  if (!isDecayed(parameter) || spec.weight_decay === 0 || !isDecoupled) return value;
  const factor = withinOptimizer(b, () =>
    b.sub(b.scalar(1), b.mul(scalars.learningRate, b.scalar(spec.weight_decay))),
  );
  return b.mul(value, factor);
}
