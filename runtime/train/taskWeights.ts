// The weights of tasks that a step is fed: the spec's own numbers, times what a formula of their role makes
// of earlier losses or of a random stream. A pure function of seed, step and the finished epochs, so that a
// resumed run, in the middle of an epoch, too, has the weights of one that was never cut.
import type { Manifest } from "../../compiler/bundle/manifest.ts";
import { withRole } from "../../compiler/bundle/manifest.ts";
import { dynamicAverage, randomSoftmax } from "../../compiler/combine/lossWeights.ts";
import type { TaskWeight } from "../../compiler/ir/roles.ts";
import { normalNumber } from "../draws/normalNumbers.ts";
import type { EpochReport } from "../logs/reports.ts";

/** What weights are made of besides the manifest. */
export interface WeightSources {
  readonly seed: number;
  /** Number of the epoch, from 1. */
  readonly epoch: number;
  /** Finished epochs in order, those before this one at least. */
  readonly history: readonly Pick<EpochReport, "trainLoss">[];
}

/** The weights of the tasks in the steps of one epoch. */
export class TaskWeights {
  /** The spec's numbers, of tasks whose weight is not learned. */
  readonly #values: ReadonlyMap<string, number>;
  readonly #formulas: readonly {
    readonly task: string;
    readonly place: number;
    readonly value: TaskWeight;
  }[];
  readonly #sources: WeightSources;
  readonly #averages: ReadonlyMap<string, number>;

  constructor({ tasks, graphs }: Pick<Manifest, "tasks" | "graphs">, sources: WeightSources) {
    this.#sources = sources;
    this.#values = new Map(
      tasks.flatMap(({ name, weight }) => (weight === "adaptive" ? [] : [[name, weight] as const])),
    );
    const scalars = Object.values(graphs).flatMap(({ inputs }) => withRole(inputs, "scalar"));
    const values = new Map(
      scalars.flatMap((each) => (each.scalar === "task_weight" ? [[each.task, each.value] as const] : [])),
    );
    this.#formulas = tasks.flatMap(({ name: task }, place) => {
      const value = values.get(task);
      // A task that is not trained has no share of the factors.
      const isFixed = value === undefined || value.formula === "constant" || value.value === 0;
      return isFixed ? [] : [{ task, place, value }];
    });
    this.#averages = this.#averagesOf(sources);
  }

  /**
   * What formulas make of the weights in step `step` of the whole run, by task: of those that take part,
   * which a task whose own weight is 0 does not. `isPresent` tells whether a task has a label in the
   * logical batch.
   */
  factors(step: number, isPresent: (task: string) => boolean): ReadonlyMap<string, number> {
    const draws = new Map<string, number>();
    for (const { task, place, value } of this.#formulas)
      if (value.formula === "random_softmax" && isPresent(task))
        draws.set(task, normalNumber(this.#sources.seed, value.stream, step, place));
    return new Map([...this.#averages, ...randomSoftmax(draws)]);
  }

  /** The weights by task that a step with these factors is fed. */
  weights(factors: ReadonlyMap<string, number>): ReadonlyMap<string, number> {
    const weighed = new Set(this.#formulas.map(({ task }) => task));
    return new Map(
      [...this.#values].map(([task, value]) => [
        task,
        weighed.has(task) ? value * (factors.get(task) ?? 0) : value,
      ]),
    );
  }

  #averagesOf({ epoch, history }: WeightSources): ReadonlyMap<string, number> {
    const averaged = this.#formulas.flatMap(({ task, value }) =>
      value.formula === "dynamic_average" ? [{ task, temperature: value.temperature }] : [],
    );
    const lossOf = (task: string, earlier: number): number =>
      history[epoch - 1 - earlier]?.trainLoss[task] ?? Number.NaN;
    const losses = new Map(
      averaged.map(({ task }) => [task, { last: lossOf(task, 1), before: lossOf(task, 2) }]),
    );
    return dynamicAverage(losses, averaged[0]?.temperature ?? 1);
  }
}
