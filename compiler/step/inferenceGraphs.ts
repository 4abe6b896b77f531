// The graph of a bundle that judges: evaluate (state + images, or features computed once -> logits and
// probabilities per task).
import { GraphBuilder } from "../ir/builder.ts";
import type { Dim, Graph } from "../ir/types.ts";
import type { LayerContext } from "../model/layers.ts";
import {
  buildFcn,
  buildHeads,
  buildShared,
  buildTrainedPart,
  featuresInput,
  imageInput,
  probabilities,
} from "../model/network.ts";
import { type TrainingModel, trainingSource } from "./gradientGraph.ts";

/**
 * Batches of `batch` images, or, with the shape of a batch of `features`, of those; outputs `logits/<task>`
 * and `probabilities/<task>`, float32 [N, classes].
 */
export function buildEvaluateGraph(model: TrainingModel, batch: number, features?: readonly Dim[]): Graph {
  const { spec } = model;
  const b = new GraphBuilder(features ? "evaluate_features" : "evaluate", model.ops);
  const ctx = inferenceContext(model, b);
  const fcn = features
    ? buildTrainedPart(ctx, featuresInput(b, batch, features))
    : buildFcn(ctx, imageInput(b, spec, batch));
  for (const [task, logits] of buildHeads(ctx, buildShared(ctx, fcn), model.classes)) {
    b.output(`logits/${task}`, logits);
    b.output(`probabilities/${task}`, probabilities(b, task, logits));
  }
  return b.build();
}

/** Inference form, with trained parameters as inputs and frozen ones as constants. */
export function inferenceContext(model: TrainingModel, b: GraphBuilder): LayerContext {
  return { b, spec: model.spec, source: trainingSource(model), trunk: model.trunk, training: false };
}
