// Samples of rectifiers, clipping and smooth activations. Numbers keep away from thresholds by 1e-3 or more:
// what happens at one is pinned in test/ops/pinnedPieces.test.ts.
import { bools, floats } from "./inputs.ts";
import type { Sample } from "./sample.ts";

/** Both sides of 0, and far from it. */
const WIDE: Sample = { title: "a wide range", inputs: [{ shape: [3, 4], low: -4, high: 4 }] };
const UNARY: readonly Sample[] = [WIDE, { title: "a matrix", inputs: [floats(2, 3)] }];
/** Numbers on either side of every threshold that the samples below have, and not at one. */
const PIECES = { shape: [2, 5], data: [-3.7, -1.3, -0.72, -0.21, 0.13, 0.31, 0.83, 1.27, 2.2, 3.9] } as const;

function withAttrs(attrs: Readonly<Record<string, number>>): Sample {
  return { title: JSON.stringify(attrs), inputs: [PIECES], attrs };
}

const scalar = (value: number) => ({ shape: [], data: [value] });

export const ACTIVATION_SAMPLES: Readonly<Record<string, readonly Sample[]>> = {
  Relu: UNARY,
  Sigmoid: UNARY,
  Tanh: UNARY,
  LeakyRelu: [WIDE, withAttrs({ alpha: 0.3 }), withAttrs({ alpha: -0.5 })],
  PRelu: [
    { title: "a slope for each channel", inputs: [floats(2, 3, 2, 2), floats(3, 1, 1)] },
    { title: "one slope for all", inputs: [floats(3, 4), floats(1)] },
    { title: "a slope for each number", inputs: [{ shape: [2, 3], low: -1, high: -0.1 }, floats(2, 3)] },
  ],
  Elu: [WIDE, withAttrs({ alpha: 0.4 })],
  Selu: [WIDE, withAttrs({ alpha: 1.2, gamma: 0.7 })],
  Celu: [WIDE, withAttrs({ alpha: 0.6 }), withAttrs({ alpha: 2.5 })],
  ThresholdedRelu: [WIDE, withAttrs({ alpha: 0.3 })],
  Shrink: [WIDE, withAttrs({ lambd: 1, bias: 0.4 })],
  Clip: [
    { title: "two bounds", inputs: [PIECES, scalar(-1), scalar(2)] },
    { title: "a lower bound only", inputs: [PIECES, scalar(0)] },
    { title: "an upper bound only", inputs: [PIECES, undefined, scalar(1)] },
    { title: "no bounds", inputs: [PIECES] },
    {
      title: "constant bounds, as in Relu6",
      inputs: [
        { shape: [5], data: [-2, 0.5, 3, 5.5, 7] },
        { ...scalar(0), constant: true },
        { ...scalar(6), constant: true },
      ],
    },
    {
      title: "integers",
      inputs: [
        { dtype: "int64", shape: [3], data: [-4, 2, 9] },
        { dtype: "int64", shape: [], data: [0], constant: true },
        { dtype: "int64", shape: [], data: [6], constant: true },
      ],
    },
  ],
  HardSigmoid: [WIDE, withAttrs({ alpha: 0.4, beta: 0.6 })],
  HardSwish: [
    WIDE,
    { title: "all three pieces", inputs: [{ shape: [5], data: [-4.5, -2.5, 0.2, 2.9, 3.6] }] },
  ],
  ReluGrad: [
    { title: "images", inputs: [floats(2, 3, 2, 2), floats(2, 3, 2, 2)] },
    { title: "zeros", inputs: [floats(4), { shape: [4], data: [0, 1, 0, 3e-3] }] },
  ],
  MaskGrad: [{ title: "a mask", inputs: [floats(2, 3), bools([2, 3], 1, 0, 0, 1, 1, 0)] }],
  PieceGrad: [
    { title: "equal shapes", inputs: [floats(2, 2), floats(2, 2), bools([2, 2], 1, 0, 0, 1)] },
    { title: "a number on one piece", inputs: [scalar(1.5), floats(2, 2), bools([2, 2], 1, 0, 0, 1)] },
    { title: "a number on the other", inputs: [floats(2, 2), scalar(-0.5), bools([2, 2], 1, 0, 0, 1)] },
  ],
  Softplus: [...UNARY, { title: "large numbers", inputs: [{ shape: [4], data: [-30, 40, 60, 3] }] }],
  Softsign: UNARY,
  Mish: [...UNARY, { title: "large numbers", inputs: [{ shape: [4], data: [-20, 20, 30, 3] }] }],
  Erf: [...UNARY, { title: "large numbers", inputs: [{ shape: [4], data: [-7, 6.5, 0.5, 2] }] }],
};
