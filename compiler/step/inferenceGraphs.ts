// The graph of a bundle that judges: evaluate (state + images, or features computed once -> the outputs of
// each task).
import { GraphBuilder } from "../ir/builder.ts";
import type { Dim, Graph } from "../ir/types.ts";
import type { LayerContext } from "../model/layers.ts";
import {
  buildFcn,
  buildHeads,
  buildShared,
  buildTrainedPart,
  featuresInput,
  headOutput,
  imageInput,
  outputName,
} from "../model/network.ts";
import { evaluationSource, type TrainingModel } from "./gradientGraph.ts";

/**
 * Batches of `batch` images, or, with the shape of a batch of `features`, of those; outputs
 * `<output>/<task>`, float32 [N, width], for each output that a task's kind has.
 */
export function buildEvaluateGraph(model: TrainingModel, batch: number, features?: readonly Dim[]): Graph {
  const { spec } = model;
  const b = new GraphBuilder(features ? "evaluate_features" : "evaluate", model.ops, "evaluate");
  const ctx = inferenceContext(model, b);
  const fcn = features
    ? buildTrainedPart(ctx, featuresInput(b, batch, features))
    : buildFcn(ctx, imageInput(b, spec, batch));
  for (const [task, y] of buildHeads(ctx, buildShared(ctx, fcn), model.tasks))
    for (const output of task.outputs) {
      const role = { role: "prediction", task: task.name, prediction: output.name } as const;
      b.output(outputName(task, output.name), headOutput(b, task, output, y), role);
    }
  return b.build();
}

/** Inference form, with trained parameters (or their averages) as inputs and frozen ones as constants. */
export function inferenceContext(model: TrainingModel, b: GraphBuilder): LayerContext {
  return { b, spec: model.spec, source: evaluationSource(model), trunk: model.trunk, training: false };
}
