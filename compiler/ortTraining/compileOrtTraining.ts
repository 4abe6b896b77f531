// A spec -> the artifacts of ONNX Runtime Training: training, evaluation and optimizer model, checkpoint, and
// the manifest that says what to feed. Pure, as compile.ts is; the graphs are made of the same parts.
import { encodeGraph, PRODUCER } from "../codec/encodeGraph.ts";
import { encodeTrainingCheckpoint } from "../codec/trainingCheckpoint.ts";
import { type Fault, MttcError } from "../diagnostics.ts";
import { metadataOf, servedTask } from "../export/exportGraphs.ts";
import { encodeMetadata } from "../export/modelMetadata.ts";
import { finishGraph } from "../lower/finishGraph.ts";
import { TARGET_TRAITS } from "../lower/targets.ts";
import type { Teacher } from "../model/distillation.ts";
import { outputName, type TaskClasses } from "../model/network.ts";
import { isStatistic, type Parameter } from "../model/parameters.ts";
import { type GivenValues, startingValues } from "../model/startingValues.ts";
import { OPS } from "../ops/table.ts";
import type { Trace } from "../passes/pass.ts";
import type { Spec } from "../spec/schema.ts";
import { buildGradientGraph, type TrainingModel } from "../step/gradientGraph.ts";
import { optimizedParameters } from "../step/graphs.ts";
import { openTasks } from "../tasks/openTask.ts";
import { type ArtifactManifest, artifactManifest } from "./artifactManifest.ts";
import { ARTIFACT_FILES } from "./artifactNames.ts";
import { buildOrtEvaluationGraph } from "./evaluationGraph.ts";
import { encodeOptimizerFile } from "./optimizerFile.ts";
import { CHECKPOINT_VERSIONS, type OrtVersion } from "./ortVersions.ts";
import { type LocateKey, ortTrainingFaults, parameterFaults } from "./refusals.ts";
import { fedParameters } from "./stepParts.ts";
import { encodeTrainingFile } from "./trainingFile.ts";
import { buildOrtTrainingGraph } from "./trainingGraph.ts";

/** Graphs are spelled for the runtime's CPU provider. */
const SPELLED_FOR = "cpu";

export interface OrtTrainingOptions extends GivenValues {
  /** Whose checkpoints are written. */
  readonly ortVersion: OrtVersion;
  /** The network that the spec's `teacher` names. */
  readonly teacher?: Teacher | undefined;
  /** Texts that the checkpoint carries, through training and saving. */
  readonly properties?: Readonly<Record<string, string>> | undefined;
  /** Says where a key stands in the spec's file. */
  readonly locate?: LocateKey | undefined;
  /** Sees every graph after every stage and pass. */
  readonly trace?: Trace | undefined;
}

/** Everything that is written, in memory. */
export interface OrtArtifacts {
  readonly manifest: ArtifactManifest;
  readonly files: ReadonlyMap<string, Uint8Array>;
}

/** Compiles a spec whose classes are known. E_CONFIG with all that is refused; else what compile() throws. */
export function compileOrtTraining(
  spec: Spec,
  classes: TaskClasses,
  { ortVersion, trunk, teacher, initialValues, properties, locate = () => ({}), trace }: OrtTrainingOptions,
): OrtArtifacts {
  const tasks = openTasks(classes);
  refuse(ortTrainingFaults(spec, tasks, locate));
  const initialOf = startingValues(spec, { initialValues, trunk });
  const { joinsUpdates, augmentsForCpu } = TARGET_TRAITS[SPELLED_FOR];
  const model: TrainingModel = {
    ...{ spec, tasks, ops: OPS, frozenValue: initialOf, trunk, teacher, joinsUpdates, augmentsForCpu },
  };
  const gradients = buildGradientGraph(model, spec.batch_size / spec.accumulate);
  const { parameters } = gradients;
  refuse(parameterFaults(parameters, locate));
  const finish = { target: SPELLED_FOR, trace } as const;
  const training = finishGraph(buildOrtTrainingGraph(model, gradients), finish);
  const evaluation = finishGraph(buildOrtEvaluationGraph(model, parameters), finish);
  const optimized = optimizedParameters(gradients);
  const tensor = (parameter: Parameter) => {
    const { name, shape } = parameter;
    return { name, shape, data: initialOf(parameter) };
  };
  const checkpoint = encodeTrainingCheckpoint({
    version: CHECKPOINT_VERSIONS[ortVersion],
    trained: optimized.map(tensor),
    frozen: fedParameters(parameters).filter(isStatistic).map(tensor),
    properties: new Map(Object.entries({ producer: PRODUCER, ...properties })),
  });
  return {
    manifest: artifactManifest({ model, ortVersion, training, evaluation, parameters }),
    files: new Map([
      [ARTIFACT_FILES.training, encodeTrainingFile(training, optimized)],
      [
        ARTIFACT_FILES.evaluation,
        encodeGraph(evaluation, { metadata: servedMetadata(model), kernelShapes: true }),
      ],
      [ARTIFACT_FILES.optimizer, encodeOptimizerFile(spec)],
      [ARTIFACT_FILES.checkpoint, checkpoint],
    ]),
  };
}

function refuse(faults: readonly Fault[]): void {
  if (faults.length > 0) throw new MttcError(faults);
}

/** What a model that the runtime exports for inference, which is a part of eval_model, says of itself. */
function servedMetadata({ spec, tasks }: TrainingModel): Record<string, string> {
  const served = tasks.map((task) => servedTask(task, outputName(task, task.served.name)));
  return encodeMetadata(metadataOf({ spec, producer: PRODUCER }, "model", served));
}
