// Lowering: replaces our own operators by standard ONNX ones, in the form that the target's table chooses.
// After it, no operator of domain "mttc" is left.
import type { Target } from "../bundle.ts";
import { InternalError } from "../diagnostics.ts";
import { type OpTable, readAttrs } from "../ir/op.ts";
import { rewriteGraph } from "../ir/rewrite.ts";
import type { Graph, Node } from "../ir/types.ts";
import { verifyGraph } from "../ir/verify.ts";
import { cpuForms } from "./cpu.ts";
import { cudaForms } from "./cuda.ts";
import { guardPads } from "./ortGuards.ts";

/** Which named form of an op a node takes, by op name. */
export type FormTable = Readonly<Record<string, (node: Node) => string>>;

const FORMS: Readonly<Record<Target, FormTable>> = { cpu: cpuForms, cuda: cudaForms };

/**
 * Lowers every own operator of `graph` for `target`; the result is verified to hold standard operators
 * only.
 */
export function lowerGraph(graph: Graph, target: Target, ops: OpTable): Graph {
  const forms = FORMS[target];
  let current = graph;
  // A form may itself emit own ops (a gradient in terms of another gradient): lower until none is left.
  while (current.nodes.some((node) => node.op.domain === "mttc")) {
    current = rewriteGraph(current, ops, (node, b) => {
      if (node.op.domain !== "mttc") return undefined;
      const form = forms[node.op.name]?.(node);
      const lowering = form === undefined ? undefined : node.op.lower[form];
      if (!lowering) throw new InternalError(`${node.op.name} has no form ${form} for ${target}`);
      return lowering({
        b,
        inputs: node.inputs,
        outputs: node.outputs,
        attrs: readAttrs(node.op, node.attrs),
        input: (index) => node.inputs[index] ?? missingInput(node, index),
      });
    }).graph;
  }
  current = guardPads(current, ops);
  verifyGraph(current, { allowOwnOps: false, after: `lower for ${target}` });
  return current;
}

function missingInput(node: Node, index: number): never {
  throw new InternalError(`${node.op.name} has no input ${index}`);
}
