// The graphs of a deployed model: parameters are constants, layers are in inference form, images of any
// number come in as uint8 and probabilities go out. Whole, one per task, and optionally as parts that compose
// by their names: trunk (image -> features), shared (features -> shared_features), head (either ->
// probabilities).
import { InternalError } from "../diagnostics.ts";
import { GraphBuilder } from "../ir/builder.ts";
import type { OpTable } from "../ir/op.ts";
import type { Graph, TensorType, Value } from "../ir/types.ts";
import type { ImportedTrunk } from "../model/importedTrunk.ts";
import { buildHead, type LayerContext } from "../model/layers.ts";
import { buildFcn, buildHeads, buildShared, headOutput, imageInput, outputName } from "../model/network.ts";
import { imageDtype } from "../spec/pixelRange.ts";
import type { ModelSpec } from "../spec/schema.ts";
import type { Task } from "../tasks/task.ts";
import { anySizePreprocessing } from "./anySize.ts";
import { type HeatmapMark, type HeatmapWish, markHeatmaps } from "./heatmaps.ts";
import { imageReading } from "./imageReading.ts";
import { type MetadataContent, type ModelKind, type ModelOrigin, servedTaskSchema } from "./modelMetadata.ts";

/** Name of the symbolic batch dimension of exported graphs. */
export const BATCH = "N";

/** A network with the values of its parameters, by name, row-major float32. */
export interface TrainedModel {
  readonly spec: ModelSpec;
  readonly tasks: readonly Task[];
  readonly ops: OpTable;
  readonly trunk?: ImportedTrunk | undefined;
  readonly values: ReadonlyMap<string, Float32Array>;
  /** Who made it, for the metadata. */
  readonly producer: string;
  readonly origin?: ModelOrigin | undefined;
  /** Heat maps to be in the files that take images; undefined: none. */
  readonly heatmaps?: HeatmapWish | undefined;
  /** Whether files are to take images of any size: their metadata say so, the graphs here take one size. */
  readonly anySize?: boolean | undefined;
}

/** One file to be: its graph before passes, and what its metadata says. */
export interface ExportGraph {
  /** Without the ending. */
  readonly name: string;
  readonly graph: Graph;
  readonly metadata: MetadataContent;
  /** What is still to become heat maps: see heatmaps.ts. */
  readonly marks?: readonly HeatmapMark[];
}

/**
 * The whole model, one graph per task and, with `split`, the parts; E_SHAPE as in training, errors of
 * markHeatmaps.
 */
export function buildExportGraphs(model: TrainedModel, split: boolean): ExportGraph[] {
  const { tasks } = model;
  const names = safeFileNames(tasks.map(({ name }) => name));
  const single = tasks.map((task, i) =>
    imageGraph(model, names[i] ?? task.name, "task", [task], (_, output) => output),
  );
  return [buildWholeGraph(model), ...single, ...(split ? splitGraphs(model, names) : [])];
}

/** The graph of all tasks alone. Errors as buildExportGraphs. */
export function buildWholeGraph(model: TrainedModel): ExportGraph {
  return imageGraph(model, "model", "model", model.tasks, outputName);
}

/** What heat maps are called among a task's outputs. */
const HEATMAP = "heatmap";

/** Images as read, [N,H,W,C] -> what `tasks` serve, and heat maps, under the names that `outputOf` gives. */
function imageGraph(
  model: TrainedModel,
  name: string,
  kind: ModelKind,
  tasks: readonly Task[],
  outputOf: (task: Task, output: string) => string,
): ExportGraph {
  const { b, ctx } = begin(model, name);
  const features = buildFcn(ctx, imageInput(b, model.spec, BATCH));
  const heads = buildHeads(ctx, buildShared(ctx, features), tasks);
  for (const [task, y] of heads)
    b.output(outputOf(task, task.served.name), headOutput(b, task, task.served, y));
  const marks =
    model.heatmaps &&
    markHeatmaps(b, model.heatmaps, {
      ...{ features, heads, trunk: model.trunk },
      outputOf: (task) => outputOf(task, HEATMAP),
    });
  const entries = tasks.map((task, i) => {
    const heatmap = marks?.[i]?.heatmap;
    return { ...servedTask(task, outputOf(task, task.served.name)), ...(heatmap && { heatmap }) };
  });
  const metadata = metadataOf(model, kind, entries);
  return { name, graph: b.build(), metadata, ...(marks && { marks }) };
}

