// Samples of the family of matrix products.
import { floats } from "./inputs.ts";
import type { Sample } from "./sample.ts";

export const MATMUL_SAMPLES: Readonly<Record<string, readonly Sample[]>> = {
  MatMul: [
    { title: "two matrices", inputs: [floats(2, 3), floats(3, 4)] },
    { title: "a stack and a matrix", inputs: [floats(2, 2, 3), floats(3, 2)] },
    { title: "stacks that broadcast", inputs: [floats(2, 1, 2, 3), floats(3, 3, 2)] },
    { title: "a vector on the right", inputs: [floats(2, 3), floats(3)] },
    { title: "a stack and a vector on the right", inputs: [floats(2, 2, 3), floats(3)] },
    { title: "a vector on the left of a stack", inputs: [floats(3), floats(2, 3, 2)] },
    { title: "two vectors", inputs: [floats(3), floats(3)] },
  ],
  FusedMatMul: [
    { title: "two matrices, scaled", inputs: [floats(2, 3), floats(3, 4)], attrs: { alpha: -0.5 } },
    { title: "the first transposed", inputs: [floats(3, 2), floats(3, 4)], attrs: { transA: 1 } },
    { title: "the second transposed", inputs: [floats(2, 3), floats(4, 3)], attrs: { transB: 1 } },
    {
      title: "both transposed, in stacks",
      inputs: [floats(2, 3, 2), floats(2, 4, 3)],
      attrs: { transA: 1, transB: 1, alpha: 1.5 },
    },
    {
      title: "one matrix, transposed, for a stack",
      inputs: [floats(3, 2), floats(2, 3, 4)],
      attrs: { transA: 1 },
    },
    {
      title: "stacks that broadcast, the second transposed",
      inputs: [floats(2, 1, 2, 3), floats(3, 4, 3)],
      attrs: { transB: 1 },
    },
  ],
  Gemm: [
    { title: "neither transposed, with a row added", inputs: [floats(2, 3), floats(3, 4), floats(4)] },
    { title: "the first transposed", inputs: [floats(3, 2), floats(3, 4)], attrs: { transA: 1, alpha: 0.5 } },
    {
      title: "the second transposed, a column added",
      inputs: [floats(2, 3), floats(4, 3), floats(2, 1)],
      attrs: { transB: 1, beta: -2 },
    },
    {
      title: "both transposed, a scalar added",
      inputs: [floats(3, 2), floats(4, 3), floats()],
      attrs: { transA: 1, transB: 1, alpha: 1.5, beta: 0.25 },
    },
    { title: "a whole matrix added", inputs: [floats(2, 3), floats(3, 2), floats(2, 2)] },
  ],
};
