// The checkers checked: faults of every usual kind are planted into derivatives and into numbers, and each
// must be found. Without these tests a checker that finds nothing would look like code without faults.
import { describe, expect, test } from "vitest";
import type { GraphBuilder } from "../../compiler/ir/builder.ts";
import type { Op, Vjp, VjpContext } from "../../compiler/ir/op.ts";
import { concreteShape, elementCount, isFloat, type Value } from "../../compiler/ir/types.ts";
import { scalarLike } from "../../compiler/ops/elementwise.ts";
import { OPS } from "../../compiler/ops/table.ts";
import { assertClose } from "../assertClose.ts";
import { GRADIENT_CHECK } from "../tolerances.ts";
import { gradientFaults } from "./gradientCheck.ts";
import { SAMPLES } from "./samples/allSamples.ts";
import { floats, positive } from "./samples/inputs.ts";
import type { Sample } from "./samples/sample.ts";

/** `op` with a derivative made from the right one. */
function withFault(op: Op, fault: (right: readonly (Value | undefined)[], ctx: VjpContext) => Vjp): Op {
  const { vjp } = op;
  if (typeof vjp !== "function") throw new Error(`${op.name} has no derivative`);
  return { ...op, vjp: (ctx) => fault(vjp(ctx), ctx)(ctx) };
}

/** `op` with every cotangent changed. */
function mapped(op: Op, change: (b: GraphBuilder, value: Value) => Value | undefined): Op {
  return withFault(
    op,
    (right) =>
      ({ b }) =>
        right.map((value) => value && change(b, value)),
  );
}

function scaled(op: Op, factor: number): Op {
  return mapped(op, (b, value) => b.mul(value, scalarLike(b, factor, value)));
}

function opNamed(name: string): Op {
  return (
    OPS.get(name) ??
    (() => {
      throw new Error(`no operator ${name}`);
    })()
  );
}

/** Faults that any derivative can have. */
const GENERAL: Readonly<Record<string, (op: Op) => Op>> = {
  "a flipped sign": (op) => mapped(op, (b, value) => b.neg(value)),
  "a factor of 2": (op) => scaled(op, 2),
  "a factor of 1.001": (op) => scaled(op, 1.001),
  "a factor of 1000": (op) => scaled(op, 1000),
  "NaN everywhere": (op) => scaled(op, Number.NaN),
  "an infinite factor": (op) => scaled(op, Number.POSITIVE_INFINITY),
  "zeros everywhere": (op) => scaled(op, 0),
  "no cotangents at all": (op) => mapped(op, () => undefined),
  "one wrong element": (op) =>
    mapped(op, (b, value) => {
      const { dtype, shape } = value.type;
      const data = new Float64Array(elementCount(shape));
      data[data.length - 1] = 0.1;
      return b.add(value, b.constant({ dtype, shape: concreteShape(shape), data }));
    }),
};

/** A sample at which the derivative is not zero by nature. */
function telling(op: Op): Sample | undefined {
  return SAMPLES[op.name]?.find(
    (sample) =>
      sample.gradientFloor !== 0 &&
      sample.inputs.some((input) => input && !input.constant && isFloat(input.dtype ?? "float32")),
  );
}

