// Running statistics of batch norms: they go a share of the way to the batch's own at every (micro-)batch.
// Nothing in a step waits for them. There are two vectors a norm, so they are joined as updates are.
import { need } from "../diagnostics.ts";
import type { GraphBuilder } from "../ir/builder.ts";
import type { Value } from "../ir/types.ts";
import type { GradientGraph, TrainingModel } from "./gradientGraph.ts";
import { stateOutput } from "./stateTensors.ts";
import { groupsOf, join, part } from "./updateGroups.ts";

export interface StatisticSources {
  /** The batch's own value of a running statistic. */
  readonly batchOf: (name: string) => Value;
  /** Bool scalar where the model scales its loss: a step that overflowed leaves statistics as they were. */
  readonly isApplied: Value | undefined;
}

/**
 * Declares `next/<name>` = momentum running + (1 - momentum) batch for every running statistic; returns these
 * by the statistics' names.
 */
export function emitStatistics(
  b: GraphBuilder,
  model: Pick<TrainingModel, "joinsUpdates">,
  { statistics }: Pick<GradientGraph, "statistics">,
  { batchOf, isApplied }: StatisticSources,
): ReadonlyMap<string, Value> {
  const results = new Map<string, Value>();
  const shaped = statistics.map((each) => ({ ...each, shape: each.parameter.shape }));
  const groups = groupsOf(shaped, model.joinsUpdates ?? "nothing", ({ momentum }) => `${momentum}`);
  for (const group of groups) {
    const [first] = group;
    if (!first) continue;
    b.within(first.parameter.name, () => {
      const names = group.map(({ parameter }) => parameter.name);
      const running = join(
        b,
        names.map((name) => need(b.findInput(name), name)),
      );
      const batch = join(b, names.map(batchOf));
      const next = b.add(
        b.mul(running, b.scalar(first.momentum)),
        b.mul(batch, b.scalar(1 - first.momentum)),
      );
      const kept = isApplied ? b.where(isApplied, next, running) : next;
      const parts = part(
        b,
        kept,
        group.map(({ shape }) => shape),
      );
      parts.forEach((value, i) => {
        const name = need(names[i], `number ${i}`);
        stateOutput(b, { name, of: name }, value);
        results.set(name, value);
      });
    });
  }
  return results;
}
