// Samples of Resize and Einsum. Nearest pixels avoid coordinates that lie halfway, where rounding in float32
// decides, but for those that every arithmetic gives exactly.
import { constants, floats } from "./inputs.ts";
import type { Sample, SampleInput } from "./sample.ts";

function scales(...data: readonly number[]): SampleInput {
  return { shape: [data.length], data, constant: true };
}

function byScales(
  title: string,
  x: SampleInput,
  factors: readonly number[],
  attrs: Sample["attrs"] = {},
): Sample {
  return { title, inputs: [x, undefined, scales(...factors)], attrs };
}

function bySizes(
  title: string,
  x: SampleInput,
  sizes: readonly number[],
  attrs: Sample["attrs"] = {},
): Sample {
  return { title, inputs: [x, undefined, undefined, constants(...sizes)], attrs };
}

const COORDINATES = ["half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric"] as const;

export const RESIZE_SAMPLES: Readonly<Record<string, readonly Sample[]>> = {
  Resize: [
    byScales("nearest pixels, twice the size", floats(1, 2, 2, 3), [1, 1, 2, 2], {
      coordinate_transformation_mode: "asymmetric",
      nearest_mode: "floor",
    }),
    byScales("nearest pixels, by default", floats(1, 2, 3, 2), [1, 1, 2, 3]),
    ...["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"].flatMap((nearest_mode) => [
      bySizes(`nearest pixels by ${nearest_mode}, larger`, floats(1, 1, 3, 5), [1, 1, 5, 8], {
        nearest_mode,
      }),
      bySizes(`nearest pixels by ${nearest_mode}, smaller`, floats(1, 1, 5, 4), [1, 1, 4, 3], {
        nearest_mode,
        coordinate_transformation_mode: "asymmetric",
      }),
    ]),
    ...COORDINATES.flatMap((coordinate_transformation_mode) => [
      bySizes(`linear, ${coordinate_transformation_mode}, larger`, floats(1, 2, 3, 4), [1, 2, 5, 6], {
        mode: "linear",
        coordinate_transformation_mode,
      }),
      bySizes(`linear, ${coordinate_transformation_mode}, smaller`, floats(1, 1, 5, 6), [1, 1, 2, 4], {
        mode: "linear",
        coordinate_transformation_mode,
      }),
      byScales(`cubic, ${coordinate_transformation_mode}`, floats(1, 1, 4, 5), [1, 1, 1.5, 2], {
        mode: "cubic",
        coordinate_transformation_mode,
      }),
    ]),
    byScales("linear by a scale that leaves a part of a pixel", floats(1, 1, 5, 4), [1, 1, 1.3, 0.6], {
      mode: "linear",
    }),
    byScales("cubic with another coefficient, outside left out", floats(1, 1, 4, 4), [1, 1, 2, 1.5], {
      mode: "cubic",
      cubic_coeff_a: -0.5,
      exclude_outside: 1,
    }),
    bySizes("linear to one pixel", floats(1, 1, 3, 4), [1, 1, 1, 1], {
      mode: "linear",
      coordinate_transformation_mode: "pytorch_half_pixel",
    }),
    {
      title: "named axes",
      inputs: [floats(1, 2, 3, 3), undefined, undefined, constants(6, 2)],
      attrs: { mode: "linear", axes: [2, 3] },
    },
  ],
  Einsum: [
    { title: "a matrix product", inputs: [floats(2, 3), floats(3, 4)], attrs: { equation: "ij,jk->ik" } },
    {
      title: "stacks of matrices, transposed",
      inputs: [floats(2, 3, 4), floats(2, 2, 4)],
      attrs: { equation: "bid,bjd->bij" },
    },
    { title: "no result named", inputs: [floats(3, 2), floats(3)], attrs: { equation: "ba, b" } },
    { title: "axes that are summed", inputs: [floats(2, 3), floats(2, 4)], attrs: { equation: "ij,ik->k" } },
    { title: "all of a tensor", inputs: [floats(2, 3)], attrs: { equation: "ij->" } },
    { title: "a transposition", inputs: [floats(2, 3, 2)], attrs: { equation: "abc->cab" } },
    { title: "a diagonal", inputs: [floats(3, 3, 2)], attrs: { equation: "iij->ij" } },
    {
      title: "three operands",
      inputs: [floats(2, 3), floats(3, 2), floats(2, 2)],
      attrs: { equation: "ij,jk,kl->il" },
    },
    {
      title: "dots for the leading axes",
      inputs: [floats(2, 2, 3, 2), floats(2, 2, 2, 3)],
      attrs: { equation: "...ij,...jk->...ik" },
    },
    { title: "an outer product", inputs: [floats(3), floats(2)], attrs: { equation: "i,j->ij" } },
  ],
};
