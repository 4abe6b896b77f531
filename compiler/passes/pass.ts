// What a pass is, and how a list of them runs: each result is verified at once, and a fault names the pass
// and those that ran before it. `trace` sees the graph after every pass (MTTC_DUMP, tests).
import type { OpTable } from "../ir/op.ts";
import type { Graph } from "../ir/types.ts";
import { CheckedNodes, verifyGraph } from "../ir/verify.ts";

export interface Pass {
  readonly name: string;
  /** A new graph, or the same object when nothing changed. */
  readonly run: (graph: Graph, ops: OpTable) => Graph;
}

/** Is told of every stage and pass; `stage` is "<graph>/<nn>-<pass>". */
export type Trace = (stage: string, graph: Graph) => void;

export interface PassOptions {
  readonly ops: OpTable;
  readonly allowOwnOps: boolean;
  readonly trace?: Trace | undefined;
  /** Prefix of the stage names given to `trace`, e.g. "3-optimize". */
  readonly stage: string;
  /** What is known to be right of the graph already; nodes that passes leave alone are not checked again. */
  readonly checked?: CheckedNodes | undefined;
  /** How often the passes run at most; once where one of them would find its own result to change again. */
  readonly rounds?: number | undefined;
}

/** Rounds after which a list of passes stops though it still changes something. */
const MAX_ROUNDS = 8;

/** Runs the passes in order, again and again until none changes the graph. */
export function runPasses(graph: Graph, passes: readonly Pass[], options: PassOptions): Graph {
  const { rounds = MAX_ROUNDS, checked = new CheckedNodes(), allowOwnOps } = options;
  const ran: string[] = [];
  let current = graph;
  /** Passes in a row that have found nothing to do: after all of them none will. */
  let idle = 0;
  for (let round = 1; round <= rounds; round++)
    for (const pass of passes) {
      if (idle === passes.length) return current;
      const next = pass.run(current, options.ops);
      ran.push(pass.name);
      idle = next === current ? idle + 1 : 0;
      if (next === current) continue;
      verifyGraph(next, { allowOwnOps, after: ran.join(", "), checked });
      options.trace?.(`${options.stage}-${round}-${pass.name}`, next);
      current = next;
    }
  return current;
}
