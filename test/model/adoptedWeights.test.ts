// Weights of another network as initial values: what is taken by name and shape, of heads by class, tag or
// number, what begins anew, and what is told of it.
import { describe, expect, test } from "vitest";
import { AdoptedWeights, type SourceTensor } from "../../compiler/model/adoptedWeights.ts";
import { initialValue } from "../../compiler/model/initialValues.ts";
import type { Parameter } from "../../compiler/model/parameters.ts";
import { openTask } from "../../compiler/tasks/openTask.ts";
import type { Task } from "../../compiler/tasks/task.ts";

const SEED = 7;

function tensor(shape: readonly number[], first = 1): SourceTensor {
  const size = shape.reduce((product, dim) => product * dim, 1);
  return { shape, data: Float32Array.from({ length: size }, (_, i) => first + i) };
}

function parameter(name: string, shape: readonly number[], more: Partial<Parameter> = {}): Parameter {
  const part = /^tasks\.[^.]+/.exec(name)?.[0] ?? name.replace(/[.[].*/, "");
  const isBias = name.endsWith("bias");
  return {
    ...{ name, shape, part, role: isBias ? "bias" : "kernel", trained: true },
    initial: isBias ? { kind: "constant", value: 0 } : { kind: "glorot_uniform", fanIn: 2, fanOut: 2 },
    ...more,
  };
}

const KERNEL = "tasks.t.dense.kernel";
const BIAS = "tasks.t.dense.bias";

/** The head of `mine` begun with that of `theirs`, of two inputs: kernel [2, width] and bias. */
function headOf(mine: Task, theirs: Task) {
  const source = {
    tensors: new Map([
      [KERNEL, tensor([2, theirs.width])],
      [BIAS, tensor([theirs.width], 100)],
    ]),
    tasks: [theirs],
  };
  const weights = new AdoptedWeights(source, [mine], SEED);
  const [kernel, bias] = [parameter(KERNEL, [2, mine.width]), parameter(BIAS, [mine.width])];
  return {
    weights,
    kernel: weights.get(KERNEL, kernel),
    bias: weights.get(BIAS, bias),
    fresh: initialValue(kernel, SEED),
  };
}

const classes = (...names: string[]): Task => openTask({ task: "t", classes: names });

describe("tensors", () => {
  const source = {
    tensors: new Map([
      ["shared_layers[0].kernel", tensor([2, 3])],
      ["shared_layers[0].bias", tensor([2])],
      ["fcn.layers[0].kernel", tensor([4])],
    ]),
    tasks: [openTask({ task: "gone", classes: ["a"] })],
  };

  test("of the same name and shape are taken, to the bit, and stay the source's", () => {
    const weights = new AdoptedWeights(source, [], SEED);
    const taken = weights.get("shared_layers[0].kernel", parameter("shared_layers[0].kernel", [2, 3]));
    expect(taken).toEqual(Float32Array.of(1, 2, 3, 4, 5, 6));
    taken?.fill(0);
    expect(source.tensors.get("shared_layers[0].kernel")?.data[0]).toBe(1);
  });

  test("of another shape or name begin anew, which is told by part", () => {
    const weights = new AdoptedWeights(source, [], SEED);
    expect(
      weights.get("shared_layers[0].kernel", parameter("shared_layers[0].kernel", [3, 3])),
    ).toBeUndefined();
    expect(weights.get("shared_layers[0].bias", parameter("shared_layers[0].bias", [2]))).toBeDefined();
    expect(weights.get("shared_layers[1].bias", parameter("shared_layers[1].bias", [2]))).toBeUndefined();
    expect(
      weights.get("fcn.layers[0].kernel", parameter("fcn.layers[0].kernel", [4], { trained: false })),
    ).toBeDefined();
    expect(weights.parts).toEqual([
      {
        ...{ part: "shared_layers", parameters: 3, taken: 1 },
        reasons: ["shared_layers[0].kernel is [2,3] there, [3,3] here", "shared_layers[1].bias is not there"],
      },
      { part: "fcn", parameters: 1, taken: 1, reasons: [] },
    ]);
    expect(weights.counts).toEqual({ parameters: 4, taken: 2 });
    expect([...weights.frozen.keys()]).toEqual(["fcn.layers[0].kernel"]);
    expect(weights.otherTasks).toEqual(["gone"]);
  });

  test("the learned weight of a task begins anew, and is not counted", () => {
    const name = "tasks.t.log_variance";
    const weights = new AdoptedWeights({ tensors: new Map([[name, tensor([])]]), tasks: [] }, [], SEED);
    expect(weights.get(name, parameter(name, [], { role: "log_variance" }))).toBeUndefined();
    expect(weights.counts).toEqual({ parameters: 0, taken: 0 });
  });
});

describe("the dense layer of a head", () => {
  test("takes the classes that both have, wherever they stand; new ones keep their initial values", () => {
    const { kernel, bias, fresh, weights } = headOf(classes("new", "c", "a"), classes("a", "b", "c"));
    expect(kernel).toEqual(Float32Array.of(fresh[0] ?? 0, 3, 1, fresh[3] ?? 0, 6, 4));
    expect(bias).toEqual(Float32Array.of(0, 102, 100));
    expect(weights.parts[0]?.units).toEqual({ are: "classes", taken: ["c", "a"], fresh: ["new"] });
  });

  test("knows a class that is a number by its value", () => {
    expect(headOf(classes("1", "2"), classes("2.0", "1.0")).bias).toEqual(Float32Array.of(101, 100));
  });

  test("takes tags as it takes classes", () => {
    const tags = (...names: string[]) => openTask({ task: "t", kind: "tags", tags: names, separator: "|" });
    expect(headOf(tags("x", "y"), tags("y", "z")).bias).toEqual(Float32Array.of(0, 100));
  });

  test("of numbers gives the same values in the unit of other training labels", () => {
    const number = (mean: number, deviation: number) =>
      openTask({ task: "t", kind: "number", mean: [mean], deviation: [deviation], loss: "l2" });
    const { kernel, bias } = headOf(number(10, 4), number(2, 8));
    // The head gives h1 k1 + h2 k2 + b of hidden numbers h; the value is mean + deviation times that.
    const [h1, h2] = [0.5, -1.25];
    const before = 2 + 8 * (h1 * 1 + h2 * 2 + 100);
    const after = 10 + 4 * (h1 * (kernel?.[0] ?? 0) + h2 * (kernel?.[1] ?? 0) + (bias?.[0] ?? 0));
    expect(after).toBe(before);
  });

  test.each<[string, Task, Task, RegExp]>([
    ["no class in common", classes("a", "b"), classes("c", "d"), /no classes in common/],
    [
      "another kind",
      classes("a", "b"),
      openTask({ task: "t", kind: "tags", tags: ["a", "b"], separator: "|" }),
      /a task of tags there/,
    ],
    ["no such task", classes("a"), openTask({ task: "u", classes: ["a"] }), /no such task there/],
  ])("with %s begins anew", (_, mine, theirs, reason) => {
    const { kernel, bias, weights } = headOf(mine, theirs);
    expect([kernel, bias]).toEqual([undefined, undefined]);
    expect(weights.parts[0]?.reasons.join()).toMatch(reason);
    expect(weights.parts[0]?.units?.taken).toEqual([]);
  });

  test("of another width before it begins anew, with both shapes", () => {
    const mine = classes("a", "b");
    const source = { tensors: new Map([[KERNEL, tensor([5, 2])]]), tasks: [classes("a", "b")] };
    const weights = new AdoptedWeights(source, [mine], SEED);
    expect(weights.get(KERNEL, parameter(KERNEL, [2, 2]))).toBeUndefined();
    expect(weights.parts[0]?.reasons).toEqual([`${KERNEL} is [5,2] there, [2,2] here`]);
  });
});
