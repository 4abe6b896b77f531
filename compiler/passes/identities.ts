// Algebraic identities that hold to the bit in float arithmetic (but for the sign of zero, which x + 0
// loses): operations that move or change nothing, chains of data movement that collapse, neutral elements.
// Each rule is one function from a node to a value that replaces it.
import type { GraphBuilder } from "../ir/builder.ts";
import type { Identity } from "../ir/opTraits.ts";
import { rewriteGraph } from "../ir/rewrite.ts";
import { type Node, sameType, type Value } from "../ir/types.ts";
import type { Pass } from "./pass.ts";

type IdentityRule = (node: Node, b: GraphBuilder, producers: ReadonlyMap<Value, Node>) => Value | undefined;

export const identities: Pass = {
  name: "identities",
  run: (graph, ops) => {
    const producers = new Map<Value, Node>();
    const result = rewriteGraph(graph, ops, (node, b) => {
      const { identity } = node.op;
      const value = identity && ruleOf(identity)(node, b, producers);
      if (!value || !sameType(value.type, node.outputs[0]?.type ?? value.type)) {
        for (const output of node.outputs) producers.set(output, node);
        return undefined;
      }
      return [value];
    });
    return result.changed ? result.graph : graph;
  },
};

/** x, if the node's other input is everywhere the neutral element and does not broadcast x. */
function neutral(element: number, sides: readonly (0 | 1)[]): IdentityRule {
  return (node, b) => {
    for (const side of sides) {
      const data = b.constantData(node.inputs[side])?.data;
      const other = node.inputs[1 - side];
      if (data?.every((x) => x === element) && other) return other;
    }
    return undefined;
  };
}

/** The input itself, when the result has the same type as it: then nothing has moved. */
const whenTypeIsKept: IdentityRule = (node) => {
  const [x, y] = [node.inputs[0], node.outputs[0]];
  return x && y && sameType(x.type, y.type) ? x : undefined;
};

const collapseTranspose: IdentityRule = (node, b, producers) => {
  const [x] = node.inputs;
  const perm = node.attrs.perm as readonly number[] | undefined;
  if (!x || !perm) return undefined;
  if (perm.every((axis, i) => axis === i)) return x;
  const before = producers.get(x);
  const inner = before?.attrs.perm as readonly number[] | undefined;
  if (before?.op !== node.op || !inner || !before.inputs[0]) return undefined;
  const composed = perm.map((axis) => inner[axis] ?? 0);
  if (composed.every((axis, i) => axis === i)) return before.inputs[0];
  return b.transpose(before.inputs[0], composed);
};

const collapseReshape: IdentityRule = (node, b, producers) => {
  const [x, shape] = node.inputs;
  if (whenTypeIsKept(node, b, producers)) return x;
  const before = x && producers.get(x);
  // A 0 in the shape would copy a dimension of what is skipped.
  if (before?.op !== node.op || !before.inputs[0] || !b.constantData(shape)?.data.every((dim) => dim !== 0))
    return undefined;
  return b.emit(node.op.name, [before.inputs[0], shape], node.attrs);
};

const cancelTwice: IdentityRule = (node, _b, producers) => {
  const before = node.inputs[0] && producers.get(node.inputs[0]);
  return before?.op === node.op ? before.inputs[0] : undefined;
};

/** An op's identity as a rule. */
function ruleOf(identity: Identity): IdentityRule {
  return typeof identity === "string" ? RULES[identity] : neutral(identity.neutral, identity.inputs);
}

const RULES: Readonly<Record<Extract<Identity, string>, IdentityRule>> = {
  typeKept: whenTypeIsKept,
  typeKeptUnstepped: (node, b, producers) => {
    const steps = b.constantData(node.inputs[4])?.data;
    return steps?.some((step) => step !== 1) ? undefined : whenTypeIsKept(node, b, producers);
  },
  reshape: collapseReshape,
  permutation: collapseTranspose,
  involution: cancelTwice,
};
