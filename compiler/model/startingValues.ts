// What each parameter of a network starts from: a value that is given, that of the imported model, or a drawn
// one.
import type { NetworkSpec, StepSpec } from "../spec/schema.ts";
import { type ImportedTrunk, importedValues } from "./importedTrunk.ts";
import { type InitialValues, initialValue } from "./initialValues.ts";
import type { Parameter } from "./parameters.ts";

/** Where values come from that are not drawn. */
export interface GivenValues {
  /** Values to start from instead of drawn ones, by parameter; row-major float32. */
  readonly initialValues?: InitialValues | undefined;
  /** The network that the spec's fcn names, where it is an imported one. */
  readonly trunk?: ImportedTrunk | undefined;
}

/** The value of a parameter, row-major float32. */
export function startingValues(
  spec: NetworkSpec & Pick<StepSpec, "seed">,
  { initialValues, trunk }: GivenValues,
): (parameter: Parameter) => Float32Array {
  const imported = trunk && importedValues(trunk, spec);
  return (parameter) =>
    initialValues?.get(parameter.name, parameter) ??
    imported?.get(parameter.name) ??
    initialValue(parameter, spec.seed);
}
