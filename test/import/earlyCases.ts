// Models for the rows of import that are about the forms of opset 9 and 10, and about sequences.
import type { DType } from "../../compiler/ir/types.ts";
import { type ForeignModel, ints, tensor } from "./foreignModel.ts";

/** A model in one form of an operator, and what stands for the original where ONNX Runtime cannot run it. */
export interface Case extends ForeignModel {
  /** `<operator>-<sinceOpset>` of the row. */
  readonly row: string;
  readonly title?: string;
  readonly type?: DType;
  /** Stands for what ONNX Runtime would give, where it cannot run the original. */
  readonly instead?: ForeignModel;
}

const last = tensor("last", "int64", [], [-1]);

export const EARLY_CASES: readonly Case[] = [
  {
    row: "SplitToSequence-11",
    initializers: [ints("sizes", [1, 2]), last],
    nodes: [["SplitToSequence(x, sizes) -> s", { axis: 1 }], ["SequenceAt(s, last) -> y"]],
    title: "of given sizes",
  },
  ...[0, 1].map(
    (keepdims): Case => ({
      row: "SplitToSequence-11",
      title: `of size 1, keepdims ${keepdims}`,
      initializers: [last],
      nodes: [["SplitToSequence(x) -> s", { axis: -1, keepdims }], ["SequenceAt(s, last) -> y"]],
    }),
  ),
  {
    row: "SequenceAt-11",
    initializers: [last, tensor("four", "int64", [], [4])],
    nodes: [["SplitToSequence(x, four) -> s", { axis: 2 }], ["SequenceAt(s, last) -> y"]],
  },
  {
    row: "SequenceConstruct-11",
    nodes: [["Neg(x) -> n"], ["SequenceConstruct(x, n) -> s"], ["ConcatFromSequence(s) -> y", { axis: 1 }]],
  },
  {
    row: "SequenceLength-11",
    type: "int64",
    nodes: [["SplitToSequence(x) -> s", { axis: 2 }], ["SequenceLength(s) -> n"], ["Neg(n) -> y"]],
  },
  {
    row: "ConcatFromSequence-11",
    title: "as a new axis",
    nodes: [
      ["Neg(x) -> n"],
      ["SequenceConstruct(x, n) -> s"],
      ["ConcatFromSequence(s) -> y", { axis: 1, new_axis: 1 }],
    ],
  },
  { row: "Hardmax-9", opset: 11, nodes: [["Hardmax(x) -> y"]] },
  {
    row: "Slice-9",
    opset: 9,
    nodes: [["Slice(x) -> y", { starts: [1, -4], ends: [3, 99], axes: [1, 3] }]],
  },
  {
    row: "Slice-9",
    title: "without axes",
    opset: 9,
    nodes: [["Slice(x) -> y", { starts: [0, 1], ends: [2, 2] }]],
  },
  { row: "Clip-9", opset: 10, nodes: [["Clip(x) -> y", { min: { f: -0.5 }, max: { f: 1.25 } }]] },
  { row: "Clip-9", title: "from below", opset: 9, nodes: [["Clip(x) -> y", { min: { f: 0 } }]] },
  {
    row: "Pad-9",
    opset: 10,
    nodes: [["Pad(x) -> y", { pads: [0, 0, 1, 2, 0, 0, 0, 1], value: { f: 0.5 } }]],
  },
  {
    row: "Pad-9",
    title: "reflected",
    opset: 9,
    nodes: [["Pad(x) -> y", { pads: [0, 0, 1, 2, 0, 0, 2, 1], mode: "reflect" }]],
  },
  { row: "TopK-9", opset: 9, nodes: [["TopK(x) -> y, i", { k: 2, axis: 3 }]], outputs: ["y"] },
  ...["nearest", "linear"].flatMap((mode): Case[] => [
    {
      row: "Upsample-9",
      title: mode,
      opset: 9,
      initializers: [tensor("s", "float32", [4], [1, 1, 2, 3])],
      nodes: [["Upsample(x, s) -> y", { mode }]],
    },
    {
      row: "Resize-10",
      title: mode,
      opset: 10,
      initializers: [tensor("s", "float32", [4], [1, 1, 2, 1.4])],
      nodes: [["Resize(x, s) -> y", { mode }]],
    },
    {
      row: "Resize-10",
      title: `${mode}, smaller`,
      opset: 10,
      initializers: [tensor("s", "float32", [4], [1, 1, 0.5, 0.6])],
      nodes: [["Resize(x, s) -> y", { mode }]],
    },
  ]),
  {
    row: "Scatter-9",
    opset: 9,
    initializers: [
      tensor("i", "int64", [1, 1, 1, 5], [3, 1, 0, 5, 2]),
      tensor("u", "float32", [1, 1, 1, 5], [9, 8, 7, 6, 5]),
    ],
    nodes: [["Scatter(x, i, u) -> y", { axis: 2 }]],
  },
];
