// Finished graphs -> what a bundle holds: ONNX files, shared constants, initial state, and the manifest.
import { splitAugmentation } from "../augment/augmentSplit.ts";
import { augmentColumns } from "../augment/augmentTable.ts";
import { ConstantsFile } from "../codec/constantsFile.ts";
import { encodeGraph, OPSET, PRODUCER } from "../codec/encodeGraph.ts";
import { tensorBytes } from "../codec/tensorBytes.ts";
import { InternalError } from "../diagnostics.ts";
import type { TensorRole } from "../ir/roles.ts";
import { elementCount, type Graph, type TensorData, type TensorType } from "../ir/types.ts";
import { type ImportedTrunk, importedFcn } from "../model/importedTrunk.ts";
import { taskWeight } from "../model/objective.ts";
import { isStatistic, type Parameter } from "../model/parameters.ts";
import { augmentSettings } from "../spec/augmentKeys.ts";
import { featureDraws } from "../spec/cacheFeatures.ts";
import { imageDtype } from "../spec/pixelRange.ts";
import type { ImageSpec, ModelSpec, RunSpec } from "../spec/schema.ts";
import { averageName, isAveraged } from "../step/averages.ts";
import type { GradientGraph, TrainingModel } from "../step/gradientGraph.ts";
import { factorStateName } from "../step/lossFactors.ts";
import { LOSS_SCALE, LOSS_SCALING, SCALED_STEPS } from "../step/lossScaling.ts";
import { OPTIMIZERS } from "../step/optimizers.ts";
import { STEP_COUNTER, slotName } from "../step/update.ts";
import {
  BUNDLE_FORMAT,
  BUNDLE_VERSION,
  type Bundle,
  type GraphEntry,
  type Manifest,
  RANKED_VERSION,
  type StateEntry,
  type StateGroup,
  type TensorEntry,
  type TrunkEntry,
} from "./manifest.ts";

export const CONSTANTS_FILE = "constants.bin";
/** Part of the state that is the whole step's. */
const OPTIMIZER = "optimizer";

export interface BundleParts {
  readonly model: TrainingModel;
  readonly gradients: GradientGraph;
  readonly graphs: readonly Graph[];
  readonly target: Manifest["target"];
  /** Measured forms, by shape key. */
  readonly forms?: ReadonlyMap<string, string> | undefined;
  /** As the manifest has it. */
  readonly channelBlock?: number | undefined;
  /** Initial value of a trained parameter. */
  readonly initialOf: (parameter: Parameter) => Float32Array;
}

export function writeBundle(parts: BundleParts): Bundle {
  const constants = new ConstantsFile(CONSTANTS_FILE);
  const files = new Map<string, Uint8Array>();
  for (const graph of parts.graphs) files.set(graphFile(graph), encodeGraph(graph, { constants }));
  const shared = constants.bytes();
  if (shared.length > 0) files.set(CONSTANTS_FILE, shared);
  const state = stateEntries(parts);
  const entries = state.map(({ entry }) => entry);
  const initial = new Map(
    state.map(({ entry: { name, dtype, shape }, data }) => [name, { name, dtype, shape, data }]),
  );
  return { manifest: manifestOf(parts, entries), files, state: initial };
}

function graphFile(graph: Graph): string {
  return `${graph.name}.onnx`;
}

function manifestOf(
  { model, gradients, graphs, target, forms, channelBlock }: BundleParts,
  state: readonly StateEntry[],
): Manifest {
  const { spec, tasks, ranks = 1 } = model;
  const [height, width] = spec.imshape;
  const augment = augmentSettings(spec.augment);
  return {
    format: BUNDLE_FORMAT,
    version: ranks > 1 ? RANKED_VERSION : BUNDLE_VERSION,
    producer: PRODUCER,
    opset: OPSET,
    target,
    ...(forms?.size ? { forms: Object.fromEntries(forms) } : {}),
    ...(channelBlock === undefined ? {} : { channelBlock }),
    batchSize: spec.batch_size,
    accumulate: spec.accumulate,
    ...(ranks > 1 ? { ranks } : {}),
    graphs: Object.fromEntries(graphs.map((graph) => [graph.name, graphEntry(graph)])),
    state,
    parameters: gradients.parameters.map((parameter) => ({
      name: parameter.name,
      shape: parameter.shape,
      part: parameter.part,
      role: parameter.role,
      initial: parameter.initial,
      trained: parameter.trained,
    })),
    tasks: tasks.map(({ kind, description: { task, ...facts } }, i) => ({
      ...{ name: task, kind },
      ...facts,
      weight: taskWeight(spec, i),
    })),
    preprocessing: {
      height,
      width,
      channels: spec.num_channels,
      // As the images are read: one channel is grey.
      greyscale: spec.single_channel || spec.num_channels === 1,
      dtype: imageDtype(spec.bit_depth),
      norm: spec.norm,
    },
    ...(augment
      ? {
          augment: {
            columns: augmentColumns(augment),
            ...splitAugmentation(augment, model.loaderWarps ?? false),
          },
        }
      : {}),
    ...featuresEntry(spec, graphs),
    ...(model.trunk ? { trunk: trunkEntry(model.trunk, spec) } : {}),
    spec,
  };
}

