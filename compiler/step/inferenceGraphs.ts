// The graphs of a bundle that change nothing: evaluate (state + images -> logits and probabilities per task)
// and trunk (images -> features of a frozen FCN).
import { GraphBuilder } from "../ir/builder.ts";
import type { Graph } from "../ir/types.ts";
import type { LayerContext } from "../model/layers.ts";
import { buildFcn, buildHeads, buildShared, imageInput, probabilities } from "../model/network.ts";
import { type TrainingModel, trainingSource } from "./gradientGraph.ts";

/** Batches of `batch` images; outputs `logits/<task>` and `probabilities/<task>`, float32 [N, classes]. */
export function buildEvaluateGraph(model: TrainingModel, batch: number): Graph {
  const { spec } = model;
  const b = new GraphBuilder("evaluate", model.ops);
  const ctx = inferenceContext(model, b);
  const features = buildFcn(ctx, imageInput(b, spec, batch));
  for (const [task, logits] of buildHeads(ctx, buildShared(ctx, features), model.classes)) {
    b.output(`logits/${task}`, logits);
    b.output(`probabilities/${task}`, probabilities(b, task, logits));
  }
  return b.build();
}

/** Images of any batch size -> output `features`, float32 [N,C,H,W], of a frozen FCN. */
export function buildTrunkGraph(model: TrainingModel): Graph {
  const b = new GraphBuilder("trunk", model.ops);
  const ctx = inferenceContext(model, b);
  b.output("features", buildFcn(ctx, imageInput(b, model.spec, "N")));
  return b.build();
}

function inferenceContext(model: TrainingModel, b: GraphBuilder): LayerContext {
  return { b, spec: model.spec, source: trainingSource(model), trunk: model.trunk, training: false };
}
