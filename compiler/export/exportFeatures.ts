// What a trained model makes of an image before any head: the feature map of its FCN, or of its shared
// layers, as it is or pooled to one vector an image. Parameters in, one ONNX graph out; the file of the bare
// feature map is the trunk of a split export.
import { encodeGraph, PRODUCER } from "../codec/encodeGraph.ts";
import { InternalError } from "../diagnostics.ts";
import type { GraphBuilder } from "../ir/builder.ts";
import type { Value } from "../ir/types.ts";
import { finishGraph } from "../lower/finishGraph.ts";
import type { ImportedTrunk } from "../model/importedTrunk.ts";
import { buildFcn, buildShared, FEATURES_INPUT, imageInput } from "../model/network.ts";
import { OPS } from "../ops/table.ts";
import type { ModelSpec } from "../spec/schema.ts";
import { BATCH, begin, metadataOf } from "./exportGraphs.ts";
import { encodeMetadata, type ModelOrigin } from "./modelMetadata.ts";

/** Where features are taken: behind the FCN, or behind the shared layers. */
export const FEATURE_LAYERS = ["fcn", "shared"] as const;
export type FeatureLayer = (typeof FEATURE_LAYERS)[number];

/** What becomes of a feature map [C,H,W]: C means or maxima, all its numbers in a row, or itself. */
export type FeaturePooling = "average" | "max" | "none";

/** A model whose features are asked for: `values` holds the parameters by name, row-major float32. */
export interface FeatureNetwork {
  readonly spec: ModelSpec;
  readonly values: ReadonlyMap<string, Float32Array>;
  readonly trunk?: ImportedTrunk | undefined;
}

/** Names of a feature graph's border. */
export const FEATURE_IMAGE = "image";
export const FEATURE_VECTORS = "vectors";

export interface FeatureVectors {
  readonly bytes: Uint8Array;
  /** Numbers of an image. */
  readonly width: number;
}

/**
 * Images as they are read, `image` [N,H,W,C] -> `vectors`, float32 [N,width]. A value that the network needs
 * and `values` lacks is an InternalError.
 */
export function exportVectors(
  network: FeatureNetwork,
  layer: FeatureLayer,
  pooling: FeaturePooling,
): FeatureVectors {
  const { b, ctx } = begin(modelOf(network), "vectors");
  const fcn = buildFcn(ctx, imageInput(b, network.spec, BATCH));
  const vectors = pooled(b, layer === "fcn" ? fcn : buildShared(ctx, fcn), pooling);
  const width = vectors.type.shape[1];
  if (typeof width !== "number") throw new InternalError(`features are [${vectors.type.shape}]`);
  b.output(FEATURE_VECTORS, vectors);
  return { bytes: encodeGraph(finishGraph(b.build(), { foldNorms: true }), { kernelShapes: true }), width };
}

/** The trunk alone, as a split export has it: images -> `features` [N,C,H,W]. */
export function exportTrunk(network: FeatureNetwork, origin?: ModelOrigin): Uint8Array {
  const model = { ...modelOf(network), origin };
  const { b, ctx } = begin(model, "trunk");
  b.output(FEATURES_INPUT, buildFcn(ctx, imageInput(b, network.spec, BATCH)));
  return encodeGraph(finishGraph(b.build(), { foldNorms: true }), {
    metadata: encodeMetadata(metadataOf(model, "trunk", [])),
    kernelShapes: true,
  });
}

function modelOf({ spec, values, trunk }: FeatureNetwork) {
  return { spec, values, trunk, tasks: [], ops: OPS, producer: PRODUCER };
}

function pooled(b: GraphBuilder, features: Value, pooling: FeaturePooling): Value {
  if (pooling === "average") return b.reduceMean(features, [2, 3], 0);
  if (pooling === "max") return b.emit("ReduceMax", [features, b.ints([2, 3])], { keepdims: 0 });
  return b.emit("Flatten", [features], { axis: 1 });
}
