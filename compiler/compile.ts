// The pipeline: spec -> model -> backward -> step -> passes -> lower -> ONNX bundle. Read this first.
// Pure: data in, bytes out. The same spec and classes give the same bytes.
import { buildAugmentGraph, imageSize } from "./augment/augmentGraph.ts";
import { type Bundle, DEFAULT_TARGET, type Target } from "./bundle/manifest.ts";
import { writeBundle } from "./bundle/writeBundle.ts";
import { combinationOf, learningOf } from "./combine/combiners.ts";
import { type FinishOptions, finishGraph } from "./lower/finishGraph.ts";
import { TARGET_TRAITS } from "./lower/targets.ts";
import type { Teacher } from "./model/distillation.ts";
import type { TaskClasses } from "./model/network.ts";
import { type GivenValues, startingValues } from "./model/startingValues.ts";
import { OPS } from "./ops/table.ts";
import type { Trace } from "./passes/pass.ts";
import { augmentSettings } from "./spec/augmentKeys.ts";
import type { Spec } from "./spec/schema.ts";
import { buildFeatureGraphs } from "./step/featureGraphs.ts";
import { buildGradientGraph, type TrainingModel } from "./step/gradientGraph.ts";
import { buildStepParts, buildWholeStep, computesLosses } from "./step/graphs.ts";
import { buildEvaluateGraph } from "./step/inferenceGraphs.ts";
import { rowsPerRank } from "./step/rankRows.ts";
import { openTasks } from "./tasks/openTask.ts";

export interface CompileOptions
  extends GivenValues,
    Pick<FinishOptions, "channelBlock" | "forms" | "ready" | "warn">,
    // In place of what the spec says; `learning` only where the spec has a step learn.
    Pick<TrainingModel, "combination" | "learning"> {
  /** What the graphs are spelled for; default "cpu". */
  readonly target?: Target | undefined;
  /**
   * Whether the loader does the leading warps of augmentation on 8-bit images; by default it gives images as
   * they are.
   */
  readonly loaderWarps?: boolean | undefined;
  /** The network that the spec's `teacher` names. */
  readonly teacher?: Teacher | undefined;
  /** Which graphs are wanted; all by default. */
  readonly graphs?: ((name: string) => boolean) | undefined;
  /**
   * Processes that train together, each on its share of every micro-batch; default 1. With more, a step is
   * always grad and apply, and batch norms ask the others for their moments.
   */
  readonly ranks?: number | undefined;
  /** Sees every graph after every stage and pass. */
  readonly trace?: Trace;
}

/**
 * Compiles a spec whose classes are known. E_SHAPE and E_NOT_DIFFERENTIABLE point into the spec, E_CONFIG at
 * a batch_size that `ranks` do not share equally.
 */
export function compile(spec: Spec, classes: TaskClasses, options: CompileOptions = {}): Bundle {
  const { trunk, teacher } = options;
  const initialOf = startingValues(spec, options);
  const { target = DEFAULT_TARGET, ranks = 1 } = options;
  const { mixesPrecision, joinsUpdates, augmentsForCpu } = TARGET_TRAITS[target];
  const mixed = spec.precision === "fp16" && mixesPrecision;
  const model: TrainingModel = {
    ...{ spec, tasks: openTasks(classes), ops: OPS, frozenValue: initialOf, trunk, teacher },
    ...{ scalesLoss: mixed, combination: options.combination ?? combinationOf(spec) },
    ...{ joinsUpdates, augmentsForCpu, ranks, learning: options.learning ?? learningOf(spec) },
    loaderWarps: spec.bit_depth === 8 && (options.loaderWarps ?? false), // The loader warps bytes.
  };
  const micro = buildGradientGraph(model, rowsPerRank(spec, ranks));
  const augment = augmentSettings(spec.augment);
  const graphs = [
    ...buildWholeStep(model, micro),
    ...buildStepParts(model, micro),
    buildEvaluateGraph(model, spec.batch_size),
    ...buildFeatureGraphs(model),
    ...(augment ? [buildAugmentGraph(OPS, augment, imageSize(spec))] : []),
  ];
  const finished = graphs
    .filter(({ name }) => options.graphs?.(name) ?? true)
    .map((graph) => finishGraph(graph, { ...options, mixed: mixed && computesLosses(graph) }));
  const { forms, channelBlock } = options;
  return writeBundle({ model, gradients: micro, graphs: finished, initialOf, target, forms, channelBlock });
}
