// Samples of the reduction family.
import { constants, floats } from "./inputs.ts";
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

export const REDUCTION_SAMPLES: Readonly<Record<string, readonly Sample[]>> = {
  ReduceSum: REDUCED,
  ReduceMean: REDUCED,
  ReduceMax: REDUCED,
  // Without axes nothing is squared in some versions of ONNX Runtime; mttc never emits that form.
  ReduceSumSquare: REDUCED.slice(0, -1),
};
