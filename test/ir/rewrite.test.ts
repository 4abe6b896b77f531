// Rewriting: rules see mapped inputs, replace nodes by values of any origin, and leave everything else as it
// is.
import { expect, test } from "vitest";
import { GraphBuilder } from "../../compiler/ir/builder.ts";
import { type RewriteRule, rewriteGraph } from "../../compiler/ir/rewrite.ts";
import type { Graph } from "../../compiler/ir/types.ts";
import { verifyGraph } from "../../compiler/ir/verify.ts";
import { OPS } from "../../compiler/ops/table.ts";

/** x -> Neg -> Relu -> Exp -> y, from the places a, b, c of a spec. */
function chain(): Graph {
  const b = new GraphBuilder("g", OPS);
  const x = b.input("x", "float32", [2]);
  const neg = b.within("a", () => b.neg(x));
  const relu = b.within("b", () => b.emit("Relu", [neg]));
  b.output(
    "y",
    b.within("c", () => b.emit("Exp", [relu])),
  );
  return b.build();
}

function rewrite(graph: Graph, rule: RewriteRule) {
  const result = rewriteGraph(graph, OPS, rule);
  verifyGraph(result.graph, { allowOwnOps: true, after: "rewriting" });
  return result;
}

test("a rule that replaces nothing leaves every value as it is", () => {
  const graph = chain();
  const { graph: same, changed } = rewrite(graph, () => undefined);
  expect(changed).toBe(false);
  expect(same.nodes.every((node, i) => node === graph.nodes[i])).toBe(true);
});

test("what is emitted takes the origin of the node that it replaces, and nodes behind it read it", () => {
  const graph = chain();
  const relu = OPS.get("Relu");
  const { graph: next, changed } = rewrite(graph, (node, b) =>
    node.op === relu && node.inputs[0] ? [b.mul(node.inputs[0], b.scalar(0))] : undefined,
  );
  expect(changed).toBe(true);
  expect(next.nodes.map(({ outputs }) => outputs[0]?.name)).toEqual(["a/Neg", "b/Mul", "c/Exp"]);
  expect(next.nodes[1]?.outputs[0]?.origin).toBe("b");
  expect(next.nodes[2]?.inputs).toEqual(next.nodes[1]?.outputs);
  expect(next.nodes[0]).toBe(graph.nodes[0]);
});

test("a rule sees inputs that are replaced already, and may replace a graph's output by its input", () => {
  const seen: (string | undefined)[] = [];
  const { graph: next } = rewrite(chain(), (node) => {
    seen.push(node.inputs[0]?.name);
    return node.inputs[0] && [node.inputs[0]];
  });
  expect(seen).toEqual(["x", "x", "x"]);
  expect(next.nodes).toEqual([]);
  expect(next.outputs[0]?.value).toBe(next.inputs[0]);
});

test("new nodes do not take the names of nodes still to come", () => {
  const b = new GraphBuilder("g", OPS);
  const x = b.input("x", "float32", [2]);
  b.output("y", b.neg(b.emit("Relu", [b.neg(b.emit("Relu", [x]))])));
  const relu = OPS.get("Relu");
  const { graph: next } = rewrite(b.build(), (node, builder) =>
    node.op === relu && node.inputs[0] ? [builder.neg(node.inputs[0])] : undefined,
  );
  const names = next.nodes.map(({ outputs }) => outputs[0]?.name);
  expect(names).toEqual(["g/Neg:3", "g/Neg", "g/Neg:4", "g/Neg:2"]);
});

test("a rule that replaces nothing makes nothing: the graph is the same one, whatever was tried", () => {
  const graph = chain();
  expect(rewrite(graph, () => undefined).graph).toBe(graph);
  const tried = rewrite(graph, (node, b) => {
    if (node.inputs[0]) b.neg(node.inputs[0]);
    return undefined;
  });
  expect(tried.graph).toBe(graph);
});

test("what is first made late knows every value and name before it, and shares their constants", () => {
  const b = new GraphBuilder("g", OPS);
  const x = b.input("x", "float32", [2]);
  const two = b.scalar(2);
  const first = b.mul(x, two);
  b.output(
    "y",
    b.within("last", () => b.emit("Exp", [b.mul(first, two)])),
  );
  const graph = b.build();
  const exp = OPS.get("Exp");
  const { graph: next } = rewrite(graph, (node, builder) =>
    node.op === exp && node.inputs[0]
      ? [builder.within("g", () => builder.mul(builder.add(x, first), builder.scalar(2)))]
      : undefined,
  );
  expect(next.nodes.map(({ outputs }) => outputs[0]?.name)).toEqual([
    "g/Mul",
    "last/Mul",
    "g/Add",
    "g/Mul:2",
  ]);
  expect([...next.constants.keys()]).toEqual([two]);
});
