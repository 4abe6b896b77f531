// Derivatives and values at kinks, ties and other places that samples keep away from: chosen, and kept as
// they are. Beside pinned.test.ts, for the operators that imported graphs bring.
import { describe, expect, test } from "vitest";
import { appendGradients } from "../../compiler/autodiff/reverse.ts";
import { GraphBuilder } from "../../compiler/ir/builder.ts";
import { interpret } from "../../compiler/ir/interpret.ts";
import type { OpName } from "../../compiler/ir/opNames.ts";
import { type Attrs, concreteShape, type TensorData } from "../../compiler/ir/types.ts";
import { OPS } from "../../compiler/ops/table.ts";
import { assertClose } from "../assertClose.ts";
import { SUM_FLOAT64 } from "../tolerances.ts";

/** A float tensor: [shape, numbers]. */
type Numbers = readonly [shape: readonly number[], numbers: readonly number[]];

/** d(sum of op(x, constants)) / dx, and op(x, constants). */
function gradientOf(
  op: OpName,
  [shape, numbers]: Numbers,
  attrs: Attrs = {},
  constants: readonly (TensorData | undefined)[] = [],
  outputs = 1,
): { readonly dx: readonly number[]; readonly y: readonly number[] } {
  const b = new GraphBuilder("pinned", OPS);
  const x = b.input("x", "float32", shape);
  const given = constants.map((data) => data && b.constant(data));
  const [y] = b.emitAll(op, [x, ...given], attrs, outputs);
  const sum = b.reduceSum(b.reshape(y!, [-1]), [0], 0);
  b.output("dx", appendGradients(b, sum, [x]).get(x)!);
  b.output("y", y!);
  const feed = { dtype: "float32", shape, data: Float64Array.from(numbers) } as const;
  const results = interpret(b.build(), new Map([["x", feed]]));
  return { dx: Array.from(results.get("dx")!.data), y: Array.from(results.get("y")!.data) };
}

function vector(...numbers: readonly number[]): Numbers {
  return [[numbers.length], numbers];
}

function scalar(value: number): TensorData {
  return { dtype: "float32", shape: [], data: Float64Array.of(value) };
}

function ints(...numbers: readonly number[]): TensorData {
  return { dtype: "int64", shape: [numbers.length], data: Float64Array.from(numbers) };
}

describe("at a threshold the derivative is", () => {
  const cases: readonly (readonly [op: OpName, x: readonly number[], attrs: Attrs, dx: readonly number[]])[] =
    [
      ["LeakyRelu", [-1, 0, 1], { alpha: 0.5 }, [0.5, 1, 1]],
      ["Elu", [0, 1], { alpha: 0.5 }, [0.5, 1]],
      ["Celu", [0, 1], { alpha: 0.5 }, [1, 1]],
      ["ThresholdedRelu", [1, 2], { alpha: 1 }, [0, 1]],
      ["Shrink", [-0.5, 0.5, 0.75], { lambd: 0.5 }, [0, 0, 1]],
      ["HardSigmoid", [-1, 0, 1], { alpha: 0.5, beta: 0.5 }, [0, 0.5, 0]],
      ["HardSwish", [-3, 3], {}, [0, 1]],
      ["Ceil", [1, 1.5], {}, [0, 0]],
    ];
  for (const [op, x, attrs, dx] of cases)
    test(`[${dx}] for ${op} at [${x}]`, () => {
      expect(gradientOf(op, vector(...x), attrs).dx).toEqual(dx);
    });
  test("1 for Clip at both of its bounds, and 0 beyond them", () => {
    const bounds = [scalar(0), scalar(6)];
    expect(gradientOf("Clip", vector(-1, 0, 3, 6, 7), {}, bounds).dx).toEqual([0, 1, 1, 1, 0]);
  });
});

test("Clip with its bounds exchanged gives the upper one, and the derivative 0", () => {
  expect(gradientOf("Clip", vector(-1, 1.5, 4), {}, [scalar(2), scalar(1)])).toEqual({
    dx: [0, 0, 0],
    y: [1, 1, 1],
  });
});

test("Round takes halves to the even neighbour", () => {
  expect(gradientOf("Round", vector(-2.5, -1.5, -0.5, 0.5, 1.5, 2.5)).y.map((y) => y + 0)).toEqual([
    -2, -2, 0, 0, 2, 2,
  ]);
});

test("ReduceMin shares the cotangent evenly among the smallest", () => {
  expect(gradientOf("ReduceMin", vector(3, 1, 1, 2)).dx).toEqual([0, 0.5, 0.5, 0]);
});

test("the derivative of a product with one zero is the product of the others, with two zeros it is 0", () => {
  expect(gradientOf("ReduceProd", vector(0, 2, 3)).dx).toEqual([6, 0, 0]);
  expect(gradientOf("ReduceProd", vector(0, 2, 0)).dx).toEqual([0, 0, 0]);
});

test("norms of zeros have the derivative 0, and ReduceL1 at 0 too", () => {
  expect(gradientOf("ReduceL2", vector(0, 0)).dx).toEqual([0, 0]);
  expect(gradientOf("ReduceL1", vector(-2, 0, 3)).dx).toEqual([-1, 0, 1]);
  expect(
    gradientOf("GlobalLpPool", [
      [1, 1, 2],
      [0, 0],
    ]).dx,
  ).toEqual([0, 0]);
});

