// Lowering: replaces our own operators by standard ONNX ones, in the form that the target's table chooses
// for the shape, or that was measured; a target may respell standard operators too. After it, no operator
// of domain "mttc" is left.
import type { Target } from "../bundle/manifest.ts";
import { InternalError } from "../diagnostics.ts";
import { type OpTable, readAttrs } from "../ir/op.ts";
import { rewriteGraph } from "../ir/rewrite.ts";
import type { Graph, Node, Value } from "../ir/types.ts";
import { type CheckedNodes, verifyGraph } from "../ir/verify.ts";
import type { ChannelBlock } from "../ops/channelBlocks.ts";
import { type FormChoices, formOf, hasFixedFilters } from "./forms.ts";
import { type ApartFromGain, apartFromGain, gradientsBehindNorms } from "./normGains.ts";
import { guardPads } from "./ortGuards.ts";
import { TARGET_TRAITS } from "./targets.ts";

/** What a graph is lowered for. */
export interface LowerOptions {
  /** Forms that were measured, instead of the target's table. */
  readonly forms?: FormChoices | undefined;
  /** Channels of a block of ONNX Runtime's convolution on the processor that will run the graph, if known. */
  readonly channelBlock?: ChannelBlock | undefined;
  /** What of the graph is known to be right. */
  readonly checked?: CheckedNodes | undefined;
}

/**
 * Lowers every own operator of `graph` for `target`, as `options.forms` say where they name the shape; the
 * result is verified to hold operators that ONNX Runtime has.
 */
export function lowerGraph(graph: Graph, target: Target, ops: OpTable, options: LowerOptions = {}): Graph {
  const { forms, laysOutFilters, gainsOnFilters, respell } = TARGET_TRAITS[target];
  const { channelBlock } = options;
  const behindNorms = gainsOnFilters ? gradientsBehindNorms(graph) : new Set<Value>();
  let current = graph;
  const chosen = (node: Node) =>
    laysOutFilters && hasFixedFilters(node, current.constants)
      ? undefined
      : formOf(node, forms, options.forms, { channelBlock });
  const isDone = (node: Node) => node.op.domain !== "mttc" && chosen(node) === undefined;
  // A form may itself emit ops that take a form (a gradient in terms of another gradient).
  while (!current.nodes.every(isDone)) {
    current = rewriteGraph(current, ops, (node, b) => {
      if (isDone(node)) return undefined;
      const form = chosen(node);
      const lowering = form === undefined ? undefined : node.op.lower[form];
      if (!lowering) throw new InternalError(`${node.op.name} has no form ${form} for ${target}`);
      const [result] = node.outputs;
      const apart = result && behindNorms.has(result) ? apartFromGain(b, node) : undefined;
      const { inputs, finish }: ApartFromGain = apart ?? {
        inputs: node.inputs,
        finish: (values) => values,
      };
      return finish(
        lowering({
          b,
          inputs,
          outputs: node.outputs,
          attrs: readAttrs(node.op, node.attrs),
          input: (index) => inputs[index] ?? missingInput(node, index),
        }),
      );
    }).graph;
  }
  current = respell(guardPads(current, ops), ops);
  verifyGraph(current, { allowOwnOps: false, after: `lower for ${target}`, checked: options.checked });
  return current;
}

function missingInput(node: Node, index: number): never {
  throw new InternalError(`${node.op.name} has no input ${index}`);
}
