// Samples of the indexing family.
import { constants, floats, indices } from "./inputs.ts";
import type { Sample } from "./sample.ts";

const END = 2 ** 31 - 1;

export const INDEXING_SAMPLES: Readonly<Record<string, readonly Sample[]>> = {
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
};
