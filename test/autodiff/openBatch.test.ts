// Derivatives of graphs whose batch is a symbol: the same cotangents as for a batch of that size, built and
// lowered, for the operators that lie between a layer and a head.
import { expect, test } from "vitest";
import { appendCotangents } from "../../compiler/autodiff/reverse.ts";
import { GraphBuilder } from "../../compiler/ir/builder.ts";
import { interpret } from "../../compiler/ir/interpret.ts";
import type { NDArray } from "../../compiler/ir/op.ts";
import type { Dim, Value } from "../../compiler/ir/types.ts";
import { finishGraph } from "../../compiler/lower/finishGraph.ts";
import { OPS } from "../../compiler/ops/table.ts";
import { FORM_FLOAT64 } from "../tolerances.ts";

const IMAGES = 3;
const [C, H, W] = [4, 6, 6] as const;

/** Numbers by their place, all different. */
function numbers(shape: readonly number[], step = 0.37): NDArray {
  const count = shape.reduce((product, size) => product * size, 1);
  const data = Float64Array.from({ length: count }, (_, i) => Math.fround(Math.sin(step * (i + 1)) * 2));
  return { dtype: "float32", shape, data };
}

const CASES: Readonly<Record<string, (b: GraphBuilder, x: Value) => Value>> = {
  "a convolution": (b, x) => b.emit("Conv", [x, b.constant(numbers([5, C, 3, 3]))], { pads: [1, 1, 1, 1] }),
  "one with strides": (b, x) => b.emit("Conv", [x, b.constant(numbers([5, C, 3, 3]))], { strides: [2, 2] }),
  "a pointwise one": (b, x) => b.emit("Conv", [x, b.constant(numbers([5, C, 1, 1]))]),
  "a depthwise one": (b, x) =>
    b.emit("Conv", [x, b.constant(numbers([C, 1, 3, 3]))], { group: C, pads: [1, 1, 1, 1] }),
  "a transposed one": (b, x) => b.emit("ConvTranspose", [x, b.constant(numbers([C, 2, 2, 2]))]),
  "max pooling": (b, x) => b.emit("MaxPool", [x], { kernel_shape: [2, 2], strides: [2, 2] }),
  "max pooling that overlaps": (b, x) => b.emit("MaxPool", [x], { kernel_shape: [3, 3], strides: [2, 2] }),
  "mean pooling": (b, x) => b.emit("AveragePool", [x], { kernel_shape: [2, 2], strides: [2, 2] }),
  "global mean pooling": (b, x) => b.emit("GlobalAveragePool", [x]),
  "global max pooling": (b, x) => b.emit("GlobalMaxPool", [x]),
  "a maximum over pixels": (b, x) => b.emit("ReduceMax", [x, b.ints([2, 3])], { keepdims: 0 }),
  "a mean over pixels": (b, x) => b.reduceMean(x, [2, 3], 0),
  relu: (b, x) => b.emit("Relu", [x]),
  "hard swish": (b, x) => b.emit("HardSwish", [x]),
  "a part of a split": (b, x) => b.emitAll("Split", [x, b.ints([1, 3])], { axis: 1 }, 2)[1] ?? x,
  "a concatenation": (b, x) => b.emit("Concat", [x, b.emit("Sigmoid", [x])], { axis: 1 }),
  "a slice": (b, x) => b.slice(x, [1], [5], [2]),
  "a choice of channels": (b, x) => b.emit("Gather", [x, b.ints([2, 0, 2])], { axis: 1 }),
  "layer normalisation": (b, x) =>
    b.emit("LayerNormalization", [x, b.constant(numbers([W])), b.constant(numbers([W], 0.7))]),
  "group normalisation": (b, x) =>
    b.emit("GroupNormalization", [x, b.constant(numbers([2])), b.constant(numbers([2], 0.7))], {
      num_groups: 2,
    }),
  "pixels from channels": (b, x) => b.emit("DepthToSpace", [x], { blocksize: 2 }),
  "a resize": (b, x) =>
    b.emit("Resize", [x, undefined, b.constant(scales([1, 1, 2, 1.5]))], { mode: "linear" }),
  "rows of a matrix": (b, x) => b.emit("Gemm", [b.emit("Flatten", [x]), b.constant(numbers([C * H * W, 3]))]),
  "attention's product": (b, x) => b.emit("MatMul", [x, b.transpose(x, [0, 1, 3, 2])]),
};

function scales(values: readonly number[]) {
  return { dtype: "float32", shape: [values.length], data: Float64Array.from(values) } as const;
}

/** The cotangent of x where that of y is y^2 + 1, as built, lowered or not. */
function cotangent(
  batch: Dim,
  body: (b: GraphBuilder, x: Value) => Value,
  isLowered: boolean,
): NDArray | undefined {
  const b = new GraphBuilder("open", OPS);
  const x = b.input("x", "float32", [batch, C, H, W]);
  const y = body(b, x);
  const seed = b.add(b.mul(y, y), b.scalar(1));
  b.output("dx", appendCotangents(b, y, seed, [x]).get(x) ?? y);
  const graph = isLowered ? finishGraph(b.build()) : b.build();
  return interpret(graph, new Map([["x", numbers([IMAGES, C, H, W])]])).get("dx");
}

test.each(Object.entries(CASES))("%s: for any batch as for one of that size", (_, body) => {
  const wanted = cotangent(IMAGES, body, false);
  expect(wanted?.shape).toEqual([IMAGES, C, H, W]);
  expect(Math.max(...(wanted?.data ?? []).map(Math.abs))).toBeGreaterThan(0.01);
  for (const isLowered of [false, true]) {
    const found = cotangent("N", body, isLowered);
    expect(found?.shape).toEqual(wanted?.shape);
    found?.data.forEach((value, i) => {
      expect(Math.abs(value - (wanted?.data[i] ?? Number.NaN))).toBeLessThanOrEqual(FORM_FLOAT64);
    });
  }
});
