// Initial values of parameters, drawn from the parameter's name and the seed alone: the same name gives the
// same numbers whatever else the network has.
import { hashName, philox4x32 } from "../codec/philox.ts";
import { InternalError } from "../diagnostics.ts";
import type { Parameter } from "./parameters.ts";

/** Values that take the place of drawn ones; undefined for a parameter that has none. */
export interface InitialValues {
  get(name: string, parameter: Parameter): Float32Array | undefined;
}

/**
 * Float32 values of a parameter, row-major. glorot_uniform: uniform in +-sqrt(6 / (fanIn + fanOut)) (Glorot &
 * Bengio 2010, Keras's default for kernels).
 */
export function initialValue(
  parameter: Pick<Parameter, "name" | "shape" | "initial">,
  seed: number,
): Float32Array {
  const count = parameter.shape.reduce((product, dim) => product * dim, 1);
  const { initial } = parameter;
  if (initial.kind === "imported") throw new InternalError(`${parameter.name} brings its own value`);
  if (initial.kind === "constant") return new Float32Array(count).fill(initial.value);
  const limit = Math.sqrt(6 / (initial.fanIn + initial.fanOut));
  const values = new Float32Array(count);
  const words = new Uint32Array(4);
  const [name, purpose] = [hashName(parameter.name), hashName("initial value")];
  for (let i = 0; i < count; i++) {
    if (i % 4 === 0) philox4x32(words, i / 4, name, purpose, 0, seed >>> 0, Math.floor(seed / 2 ** 32));
    // 24 bits: every such number is exact in float32.
    values[i] = (2 * ((words[i % 4] ?? 0) >>> 8) * 2 ** -24 - 1) * limit;
  }
  return values;
}
