// Every rule of the verifier, with a graph that breaks it: the message names the pass and the first bad
// value.
import { describe, expect, test } from "vitest";
import { InternalError } from "../../compiler/diagnostics.ts";
import { GraphBuilder } from "../../compiler/ir/builder.ts";
import type { InferContext } from "../../compiler/ir/op.ts";
import type { Graph, Node, TensorData, Value } from "../../compiler/ir/types.ts";
import { CheckedNodes, verifyGraph } from "../../compiler/ir/verify.ts";
import { OPS } from "../../compiler/ops/table.ts";

/** x -> Neg -> Add with a constant -> y. */
function soundGraph(): Graph {
  const b = new GraphBuilder("g", OPS);
  const x = b.input("x", "float32", [2]);
  b.output("y", b.add(b.neg(x), b.scalar(1)));
  return b.build();
}

const GRAPH = soundGraph();
const [NEG, ADD] = GRAPH.nodes as readonly [Node, Node];
const [X] = GRAPH.inputs as readonly [Value];
const [[ONE, DATA]] = [...GRAPH.constants] as [[Value, TensorData]];

/** The Add node changed by `changes`. */
function withAdd(changes: Partial<Node>): Graph {
  return { ...GRAPH, nodes: [NEG, { ...ADD, ...changes }] };
}

function renamed(node: Node, change: Partial<Value>): Node {
  return { ...node, outputs: node.outputs.map((output) => ({ ...output, ...change })) };
}

const SUM = ADD.outputs[0] as Value;
const MAX_POOL_INPUT: Value = { name: "p", type: { dtype: "float32", shape: [1, 1, 2, 2] }, origin: "p" };

const POOLED: Value = { name: "g/MaxPool", type: { dtype: "float32", shape: [1, 1, 1, 1] }, origin: "g" };

function poolGraph(changes: Partial<Node>): Graph {
  const b = new GraphBuilder("g", OPS);
  b.adoptInput(MAX_POOL_INPUT);
  b.output("y", b.emit("MaxPool", [MAX_POOL_INPUT], { kernel_shape: [2, 2] }));
  const graph = b.build();
  return { ...graph, nodes: graph.nodes.map((node) => ({ ...node, ...changes })) };
}

const BAD: Readonly<Record<string, [graph: Graph, message: string]>> = {
  "two values of one name": [
    { ...GRAPH, nodes: [renamed(NEG, { name: "x" })], outputs: [] },
    "two values are named x",
  ],
  "a value that is defined twice": [{ ...GRAPH, nodes: [NEG, ADD, ADD] }, "g/Add is defined twice"],
  "a value without an origin": [
    { ...GRAPH, nodes: [renamed(NEG, { origin: "" })], outputs: [] },
    "g/Neg has no origin",
  ],
  "a constant of another type than its data": [
    { ...GRAPH, constants: new Map([[ONE, { ...DATA, dtype: "float64" }]]) },
    "constant const/float32(1) is f32[], its data f64[]",
  ],
  "a constant with too many numbers": [
    { ...GRAPH, constants: new Map([[ONE, { ...DATA, data: Float64Array.of(1, 2) }]]) },
    "constant const/float32(1) has 2 numbers for f32[]",
  ],
  "a use before the definition": [{ ...GRAPH, nodes: [ADD, NEG] }, "g/Add uses g/Neg before it is defined"],
  "a use of a value of another graph": [
    withAdd({ inputs: [soundGraph().inputs[0], ONE] }),
    "g/Add uses x before it is defined",
  ],
  "an output that nothing defines": [{ ...GRAPH, nodes: [NEG] }, "output y is g/Add, which nothing defines"],
  "two outputs of one name": [
    { ...GRAPH, outputs: [...GRAPH.outputs, { name: "y", value: X }] },
    "two outputs are named y",
  ],
  "a missing input": [withAdd({ inputs: [X] }), "g/Add: Add needs 2 inputs"],
  "an omitted input that is compulsory": [withAdd({ inputs: [undefined, X] }), "g/Add: Add needs 2 inputs"],
  "an input too many": [withAdd({ inputs: [X, X, X] }), "g/Add: Add takes 2 inputs, has 3"],
  "an attribute that the operator lacks": [
    withAdd({ attrs: { axis: 1 } }),
    "g/Add: Add has no attribute axis",
  ],
  "an attribute of another kind": [
    poolGraph({ attrs: { kernel_shape: 2 } }),
    "g/MaxPool: attribute kernel_shape of MaxPool is not of kind ints",
  ],
  "a fraction where an integer belongs": [
    poolGraph({ attrs: { kernel_shape: [2, 2], ceil_mode: 0.5 } }),
    "g/MaxPool: attribute ceil_mode of MaxPool is not of kind int",
  ],
  "a missing attribute": [poolGraph({ attrs: {} }), "g/MaxPool: MaxPool needs attribute kernel_shape"],
  "a node without outputs": [withAdd({ outputs: [] }), "Add: Add has no outputs"],
  "an output too many": [
    withAdd({ outputs: [SUM, { ...SUM, name: "second" }] }),
    "g/Add: Add has no output 1",
  ],
  "outputs of one node from two origins": [
    poolGraph({ outputs: [POOLED, { ...POOLED, name: "q", origin: "q" }] }),
    "q is from q, its node from g",
  ],
  "a type that the operator does not give": [
    { ...GRAPH, nodes: [NEG, renamed(ADD, { type: { dtype: "float32", shape: [3] } })], outputs: [] },
    "g/Add is typed f32[3], Add gives f32[2]",
  ],
  "a dtype that the operator does not give": [
    { ...GRAPH, nodes: [NEG, renamed(ADD, { type: { dtype: "float16", shape: [2] } })], outputs: [] },
    "g/Add is typed f16[2], Add gives f32[2]",
  ],
  "shapes that the operator refuses": [poolGraph({ attrs: { kernel_shape: [3, 3] } }), "g/MaxPool: "],
};

