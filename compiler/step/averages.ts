// Moving averages of the weights (`ema`): a state tensor beside each trained parameter and each running
// statistic, average += (1 - d) (value - average) after each step. Evaluations and exports read it in place
// of the value. Sources:
// - the share: d = min(ema, (1 + t) / (10 + t)) at step t from 1 on, as tf.train.ExponentialMovingAverage has
//   it with num_updates: without it, the initial weights would make up 0.999^500 = 61 % of the average after
//   500 steps
// - statistics too: timm's ModelEma, torchvision's references (AveragedModel with use_buffers) and
//   EfficientNet's training average them with the weights that they belong to; statistics of today's weights
//   are none of the averaged ones
import type { GraphBuilder } from "../ir/builder.ts";
import type { Value } from "../ir/types.ts";
import { isStatistic, type Parameter } from "../model/parameters.ts";
import type { StepSpec } from "../spec/schema.ts";
import { withinOptimizer } from "./lossScaling.ts";
import { stateInput, stateOutput } from "./stateTensors.ts";
import { groupsOf, type Joining, join, part } from "./updateGroups.ts";

/** Name of the state tensor that holds the average of a parameter. */
export function averageName(parameter: string): string {
  return `average/${parameter}`;
}

/**
 * Whether an average of the parameter is kept. Of an adaptive weight none is: it is of training alone, and no
 * evaluation reads it.
 */
export function isAveraged({ ema }: Pick<StepSpec, "ema">, { trained, role }: Parameter): boolean {
  return ema > 0 && trained && role !== "log_variance";
}

/** 1 - d of the step, float32 scalar; `step` is its int64 count, from 1 on. Undefined where nothing averages. */
export function averagingShare(
  b: GraphBuilder,
  { ema }: Pick<StepSpec, "ema">,
  step: Value,
): Value | undefined {
  if (ema === 0) return undefined;
  const double = (value: number): Value => b.scalar(value, "float64");
  // 1 - (1 + t) / (10 + t) = 9 / (10 + t)
  const early = b.div(double(9), b.add(b.cast(step, "float64"), double(10)));
  return b.cast(b.emit("Max", [early, double(1 - ema)]), "float32");
}

/** What a step's averages are made with. */
export interface Averaging {
  readonly share: Value;
  /** Bool scalar where the model scales its loss: a step that overflowed leaves averages as they were. */
  readonly isApplied: Value | undefined;
}

/** Declares the next averages of parameters that are joined as one value; `next` is that, after the step. */
export function emitAverages(
  b: GraphBuilder,
  group: readonly Pick<Parameter, "name" | "shape">[],
  next: Value,
  { share, isApplied }: Averaging,
): void {
  const before = join(
    b,
    group.map(({ name, shape }) => stateInput(b, { name: averageName(name), of: name, shape })),
  );
  const moved = b.add(before, b.mul(b.sub(next, before), share));
  const kept = isApplied ? b.where(isApplied, moved, before) : moved;
  const parts = part(
    b,
    kept,
    group.map(({ shape }) => shape),
  );
  for (const [i, { name }] of group.entries()) {
    const value = parts[i];
    if (value) stateOutput(b, { name: averageName(name), of: name }, value);
  }
}

/** The same of all running statistics, which `nextOf` gives as they are after the step. */
export function emitStatisticAverages(
  b: GraphBuilder,
  {
    parameters,
    joining,
    nextOf,
    averaging,
  }: {
    readonly parameters: readonly Parameter[];
    readonly joining: Joining;
    readonly nextOf: (parameter: Parameter) => Value;
    readonly averaging: Averaging | undefined;
  },
): void {
  if (!averaging) return;
  const statistics = parameters.filter((parameter) => parameter.trained && isStatistic(parameter));
  for (const group of groupsOf(statistics, joining, () => "statistic"))
    withinOptimizer(b, () => emitAverages(b, group, join(b, group.map(nextOf)), averaging), group[0]);
}