function splitGraphs(model: TrainedModel, names: readonly string[]): ExportGraph[] {
  const { spec, tasks } = model;
  const trunk = part(model, "trunk", (b, ctx) => {
    const features = buildFcn(ctx, imageInput(b, spec, BATCH));
    b.output("features", features);
    return features;
  });
  const hasShared = spec.shared_layers.length > 0;
  const shared = hasShared
    ? part(model, "shared", (b, ctx) => {
        const y = buildShared(ctx, featureInput(b, "features", trunk.result));
        b.output("shared_features", y);
        return y;
      })
    : undefined;
  const [inputName, inputType] = shared ? ["shared_features", shared.result] : ["features", trunk.result];
  const heads = tasks.map((task, i): ExportGraph => {
    const name = `head-${names[i] ?? task.name}`;
    const { b, ctx } = begin(model, name);
    const { served } = task;
    const y = buildHead(ctx, featureInput(b, inputName, inputType), task.name, task.width);
    b.output(served.name, headOutput(b, task, served, y));
    const entries = [servedTask(task, served.name)];
    return { name, graph: b.build(), metadata: metadataOf(model, "head", entries) };
  });
  return [trunk.exported, ...(shared ? [shared.exported] : []), ...heads];
}

/** What the metadata say of a task that a file serves. */
export function servedTask({ description }: Task, output: string): MetadataContent["tasks"][number] {
  const { task, ...facts } = description;
  return servedTaskSchema.parse({ name: task, output, ...facts });
}

/** A part without tasks of its own, and the type of what it gives. */
function part(
  model: TrainedModel,
  kind: "trunk" | "shared",
  body: (b: GraphBuilder, ctx: LayerContext) => Value,
): { exported: ExportGraph; result: TensorType } {
  const { b, ctx } = begin(model, kind);
  const { type } = body(b, ctx);
  return { exported: { name: kind, graph: b.build(), metadata: metadataOf(model, kind, []) }, result: type };
}

function featureInput(b: GraphBuilder, name: string, type: TensorType): Value {
  return b.input(name, type.dtype, type.shape);
}

export function begin(model: TrainedModel, name: string): { b: GraphBuilder; ctx: LayerContext } {
  const b = new GraphBuilder(name, model.ops);
  const source: LayerContext["source"] = (_, { name: parameter, shape }) => {
    const data = model.values.get(parameter);
    const count = shape.reduce((product, dim) => product * dim, 1);
    if (data?.length !== count)
      throw new InternalError(`${parameter} [${shape}] has ${data?.length ?? "no"} numbers`);
    return b.constant({ dtype: "float32", shape, data }, parameter);
  };
  return { b, ctx: { b, spec: model.spec, source, trunk: model.trunk, training: false } };
}

export function metadataOf(
  { spec, producer, origin, anySize }: Pick<TrainedModel, "spec" | "producer" | "origin" | "anySize">,
  kind: ModelKind,
  tasks: MetadataContent["tasks"],
): MetadataContent {
  const layout = { layout: "NHWC", dtype: imageDtype(spec.bit_depth) } as const;
  const network = { ...networkImage(spec), norm: spec.norm, ...layout };
  const reading = imageReading(network, anySize ? "graph" : "caller");
  const preprocessing = anySize ? anySizePreprocessing(network) : network;
  return { producer, kind, tasks, preprocessing, reading, ...(origin && { origin }) };
}

/** What the network takes. */
export function networkImage(spec: ModelSpec) {
  const [height, width] = spec.imshape;
  const { num_channels: channels } = spec;
  return { height, width, channels, greyscale: spec.single_channel || channels === 1 };
}

const MAX_NAME_CHARACTERS = 50;
/** File names that Windows keeps for devices. */
const DEVICES = /^(con|prn|aux|nul|com\d|lpt\d)$/i;

/**
 * A file name for each task, in order: letters, digits, ".", "_" and "-"; distinct on file systems that
 * ignore case, and none equal to another file of an export, whether split or not.
 */
export function safeFileNames(tasks: readonly string[]): string[] {
  const taken = new Set(["model", "trunk", "shared"]);
  return tasks.map((task) => {
    const clean = [...task.normalize("NFC").replace(/[^\p{L}\p{M}\p{N}._-]/gu, "_")]
      .slice(0, MAX_NAME_CHARACTERS)
      .join("")
      .replace(/^[.-]+|\.+$/g, "_");
    const base = DEVICES.test(clean.replace(/\..*$/, "")) ? `_${clean}` : clean;
    for (let i = 1; ; i++) {
      const name = i === 1 ? base : `${base}-${i}`;
      const keys = [name, `head-${name}`].map((key) => key.toLowerCase());
      if (keys.some((key) => taken.has(key))) continue;
      for (const key of keys) taken.add(key);
      return name;
    }
  });
}
