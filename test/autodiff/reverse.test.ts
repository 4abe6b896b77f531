// The reverse sweep itself: where cotangents go, add up, end, and where it must refuse. The operators' own
// derivatives are checked in test/ops.
import { describe, expect, test } from "vitest";
import { appendGradients } from "../../compiler/autodiff/reverse.ts";
import { InternalError } from "../../compiler/diagnostics.ts";
import { GraphBuilder } from "../../compiler/ir/builder.ts";
import { interpret } from "../../compiler/ir/interpret.ts";
import type { NDArray, Vjp } from "../../compiler/ir/op.ts";
import type { OpName } from "../../compiler/ir/opNames.ts";
import type { Value } from "../../compiler/ir/types.ts";
import { verifyGraph } from "../../compiler/ir/verify.ts";
import { OPS } from "../../compiler/ops/table.ts";
import { faultsOf } from "../spec/faultsOf.ts";

/**
 * Numbers of the gradients of what `body` returns with respect to the inputs x and w, for x = 3 and w = 5.
 */
function gradients(body: (b: GraphBuilder, x: Value, w: Value) => Value): { dx: number; dw: number } {
  const b = new GraphBuilder("g", OPS);
  const [x, w] = [b.input("x", "float32", []), b.input("w", "float32", [])];
  const derivative = appendGradients(b, body(b, x, w), [x, w]);
  b.output("dx", derivative.get(x) ?? x);
  b.output("dw", derivative.get(w) ?? w);
  const graph = b.build();
  verifyGraph(graph, { allowOwnOps: true, after: "differentiation" });
  const scalar = (value: number): NDArray => ({ dtype: "float32", shape: [], data: Float64Array.of(value) });
  const outputs = interpret(
    graph,
    new Map([
      ["x", scalar(3)],
      ["w", scalar(5)],
    ]),
  );
  const read = (name: string) => outputs.get(name)?.data[0] ?? Number.NaN;
  return { dx: read("dx"), dw: read("dw") };
}

describe("gradients", () => {
  test("add up where a value is used more than once", () => {
    // y = x w + x x: dx = w + 2 x, dw = x
    expect(gradients((b, x, w) => b.add(b.mul(x, w), b.mul(x, x)))).toEqual({ dx: 11, dw: 3 });
  });

  test("of the objective itself are one", () => {
    expect(gradients((_b, x) => x)).toEqual({ dx: 1, dw: 0 });
  });

  test("are zeros for a parameter that the objective does not depend on", () => {
    expect(gradients((b, x) => b.neg(x))).toEqual({ dx: -1, dw: 0 });
  });

  test("ignore nodes that do not lead to the objective", () => {
    const { dx } = gradients((b, x) => {
      b.emit("Exp", [x]);
      b.emit("ArgMax", [b.reshape(x, [1])], { axis: 0 });
      return b.mul(x, b.scalar(2));
    });
    expect(dx).toBe(2);
  });

  test("end where the derivative is zero everywhere, without complaint", () => {
    // y = (x > 0) x: only the second factor has a derivative
    expect(gradients((b, x) => b.mul(b.cast(b.emit("Greater", [x, b.scalar(0)]), "float32"), x)).dx).toBe(1);
  });

  test("do not pass through integers", () => {
    expect(gradients((b, x, w) => b.mul(b.cast(b.cast(x, "int64"), "float32"), w))).toEqual({ dx: 0, dw: 3 });
  });

  test("of several outputs of one node reach its inputs through all that are used", () => {
    const sum = gradients((b, x, w) => {
      const [one, two] = b.emitAll(
        "Split",
        [b.emit("Concat", [b.reshape(x, [1]), b.reshape(w, [1])], { axis: 0 })],
        { axis: 0, num_outputs: 2 },
        2,
      );
      if (!one || !two) throw new Error("Split has two outputs");
      return b.reshape(b.add(b.mul(one, two), one), []);
    });
    expect(sum).toEqual({ dx: 6, dw: 3 });
  });

  test("carry the origin of the forward node", () => {
    const b = new GraphBuilder("g", OPS);
    const x = b.input("x", "float32", [2]);
    const y = b.within("shared_layers[0]", () => b.emit("Exp", [x]));
    const loss = b.within("objective", () => b.reduceSum(y, [0], 0));
    const dx = appendGradients(b, loss, [x]).get(x);
    expect(dx?.origin).toBe("gradient(shared_layers[0])");
  });
});

