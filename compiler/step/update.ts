// What happens once per logical batch, after the gradients are complete: the s/2 terms and their presence
// gate, weight decay, the optimizer, the count of steps. Written once; train and apply both end with it.
import { nextName } from "../bundle.ts";
import type { GraphBuilder } from "../ir/builder.ts";
import type { Value } from "../ir/types.ts";
import { isDecayed, type Parameter } from "../model/parameters.ts";
import type { Spec } from "../spec/schema.ts";
import { OPTIMIZERS, type StepScalars } from "./optimizers.ts";

/** Name of the state tensor that counts applied steps, int64 scalar. */
export const STEP_COUNTER = "optimizer.step";

export function slotName(parameter: string, slot: string): string {
  return `${parameter}/${slot}`;
}

/**
 * Emits the update of `parameters` and declares the outputs `next/<name>`. `gradientOf` gives complete
 * gradients, `inputOf` the state input of a name and shape, `inverseCount` the float32 scalar 1/labelled rows
 * (0: none) per task.
 */
export function emitUpdate(
  b: GraphBuilder,
  spec: Spec,
  parameters: readonly Parameter[],
  gradientOf: (parameter: Parameter) => Value,
  inputOf: (name: string, shape: readonly number[]) => Value,
  inverseCount: (task: string) => Value,
): void {
  const optimizer = OPTIMIZERS[spec.optimizer];
  const scalars = b.within("optimizer", () => {
    const step = b.add(b.input(STEP_COUNTER, "int64", []), b.scalar(1, "int64"));
    b.output(nextName(STEP_COUNTER), step);
    return optimizer.scalars(b, b.input("learning_rate", "float32", []), step);
  });
  for (const parameter of parameters) {
    b.within(`optimizer(${parameter.name})`, () => {
      const value = inputOf(parameter.name, parameter.shape);
      const slots = optimizer.slots.map((slot) => inputOf(slotName(parameter.name, slot), parameter.shape));
      const presence = parameter.role === "log_variance" ? presenceOf(b, parameter, inverseCount) : undefined;
      const gradient = completeGradient(b, spec, parameter, value, gradientOf(parameter), presence);
      const before = [decayed(b, spec, parameter, value, scalars), ...slots];
      const after = optimizer.update(b, before[0] ?? value, gradient, slots, scalars);
      const names = [parameter.name, ...optimizer.slots.map((slot) => slotName(parameter.name, slot))];
      names.forEach((name, i) => {
        const [next, old] = [after[i], before[i]];
        if (next && old) b.output(nextName(name), presence ? b.where(presence, next, old) : next);
      });
    });
  }
}

/** Whether the task of a log variance has a label in the logical batch (bool scalar). */
function presenceOf(b: GraphBuilder, parameter: Parameter, inverseCount: (task: string) => Value): Value {
  const task = parameter.part.replace(/^tasks\./, "");
  return b.emit("Greater", [inverseCount(task), b.scalar(0)]);
}

/** d(s/2)/ds = 1/2 for a present task; wd * k for a decayed kernel (coupled decay). */
function completeGradient(
  b: GraphBuilder,
  spec: Spec,
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
  spec: Spec,
  parameter: Parameter,
  value: Value,
  scalars: StepScalars,
): Value {
  const decoupled = OPTIMIZERS[spec.optimizer].decoupledDecay;
  if (!isDecayed(parameter) || spec.weight_decay === 0 || !decoupled) return value;
  const factor = b.within("optimizer", () =>
    b.sub(b.scalar(1), b.mul(scalars.learningRate, b.scalar(spec.weight_decay))),
  );
  return b.mul(value, factor);
}
