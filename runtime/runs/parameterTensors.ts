// The parameters of a run at one of its checkpoints: trained ones as stored, frozen ones as they always were.
import { evaluatedState, type Manifest, type ParameterEntry } from "../../compiler/bundle/manifest.ts";
import { initialValue } from "../../compiler/model/initialValues.ts";
import type { LoadedCheckpoint } from "./checkpoints.ts";

/** Where the values of a run's parameters are from. */
export interface ParameterSources {
  readonly manifest: Pick<Manifest, "parameters" | "graphs">;
  readonly checkpoint: Pick<LoadedCheckpoint, "tensors">;
  /** What readFrozen gives. */
  readonly frozen: ReadonlyMap<string, Float32Array>;
  readonly seed: number;
}

/**
 * Values by name, row-major float32, which the caller may change: averages where evaluations read those. A
 * frozen parameter of an imported network is as in its model file, and left out.
 */
export function storedParameters(sources: ParameterSources): Map<string, Float32Array> {
  const evaluated = evaluatedState(sources.manifest);
  const found = sources.manifest.parameters.flatMap((parameter) => {
    const data = storedValue(parameter, evaluated.get(parameter.name) ?? parameter.name, sources);
    return data ? [[parameter.name, data] as const] : [];
  });
  return new Map(found);
}

function storedValue(
  parameter: ParameterEntry,
  tensor: string,
  { checkpoint, frozen, seed }: ParameterSources,
): Float32Array | undefined {
  const stored = checkpoint.tensors.get(tensor);
  // A copy: the bytes of a file need not be aligned, and are shared.
  if (stored) return new Float32Array(new Uint8Array(stored.data).buffer);
  const own = frozen.get(parameter.name);
  if (own) return own.slice();
  return parameter.initial.kind === "imported" ? undefined : initialValue(parameter, seed);
}
