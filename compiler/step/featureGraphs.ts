// What is computed of images once and for all, and the graphs that go on from there: trunk (images ->
// features), and, where a run may read features in place of images, train_features, grad_features,
// losses_features and evaluate_features, made by the same code as train, grad, losses and evaluate.
import { MttcError } from "../diagnostics.ts";
import { GraphBuilder } from "../ir/builder.ts";
import type { Graph, Value } from "../ir/types.ts";
import { buildFrozenPart, FEATURES_INPUT, imageInput } from "../model/network.ts";
import { cachesFeatures, featureDraws } from "../spec/cacheFeatures.ts";
import type { RunSpec } from "../spec/schema.ts";
import { buildGradientGraph, type TrainingModel, trainingImage } from "./gradientGraph.ts";
import { buildMicroGraphs, buildWholeStep } from "./graphs.ts";
import { buildEvaluateGraph, inferenceContext } from "./inferenceGraphs.ts";
import { rowsPerRank } from "./rankRows.ts";

/** Name of the graph of augmented images -> features; there with `cache_features: {draws: n}`. */
export const AUGMENTED_TRUNK = "trunk_augmented";

/** Name of the graph that does what `graph` does, on features computed once. */
export function onFeatures(graph: "train" | "grad" | "losses" | "evaluate"): string {
  return `${graph}_features`;
}

/**
 * The graphs of a frozen FCN, or of the frozen part of one; none where nothing is. E_CONFIG where the spec
 * asks for features computed once and no single value is all that training needs of an image.
 */
export function buildFeatureGraphs(model: TrainingModel): Graph[] {
  const { spec } = model;
  const caches = cachesFeatures(spec);
  if (spec.train_fcn !== false && !caches) return [];
  const trunk = buildTrunk(model, "trunk", (b) => imageInput(b, spec, "N"));
  const shape = trunk?.outputs[0]?.value.type.shape;
  if (!trunk || !shape) return refuseWhereAsked(spec);
  if (!caches) return [trunk];
  const micro = buildGradientGraph(model, rowsPerRank(spec, model.ranks ?? 1), shape);
  const augmented =
    featureDraws(spec) > 0
      ? buildTrunk(model, AUGMENTED_TRUNK, (b) => trainingImage(b, { spec }, "N"))
      : undefined;
  return [
    trunk,
    ...(augmented ? [augmented] : []),
    ...buildWholeStep(model, micro, { name: onFeatures("train"), features: shape }),
    ...buildMicroGraphs(model, micro, onFeatures),
    buildEvaluateGraph(model, spec.batch_size, shape),
  ];
}

/** Images -> output `features`, float32 [N, ...], in inference form; undefined where there is no such value. */
function buildTrunk(
  model: TrainingModel,
  name: string,
  imageOf: (b: GraphBuilder) => Value,
): Graph | undefined {
  const b = new GraphBuilder(name, model.ops, "trunk");
  const features = buildFrozenPart(inferenceContext(model, b), imageOf(b));
  if (!features) return undefined;
  b.output(FEATURES_INPUT, features, { role: "features" });
  return b.build();
}

function refuseWhereAsked({ cache_features: cache }: Pick<RunSpec, "cache_features">): never[] {
  if (cache === "auto" || cache === false) return [];
  throw new MttcError({
    code: "E_CONFIG",
    message: "no single value passes from the frozen part of the fcn to the trained one",
    at: { path: "cache_features" },
    hint: "let train_fcn.from name the first node of a block, where no skip connection passes by",
  });
}
