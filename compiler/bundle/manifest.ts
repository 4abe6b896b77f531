// The contract between compiler and runtime: what a compiled experiment consists of and what its tensors
// mean. Plain data; manifest.json is this type as JSON.

import type { StoredTensor } from "../codec/safetensors.ts";
import type { GraphPurpose, RoleName, TensorRole } from "../ir/roles.ts";
import type { DType } from "../ir/types.ts";
import type { InitialValue, ParameterRole } from "../model/parameters.ts";
import type { Spec } from "../spec/schema.ts";

export const BUNDLE_FORMAT = "mttc-bundle";
/** Its file in the bundle's folder. */
export const MANIFEST_FILE = "manifest.json";
/** What training starts from. */
export const STATE_FILE = "state.safetensors";
/** Rises when a reader of before would misread a bundle; olderManifest.ts reads what was written before. */
export const BUNDLE_VERSION = 2;
/** Of a bundle for several processes: its graphs hold an operator that no other reader has. */
export const RANKED_VERSION = 3;

/** What graphs are spelled for. A graph for either runs on both: the target is a matter of speed. */
export const TARGETS = ["cpu", "cuda"] as const;
/** What graphs are spelled for where nobody says otherwise. */
export const DEFAULT_TARGET: Target = "cpu";
export type Target = (typeof TARGETS)[number];

/** A tensor at a graph's border, and what it is for; symbolic dimensions ("N") are strings. */
export type TensorEntry = {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly (number | string)[];
} & TensorRole;

/** A tensor of one role. */
export type EntryOf<R extends RoleName> = Extract<TensorEntry, { readonly role: R }>;

/** One ONNX file of the bundle. */
export interface GraphEntry {
  readonly file: string;
  readonly purpose: GraphPurpose;
  readonly inputs: readonly TensorEntry[];
  readonly outputs: readonly TensorEntry[];
}

/**
 * - parameter: trained weights; log_variance: the s of an adaptive task weight
 * - slot: what the optimizer remembers of a parameter; counter: of applied steps (int64 scalar)
 * - loss_scale: factor of the loss in mixed precision (float32 scalar)
 * - factor: what a step keeps to make factors of the losses (float32, one number for each task)
 * - statistic: running mean and variance of a batch norm
 * - average: moving average of a parameter or a statistic, which evaluations take in its place
 */
export type StateGroup =
  | "parameter"
  | "log_variance"
  | "slot"
  | "statistic"
  | "average"
  | "counter"
  | "loss_scale"
  | "factor";

/** A tensor that training changes. Graphs that change it have an output `next/<name>`. */
export interface StateEntry {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly group: StateGroup;
  /** `fcn`, `shared_layers`, `tasks.<task>`, or `optimizer`. */
  readonly part: string;
  /** The parameter that it is, or that the optimizer keeps it for; absent for what is the whole step's. */
  readonly of?: string;
  /** Of a slot: which one of its parameter. */
  readonly slot?: string;
}

/** A task, with the facts of its kind beside its name: `classes` of classes. manifestTasks.ts opens it. */
export interface TaskEntry {
  readonly name: string;
  /** Name of its kind; absent, in descriptions that name none: "classes". */
  readonly kind?: string | undefined;
  /** A fixed weight, or "adaptive" where it is learned. */
  readonly weight: number | "adaptive";
  readonly [fact: string]: unknown;
}

/** What is done to an image file before it is a row of `image`, and what graphs do to that row. */
export interface Preprocessing {
  readonly height: number;
  readonly width: number;
  readonly channels: number;
  /** Whether files are read as greyscale and repeated over the channels. */
  readonly greyscale: boolean;
  /** Element type of `image`. */
  readonly dtype: "uint8" | "uint16" | "float32";
  /** Pixels are divided by this inside the graph. */
  readonly norm: number;
}

/**
 * How the training images are augmented: what the rows of the input `augment`, float32 [N,P], mean, and who
 * does what.
 */
export interface AugmentEntry {
  /**
   * `<operation>/<parameter>` of each of the P columns of augment.onnx; train.onnx and grad.onnx take those of
   * the operations in `graph` alone, in the same order.
   */
  readonly columns: readonly string[];
  /** Operations that `image` has been through before it is given to train.onnx or grad.onnx, in order. */
  readonly loader: readonly string[];
  /** Operations that train.onnx and grad.onnx do after those, in order; without any, they take no rows. */
  readonly graph: readonly string[];
}

/** What a run may read in place of images: output of trunk.onnx, input of the graphs `<name>_features`. */
export interface FeaturesEntry {
  /** Of one image, without N; float32. */
  readonly shape: readonly number[];
  /** Augmented forms of each training image, computed by trunk_augmented.onnx; 0: the images as they are. */
  readonly draws: number;
}

