// Samples of the optimizers' updates.
import { floats, positive } from "./inputs.ts";
import type { Sample } from "./sample.ts";

const RATE = { shape: [], data: [0.01] };

export const OPTIMIZER_UPDATE_SAMPLES: Readonly<Record<string, readonly Sample[]>> = {
  AdamUpdate: [
    {
      title: "a kernel and Keras's constants",
      inputs: [floats(2, 3, 1, 2), floats(2, 3, 1, 2), floats(2, 3, 1, 2), positive(2, 3, 1, 2), RATE],
      attrs: { beta1: 0.9, beta2: 0.999, epsilon: 1e-7 },
      outputs: 3,
    },
    {
      title: "a scalar and a large epsilon",
      inputs: [floats(), floats(), floats(), positive(), RATE],
      attrs: { beta1: 0.5, beta2: 0.75, epsilon: 0.25 },
      outputs: 3,
    },
    {
      title: "the first step, from zeros",
      inputs: [
        floats(4),
        floats(4),
        { shape: [4], data: [0, 0, 0, 0] },
        { shape: [4], data: [0, 0, 0, 0] },
        RATE,
      ],
      attrs: { beta1: 0.9, beta2: 0.999, epsilon: 1e-7 },
      outputs: 3,
    },
  ],
  MomentumUpdate: [
    {
      title: "a kernel",
      inputs: [floats(2, 3, 2), floats(2, 3, 2), floats(2, 3, 2), RATE],
      attrs: { momentum: 0.9 },
      outputs: 2,
    },
    {
      title: "a scalar",
      inputs: [floats(), floats(), floats(), RATE],
      attrs: { momentum: 0.5 },
      outputs: 2,
    },
  ],
};