describe("the verifier", () => {
  test("passes a sound graph", () => {
    expect(() => verifyGraph(GRAPH, { allowOwnOps: false, after: "building" })).not.toThrow();
    expect(() => verifyGraph(poolGraph({}), { allowOwnOps: false, after: "building" })).not.toThrow();
  });

  test.each(Object.entries(BAD))("catches %s", (_, [graph, message]) => {
    const run = () => verifyGraph(graph, { allowOwnOps: true, after: "some-pass" });
    expect(run).toThrow(InternalError);
    expect(run).toThrow(`graph g, after some-pass: ${message}`);
  });

  test("lets operators of our own pass only where they are legal", () => {
    const b = new GraphBuilder("g", OPS);
    const [logits, labels] = [b.input("logits", "float32", [2, 3]), b.input("labels", "int64", [2])];
    b.output("y", b.emit("MaskedCrossEntropy", [logits, labels]));
    const graph = b.build();
    expect(() => verifyGraph(graph, { allowOwnOps: true, after: "a" })).not.toThrow();
    expect(() => verifyGraph(graph, { allowOwnOps: false, after: "lower" })).toThrow(
      "after lower: g/MaskedCrossEntropy: MaskedCrossEntropy should have been lowered",
    );
  });
});

describe("a node that was checked before", () => {
  const options = () => ({ allowOwnOps: false, after: "a pass", checked: new CheckedNodes() });

  test("is not checked again while it is the same and reads the same constants", () => {
    const known = options();
    verifyGraph(GRAPH, known);
    let asked = 0;
    const infer = (ctx: InferContext) => {
      asked += 1;
      return ADD.op.infer(ctx);
    };
    const counted = withAdd({ op: { ...ADD.op, infer } });
    verifyGraph(counted, known);
    verifyGraph({ ...counted, outputs: [...counted.outputs] }, known);
    expect(asked).toBe(1);
  });

  test("is checked where it is another, or a constant that it reads has other numbers", () => {
    const b = new GraphBuilder("g", OPS);
    const x = b.input("x", "float32", [2, 3]);
    b.output("y", b.reshape(x, [3, 2]));
    const graph = b.build();
    const [[shape, data]] = [...graph.constants] as [[Value, TensorData]];
    const known = options();
    verifyGraph(graph, known);
    const turned = new Map([[shape, { ...data, data: Float64Array.of(2, 3) }]]);
    expect(() => verifyGraph({ ...graph, constants: turned }, known)).toThrow("Reshape gives f32[2,3]");
    // What was refused is not taken for good, and what was good is so still.
    expect(() => verifyGraph({ ...graph, constants: turned }, known)).toThrow("Reshape gives f32[2,3]");
    expect(() => verifyGraph(graph, known)).not.toThrow();
    const other = { ...graph, nodes: graph.nodes.map((node) => renamed(node, { origin: "" })) };
    expect(() => verifyGraph(other, known)).toThrow("has no origin");
  });

  test("and is of our own is refused after lowering all the same", () => {
    const b = new GraphBuilder("g", OPS);
    const x = b.input("x", "float32", [1, 1, 4, 4]);
    b.output("y", b.neg(x));
    const graph = b.build();
    const known = options();
    const own = {
      ...graph,
      nodes: graph.nodes.map((node) => ({ ...node, op: { ...node.op, domain: "mttc" as const } })),
    };
    verifyGraph(own, { ...known, allowOwnOps: true });
    expect(() => verifyGraph(own, known)).toThrow("should have been lowered");
  });
});