/** How an imported fcn was read, where the spec may leave it to the importer: another mttc may differ. */
export interface TrunkEntry {
  /** Factor of the pixels; null where the network takes bytes. */
  readonly scale: number | null;
  /** Name in the model file of the value that is the feature map. */
  readonly output: string;
}

/** A parameter, trained or frozen, as `inspect` and `export` see it. */
export interface ParameterEntry {
  readonly name: string;
  readonly shape: readonly number[];
  readonly part: string;
  readonly role: ParameterRole;
  readonly initial: InitialValue;
  readonly trained: boolean;
}

export interface Manifest {
  readonly format: typeof BUNDLE_FORMAT;
  readonly version: number;
  readonly producer: string;
  readonly opset: number;
  readonly target: Target;
  /** Forms that were measured instead of the target's own, by shape key; absent where there are none. */
  readonly forms?: Readonly<Record<string, string>>;
  /**
   * Channels of a block of ONNX Runtime's convolution on the processor that the graphs are for: on one with
   * another number they compute something else. Absent where they run everywhere.
   */
  readonly channelBlock?: number;
  /** Rows of a logical batch, which a step takes. */
  readonly batchSize: number;
  /** Micro-batches of a logical batch: 1, or as many runs of grad before one of apply. */
  readonly accumulate: number;
  /**
   * Processes that train together, each on its share of every micro-batch; absent: 1. grad takes batchSize /
   * accumulate / ranks rows.
   */
  readonly ranks?: number;
  readonly graphs: Readonly<Record<string, GraphEntry>>;
  readonly state: readonly StateEntry[];
  readonly parameters: readonly ParameterEntry[];
  readonly tasks: readonly TaskEntry[];
  readonly preprocessing: Preprocessing;
  /** Absent without augmentation. */
  readonly augment?: AugmentEntry;
  /** Absent where features cannot be computed once. */
  readonly features?: FeaturesEntry;
  /** Absent without an imported fcn, and in bundles of before this was kept. */
  readonly trunk?: TrunkEntry;
  readonly spec: Spec;
}

/** The manifest as written: with size and SHA-256 of every other file. */
export interface StoredManifest extends Manifest {
  readonly files: Readonly<Record<string, { readonly bytes: number; readonly sha256: string }>>;
  /**
   * What it was compiled from (runtime/runs/compilationKey.ts), and SHA-256 of the rest of the manifest as
   * JSON; absent of what compileText.ts gives.
   */
  readonly compiled?: { readonly key: string; readonly sha256: string };
  /** What drivers put into the metadata of states that they save (bundleFiles.ts); a run's own has none. */
  readonly checkpoint?: Readonly<Record<string, string>>;
}

/** Everything that `mttc compile` writes, in memory. */
export interface Bundle {
  readonly manifest: Manifest;
  /** Graphs and constants: file name to bytes. */
  readonly files: ReadonlyMap<string, Uint8Array>;
  /** What training starts from: initial values of the manifest's state, by name, in its order. */
  readonly state: ReadonlyMap<string, StoredTensor>;
}

/** What of a manifest says how a step is cut. */
export type StepCut = Pick<Manifest, "accumulate" | "ranks">;

/** Whether a step is runs of grad and one of apply: its batch is cut, or shared with other processes. */
export function accumulates({ accumulate, ranks = 1 }: StepCut): boolean {
  return accumulate > 1 || ranks > 1;
}

/** Rows that a process takes at once. */
export function microBatchRows(cut: StepCut & Pick<Manifest, "batchSize">): number {
  const { batchSize, accumulate, ranks = 1 } = cut;
  return batchSize / accumulate / ranks;
}

/** The tensors of a role among inputs or outputs, in their order. */
export function withRole<R extends RoleName>(
  entries: readonly TensorEntry[],
  role: R,
): readonly EntryOf<R>[] {
  return entries.filter((entry): entry is EntryOf<R> => entry.role === role);
}

/**
 * The state tensors that evaluations read, by the parameter that each stands for: the parameter itself, or
 * its average.
 */
export function evaluatedState({ graphs }: Pick<Manifest, "graphs">): ReadonlyMap<string, string> {
  const evaluations = Object.values(graphs).filter(({ purpose }) => purpose === "evaluate");
  const read = evaluations.flatMap(({ inputs }) => withRole(inputs, "state"));
  return new Map(read.map(({ of, name }) => [of ?? name, name]));
}

/** The output that holds the next value of a state tensor or accumulator. */
export function nextName(name: string): string {
  return `next/${name}`;
}
