// ort-training.json: what a program on a device must know to train with the artifacts: what to feed, in which
// order and encoding, what comes back, and how the optimizer goes. The models themselves hold names and types
// alone. Documented in docs/ort-training.md.
import { augmentColumns } from "../augment/augmentTable.ts";
import { IR_VERSION, OPSET, PRODUCER } from "../codec/encodeGraph.ts";
import { metadataOf, servedTask } from "../export/exportGraphs.ts";
import type { ModelMetadata } from "../export/modelMetadata.ts";
import type { Schedule, TensorRole } from "../ir/roles.ts";
import type { DType, Graph, Shape } from "../ir/types.ts";
import { outputName } from "../model/network.ts";
import { isStatistic, type Parameter } from "../model/parameters.ts";
import { augmentSettings } from "../spec/augmentKeys.ts";
import type { TrainingModel } from "../step/gradientGraph.ts";
import { scheduleOf } from "../step/schedules.ts";
import { LOSS, taskLossName } from "./artifactNames.ts";
import { adamAttributes } from "./optimizerFile.ts";
import { CHECKPOINT_VERSIONS, ORT_VERSIONS, type OrtVersion } from "./ortVersions.ts";
import { ortTrainingDifferences } from "./refusals.ts";
import { fedParameters } from "./stepParts.ts";

export const ARTIFACTS_FILE = "ort-training.json";
export const ARTIFACTS_FORMAT = "mttc-ort-training";
/** Rises when a reader of before would misread it. */
const ARTIFACTS_VERSION = 1;

/** A tensor that is fed, and what it is: the roles are those of a bundle (compiler/ir/roles.ts). */
export type FedTensor = { readonly name: string; readonly dtype: DType; readonly shape: Shape } & TensorRole;

/** A tensor that a step gives. */
export interface GivenTensor {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: Shape;
  /** loss: what is trained; task_loss: of one task, unweighted; served: what an export of it would give. */
  readonly is: "loss" | "task_loss" | "served";
  readonly task?: string;
}

export interface ArtifactManifest {
  readonly format: typeof ARTIFACTS_FORMAT;
  readonly version: number;
  readonly producer: string;
  /** Releases of ONNX Runtime Training that take these files. */
  readonly ortVersions: readonly OrtVersion[];
  readonly checkpointVersion: number;
  readonly opset: number;
  readonly irVersion: number;
  /** Rows of a training step; evaluation takes any number. */
  readonly batchSize: number;
  /** Training steps before one of the optimizer. */
  readonly accumulate: number;
  /** What a step of training, and one of evaluation, is fed, in this order. */
  readonly inputs: { readonly training: readonly FedTensor[]; readonly evaluation: readonly FedTensor[] };
  /** What both give, in this order. */
  readonly outputs: readonly GivenTensor[];
  /** In the order of the runtime's buffers; running statistics have no gradient. */
  readonly parameters: readonly {
    readonly name: string;
    readonly shape: readonly number[];
    readonly trained: boolean;
  }[];
  readonly tasks: ModelMetadata["tasks"];
  readonly preprocessing: ModelMetadata["preprocessing"];
  readonly reading: ModelMetadata["reading"];
  /** Columns of the input `augment`, where there is one. */
  readonly augmentColumns?: readonly string[];
  readonly optimizer: {
    readonly node: "AdamWOptimizer";
    readonly attributes: ReturnType<typeof adamAttributes>;
    readonly clipNorm: number | null;
    /** Of the rate, by steps of the optimizer from 0 on; setting another rate than 0.001 takes its place. */
    readonly rate: Schedule;
  };
  /** What is done otherwise than `mttc train` does it. */
  readonly differences: readonly string[];
}

interface ManifestParts {
  readonly model: TrainingModel;
  readonly ortVersion: OrtVersion;
  readonly training: Graph;
  readonly evaluation: Graph;
  readonly parameters: readonly Parameter[];
}

export function artifactManifest(parts: ManifestParts): ArtifactManifest {
  const { model, ortVersion, training, evaluation, parameters } = parts;
  const { spec, tasks } = model;
  const checkpointVersion = CHECKPOINT_VERSIONS[ortVersion];
  const served = tasks.map((task) => servedTask(task, outputName(task, task.served.name)));
  const { preprocessing, reading } = metadataOf({ spec, producer: PRODUCER }, "model", served);
  const augment = augmentSettings(spec.augment);
  return {
    ...{ format: ARTIFACTS_FORMAT, version: ARTIFACTS_VERSION, producer: PRODUCER },
    ortVersions: ORT_VERSIONS.filter((each) => CHECKPOINT_VERSIONS[each] === checkpointVersion),
    ...{ checkpointVersion, opset: OPSET, irVersion: IR_VERSION },
    ...{ batchSize: spec.batch_size / spec.accumulate, accumulate: spec.accumulate },
    inputs: { training: fedTensors(training), evaluation: fedTensors(evaluation) },
    outputs: givenTensors(model, training),
    parameters: fedParameters(parameters).map((parameter) => {
      const { name, shape } = parameter;
      return { name, shape, trained: !isStatistic(parameter) };
    }),
    ...{ tasks: served, preprocessing, reading },
    ...(augment ? { augmentColumns: augmentColumns(augment) } : {}),
    optimizer: {
      ...{ node: "AdamWOptimizer", attributes: adamAttributes(spec) },
      ...{ clipNorm: spec.clip_norm, rate: scheduleOf(spec) },
    },
    differences: ortTrainingDifferences(spec),
  };
}

/** Inputs that the caller feeds: neither state nor masks, which the model draws. */
function fedTensors({ inputs }: Graph): FedTensor[] {
  return inputs.flatMap(({ name, type: { dtype, shape }, role }) =>
    role && role.role !== "state" && role.role !== "mask" ? [{ name, dtype, shape, ...role }] : [],
  );
}

function givenTensors({ tasks }: Pick<TrainingModel, "tasks">, { outputs }: Graph): GivenTensor[] {
  const types = new Map(outputs.map(({ name, value }) => [name, value.type]));
  const given = (name: string, is: GivenTensor["is"], task?: string): GivenTensor => {
    const { dtype = "float32", shape = [] } = types.get(name) ?? {};
    return { name, dtype, shape, is, ...(task === undefined ? {} : { task }) };
  };
  return [
    given(LOSS, "loss"),
    ...tasks.map(({ name }) => given(taskLossName(name), "task_loss", name)),
    ...tasks.map((task) => given(outputName(task, task.served.name), "served", task.name)),
  ];
}
