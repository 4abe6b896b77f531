// What a step takes in: a micro-batch and the numbers beside it, as data for the inputs of the step's graphs.
import { AUGMENT_INPUT } from "../../compiler/augment/augmentGraph.ts";
import type { Manifest } from "../../compiler/bundle/manifest.ts";
import { FEATURES_INPUT } from "../../compiler/model/network.ts";
import {
  classWeightName,
  inverseCountName,
  labelName,
  taskWeightName,
} from "../../compiler/model/objective.ts";
import type { LabelTensor } from "../labels/taskLabels.ts";

/** What a batch shows the network: uint8 NHWC images, or float32 features computed of them once. */
export type BatchInput = { readonly images: Uint8Array } | { readonly features: Float32Array };

/**
 * One micro-batch: images or features, labels per task, [N] or [N x width] row-major, dropout masks by input
 * name, and rows of augmentation parameters [N,P] where the graph augments.
 */
export type MicroBatch = BatchInput & {
  readonly labels: ReadonlyMap<string, LabelTensor>;
  readonly masks: ReadonlyMap<string, Float32Array>;
  readonly augment?: Float32Array | undefined;
};

/** What a step takes besides the batch, by task name. */
export interface StepScalars {
  readonly learningRate: number;
  /** Used where weights are not learned. */
  readonly taskWeights: ReadonlyMap<string, number>;
  /** Labelled rows of the whole logical batch, of the tasks whose graphs take that (countedTasks). */
  readonly counts: ReadonlyMap<string, number>;
  /** Weights of the classes, [classes], where the spec has any; `counts` then holds sums of weights. */
  readonly classWeights?: ReadonlyMap<string, Float32Array>;
}

/** The tasks whose labelled rows the host counts: in train.onnx of a whole batch the graph does. */
export function countedTasks({
  graphs,
  tasks,
  spec,
}: Pick<Manifest, "graphs" | "tasks" | "spec">): ReadonlySet<string> {
  const step = graphs[spec.accumulate > 1 ? "grad" : "train"];
  const taken = new Set(step?.inputs.map(({ name }) => name));
  return new Set(tasks.flatMap(({ name }) => (taken.has(inverseCountName(name)) ? [name] : [])));
}

/** Data by the name of a graph's input. */
export type InputData = Readonly<Record<string, ArrayBufferView>>;

/** Whether an input of a step's graph differs from one micro-batch to the next as a whole. */
export function isBatchInput(name: string): boolean {
  return ["image", FEATURES_INPUT, AUGMENT_INPUT].includes(name) || /^(label|mask)\//.test(name);
}

/** The images or features. */
export function inputData(input: BatchInput): InputData {
  return "features" in input ? { [FEATURES_INPUT]: input.features } : { image: input.images };
}

/** All of a micro-batch, images or features first. */
export function batchData({ labels, masks, augment, ...input }: MicroBatch): InputData {
  return {
    ...inputData(input),
    ...Object.fromEntries([...labels].map(([task, values]) => [labelName(task), values])),
    ...Object.fromEntries(masks),
    ...(augment ? { [AUGMENT_INPUT]: augment } : {}),
  };
}

/** The numbers beside it, each in a buffer of its own. */
export function scalarData(scalars: StepScalars): InputData {
  const { learningRate, taskWeights, counts, classWeights = new Map<string, Float32Array>() } = scalars;
  const data: Record<string, ArrayBufferView> = { learning_rate: Float32Array.of(learningRate) };
  for (const [task, weight] of taskWeights) data[taskWeightName(task)] = Float32Array.of(weight);
  for (const [task, weights] of classWeights) data[classWeightName(task)] = weights.slice();
  for (const [task, count] of counts)
    data[inverseCountName(task)] = Float32Array.of(count > 0 ? 1 / count : 0);
  return data;
}
