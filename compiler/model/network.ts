// The whole network: images as read -> FCN -> shared layers -> one head per task, as parts that training,
// evaluation, trunk and exported graphs put together. Values are NCHW float32 from the preprocessing on.
import { InternalError } from "../diagnostics.ts";
import type { GraphBuilder } from "../ir/builder.ts";
import type { Dim, Value } from "../ir/types.ts";
import { imageDtype, networkChannels, whiteLevel } from "../spec/pixelRange.ts";
import type { ImageSpec, ModelSpec } from "../spec/schema.ts";
import type { Task, TaskDescription, TaskOutput } from "../tasks/task.ts";
import {
  buildImportedTrunk,
  type ImportedTrunk,
  importedFcn,
  replayTrunk,
  trunkParts,
} from "./importedTrunk.ts";
import { buildHead, buildLayers, type LayerContext } from "./layers.ts";
import { FCN, partOfTask, SHARED_LAYERS } from "./parameters.ts";

/** What is known of each task, in the order of `spec.tasks`. */
export type TaskClasses = readonly TaskDescription[];

/** Declares the input `image`: [N,H,W,C] as the host reads it, uint8, uint16 or float32 by bit_depth. */
export function imageInput(b: GraphBuilder, spec: ImageSpec, batch: Dim): Value {
  const { imshape, num_channels: channels } = spec;
  const dtype = imageDtype(spec.bit_depth);
  return b.within("image", () => b.input("image", dtype, [batch, ...imshape, channels], { role: "image" }));
}

/** Images as the host reads them, [N,H,W,C]; all else is augmented, [N,C,H,W] of [0, 1]. */
function isRead(image: Value): boolean {
  return image.role?.role === "image";
}

/** Name of the input that takes the place of `image` in graphs that read features computed once. */
export const FEATURES_INPUT = "features";

/** Declares the input `features`: float32, `batch` rows of the shape that trunk.onnx gives, `shape` with N. */
export function featuresInput(b: GraphBuilder, batch: Dim, shape: readonly Dim[]): Value {
  const role = { role: "features" } as const;
  return b.within("image", () => b.input(FEATURES_INPUT, "float32", [batch, ...shape.slice(1)], role));
}

/**
 * Images as they are read ([N,H,W,C]) or augmented (float32 [N,C,H,W] of [0, 1]) -> float32 [N,C,H,W],
 * divided by `norm`; with sobel their edges. For an imported fcn: x = (image * scale - mean) / std per channel,
 * scale being `pixelScale` or 1/norm unless given; with sobel x = (edges - mean) / std.
 */
export function preprocess(b: GraphBuilder, spec: ModelSpec, image: Value, pixelScale?: number): Value {
  return b.within("image", () => {
    const { scale: given, mean, std } = importedFcn(spec) ?? { scale: null, mean: null, std: null };
    const pictures = scaledPixels(b, spec, image, given ?? pixelScale ?? null);
    const x = spec.sobel ? edges(b, pictures) : pictures;
    const centred = mean === null ? x : b.sub(x, perChannel(b, spec, mean));
    return std === null ? centred : b.div(centred, perChannel(b, spec, std));
  });
}

/** Images as for preprocess -> float32 [N,C,H,W], the pixels as they were read times `scale`; null is 1/norm. */
export function scaledPixels(b: GraphBuilder, spec: ImageSpec, image: Value, scale: number | null): Value {
  const asRead = image.type.dtype === "float32" ? image : b.cast(image, "float32");
  const pixels = isRead(image) ? asRead : b.mul(image, b.scalar(whiteLevel(spec)));
  const scaled = scale === null ? b.div(pixels, b.scalar(spec.norm)) : b.mul(pixels, b.scalar(scale));
  return isRead(image) ? b.transpose(scaled, [0, 3, 1, 2]) : scaled;
}

/** Sobel filters down and across (tf.image.sobel_edges), and one that gives zeros, as [3,1,3,3]. */
const SOBEL = [-1, -2, -1, 0, 0, 0, 1, 2, 1, -1, 0, 1, -2, 0, 2, -1, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0];

/**
 * [N,C,H,W] -> [N,3,H,W]: the mean of the channels, filtered down and across with mirrored edges, and zeros
 * (patchwork, docs/input_aug.md).
 */