describe("an operator without a derivative", () => {
  test("on the way to a parameter is refused with its node, origin and reason", () => {
    const b = new GraphBuilder("g", OPS);
    const [p, g] = [b.input("p", "float32", []), b.input("g", "float32", [])];
    const next = b.within("fcn.layers[3]", () => b.emit("MomentumUpdate", [p, g, g, g], { momentum: 0.9 }));
    const [fault] = faultsOf(() => appendGradients(b, b.neg(next), [p]));
    expect(fault).toMatchObject({
      code: "E_NOT_DIFFERENTIABLE",
      at: { node: "fcn.layers[3]/MomentumUpdate", origin: "fcn.layers[3]" },
    });
    expect(fault?.message).toContain("MomentumUpdate");
  });

  test("beside that way does no harm", () => {
    const b = new GraphBuilder("g", OPS);
    const [p, g] = [b.input("p", "float32", []), b.input("g", "float32", [])];
    const constant = b.emit("MomentumUpdate", [g, g, g, g], { momentum: 0.9 });
    expect(() => appendGradients(b, b.mul(p, constant), [p])).not.toThrow();
  });

  test("a rule that asks for an input which is absent is a fault of ours", () => {
    const b = new GraphBuilder("g", OPS);
    const p = b.input("p", "float32", []);
    const faulty = { ...b.ops.get("Neg")!, vjp: (ctx: { input(i: number): Value }) => [ctx.input(1)] };
    const y: Value = { name: "y", type: p.type, origin: "o" };
    b.adoptNode({ op: faulty, inputs: [p], outputs: [y], attrs: {} });
    expect(() => appendGradients(b, y, [p])).toThrow(InternalError);
  });
});

describe("cotangents that do not fit their inputs are a fault of ours", () => {
  /** The gradient of sum(y) with respect to x and w, y of one node whose rule is planted. */
  function sweep(name: OpName, shapes: readonly (readonly number[])[], vjp: Vjp): () => unknown {
    const b = new GraphBuilder("g", OPS);
    const inputs = shapes.map((shape, i) => b.input(`input${i}`, "float32", shape));
    const y = b.within("shared_layers[0]", () => b.emit(name, inputs));
    const rank = y.type.shape.length;
    // The node with the planted rule stands where the right one stood.
    const faulty = new GraphBuilder("g", OPS);
    for (const input of inputs) faulty.adoptInput(input);
    for (const node of b.nodes) faulty.adoptNode({ ...node, op: { ...node.op, vjp } });
    const axes = Array.from({ length: rank }, (_, axis) => axis);
    const loss = rank === 0 ? y : faulty.reduceSum(y, axes, 0);
    return () => appendGradients(faulty, loss, inputs);
  }
  const planted: Readonly<Record<string, readonly [OpName, readonly (readonly number[])[], Vjp, RegExp]>> = {
    "a mean over pixels that would broadcast": [
      "Relu",
      [[2, 3, 4, 4]],
      ({ b, dy }) => [b.reduceMean(dy, [0, 2, 3], 1)],
      /input 0 is f32\[1,3,1,1\], the input f32\[2,3,4,4\]/,
    ],
    "a missing un-broadcast": [
      "Add",
      [[2, 3], [3]],
      ({ dy }) => [dy, dy],
      /input 1 is f32\[2,3\], the input f32\[3\]/,
    ],
    "axes in another order": [
      "Add",
      [
        [2, 3],
        [2, 3],
      ],
      ({ b, dy }) => [dy, b.transpose(dy, [1, 0])],
      /f32\[3,2\]/,
    ],
    "another rank with as many numbers": ["Neg", [[3]], ({ b, dy }) => [b.reshape(dy, [1, 3])], /f32\[1,3\]/],
    "a scalar for a tensor": ["Neg", [[3]], ({ b }) => [b.scalar(-1)], /is f32\[\], the input f32\[3\]/],
    "another dtype": [
      "Neg",
      [[3]],
      ({ b, dy }) => [b.cast(dy, "float16")],
      /is f16\[3\], the input f32\[3\]/,
    ],
    "a truth value": ["Neg", [[3]], ({ b, dy }) => [b.emit("Greater", [dy, b.scalar(0)])], /is bool\[3\]/],
    "fewer than its inputs": ["Mul", [[3], [3]], ({ dy }) => [dy], /1 cotangents, and input 1 needs one/],
    "none at all": ["Mul", [[3], [3]], () => [], /0 cotangents, and input 1 needs one/],
    "more than its inputs": ["Neg", [[3]], ({ dy }) => [dy, dy], /a cotangent of input 1, which is absent/],
  };
  test.each(Object.entries(planted))("%s", (_, [name, shapes, vjp, message]) => {
    const run = sweep(name, shapes, vjp);
    expect(run).toThrow(InternalError);
    expect(run).toThrow(message);
    expect(run).toThrow(`derivative of ${name} (shared_layers[0]/${name})`);
  });

  test("but a zero that is said to be one fits, and so does nothing for what needs none", () => {
    expect(sweep("Mul", [[3], [3]], ({ dy }) => [dy, undefined])).not.toThrow();
    const b = new GraphBuilder("g", OPS);
    const x = b.input("x", "float32", [2]);
    const like = b.input("like", "float32", []);
    const loss = b.reduceSum(b.emit("CastLike", [x, like]), [0], 0);
    expect(appendGradients(b, loss, [x, like]).get(like)?.type.shape).toEqual([]);
  });

  test("an objective is a float scalar", () => {
    const b = new GraphBuilder("g", OPS);
    const x = b.input("x", "float32", [2]);
    expect(() => appendGradients(b, x, [x])).toThrow(/x is f32\[2\], an objective a float scalar/);
    const count = b.emit("Cast", [b.reduceSum(x, [0], 0)], { to: "int64" });
    expect(() => appendGradients(b, count, [x])).toThrow(InternalError);
  });
});
