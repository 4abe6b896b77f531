// The builder: names from origins, constants that are shared, names that are kept free, graphs taken over
// whole.
import { describe, expect, test } from "vitest";
import { InternalError } from "../../compiler/diagnostics.ts";
import { GraphBuilder } from "../../compiler/ir/builder.ts";
import { printGraph } from "../../compiler/ir/print.ts";
import { verifyGraph } from "../../compiler/ir/verify.ts";
import { OPS } from "../../compiler/ops/table.ts";

const builder = (name = "g") => new GraphBuilder(name, OPS);

describe("names", () => {
  test("come from the origin and the operator, numbered where they repeat", () => {
    const b = builder();
    const x = b.input("x", "float32", [2]);
    const names = b.within("tasks.a.loss", () => [b.neg(x), b.neg(x), b.add(x, x)].map(({ name }) => name));
    expect(names).toEqual(["tasks.a.loss/Neg", "tasks.a.loss/Neg:2", "tasks.a.loss/Add"]);
    expect(b.neg(x).name).toBe("g/Neg");
  });

  test("of further outputs say which they are", () => {
    const b = builder();
    const x = b.input("x", "float32", [1, 1, 2, 2]);
    const outputs = b.emitAll("MaxPool", [x], { kernel_shape: [2, 2] }, 2);
    expect(outputs.map(({ name }) => name)).toEqual(["g/MaxPool", "g/MaxPool.indices"]);
  });

  test("are the same at every build", () => {
    const build = () => {
      const b = builder();
      const x = b.input("x", "float32", [3, 4]);
      b.output("y", b.reduceSum(b.transpose(b.mul(x, b.scalar(2)), [1, 0]), [0], 1));
      return printGraph(b.build(), true);
    };
    expect(build()).toBe(build());
  });

  test("of inputs are taken as they are, and only once", () => {
    const b = builder();
    expect(b.input("label/a b", "int64", [2]).name).toBe("label/a b");
    expect(() => b.input("label/a b", "int64", [2])).toThrow("two values named label/a b");
  });

  test("that are reserved go to the node that brings them, before and after", () => {
    const first = builder();
    const x = first.input("x", "float32", []);
    first.output("y", first.neg(first.neg(x)));
    const graph = first.build();
    const b = builder();
    b.adoptInput(x);
    b.reserveNames(graph);
    expect(b.neg(x).name).toBe("g/Neg:3");
    for (const node of graph.nodes) b.adoptNode(node);
    expect(b.neg(x).name).toBe("g/Neg:4");
    expect(b.nodes.map(({ outputs }) => outputs[0]?.name)).toEqual([
      "g/Neg:3",
      "g/Neg",
      "g/Neg:2",
      "g/Neg:4",
    ]);
  });
});

describe("origins", () => {
  test("follow `within`, also after a failure inside it", () => {
    const b = builder();
    const x = b.input("x", "float32", [2]);
    expect(() => b.within("tasks.a", () => b.reshape(x, [3]))).toThrow("Reshape");
    expect(b.origin).toBe("g");
    b.within("outer", () => {
      expect(b.within("inner", () => b.neg(x)).origin).toBe("inner");
      expect(b.neg(x).origin).toBe("outer");
    });
  });
});

describe("constants", () => {
  test("that are small and equal are one value, named by their content", () => {
    const b = builder();
    expect(b.scalar(0.5)).toBe(b.scalar(0.5));
    expect(b.ints([1, 2])).toBe(b.ints([1, 2]));
    expect(b.scalar(0.5).name).toBe("const/float32(0.5)");
    expect(b.ints([1, 2]).name).toBe("const/int64[2](1;2)");
  });

  test("that differ in dtype, shape, order or the sign of zero are not shared", () => {
    const b = builder();
    const values = [
      b.scalar(0),
      b.scalar(-0),
      b.scalar(0, "float64"),
      b.ints([0]),
      b.ints([0, 1]),
      b.ints([1, 0]),
      b.constant({ dtype: "int64", shape: [2, 1], data: Float64Array.of(0, 1) }),
    ];
    expect(new Set(values).size).toBe(values.length);
    expect(new Set(values.map(({ name }) => name)).size).toBe(values.length);
  });

  test("of more than 64 elements are not compared, but for those of one number throughout", () => {
    const b = builder();
    const of = (data: Float64Array) => b.constant({ dtype: "float32", shape: [data.length], data });
    const steps = (count: number) => of(Float64Array.from({ length: count }, (_, i) => i));
    expect(steps(64)).toBe(steps(64));
    expect(steps(65)).not.toBe(steps(65));
    const alike = (value: number) => of(new Float64Array(65).fill(value));
    expect(alike(1)).toBe(alike(1));
    expect(new Set([alike(1), alike(0), alike(-0), alike(Number.NaN), of(new Float64Array(66))]).size).toBe(
      5,
    );
    expect(of(new Float64Array(65).with(64, 1))).not.toBe(alike(0));
    // Origins come out of files: one may look like the name of a constant of one number.
    b.within("fcn/const/float32[65](0...)", () => {
      const [first, second] = [1, 2].map((last) => of(new Float64Array(65).with(64, last)));
      expect(first).not.toBe(second);
    });
  });

  test("with a name of their own neither stand for others nor are stood for", () => {
    const b = builder();
    const zeros = { dtype: "float32", shape: [3], data: new Float64Array(3) } as const;
    const bias = b.constant(zeros, "fcn.layers[0].bias");
    expect(b.constant(zeros)).not.toBe(bias);
    expect(b.constant(zeros, "fcn.layers[1].bias").name).toBe("fcn.layers[1].bias");
  });

  test("taken over from a graph are shared with new ones", () => {
    const first = builder();
    const two = first.scalar(2);
    first.output("y", first.neg(two));
    const b = GraphBuilder.extend(first.build(), OPS);
    expect(b.scalar(2)).toBe(two);
  });

  test("show their numbers, other values do not", () => {
    const b = builder();
    expect(b.constantData(b.ints([7]))?.data).toEqual(Float64Array.of(7));
    expect(b.constantData(b.input("x", "float32", []))).toBeUndefined();
    expect(b.constantData(undefined)).toBeUndefined();
  });
});