function trunkEntry({ graph, pixelScale }: ImportedTrunk, spec: ModelSpec): TrunkEntry {
  const takesBytes = graph.inputs[0]?.type.dtype === "uint8";
  const scale = importedFcn(spec)?.scale ?? pixelScale ?? 1 / spec.norm;
  return { scale: takesBytes ? null : scale, output: graph.outputs[0]?.name ?? "" };
}

/** What the graphs that read features take, where there are any. */
function featuresEntry(
  spec: Pick<RunSpec, "cache_features"> & Pick<ImageSpec, "augment">,
  graphs: readonly Graph[],
): Pick<Manifest, "features"> {
  const inputs = graphs.flatMap((graph) => (graph.purpose === "evaluate" ? graph.inputs : []));
  const shape = inputs.find(({ role }) => role?.role === "features")?.type.shape;
  return shape ? { features: { shape: shape.slice(1).map(Number), draws: featureDraws(spec) } } : {};
}

function graphEntry(graph: Graph): GraphEntry {
  const entry = (name: string, { dtype, shape }: TensorType, role: TensorRole | undefined): TensorEntry => ({
    ...{ name, dtype, shape },
    ...(role ?? withoutRole(`${name} of ${graph.name}`)),
  });
  return {
    file: graphFile(graph),
    purpose: graph.purpose ?? withoutRole(graph.name),
    inputs: graph.inputs.map(({ name, type, role }) => entry(name, type, role)),
    outputs: graph.outputs.map(({ name, value, role }) => entry(name, value.type, role)),
  };
}

function withoutRole(what: string): never {
  throw new InternalError(`nobody said what ${what} is for`);
}

/** Everything that training changes, with the values that it starts from, in the order of the network. */
function stateEntries({
  model,
  gradients,
  initialOf,
}: BundleParts): { entry: StateEntry; data: Uint8Array }[] {
  const { slots } = OPTIMIZERS[model.spec.optimizer];
  const list: { entry: StateEntry; data: Uint8Array }[] = [];
  const push = (entry: Omit<StateEntry, "dtype" | "shape">, { dtype, shape, data }: TensorData) => {
    const { name, group, part, ...whose } = entry;
    const whole = { name, dtype, shape, group, part, ...whose };
    return list.push({ entry: whole, data: tensorBytes({ dtype, shape, data }) });
  };
  const trained = gradients.parameters.filter((parameter) => parameter.trained);
  // One for all slots, as none is ever written to: twice the size of the weights else.
  const zeros = new Float32Array(Math.max(0, ...trained.map(({ shape }) => elementCount(shape))));
  for (const parameter of trained) {
    const { name, part, shape } = parameter;
    const data = initialOf(parameter);
    const own = { part, of: name };
    push({ name, group: groupOf(parameter), ...own }, { dtype: "float32", shape, data });
    if (isStatistic(parameter)) continue;
    const none = { dtype: "float32", shape, data: zeros.subarray(0, data.length) } as const;
    for (const slot of slots) push({ name: slotName(name, slot), group: "slot", ...own, slot }, none);
  }
  for (const parameter of trained.filter((each) => isAveraged(model.spec, each))) {
    const { name, part, shape } = parameter;
    const own = { name: averageName(name), group: "average", part, of: name } as const;
    push(own, { dtype: "float32", shape, data: initialOf(parameter) });
  }
  const zero = { dtype: "int64", shape: [], data: Float64Array.of(0) } as const;
  const count = (name: string) => push({ name, group: "counter", part: OPTIMIZER }, zero);
  count(STEP_COUNTER);
  if (model.scalesLoss) {
    const data = Float32Array.of(LOSS_SCALING.initial);
    push({ name: LOSS_SCALE, group: "loss_scale", part: OPTIMIZER }, { dtype: "float32", shape: [], data });
    count(SCALED_STEPS);
  }
  const { length } = model.tasks;
  const none = { dtype: "float32", shape: [length], data: new Float32Array(length) } as const;
  for (const name of model.learning?.factors.state ?? [])
    push({ name: factorStateName(name), group: "factor", part: OPTIMIZER }, none);
  return list;
}

function groupOf(parameter: Parameter): StateGroup {
  if (isStatistic(parameter)) return "statistic";
  return parameter.role === "log_variance" ? "log_variance" : "parameter";
}