test("LpNormalization of zeros is zero, not NaN", () => {
  expect(gradientOf("LpNormalization", vector(0, 0)).y).toEqual([0, 0]);
});

test("of equal pixels the first has the cotangent of a global maximum", () => {
  expect(
    gradientOf("GlobalMaxPool", [
      [1, 2, 3],
      [1, 5, 5, 2, 2, 2],
    ]).dx,
  ).toEqual([0, 1, 0, 1, 0, 0]);
});

test("of equal numbers TopK takes the first", () => {
  expect(gradientOf("TopK", vector(4, 7, 7, 4), {}, [ints(3)], 2).dx).toEqual([1, 1, 1, 0]);
});

test("ceil_mode: an average counts the pixels of a partial window only", () => {
  const x: Numbers = [
    [1, 1, 3, 3],
    [1, 2, 3, 4, 5, 6, 7, 8, 9],
  ];
  const found = gradientOf("AveragePool", x, { kernel_shape: [2, 2], strides: [2, 2], ceil_mode: 1 });
  expect(found.y).toEqual([3, 4.5, 7.5, 9]);
  expect(found.dx).toEqual([0.25, 0.25, 0.5, 0.25, 0.25, 0.5, 0.5, 0.5, 1]);
});

test("count_include_pad counts padding, but nothing beyond it", () => {
  const pool = {
    kernel_shape: [3, 3],
    strides: [2, 2],
    pads: [1, 1, 1, 1],
    ceil_mode: 1,
    count_include_pad: 1,
  };
  // Four rows with pads are six: the last window begins at the fifth and holds two of them.
  const ones: Numbers = [[1, 1, 4, 4], new Array<number>(16).fill(1)];
  assertClose(
    gradientOf("AveragePool", ones, pool).y,
    [4 / 9, 6 / 9, 2 / 6, 6 / 9, 1, 0.5, 2 / 6, 0.5, 0.25],
    {
      tolerance: SUM_FLOAT64,
      what: "averages of ones",
    },
  );
});

test("reflection leaves the edge out, the edge mode repeats it", () => {
  const reflected = gradientOf("Pad", vector(1, 2, 3), { mode: "reflect" }, [ints(2, 1)]);
  expect(reflected).toEqual({ y: [3, 2, 1, 2, 3, 2], dx: [1, 3, 2] });
  expect(gradientOf("Pad", vector(1, 2, 3), { mode: "edge" }, [ints(2, 1)])).toEqual({
    y: [1, 1, 1, 2, 3, 3],
    dx: [3, 1, 2],
  });
});

test("a pixel shuffle puts the channels of a block in rows: CRD by channel, DCR by block", () => {
  const x: Numbers = [
    [1, 8, 1, 1],
    [0, 1, 2, 3, 4, 5, 6, 7],
  ];
  expect(gradientOf("DepthToSpace", x, { blocksize: 2, mode: "CRD" }).y).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
  expect(gradientOf("DepthToSpace", x, { blocksize: 2, mode: "DCR" }).y).toEqual([0, 2, 4, 6, 1, 3, 5, 7]);
});

test("Resize to twice the size, linear, weighs pixels by a quarter and three quarters (half_pixel)", () => {
  const twice: TensorData = { dtype: "float32", shape: [1], data: Float64Array.of(2) };
  const found = gradientOf("Resize", vector(0, 4, 8), { mode: "linear" }, [undefined, twice]);
  expect(found.y).toEqual([0, 1, 3, 5, 7, 8]);
  expect(found.dx).toEqual([2, 2, 2]);
});

test("Resize, nearest: a coordinate halfway goes down by default and up if asked", () => {
  const half: TensorData = { dtype: "float32", shape: [1], data: Float64Array.of(0.5) };
  const numbers = vector(0, 1, 2, 3);
  expect(gradientOf("Resize", numbers, {}, [undefined, half]).y).toEqual([0, 2]);
  const up = { nearest_mode: "round_prefer_ceil" };
  expect(gradientOf("Resize", numbers, up, [undefined, half]).y).toEqual([1, 3]);
});

test("GridSample reads zeros outside of the image, the edge, or the image reflected", () => {
  const x: Numbers = [
    [1, 1, 1, 2],
    [10, 20],
  ];
  const far: TensorData = { dtype: "float32", shape: [1, 1, 1, 2], data: Float64Array.of(2, 0) };
  const at = (padding_mode: string) => gradientOf("GridSample", x, { padding_mode }, [far]);
  expect(at("zeros")).toEqual({ y: [0], dx: [0, 0] });
  expect(at("border")).toEqual({ y: [20], dx: [0, 1] });
  // Column 2.5 of pixels 0 and 1, folded at 1.5: column 0.5, halfway between the two.
  expect(at("reflection")).toEqual({ y: [15], dx: [0.5, 0.5] });
});

test("dropout in inference form is the identity", () => {
  expect(gradientOf("Dropout", vector(1, 2), {}, [scalar(0.5)])).toEqual({ y: [1, 2], dx: [1, 1] });
});

test("an Einsum without a result sums its letters in the order of the alphabet", () => {
  const b = new GraphBuilder("einsum", OPS);
  const y = b.emit("Einsum", [b.input("x", "float32", [2, 3])], { equation: "ba" });
  expect(concreteShape(y.type.shape)).toEqual([3, 2]);
});
