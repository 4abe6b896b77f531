// What a pass is, and how a list of them runs: each result is verified at once, and a fault names the pass
// and those that ran before it. `trace` sees the graph after every pass (MTTC_DUMP, tests).
import type { OpTable } from "../ir/op.ts";
import type { Graph } from "../ir/types.ts";
import { verifyGraph } from "../ir/verify.ts";

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
  /** How often the passes run at most; once where one of them would find its own result to change again. */
  readonly rounds?: number | undefined;
}

/** Rounds after which a list of passes stops though it still changes something. */
const MAX_ROUNDS = 8;

/** Runs the passes in order, again and again until none changes the graph. */
export function runPasses(graph: Graph, passes: readonly Pass[], options: PassOptions): Graph {
  const ran: string[] = [];
  const { rounds = MAX_ROUNDS } = options;
  let current = graph;
  for (let round = 1; round <= rounds; round++) {
    const before = current;
    for (const pass of passes) {
      const next = pass.run(current, options.ops);
      ran.push(pass.name);
      if (next === current) continue;
      verifyGraph(next, { allowOwnOps: options.allowOwnOps, after: ran.join(", ") });
      options.trace?.(`${options.stage}-${round}-${pass.name}`, next);
      current = next;
    }
    if (current === before) break;
  }
  return current;
}