describe("what cannot be built is refused", () => {
  test("an operator that is not in the table", () => {
    // @ts-expect-error: nor does it compile
    expect(() => builder().emit("Frobnicate", [])).toThrow(InternalError);
  });

  test("a value of another graph", () => {
    const x = builder().input("x", "float32", []);
    expect(() => builder().neg(x)).toThrow("x is not of this graph");
  });

  test("shapes that do not fit, with the origin in the error", () => {
    const b = builder();
    const [x, y] = [b.input("x", "float32", [2]), b.input("y", "float32", [3])];
    expect(() => b.within("shared_layers[1]", () => b.add(x, y))).toThrow(
      /shared_layers\[1\].*Add.*\[E_SHAPE\]/,
    );
  });
});

describe("inlining", () => {
  const part = () => {
    const b = builder("part");
    const [x, w] = [b.input("x", "float32", [2]), b.input("w", "float32", [2])];
    b.output("y", b.mul(b.add(x, w), b.scalar(3)));
    return b.build();
  };

  test("feeds inputs, finds others by name, brings the rest along", () => {
    const b = builder();
    const w = b.input("w", "float32", [2]);
    const x = b.neg(w);
    const y = b.inline(part(), new Map([["x", x]])).get("y");
    expect(b.build().inputs).toEqual([w]);
    expect(y?.name).toBe("part/Mul");
    expect(b.nodes[1]?.inputs).toEqual([x, w]);
    const alone = builder();
    alone.inline(part(), new Map());
    expect(alone.build().inputs.map(({ name }) => name)).toEqual(["x", "w"]);
  });

  test("twice gives two copies with names of their own and one constant", () => {
    const b = builder();
    const graph = part();
    const [one, two] = [b.inline(graph, new Map()).get("y"), b.inline(graph, new Map()).get("y")];
    if (!one || !two) throw new Error("no output y");
    b.output("sum", b.add(one, two));
    const built = b.build();
    verifyGraph(built, { allowOwnOps: false, after: "inlining twice" });
    expect([one.name, two.name]).toEqual(["part/Mul", "part/Mul:2"]);
    expect(built.constants.size).toBe(1);
  });

  test("keeps constants apart that have one name and different numbers", () => {
    const withBias = (value: number) => {
      const b = builder("part");
      const bias = b.constant({ dtype: "float32", shape: [1], data: Float64Array.of(value) }, "bias");
      b.output("y", b.neg(bias));
      return b.build();
    };
    const b = builder();
    for (const [i, graph] of [withBias(1), withBias(2)].entries())
      b.output(`y${i}`, b.inline(graph, new Map()).get("y") ?? b.scalar(0));
    const { constants } = b.build();
    expect([...constants.values()].map(({ data }) => data[0])).toEqual([1, 2]);
  });
});

test("extending a graph keeps its values and outputs and goes on behind them", () => {
  const first = builder();
  const x = first.input("x", "float32", []);
  first.output("y", first.neg(x));
  const graph = first.build();
  const b = GraphBuilder.extend(graph, OPS, "longer");
  b.output("z", b.neg(x));
  const longer = b.build();
  expect(longer.name).toBe("longer");
  expect(longer.nodes[0]).toBe(graph.nodes[0]);
  expect(longer.outputs.map(({ name }) => name)).toEqual(["y", "z"]);
  expect(graph.nodes.length).toBe(1);
});
