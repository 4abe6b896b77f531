// What several processes that train one model exchange in a step: sums of gradients between grad and apply,
// and inside graphs the moments that batch norms ask for, and the losses that factors are learned from.
import { accumulates, microBatchRows, withRole } from "../bundle/manifest.ts";
import { type CompileOptions, compile } from "../compile.ts";
import { need } from "../diagnostics.ts";
import type { TaskClasses } from "../model/network.ts";
import type { Spec } from "../spec/schema.ts";
import { specWarnings } from "../spec/specWarnings.ts";
import { partRuns } from "./combineFacts.ts";
import { valueBytes } from "./graphCosts.ts";
import { StageLog } from "./stages.ts";

export interface RankFacts {
  readonly ranks: number;
  /** Images that a process takes at once, and how often in a step. */
  readonly rows: number;
  readonly microBatches: number;
  /** Bytes of gradients that are summed over the processes, once a step. */
  readonly gradientBytes: number;
  /** Exchanges inside the graphs of a step, and the bytes that a process gives in them. */
  readonly exchanges: number;
  readonly exchangedBytes: number;
  readonly warnings: readonly string[];
}

/** Compiles for `ranks` processes and counts; what compile throws. */
export function rankFacts(
  spec: Spec,
  classes: TaskClasses,
  models: Pick<CompileOptions, "trunk" | "teacher">,
  ranks: number,
): RankFacts {
  const log = new StageLog();
  const runs = partRuns(spec);
  const isStep = (graph: string): boolean => graph in runs;
  const { manifest } = compile(spec, classes, { ...models, ranks, graphs: isStep, trace: log.trace });
  const given = Object.entries(runs).flatMap(([graph, times]) => {
    const { nodes } = need(log.latest(`${graph}/5-`), graph);
    const sizes = nodes.flatMap(({ op, inputs: [x] }) =>
      op.traits.includes("collective") && x ? [valueBytes(x.type)] : [],
    );
    return Array.from({ length: times }, () => sizes).flat();
  });
  const sums = accumulates(manifest) ? withRole(manifest.graphs.grad?.inputs ?? [], "accumulator") : [];
  const gradients = sums.filter(({ of }) => of !== undefined);
  const total = (sizes: readonly number[]): number => sizes.reduce((sum, size) => sum + size, 0);
  return {
    ...{ ranks, rows: microBatchRows(manifest), microBatches: spec.accumulate },
    gradientBytes: total(gradients.map((entry) => valueBytes(entry))),
    exchanges: given.length,
    exchangedBytes: total(given),
    warnings: specWarnings(spec, ranks),
  };
}
