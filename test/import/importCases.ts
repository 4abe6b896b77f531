// Models for the rows of the written list of import: each operator in a form that opset 18 does not have, or
// that import treats. importRules.test.ts runs them here and on ONNX Runtime.
import { ATTRIBUTE_TYPE } from "../../compiler/codec/onnxSchema.ts";
import { type Case, EARLY_CASES } from "./earlyCases.ts";
import { graphOf, ints, tensor, weights } from "./foreignModel.ts";

const REDUCTIONS = ["L1", "L2", "LogSum", "LogSumExp", "Max", "Mean", "Min", "Prod", "SumSquare"];
const SQUARE = "Mul(x, x) -> squared";
const NORM = ["scale", "bias", "mean", "var"].map((name) =>
  tensor(name, "float32", [3], name === "var" ? [0.5, 1, 2] : [0.25, -1, 0.75]),
);
const FILTERS = weights("w", [4, 3, 3, 3]);
const TRANSPOSED = weights("w", [3, 4, 3, 3]);
const bool = (name: string, value: number) => tensor(name, "bool", [], [value]);

/** At least one for each row of the written list that converts. */
export const CASES: readonly Case[] = [
  ...EARLY_CASES,
  { row: "ReduceSum-9", opset: 11, nodes: [["ReduceSum(x) -> y", { axes: [1, 3], keepdims: 0 }]] },
  { row: "ReduceSum-9", title: "over all axes", opset: 12, nodes: [[SQUARE], ["ReduceSum(squared) -> y"]] },
  {
    row: "Squeeze-9",
    opset: 11,
    nodes: [
      ["ReduceMean(x) -> m", { axes: [2] }],
      ["Squeeze(m) -> y", { axes: [2] }],
    ],
  },
  { row: "Unsqueeze-9", opset: 12, nodes: [["Unsqueeze(x) -> y", { axes: [0, -1] }]] },
  ...REDUCTIONS.map(
    (name): Case => ({
      row: `Reduce${name}-9`,
      opset: 13,
      nodes: [[SQUARE], [`Reduce${name}(squared) -> y`, { axes: [-1, 1], keepdims: 1 }]],
    }),
  ),
  {
    row: "Split-9",
    opset: 12,
    outputs: ["a", "b"],
    nodes: [["Split(x) -> a, b", { axis: 2, split: [4, 2] }]],
  },
  {
    row: "Split-9",
    title: "of 13",
    opset: 13,
    outputs: ["b"],
    nodes: [["Split(x) -> a, b, c", { axis: 1 }]],
  },
  {
    row: "Split-9",
    title: "of 18, the last part smaller",
    outputs: ["a", "b"],
    nodes: [["Split(x) -> a, b", { axis: 3, num_outputs: 2 }]],
  },
  { row: "Softmax-9", opset: 11, nodes: [["Softmax(x) -> y"]] },
  { row: "Softmax-9", title: "along the last axis", opset: 12, nodes: [["Softmax(x) -> y", { axis: -1 }]] },
  { row: "Softmax-9", title: "from axis 2 on", opset: 12, nodes: [["Softmax(x) -> y", { axis: 2 }]] },
  { row: "LogSoftmax-9", opset: 11, nodes: [["LogSoftmax(x) -> y", { axis: 1 }]] },
  {
    row: "BatchNormalization-9",
    opset: 11,
    initializers: NORM,
    nodes: [["BatchNormalization(x, scale, bias, mean, var) -> y", { epsilon: { f: 0.01 } }]],
  },
  {
    row: "BatchNormalization-9",
    title: "in training form of 14",
    opset: 14,
    initializers: NORM,
    outputs: ["y"],
    nodes: [["BatchNormalization(x, scale, bias, mean, var) -> y, m, v", { training_mode: 1 }]],
    instead: {
      opset: 15,
      initializers: NORM,
      nodes: [["BatchNormalization(x, scale, bias, mean, var) -> y"]],
    },
  },
  {
    row: "BatchNormalization-9",
    title: "in training form of 9",
    opset: 13,
    initializers: NORM,
    outputs: ["y"],
    nodes: [["BatchNormalization(x, scale, bias, mean, var) -> y, m, v, sm, sv"]],
    instead: {
      opset: 15,
      initializers: NORM,
      nodes: [["BatchNormalization(x, scale, bias, mean, var) -> y"]],
    },
  },
  { row: "Dropout-9", opset: 11, nodes: [["Dropout(x) -> d", { ratio: { f: 0.5 } }], ["Neg(d) -> y"]] },
  {
    row: "Dropout-9",
    title: "in training form of 13",
    opset: 13,
    initializers: [tensor("half", "float32", [], [0.5]), bool("on", 1)],
    nodes: [["Dropout(x, half, on) -> d, mask"], ["Neg(d) -> y"]],
    instead: { nodes: [["Neg(x) -> y"]] },
  },
  {
    row: "Dropout-9",
    title: "with its mask as output",
    opset: 13,
    outputs: ["y", "kept"],
    nodes: [["Dropout(x) -> d, mask"], ["Neg(d) -> y"], ["Cast(mask) -> kept", { to: 1 }]],
  },
  {
    row: "MaxUnpool-9",
    opset: 11,
    nodes: [
      ["MaxPool(x) -> p, i", { kernel_shape: [2, 1], strides: [2, 1] }],
      ["MaxUnpool(p, i) -> y", { kernel_shape: [2, 1], strides: [2, 1] }],
    ],
  },
  { row: "Reshape-9", opset: 13, initializers: [ints("s", [0, -1, 5])], nodes: [["Reshape(x, s) -> y"]] },
  { row: "Expand-9", initializers: [ints("s", [2, 1, 3, 6, 5])], nodes: [["Expand(x, s) -> y"]] },
  {
    row: "Resize-11",
    opset: 11,
    initializers: [tensor("none", "float32", [0], []), ints("s", [2, 3, 9, 10])],
    nodes: [
      ["Resize(x, none, none, s) -> y", { mode: "linear", coordinate_transformation_mode: "asymmetric" }],
    ],
  },
  {
    row: "Resize-11",
    title: "of 13, nearest",
    opset: 13,
    initializers: [tensor("k", "float32", [4], [1, 1, 2, 2])],
    nodes: [["Resize(x, , k) -> y", { coordinate_transformation_mode: "asymmetric", nearest_mode: "floor" }]],
  },
  {
    row: "Resize-19",
    opset: 19,
    initializers: [tensor("k", "float32", [2], [2, 2])],
    nodes: [["Resize(x, , k) -> y", { axes: [2, 3], mode: "linear", antialias: 0 }]],
  },
  {
    row: "Attention-23",
    opset: 23,
    nodes: [["Attention(x, x, x) -> y"]],
  },
  {
    row: "Attention-23",
    title: "heads in one axis, two key heads for four, a scale, a softcap, in order",
    opset: 23,
    image: [2, 5, 2, 12],
    initializers: [ints("rows", [2, 10, 12]), weights("k", [2, 10, 6]), weights("v", [2, 10, 4])],
    nodes: [
      ["Reshape(x, rows) -> q"],
      [
        "Attention(q, k, v) -> y",
        { q_num_heads: 4, kv_num_heads: 2, scale: { f: 0.7 }, softcap: { f: 2 }, is_causal: 1 },
      ],
    ],
  },
  {
    row: "Attention-23",
    title: "a mask that is added",
    opset: 23,
    initializers: [weights("mask", [6, 6])],
    nodes: [["Attention(x, x, x, mask) -> y"]],
  },
  {
    row: "Attention-23",
    title: "a mask of truth values",
    opset: 23,
    initializers: [
      tensor(
        "mask",
        "bool",
        [6, 6],
        Array.from({ length: 36 }, (_, i) => Number(i % 5 !== 1)),
      ),
    ],
    nodes: [["Attention(x, x, x, mask) -> y"]],
  },
  { row: "Gelu-20", opset: 20, nodes: [["Gelu(x) -> y"]] },
  { row: "Gelu-20", title: "approximated", opset: 20, nodes: [["Gelu(x) -> y", { approximate: "tanh" }]] },
  {
    row: "Swish-24",
    opset: 24,
    nodes: [["Swish(x) -> y", { alpha: { f: 1.5 } }]],
    instead: {
      initializers: [tensor("a", "float32", [], [1.5])],
      nodes: [["Mul(x, a) -> t"], ["Sigmoid(t) -> s"], ["Mul(x, s) -> y"]],
    },
  },
  {
    row: "GroupNormalization-21",
    opset: 21,
    image: [2, 4, 6, 5],
    initializers: [weights("s", [4]), weights("b", [4])],
    nodes: [["GroupNormalization(x, s, b) -> y", { num_groups: 2, epsilon: { f: 0.1 } }]],
  },
  {
    row: "RMSNormalization-23",
    opset: 23,
    initializers: [weights("s", [6, 5])],
    nodes: [["RMSNormalization(x, s) -> y", { axis: 2, epsilon: { f: 0.1 } }]],
    instead: {
      initializers: [
        weights("s", [6, 5]),
        tensor("e", "float32", [], [Math.fround(0.1)]),
        ints("axes", [2, 3]),
      ],
      nodes: [
        [SQUARE],
        ["ReduceMean(squared, axes) -> m"],
        ["Add(m, e) -> v"],
        ["Sqrt(v) -> d"],
        ["Div(x, d) -> n"],
        ["Mul(n, s) -> y"],
      ],
    },
  },
  {
    row: "CastLike-15",
    opset: 19,
    type: "int64",
    initializers: [ints("like", [1])],
    nodes: [["CastLike(x, like) -> y", { saturate: 1 }]],
  },
  { row: "Cast-19", opset: 19, type: "int32", nodes: [["Cast(x) -> y", { to: 6, saturate: 1 }]] },
  {
    row: "AveragePool-19",
    opset: 19,
    nodes: [["AveragePool(x) -> y", { kernel_shape: [3, 2], dilations: [1, 1], strides: [2, 1] }]],
  },
  {
    row: "Pad-19",
    opset: 19,
    initializers: [ints("p", [0, 0, 1, 2, 0, 0, 2, 1])],
    nodes: [["Pad(x, p) -> y", { mode: "reflect" }]],
  },
  {
    row: "GridSample-16",
    opset: 20,
    initializers: [weights("g", [2, 4, 4, 2])],
    nodes: [["GridSample(x, g) -> y", { mode: "linear" }]],
  },
  {
    row: "GridSample-16",
    title: "of 16, by its default",
    opset: 16,
    initializers: [weights("g", [2, 4, 4, 2])],
    nodes: [["GridSample(x, g) -> y"]],
  },
  { row: "ReduceMax-20", opset: 20, initializers: [ints("a", [1])], nodes: [["ReduceMax(x, a) -> y"]] },
  { row: "ReduceMin-20", opset: 20, initializers: [ints("a", [1])], nodes: [["ReduceMin(x, a) -> y"]] },
  {
    row: "SpaceToDepth-28",
    opset: 28,
    image: [2, 3, 6, 4],
    nodes: [["SpaceToDepth(x) -> y", { blocksize: 2, mode: "DCR" }]],
    instead: { image: [2, 3, 6, 4], nodes: [["SpaceToDepth(x) -> y", { blocksize: 2 }]] },
  },
  {
    row: "Constant-9",
    opset: 13,
    nodes: [["Constant() -> c", { value_floats: { floats: [1, 2, 3, 4, 5] } }], ["Add(x, c) -> y"]],
  },
  {
    row: "Shape-9",
    opset: 15,
    type: "int64",
    nodes: [["Shape(x) -> s", { start: 1, end: -1 }], ["Neg(s) -> y"]],
  },
  { row: "Size-9", type: "int64", nodes: [["Size(x) -> s"], ["Neg(s) -> y"]] },
  {
    row: "ConstantOfShape-9",
    initializers: [ints("s", [6, 1])],
    nodes: [
      ["ConstantOfShape(s) -> c", { value: { t: tensor("v", "float32", [1], [3]) } }],
      ["Add(x, c) -> y"],
    ],
  },
  { row: "Tile-9", initializers: [ints("r", [1, 2, 1, 3])], nodes: [["Tile(x, r) -> y"]] },
  {
    row: "Slice-10",
    opset: 13,
    initializers: [ints("from", [1, -1]), ints("to", [3, -9]), ints("axes", [1, 3]), ints("steps", [1, -2])],
    nodes: [["Slice(x, from, to, axes, steps) -> y"]],
  },
  {
    row: "Range-9",
    initializers: [9, 1, -2].map((value, i) => tensor(`r${i}`, "int64", [], [value])),
    type: "int64",
    nodes: [["Range(r0, r1, r2) -> r"], ["Neg(r) -> y"]],
  },
  { row: "Identity-9", nodes: [["Identity(x) -> i"], ["Neg(i) -> y"]] },
  ...[0, 1].map(
    (value): Case => ({
      row: "If-9",
      title: `with ${value}`,
      initializers: [bool("c", value)],
      nodes: [
        ["Neg(x) -> n"],
        [
          "If(c) -> y",
          {
            then_branch: { g: graphOf([["Abs(n) -> t"]], ["t"]) },
            else_branch: { g: graphOf([["Exp(n) -> t"]], ["t"]) },
          },
        ],
      ],
    }),
  ),
];

