// The graph that judges: images and labels of any number and parameters in, what declareUserOutputs says out,
// layers in inference form. ONNX Runtime also makes the model from it that is served: it cuts away what the
// wanted outputs do not need, and puts the parameters in.

import { BATCH } from "../export/exportGraphs.ts";
import { GraphBuilder } from "../ir/builder.ts";
import type { Graph } from "../ir/types.ts";
import { buildFcn, buildHeads, buildShared, imageInput } from "../model/network.ts";
import { buildObjective, buildTaskLoss, classWeightsOf, lossChoicesOf } from "../model/objective.ts";
import type { Parameter } from "../model/parameters.ts";
import { declareResults, type TrainingModel } from "../step/gradientGraph.ts";
import { inferenceContext } from "../step/inferenceGraphs.ts";
import { declareUserOutputs, fedParameters, inlinePass } from "./stepParts.ts";

/** `parameters` of the whole network, in its order. */
export function buildOrtEvaluationGraph(model: TrainingModel, parameters: readonly Parameter[]): Graph {
  const b = new GraphBuilder("evaluation", model.ops, "evaluate");
  const pass = inlinePass(b, model, forwardPass(model), fedParameters(parameters));
  declareUserOutputs(b, model, pass);
  return b.build();
}

/** What buildGradientGraph begins with, in inference form: RESULTS out. */
function forwardPass(model: TrainingModel): Graph {
  const { spec, tasks, ops } = model;
  const b = new GraphBuilder("forward", ops);
  const ctx = inferenceContext(model, b);
  const features = buildShared(ctx, buildFcn(ctx, imageInput(b, spec, BATCH)));
  const heads = buildHeads(ctx, features, tasks);
  const losses = new Map(
    [...heads].map(([task, y]) => {
      const loss = buildTaskLoss(b, task, y, BATCH, classWeightsOf(spec, task), lossChoicesOf(spec, task));
      return [task, loss] as const;
    }),
  );
  declareResults(b, buildObjective(b, spec, losses, ctx.source), heads);
  return b.build();
}
