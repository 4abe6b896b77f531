// Compiles a spec to artifacts of ONNX Runtime Training, and the same to a bundle, with the graphs of every
// stage, so that tests can hold both to each other in the float64 interpreter.
import type { Graph } from "../../compiler/ir/types.ts";
import { compileOrtTraining, type OrtArtifacts } from "../../compiler/ortTraining/compileOrtTraining.ts";
import { DEFAULT_ORT_VERSION, type OrtVersion } from "../../compiler/ortTraining/ortVersions.ts";
import type { SpecInput } from "../../compiler/spec/schema.ts";
import { compileExperiment } from "../step/experiment.ts";
import { numberedClasses, type TracedBundle } from "../training/tracedGraphs.ts";

export interface TracedArtifacts {
  readonly artifacts: OrtArtifacts;
  /** By stage, e.g. "training/5-final". */
  readonly stages: ReadonlyMap<string, Graph>;
  /** Of the same spec. */
  readonly traced: TracedBundle;
}

/** As compileExperiment; `classes` are numbers of classes by task. */
export function compileArtifacts(
  spec: Partial<SpecInput>,
  classes: Readonly<Record<string, number>>,
  ortVersion: OrtVersion = DEFAULT_ORT_VERSION,
): TracedArtifacts {
  const traced = compileExperiment(spec, classes);
  const stages = new Map<string, Graph>();
  const artifacts = compileOrtTraining(traced.bundle.manifest.spec, numberedClasses(classes), {
    ortVersion,
    trace: (stage, graph) => stages.set(stage, graph),
  });
  return { artifacts, stages, traced };
}
