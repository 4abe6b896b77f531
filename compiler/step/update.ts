// What happens once per logical batch, after the gradients are complete: the s/2 terms and their presence
// gate, weight decay, the optimizer, the count of steps. Written once; train and apply both end with it.
import { InternalError } from "../diagnostics.ts";
import type { GraphBuilder } from "../ir/builder.ts";
import type { Value } from "../ir/types.ts";
import { isDecayed, type Parameter } from "../model/parameters.ts";
import type { StepSpec } from "../spec/schema.ts";
import type { TrainingModel } from "./gradientGraph.ts";
import { emitLossScaling, withinOptimizer } from "./lossScaling.ts";
import { OPTIMIZERS, type StepScalars } from "./optimizers.ts";
import { stateInput, stateOutput } from "./stateTensors.ts";
import { join, part, updateGroups } from "./updateGroups.ts";

/** Name of the state tensor that counts applied steps, int64 scalar. */
export const STEP_COUNTER = "optimizer.step";

export function slotName(parameter: string, slot: string): string {
  return `${parameter}/${slot}`;
}

/** Where an update finds what it works on. */
export interface UpdateSources {
  readonly parameters: readonly Parameter[];
  /** Complete gradient of a parameter, times the loss scale where the model scales its loss. */
  readonly gradientOf: (parameter: Parameter) => Value;
  /** Float32 scalar 1/labelled rows (0: none) of a task. */
  readonly inverseCount: (task: string) => Value;
}

/**
 * Emits the update of all parameters and declares the outputs `next/<name>`. `isApplied`, bool scalar, is
 * there where the model scales its loss: a step that overflowed hands on its state as it was.
 */
export function emitUpdate(
  b: GraphBuilder,
  model: Pick<TrainingModel, "spec" | "scalesLoss" | "joinsUpdates">,
  { parameters, gradientOf, inverseCount }: UpdateSources,
): { readonly isApplied: Value | undefined } {
  const { spec } = model;
  const optimizer = OPTIMIZERS[spec.optimizer];
  const groups = updateGroups(parameters, model.joinsUpdates ?? "nothing");
  const gradients = groups.map((group) => withinGroup(b, group, () => join(b, group.map(gradientOf))));
  const scaling = model.scalesLoss ? emitLossScaling(b, gradients) : undefined;
  const isApplied = scaling?.isApplied;
  const scalars = withinOptimizer(b, () => {
    const counted = isApplied ? b.cast(isApplied, "int64") : b.scalar(1, "int64");
    const before = stateInput(b, { name: STEP_COUNTER, shape: [], dtype: "int64" });
    const step = b.add(before, counted);
    stateOutput(b, { name: STEP_COUNTER }, step);
    return optimizer.scalars(b, learningRate(b, spec), step);
  });
  for (const [index, group] of groups.entries()) {
    const [parameter, scaled] = [group[0], gradients[index]];
    if (!parameter || !scaled) continue;
    withinGroup(b, group, () => {
      const inputs = (nameOf: (name: string) => string): Value =>
        join(
          b,
          group.map(({ name, shape }) => stateInput(b, { name: nameOf(name), of: name, shape })),
        );
      const value = inputs((name) => name);
      const slots = optimizer.slots.map((slot) => inputs((name) => slotName(name, slot)));
      const presence = parameter.role === "log_variance" ? presenceOf(b, parameter, inverseCount) : undefined;
      const raw = scaling ? b.mul(scaled, scaling.unscale) : scaled;
      const gradient = completeGradient(b, spec, parameter, value, raw, presence);
      const before = [value, ...slots];
      const start = decayed(b, spec, parameter, value, scalars);
      const after = optimizer.update(b, start, gradient, slots, scalars);
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
    });
  }
  return { isApplied };
}

function withinGroup<T>(b: GraphBuilder, group: readonly Parameter[], emit: () => T): T {
  return withinOptimizer(b, emit, group[0]);
}

/** Whether the task of a log variance has a label in the logical batch (bool scalar). */
function presenceOf(b: GraphBuilder, parameter: Parameter, inverseCount: (task: string) => Value): Value {
  const { name, task } = parameter;
  if (task === undefined) throw new InternalError(`${name} is the weight of no task`);
  return b.emit("Greater", [inverseCount(task), b.scalar(0)]);
}

/** The input of the learning rate, float32 scalar. */
function learningRate(b: GraphBuilder, { lr }: Pick<StepSpec, "lr">): Value {
  const value = { formula: "constant", value: lr } as const;
  return b.input("learning_rate", "float32", [], { role: "scalar", scalar: "learning_rate", value });
}

/** d(s/2)/ds = 1/2 for a present task; wd * k for a decayed kernel (coupled decay). */
function completeGradient(
  b: GraphBuilder,
  spec: Pick<StepSpec, "optimizer" | "weight_decay">,
  parameter: Parameter,
  value: Value,
  gradient: Value,
  presence: Value | undefined,
): Value {
  if (presence) return b.add(gradient, b.mul(b.cast(presence, "float32"), b.scalar(0.5)));
  const coupled = isDecayed(parameter) && spec.weight_decay > 0 && !OPTIMIZERS[spec.optimizer].decoupledDecay;
  return coupled ? b.add(gradient, b.mul(value, b.scalar(spec.weight_decay))) : gradient;
}

/** adamw: w - lr * wd * w before the update (Keras AdamW); otherwise w. */
function decayed(
  b: GraphBuilder,
  spec: Pick<StepSpec, "optimizer" | "weight_decay">,
  parameter: Parameter,
  value: Value,
  scalars: StepScalars,
): Value {
  const decoupled = OPTIMIZERS[spec.optimizer].decoupledDecay;
  if (!isDecayed(parameter) || spec.weight_decay === 0 || !decoupled) return value;
  const factor = withinOptimizer(b, () =>
    b.sub(b.scalar(1), b.mul(scalars.learningRate, b.scalar(spec.weight_decay))),
  );
  return b.mul(value, factor);
}
