// State as graphs take it and give it: the input of a tensor that training changes, and the output
// `next/<name>` that replaces it.
import { nextName } from "../bundle/manifest.ts";
import type { GraphBuilder } from "../ir/builder.ts";
import type { AccumulatorRole, StateRole } from "../ir/roles.ts";
import type { DType, TensorType, Value } from "../ir/types.ts";

/** A state tensor: `of` the parameter that it is or is kept for, none where it is the whole step's. */
export interface StateTensor {
  readonly name: string;
  readonly of?: string;
  readonly shape: TensorType["shape"];
  /** Default float32. */
  readonly dtype?: DType;
}

/** The input of a state tensor, declared once. */
export function stateInput(b: GraphBuilder, { name, of, shape, dtype = "float32" }: StateTensor): Value {
  return b.findInput(name) ?? b.input(name, dtype, shape, stateRole(of));
}

/** Declares the output that holds the next value of a state tensor. */
export function stateOutput(
  b: GraphBuilder,
  { name, of }: Pick<StateTensor, "name" | "of">,
  next: Value,
): void {
  b.output(nextName(name), next, { ...stateRole(of), replaces: name });
}

function stateRole(of: string | undefined): StateRole {
  return of === undefined ? { role: "state" } : { role: "state", of };
}

/** A sum of a parameter's gradients between micro-batches, float32. */
export interface Accumulator {
  /** The parameter. */
  readonly name: string;
  readonly shape: readonly number[];
  /** Where each of these tasks has a gradient of its own: float32 [tasks, ...shape]. */
  readonly tasks?: readonly string[] | undefined;
}

/** Its name. */
export function accumulatorName({ name, tasks }: Pick<Accumulator, "name" | "tasks">): string {
  return `accumulated/${name}${tasks ? "/tasks" : ""}`;
}

/** The input of an accumulator, declared once. */
export function accumulatorInput(b: GraphBuilder, accumulator: Accumulator): Value {
  const { shape, tasks } = accumulator;
  const name = accumulatorName(accumulator);
  const whole = tasks ? [tasks.length, ...shape] : shape;
  return b.findInput(name) ?? b.input(name, "float32", whole, accumulatorRole(accumulator));
}

/** Declares the output that holds the next value of an accumulator. */
export function accumulatorOutput(b: GraphBuilder, accumulator: Accumulator, next: Value): void {
  const name = accumulatorName(accumulator);
  b.output(nextName(name), next, { ...accumulatorRole(accumulator), replaces: name });
}

function accumulatorRole({ name, tasks }: Accumulator): AccumulatorRole {
  return { role: "accumulator", of: name, ...(tasks && { tasks }) };
}
