// Samples of the reduction family.
import { constants, floats, positive } from "./inputs.ts";
import type { Sample } from "./sample.ts";

const REDUCED: readonly Sample[] = [
  { title: "one axis kept as 1", inputs: [floats(2, 3, 4), constants(1)] },
  { title: "two axes dropped", inputs: [floats(2, 3, 4), constants(0, -1)], attrs: { keepdims: 0 } },
  { title: "all axes, none being named", inputs: [floats(2, 3)], attrs: { keepdims: 0 } },
  { title: "axes named in any order", inputs: [floats(2, 3, 4), constants(2, 0)] },
  {
    title: "no axes and leave to do nothing",
    inputs: [floats(2, 3), constants()],
    attrs: { noop_with_empty_axes: 1 },
    gradientFloor: 1e-2,
  },
];

const POSITIVE: readonly Sample[] = REDUCED.map((sample) => ({
  ...sample,
  inputs: sample.inputs.map((input) => (input?.constant ? input : positive(...(input?.shape ?? [])))),
}));

export const REDUCTION_SAMPLES: Readonly<Record<string, readonly Sample[]>> = {
  ReduceSum: REDUCED,
  ReduceMean: REDUCED,
  ReduceMax: REDUCED,
  ReduceMin: REDUCED,
  ReduceProd: [
    ...REDUCED,
    {
      title: "one zero in a row, and two",
      inputs: [{ shape: [3, 3], data: [0, 2, 3, 0, 0.5, 0, 2, 1, 4] }, constants(1)],
    },
  ],
  // With no axes and leave to do nothing, some versions of ONNX Runtime leave out the function too.
  ReduceL1: REDUCED.slice(0, -1),
  ReduceL2: REDUCED.slice(0, -1),
  ReduceLogSum: POSITIVE.slice(0, -1),
  ReduceLogSumExp: [
    ...REDUCED.slice(0, -1),
    {
      title: "large numbers",
      inputs: [{ shape: [2, 3], data: [800, 801, 799.5, -900, -901, -899] }, constants(1)],
    },
  ],
  // Without axes nothing is squared in some versions of ONNX Runtime; mttc never emits that form.
  ReduceSumSquare: REDUCED.slice(0, -1),
};
