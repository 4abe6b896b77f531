// The graph of a training step without its optimizer: images, labels and parameters in, the losses, the
// gradient of each parameter and the next running statistics out. The gradients are those of mttc's own step
// (step/gradientGraph.ts, step/update.ts), so that both train alike.
import { need } from "../diagnostics.ts";
import { GraphBuilder } from "../ir/builder.ts";
import type { Graph } from "../ir/types.ts";
import { type GradientGraph, statisticName, type TrainingModel } from "../step/gradientGraph.ts";
import { optimizedParameters } from "../step/graphs.ts";
import { withinOptimizer } from "../step/lossScaling.ts";
import { emitStatistics } from "../step/statistics.ts";
import { gradientName } from "../step/taskGradients.ts";
import { completeGradient, presenceOf } from "../step/update.ts";
import { gradientOf } from "./artifactNames.ts";
import { declareUserOutputs, fedParameters, inlinePass } from "./stepParts.ts";

/**
 * Outputs: those of declareUserOutputs; `<parameter>_grad`; `next/<statistic>`. With `accumulate` k gradients
 * are divided by k, so that the sum of k micro-batches, which the runtime keeps, is their mean.
 */
export function buildOrtTrainingGraph(model: TrainingModel, gradients: GradientGraph): Graph {
  const { spec, ops } = model;
  const b = new GraphBuilder("training", ops, "grad");
  const pass = inlinePass(b, model, gradients.graph, fedParameters(gradients.parameters));
  declareUserOutputs(b, model, pass);
  for (const parameter of optimizedParameters(gradients)) {
    const { name, role } = parameter;
    const complete = () => {
      const value = need(b.findInput(name), name);
      const raw = need(pass.results.get(gradientName(name)), gradientName(name));
      const presence = role === "log_variance" ? presenceOf(b, parameter, pass.inverseCount) : undefined;
      const whole = completeGradient(b, spec, parameter, value, raw, presence);
      return spec.accumulate === 1 ? whole : b.mul(whole, b.scalar(1 / spec.accumulate));
    };
    b.output(gradientOf(name), withinOptimizer(b, complete, parameter));
  }
  const batchOf = (name: string) => need(pass.results.get(statisticName(name)), statisticName(name));
  emitStatistics(b, model, gradients, { batchOf, isApplied: undefined });
  return b.build();
}
