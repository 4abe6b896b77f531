// Parameters: what a network declares, independent of whether a graph feeds them, holds them as constants or
// trains them. A model asks a ParameterSource for each one by name and gets a graph value back.
import type { GraphBuilder } from "../ir/builder.ts";
import type { Value } from "../ir/types.ts";

export type ParameterRole =
  | "kernel"
  | "bias"
  | "norm_scale"
  | "norm_bias"
  | "running_mean"
  | "running_var"
  | "log_variance";

/** How a parameter starts; fans in elements, as Keras computes them. */
export type InitialValue =
  | { readonly kind: "constant"; readonly value: number }
  | { readonly kind: "glorot_uniform"; readonly fanIn: number; readonly fanOut: number }
  /** The value that an imported model brings. */
  | { readonly kind: "imported" };

export interface Parameter {
  /** `<layer origin>.<role>`, e.g. `shared_layers[1].conv1.kernel`. */
  readonly name: string;
  readonly shape: readonly number[];
  readonly role: ParameterRole;
  /** `fcn`, `shared_layers` or `tasks.<task>`. */
  readonly part: string;
  /** The task whose weight it is: of a log variance alone. */
  readonly task?: string;
  readonly initial: InitialValue;
  /** No update leaves it below this: of a log variance whose weight is bounded. */
  readonly least?: number | undefined;
  /** Whether training changes it (running statistics included). */
  readonly trained: boolean;
}

/** Parts of the network beside the tasks' heads. */
export const FCN = "fcn";
export const SHARED_LAYERS = "shared_layers";

/** The part of the network that a task's head and weight are. */
export function partOfTask(task: string): string {
  return `tasks.${task}`;
}

/** Gives the graph value of a declared parameter; called once per parameter, in the order of the network. */
export type ParameterSource = (b: GraphBuilder, parameter: Parameter) => Value;

/** Running statistics are carried along by the batches; the optimizer never sees them. */
export function isStatistic(parameter: Parameter): boolean {
  return parameter.role === "running_mean" || parameter.role === "running_var";
}

/** Whether weight decay pulls on it: kernels of convolutions and dense layers, nothing else. */
export function isDecayed(parameter: Pick<Parameter, "role">): boolean {
  return parameter.role === "kernel";
}