/** auto_pad and output_shape in every mode. */
export const WINDOWS: readonly Case[] = [
  ...["SAME_UPPER", "SAME_LOWER", "VALID"].flatMap((mode): Case[] => [
    {
      row: "Conv",
      title: mode,
      initializers: [FILTERS],
      nodes: [["Conv(x, w) -> y", { auto_pad: mode, strides: [2, 2] }]],
    },
    {
      row: "MaxPool",
      title: mode,
      nodes: [["MaxPool(x) -> y", { auto_pad: mode, kernel_shape: [2, 3], strides: [1, 2] }]],
    },
    {
      row: "AveragePool",
      title: mode,
      nodes: [["AveragePool(x) -> y", { auto_pad: mode, kernel_shape: [3, 2], strides: [2, 1] }]],
    },
    {
      row: "ConvTranspose",
      title: mode,
      initializers: [TRANSPOSED],
      nodes: [["ConvTranspose(x, w) -> y", { auto_pad: mode, strides: [2, 2] }]],
    },
  ]),
  ...["SAME_UPPER", "SAME_LOWER", "NOTSET"].map(
    (mode): Case => ({
      row: "ConvTranspose",
      title: `output_shape with ${mode}`,
      initializers: [TRANSPOSED],
      nodes: [["ConvTranspose(x, w) -> y", { auto_pad: mode, strides: [2, 2], output_shape: [12, 10] }]],
    }),
  ),
];

/** Functions of the file itself. */
export const FUNCTIONS: readonly Case[] = [
  {
    row: "a function with an attribute and a function inside it",
    opset: 18,
    domains: { local: 1 },
    functions: [
      {
        ...{ name: "Leaky", domain: "local", input: ["a"], output: ["b"], attribute: ["slope"] },
        attributeProto: [],
        opsetImport: [{ domain: "", version: 18 }],
        node: graphOf([["LeakyRelu(a) -> b", { alpha: { ref: "slope", type: ATTRIBUTE_TYPE.float } }]], [])
          .node,
      },
      {
        ...{ name: "Twice", domain: "local", input: ["x", "unused"], output: ["y"], attribute: [] },
        attributeProto: [],
        opsetImport: [
          { domain: "", version: 18 },
          { domain: "local", version: 1 },
        ],
        node: graphOf(
          [
            ["local::Leaky(x) -> once", { slope: { f: 0.5 } }],
            ["local::Leaky(once) -> y", { slope: { f: 0.25 } }],
          ],
          [],
        ).node,
      },
    ],
    nodes: [["Neg(x) -> n"], ["local::Twice(n) -> t"], ["local::Twice(t) -> y"]],
  },
];
