// What a step of several parts needs beside grad and apply where it learns factors of the losses: losses,
// which looks at a micro-batch, and factors, which moves the factors when all micro-batches have been looked
// at by the parameters before the update and after it.
import { need } from "../diagnostics.ts";
import { GraphBuilder } from "../ir/builder.ts";
import type { Graph, Value } from "../ir/types.ts";
import { inverseCountInput } from "../model/objective.ts";
import { neededPart } from "./forwardParts.ts";
import { declareFigures, type GradientGraph, RESULTS, type TrainingModel } from "./gradientGraph.ts";
import { emitLossSum, emitMovedFactors, summedLosses, type WeighedLosses } from "./lossFactors.ts";
import { emitAllFinite, withinOptimizer } from "./lossScaling.ts";
import { type Accumulator, accumulatorInput, stateInput } from "./stateTensors.ts";
import { STEP_COUNTER } from "./update.ts";

/** Names of the tasks' mean losses among a gradient graph's outputs, in order. */
export function meanNames({ tasks }: Pick<TrainingModel, "tasks">): readonly string[] {
  return tasks.map(({ name }) => RESULTS.mean(name));
}

/** What a gradient graph says of the losses. */
export function meanLosses(
  { tasks }: Pick<TrainingModel, "tasks">,
  outputs: ReadonlyMap<string, Value>,
): Omit<WeighedLosses, "inverseCounts"> {
  const means = meanNames({ tasks }).map((name) => need(outputs.get(name), name));
  return { tasks: tasks.map(({ name }) => name), means };
}

/** state + micro-batch + sum of the losses -> next sum, figures. */
export function buildLossesGraph(model: TrainingModel, gradients: GradientGraph, name = "losses"): Graph {
  const b = new GraphBuilder(name, model.ops, "losses");
  const means = new Set(meanNames(model));
  const part = neededPart(gradients.graph, ({ name, role }) => means.has(name) || role?.role === "figure");
  const outputs = b.inline(part, new Map());
  emitLossSum(b, "looks", meanLosses(model, outputs));
  declareFigures(b, part, outputs);
  return b.build();
}

/**
 * state + sums of the losses -> next state of the factors; in mixed precision + the gradients of
 * `accumulators`, whose overflow leaves it as it is.
 */
export function buildFactorsGraph(model: TrainingModel, accumulators: readonly Accumulator[]): Graph {
  const b = new GraphBuilder("factors", model.ops, "factors");
  const tasks = model.tasks.map(({ name }) => name);
  const inverseCounts = model.tasks.map((task) => inverseCountInput(b, model.spec, task));
  const areFinite = (): Value =>
    emitAllFinite(
      b,
      accumulators.map((each) => accumulatorInput(b, each)),
    );
  emitMovedFactors(
    b,
    need(model.learning, "what the step learns"),
    { tasks, inverseCounts },
    {
      before: summedLosses(b, "gradients", tasks),
      after: summedLosses(b, "looks", tasks),
      step: stateInput(b, { name: STEP_COUNTER, shape: [], dtype: "int64" }),
      isApplied: model.scalesLoss ? withinOptimizer(b, areFinite) : undefined,
    },
  );
  return b.build();
}
