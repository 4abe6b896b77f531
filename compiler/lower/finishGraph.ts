// From a graph as built to one that is written: simplify, lower for the target, simplify again. Every graph
// goes through it, those of a bundle and those of an export.
import { DEFAULT_TARGET, type Target } from "../bundle/manifest.ts";
import type { Fault } from "../diagnostics.ts";
import type { Graph } from "../ir/types.ts";
import { CheckedNodes } from "../ir/verify.ts";
import type { ChannelBlock } from "../ops/channelBlocks.ts";
import { OPS } from "../ops/table.ts";
import { batchNormFolding } from "../passes/batchNormFolding.ts";
import { commonSubexpressions } from "../passes/commonSubexpressions.ts";
import { constantFolding } from "../passes/constantFolding.ts";
import { deadValues } from "../passes/deadValues.ts";
import { identities } from "../passes/identities.ts";
import { mixedPrecision } from "../passes/mixedPrecision.ts";
import { type Pass, runPasses, type Trace } from "../passes/pass.ts";
import { orderCollectives } from "./collectiveOrder.ts";
import type { FormChoices } from "./forms.ts";
import { lowerGraph } from "./lower.ts";
import { TARGET_TRAITS } from "./targets.ts";

export interface FinishOptions {
  readonly target?: Target | undefined;
  /** Forms that were measured, instead of the target's table. */
  readonly forms?: FormChoices | undefined;
  /** As in LowerOptions: for graphs that no other machine runs. */
  readonly channelBlock?: ChannelBlock | undefined;
  /** Is told of every node that the target's provider leaves to the CPU (E_CUDA_KERNEL). */
  readonly warn?: ((fault: Fault) => void) | undefined;
  /** Is given the graph just before lowering: what candidates.ts takes its nodes from. */
  readonly ready?: ((graph: Graph) => void) | undefined;
  /** Sees the graph after every stage and pass. */
  readonly trace?: Trace | undefined;
  /** Fold batch norms whose numbers are all constant into the convolutions before them. Default true. */
  readonly foldNorms?: boolean;
  /** Compute in float16 what mixedPrecision.ts lists. Default false. */
  readonly mixed?: boolean;
}

/** Cheap simplifications, run before and after lowering until nothing changes. */
export const SIMPLIFY: readonly Pass[] = [
  constantFolding,
  batchNormFolding,
  identities,
  commonSubexpressions,
  deadValues,
];

function passesOf({ foldNorms = true }: Pick<FinishOptions, "foldNorms">): readonly Pass[] {
  return foldNorms ? SIMPLIFY : SIMPLIFY.filter((pass) => pass !== batchNormFolding);
}

/** The first of what finishGraph does alone, for a graph to which more is appended. */
export function simplifyGraph(
  graph: Graph,
  { trace, ...options }: Pick<FinishOptions, "foldNorms" | "trace">,
): Graph {
  const stage = `${graph.name}/0-simplify`;
  return runPasses(graph, passesOf(options), { ops: OPS, trace, allowOwnOps: true, stage });
}

/** Simplifies, lowers and simplifies again: what an exported graph goes through too. */
export function finishGraph(graph: Graph, options: FinishOptions = {}): Graph {
  const { trace, target = DEFAULT_TARGET, mixed = false } = options;
  const simplify = passesOf(options);
  const checked = new CheckedNodes();
  const passes = { ops: OPS, trace, checked };
  trace?.(`${graph.name}/1-built`, graph);
  const simple = runPasses(graph, simplify, {
    ...passes,
    allowOwnOps: true,
    stage: `${graph.name}/2-simplify`,
  });
  const typed = mixed
    ? runPasses(simple, [mixedPrecision, commonSubexpressions, deadValues], {
        ...passes,
        allowOwnOps: true,
        stage: `${graph.name}/2-precision`,
        // What it has made float16 would be rounded again and again.
        rounds: 1,
      })
    : simple;
  trace?.(`${graph.name}/2-ready`, typed);
  options.ready?.(typed);
  const lowered = lowerGraph(typed, target, OPS, { ...options, checked });
  trace?.(`${graph.name}/3-lowered`, lowered);
  const simplified = runPasses(lowered, simplify, {
    ...passes,
    allowOwnOps: false,
    stage: `${graph.name}/4-simplify`,
  });
  const final = orderCollectives(simplified, OPS);
  trace?.(`${graph.name}/5-final`, final);
  const { kernelFaults } = TARGET_TRAITS[target];
  if (kernelFaults && options.warn) for (const fault of kernelFaults(final)) options.warn(fault);
  return final;
}