describe("the gradient check finds", () => {
  for (const [name, plant] of Object.entries(GENERAL))
    test(`${name} in the derivative of every operator`, () => {
      for (const op of OPS.values()) {
        if (typeof op.vjp !== "function") continue;
        const sample = telling(op);
        if (!sample) throw new Error(`${op.name} has no sample that tells anything`);
        expect(gradientFaults(plant(op), sample, OPS), op.name).not.toEqual([]);
      }
    });

  const faults: Readonly<Record<string, readonly [Op, Sample]>> = {
    "a missing un-broadcast": [
      { ...opNamed("Add"), vjp: ({ dy }) => [dy, dy] },
      { title: "a row", inputs: [floats(2, 3), floats(3)] },
    ],
    "an un-broadcast that averages": [
      { ...opNamed("Add"), vjp: ({ b, dy }) => [dy, b.reduceMean(dy, [0], 0)] },
      { title: "a row", inputs: [floats(2, 3), floats(3)] },
    ],
    "exchanged inputs": [
      { ...opNamed("Mul"), vjp: ({ b, dy, input }) => [b.mul(dy, input(0)), b.mul(dy, input(1))] },
      { title: "equal shapes", inputs: [floats(2, 3), floats(2, 3)] },
    ],
    "exchanged cotangents": [
      withFault(opNamed("Div"), (right) => () => right.toReversed()),
      { title: "equal shapes", inputs: [floats(2, 3), positive(2, 3)] },
    ],
    "a dropped constant of a square root": [
      { ...opNamed("Sqrt"), vjp: ({ b, dy, output }) => [b.div(dy, output(0))] },
      { title: "a matrix", inputs: [positive(2, 3)] },
    ],
    "a dropped term of a softmax": [
      { ...opNamed("Softmax"), vjp: ({ b, dy, output }) => [b.mul(output(0), dy)] },
      { title: "a matrix", inputs: [floats(2, 3)] },
    ],
    "a dropped alpha of a Gemm": [
      { ...opNamed("Gemm"), vjp: ({ b, dy, input }) => [b.emit("Gemm", [dy, input(1)], { transB: 1 })] },
      { title: "alpha", inputs: [floats(2, 3), { ...floats(3, 2), constant: true }], attrs: { alpha: 0.5 } },
    ],
    "a mean that is not divided": [
      withFault(opNamed("ReduceMean"), ([dx], { b }) => () => [dx && b.mul(dx, scalarLike(b, 6, dx))]),
      { title: "all axes", inputs: [floats(2, 3)] },
    ],
    "a cotangent of the other shape": [
      { ...opNamed("Transpose"), vjp: ({ dy }) => [dy] },
      { title: "a matrix", inputs: [floats(2, 3)] },
    ],
    "a transposition put back the wrong way": [
      { ...opNamed("Transpose"), vjp: ({ b, dy }) => [b.transpose(dy, [1, 2, 0])] },
      { title: "a cube", inputs: [floats(2, 2, 2)], attrs: { perm: [1, 2, 0] } },
    ],
    "one of two cotangents left out": [
      withFault(opNamed("Sub"), ([dx]) => () => [dx, undefined]),
      { title: "equal shapes", inputs: [floats(2, 3), floats(2, 3)] },
    ],
    "a sample that proves nothing": [
      opNamed("Relu"),
      { title: "negative numbers", inputs: [{ shape: [2, 3], low: -2, high: -1 }] },
    ],
    "a reference that gives NaN": [
      opNamed("Log"),
      { title: "negative numbers", inputs: [{ shape: [3], low: -2 }] },
    ],
  };
  for (const [name, [op, sample]] of Object.entries(faults))
    test(`${name}`, () => {
      expect(gradientFaults(op, sample, OPS)).not.toEqual([]);
    });
});

describe("assertClose finds", () => {
  const right = Float64Array.of(0.5, -2, 3e-4, 1);
  const about = { tolerance: GRADIENT_CHECK, what: "numbers" };
  const faults: Readonly<Record<string, (x: Float64Array) => Float64Array>> = {
    "a flipped sign": (x) => x.map((value) => -value),
    "a factor of 1000": (x) => x.map((value) => 1000 * value),
    "a dropped constant": (x) => x.map((value) => value - 1e-4),
    "one wrong number": (x) => x.with(2, -3e-4),
    "exchanged numbers": (x) => x.toReversed(),
    "zeros everywhere": (x) => x.map(() => 0),
    NaN: (x) => x.with(1, Number.NaN),
    infinity: (x) => x.with(3, Number.POSITIVE_INFINITY),
    "a missing number": (x) => x.slice(1),
    "a number too many": (x) => Float64Array.of(...x, 0),
  };
  test("nothing in numbers that are right", () => {
    assertClose(Float32Array.from(right), right, about);
    assertClose([0, 0], [0, 0], { ...about, allowZero: true });
    assertClose([], [], about);
  });
  for (const [name, plant] of Object.entries(faults))
    test(name, () => {
      expect(() => assertClose(plant(right), right, about)).toThrow("numbers");
    });
  test("an expectation that is not finite", () => {
    const bad = right.with(0, Number.NaN);
    expect(() => assertClose(bad, bad, about)).toThrow("NaN is expected");
  });
  test("an expectation of zeros only", () => {
    expect(() => assertClose([0, 0], [0, 0], about)).toThrow("only zeros");
  });
  test("a tolerance that would pass anything", () => {
    expect(() => assertClose(right, right, { ...about, tolerance: 1 })).toThrow("tolerance 1");
    expect(() => assertClose(right, right, { ...about, tolerance: Number.NaN })).toThrow("tolerance NaN");
  });
});
