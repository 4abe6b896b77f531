// What a step takes in: a micro-batch and the numbers beside it, as data for a graph's inputs by their roles.
import {
  type EntryOf,
  type GraphEntry,
  type Manifest,
  type TensorEntry,
  withRole,
} from "../../compiler/bundle/manifest.ts";
import { need } from "../../compiler/diagnostics.ts";
import type { ScalarRole } from "../../compiler/ir/roles.ts";
import { drawTaskOrders } from "../draws/taskOrders.ts";
import type { LabelTensor } from "../labels/taskLabels.ts";
import { graphOf, type Shown, type StepManifest, stepRounds } from "./stepRounds.ts";

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
  /** What a formula made of weights, of the tasks that took part; for logs. */
  readonly weightFactors?: ReadonlyMap<string, number>;
  /** Labelled rows of the whole logical batch, of the tasks whose graphs take that (countedTasks). */
  readonly counts: ReadonlyMap<string, number>;
  /** Weights of the classes, [classes], where the spec has any; `counts` then holds sums of weights. */
  readonly classWeights?: ReadonlyMap<string, Float32Array>;
  /** What is drawn for the step alone, by input (stepDraws). */
  readonly draws?: ReadonlyMap<string, BigInt64Array>;
}

/** What the host draws for step `step` of a run beside its batch, by name of the graphs' inputs. */
export function stepDraws(
  { graphs }: Pick<Manifest, "graphs">,
  seed: number,
  step: number,
): ReadonlyMap<string, BigInt64Array> {
  const entries = Object.values(graphs).flatMap(({ inputs }) => withRole(inputs, "draw"));
  const byName = new Map(entries.map((entry) => [entry.name, entry]));
  return new Map(
    [...byName].map(([name, entry]) => [name, drawTaskOrders(seed, step, Number(entry.shape[0]), entry)]),
  );
}

/** The tasks whose labelled rows the host counts: in train.onnx of a whole batch the graph does. */
export function countedTasks(manifest: StepManifest): ReadonlySet<string> {
  const { first } = stepRounds(manifest);
  const steps = Object.values(manifest.graphs).filter(({ purpose }) => purpose === first);
  const scalars = steps.flatMap(({ inputs }) => withRole(inputs, "scalar"));
  return new Set(scalars.flatMap((each) => (each.scalar === "inverse_count" ? [each.task] : [])));
}

/** Data for inputs of a graph, in the order of writing. */
export type InputData = readonly { readonly entry: TensorEntry; readonly data: ArrayBufferView }[];

/** All of a micro-batch that the graph takes, images or features first. */
export function batchData({ inputs }: GraphEntry, batch: BatchInput & Partial<MicroBatch>): InputData {
  const rows = inputs.map((entry) => ({ entry, data: rowsFor(entry, batch) }));
  const given = rows.filter((each): each is InputData[number] => each.data !== undefined);
  return given.toSorted((a, b) => Number(isShown(b.entry)) - Number(isShown(a.entry)));
}

/** The dropout masks that a micro-batch of images or features takes. */
export function masksOf(manifest: StepManifest, shown: Shown): readonly EntryOf<"mask">[] {
  const graph = graphOf(manifest, stepRounds(manifest).first, shown);
  return withRole(manifest.graphs[graph]?.inputs ?? [], "mask");
}

/** The numbers beside it that the graph takes, each in a buffer of its own. */
export function scalarData({ inputs }: GraphEntry, scalars: StepScalars): InputData {
  return inputs.flatMap((entry): InputData => {
    if (entry.role === "draw") {
      const data = need(scalars.draws?.get(entry.name)?.slice(), entry.name);
      return [{ entry, data }];
    }
    return entry.role === "scalar" ? [{ entry, data: numbersFor(entry, scalars) }] : [];
  });
}

/** Whether an input holds images or features. */
export function isShown({ role }: TensorEntry): boolean {
  return role === "image" || role === "features";
}

/** Undefined for what is no part of a micro-batch. */
function rowsFor(entry: TensorEntry, batch: BatchInput & Partial<MicroBatch>): ArrayBufferView | undefined {
  switch (entry.role) {
    case "image":
      return need("images" in batch ? batch.images : undefined, entry.name);
    case "features":
      return need("features" in batch ? batch.features : undefined, entry.name);
    case "augment":
      return need(batch.augment, entry.name);
    case "label":
      return need(batch.labels?.get(entry.task), entry.name);
    case "mask":
      return need(batch.masks?.get(entry.name), entry.name);
    default:
      return undefined;
  }
}

function numbersFor(role: ScalarRole & { readonly name: string }, scalars: StepScalars): Float32Array {
  const { name } = role;
  switch (role.scalar) {
    case "learning_rate":
      return Float32Array.of(scalars.learningRate);
    case "task_weight":
      return Float32Array.of(need(scalars.taskWeights.get(role.task), name));
    case "inverse_count": {
      const count = need(scalars.counts.get(role.task), name);
      return Float32Array.of(count > 0 ? 1 / count : 0);
    }
    case "class_weights":
      return need(scalars.classWeights?.get(role.task)?.slice(), name);
  }
}
