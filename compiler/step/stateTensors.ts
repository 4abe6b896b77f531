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

/** Name of the sum of a parameter's gradients between micro-batches. */
export function accumulatorName(parameter: string): string {
  return `accumulated/${parameter}`;
}

/** The input of a parameter's accumulator, declared once; float32 of the parameter's shape. */
export function accumulatorInput(b: GraphBuilder, parameter: string, shape: readonly number[]): Value {
  const name = accumulatorName(parameter);
  return b.findInput(name) ?? b.input(name, "float32", shape, accumulatorRole(parameter));
}

/** Declares the output that holds the next value of a parameter's accumulator. */
export function accumulatorOutput(b: GraphBuilder, parameter: string, next: Value): void {
  const name = accumulatorName(parameter);
  b.output(nextName(name), next, { ...accumulatorRole(parameter), replaces: name });
}

function accumulatorRole(of: string): AccumulatorRole {
  return { role: "accumulator", of };
}