function edges(b: GraphBuilder, x: Value): Value {
  const grey = b.reduceMean(x, [1], 1);
  const padded = b.emit("Pad", [grey, b.ints([0, 0, 1, 1, 0, 0, 1, 1])], { mode: "reflect" });
  const filters = b.constant({ dtype: "float32", shape: [3, 1, 3, 3], data: Float64Array.from(SOBEL) });
  return b.emit("Conv", [padded, filters], { kernel_shape: [3, 3] });
}

/** The same images for a model that takes bytes: uint8 [N,H,W,C]. */
export function asBytes(b: GraphBuilder, image: Value): Value {
  if (isRead(image)) return image;
  return b.within("image", () => {
    const rounded = b.emit("Round", [b.mul(image, b.scalar(255))]);
    return b.cast(b.transpose(rounded, [0, 2, 3, 1]), "uint8");
  });
}

/** One number for all channels, or one for each, as [1,C,1,1]. */
function perChannel(b: GraphBuilder, spec: ModelSpec, values: readonly number[]): Value {
  const channels = networkChannels(spec);
  const data = Float64Array.from({ length: channels }, (_, i) => values[i % values.length] ?? 0);
  return b.constant({ dtype: "float32", shape: [1, channels, 1, 1], data });
}

/** Images, as read or augmented -> features [N,C,H,W] of the FCN, layered or imported. */
export function buildFcn(ctx: LayerContext, image: Value): Value {
  const { b, spec } = ctx;
  if ("layers" in spec.fcn)
    return buildLayers(ctx, preprocess(b, spec, image), spec.fcn.layers, { part: FCN, origin: "fcn.layers" });
  const trunk = trunkOf(ctx);
  return buildImportedTrunk(ctx, trunkInput(ctx, image, trunk), trunk);
}

/**
 * Images -> what training needs of them once and for all: the features of a frozen FCN, or the value that
 * the trained part of an imported one starts from; undefined where no single value is all that it needs.
 */
export function buildFrozenPart(ctx: LayerContext, image: Value): Value | undefined {
  const { spec } = ctx;
  if (spec.train_fcn === false) return buildFcn(ctx, image);
  if (spec.train_fcn === true) return undefined;
  const trunk = trunkOf(ctx);
  const parts = trunkParts(trunk, spec);
  return parts && replayTrunk(ctx, trunkInput(ctx, image, trunk), parts.frozen, trunk);
}

/** What buildFrozenPart gives -> features [N,C,H,W] of the FCN. */
export function buildTrainedPart(ctx: LayerContext, frozen: Value): Value {
  if (ctx.spec.train_fcn === false) return frozen;
  const trunk = trunkOf(ctx);
  const parts = trunkParts(trunk, ctx.spec);
  if (!parts) throw new InternalError("the fcn cannot be cut where its training begins");
  return replayTrunk(ctx, frozen, parts.trained, trunk);
}

function trunkOf({ trunk }: LayerContext): ImportedTrunk {
  if (!trunk) throw new InternalError("the spec names an imported fcn, and none was given");
  return trunk;
}

/** A model that takes bytes does its own preprocessing (exports of mttc do). */
function trunkInput({ b, spec }: LayerContext, image: Value, trunk: ImportedTrunk): Value {
  const takesBytes = trunk.graph.inputs[0]?.type.dtype === "uint8";
  return takesBytes ? asBytes(b, image) : preprocess(b, spec, image, trunk.pixelScale);
}

/** Features of the FCN -> features of the shared layers. */
export function buildShared(ctx: LayerContext, features: Value): Value {
  const { shared_layers: layers } = ctx.spec;
  return buildLayers(ctx, features, layers, { part: SHARED_LAYERS, origin: "shared_layers" });
}

/** Shared features -> what its head gives, [N, width], per task, in the order of the spec. */
export function buildHeads(ctx: LayerContext, features: Value, tasks: readonly Task[]): Map<Task, Value> {
  return new Map(tasks.map((task) => [task, buildHead(ctx, features, task.name, task.width)]));
}

/** Name that one of a task's outputs has where several tasks have theirs. */
export function outputName({ name }: Task, output: string): string {
  return `${output}/${name}`;
}

/** One of a task's outputs from what its head gives. */
export function headOutput(b: GraphBuilder, { name }: Task, output: TaskOutput, y: Value): Value {
  return b.within(`tasks.${name}.dense`, () => output.of(b, y), { part: partOfTask(name) });
}
