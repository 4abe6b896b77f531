// Samples of elements picked and placed by indices, by tuples of them and by ranges.
import { constants, floats, indices } from "./inputs.ts";
import type { Sample } from "./sample.ts";

const END = 2 ** 31 - 1;

export const GATHER_SCATTER_SAMPLES: Readonly<Record<string, readonly Sample[]>> = {
  Slice: [
    { title: "the first axes, none being named", inputs: [floats(4, 3), constants(1), constants(3)] },
    {
      title: "bounds behind the end, which leave nothing",
      inputs: [floats(4, 5), constants(9), constants(99), constants(1)],
      gradientFloor: 0,
    },
    {
      title: "bounds from the end",
      inputs: [floats(4, 5), constants(-3, 1), constants(-1, END), constants(0, 1)],
    },
    {
      title: "every second element",
      inputs: [floats(2, 7), constants(1), constants(7), constants(1), constants(2)],
    },
    {
      title: "an axis reversed",
      inputs: [floats(2, 4), constants(-1), constants(-END), constants(1), constants(-1)],
    },
    {
      title: "steps backwards and forwards on two axes",
      inputs: [floats(5, 4), constants(4, 0), constants(0, 4), constants(0, 1), constants(-2, 3)],
    },
    {
      title: "bounds beyond the ends, clamped",
      inputs: [floats(3, 2), constants(-9), constants(9), constants(0), constants(1)],
    },
  ],
  Gather: [
    { title: "rows, some of them twice", inputs: [floats(4, 2), indices([3], 1, 3, 1)] },
    {
      title: "a matrix of negative and other columns",
      inputs: [floats(2, 4), indices([2, 2], 0, -1, 2, 0)],
      attrs: { axis: 1 },
    },
    {
      title: "a scalar index at a middle axis",
      inputs: [floats(2, 3, 2), indices([], 2)],
      attrs: { axis: -2 },
    },
  ],
  GatherElements: [
    { title: "axis 0, some twice", inputs: [floats(3, 2), indices([2, 2], 0, 2, 0, 1)] },
    { title: "the class of each row", inputs: [floats(3, 4), indices([3, 1], 2, -1, 0)], attrs: { axis: 1 } },
  ],
  ScatterElements: [
    {
      title: "replacing",
      inputs: [floats(3, 3), indices([2, 2], 0, 2, 1, -3), floats(2, 2)],
    },
    {
      title: "adding twice to one place",
      inputs: [floats(2, 4), indices([2, 3], 1, 1, 3, 0, -1, 3), floats(2, 3)],
      attrs: { axis: 1, reduction: "add" },
    },
  ],
  GatherND: [
    { title: "single elements, one twice", inputs: [floats(3, 2), indices([3, 2], 0, 1, 2, 0, 0, 1)] },
    { title: "rows, by negative indices too", inputs: [floats(3, 2), indices([2, 1], -1, 0)] },
    {
      title: "one common axis",
      inputs: [floats(2, 3, 2), indices([2, 2, 1], 0, 2, 1, 1)],
      attrs: { batch_dims: 1 },
    },
  ],
  ScatterND: [
    { title: "elements replaced", inputs: [floats(3, 2), indices([2, 2], 0, 1, -1, 0), floats(2)] },
    { title: "rows replaced", inputs: [floats(4, 2), indices([2, 1], 3, 1), floats(2, 2)] },
    {
      title: "adding twice to one row",
      inputs: [floats(3, 2), indices([3, 1], 1, 1, 0), floats(3, 2)],
      attrs: { reduction: "add" },
    },
  ],
  OneHot: [
    { title: "the last axis, by default", inputs: [indices([2, 2], 0, 2, 1, -1), constants(3), floats(2)] },
    { title: "the first axis", inputs: [indices([3], 1, 0, 1), constants(2), floats(2)], attrs: { axis: 0 } },
  ],
  NonZero: [
    { title: "a list of flags", inputs: [{ dtype: "bool", shape: [5], data: [0, 1, 0, 1, 1] }] },
    { title: "a matrix", inputs: [{ dtype: "float32", shape: [2, 3], data: [0, -1, 2, 0.5, 0, 0] }] },
    { title: "nothing found", inputs: [{ dtype: "int64", shape: [3], data: [0, 0, 0] }] },
  ],
};
