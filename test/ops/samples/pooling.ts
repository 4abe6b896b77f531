// Samples of pooling and its gradient. No equal maxima here (they are pinned in test/lower/forms.test.ts).
import type { Sample, SampleInput } from "./sample.ts";

const CASES: readonly Sample[] = [
  {
    title: "2x2 windows",
    inputs: [{ shape: [2, 3, 4, 6] }],
    attrs: { kernel_shape: [2, 2], strides: [2, 2] },
  },
  {
    title: "2x2 windows that leave a row and a column over",
    inputs: [{ shape: [1, 2, 5, 7] }],
    attrs: { kernel_shape: [2, 2], strides: [2, 2] },
  },
  {
    title: "windows that overlap, and pads",
    inputs: [{ shape: [2, 2, 6, 5] }],
    attrs: { kernel_shape: [3, 3], strides: [2, 2], pads: [1, 1, 1, 1] },
  },
  {
    title: "windows that do not touch, and asymmetric pads",
    inputs: [{ shape: [1, 2, 7, 8] }],
    attrs: { kernel_shape: [2, 3], strides: [3, 4], pads: [1, 0, 0, 2] },
  },
  { title: "windows one apart", inputs: [{ shape: [1, 2, 4, 4] }], attrs: { kernel_shape: [2, 3] } },
];

const MAX_ONLY: readonly Sample[] = [
  {
    title: "dilations",
    inputs: [{ shape: [1, 2, 6, 7] }],
    attrs: { kernel_shape: [2, 3], dilations: [2, 2], strides: [1, 2] },
  },
  {
    title: "ceil_mode and a partial last window",
    inputs: [{ shape: [1, 2, 5, 6] }],
    attrs: { kernel_shape: [2, 3], strides: [2, 3], ceil_mode: 1, pads: [0, 1, 0, 1] },
  },
];

/**
 * dy, x and y of a gradient: y is what x gives, so the numbers of x are made here and y is computed from
 * them.
 */
function gradientInputs(sample: Sample): readonly SampleInput[] {
  const shape = sample.inputs[0]?.shape ?? [];
  const [n = 1, c = 1, h = 1, w = 1] = shape;
  const attrs = sample.attrs as Record<string, number[]>;
  const { kernel_shape: kernel = [], strides = [1, 1], pads = [0, 0, 0, 0], dilations = [1, 1] } = attrs;
  // 97 and 1009 are coprime: all numbers of a sample differ.
  const x = Array.from({ length: n * c * h * w }, (_, i) => ((i * 97) % 1009) / 1009);
  const count = (axis: 0 | 1): number => {
    const room = (shape[axis + 2] ?? 0) + (pads[axis] ?? 0) + (pads[axis + 2] ?? 0);
    const steps = (room - (((kernel[axis] ?? 1) - 1) * (dilations[axis] ?? 1) + 1)) / (strides[axis] ?? 1);
    return (sample.attrs?.ceil_mode === 1 ? Math.ceil(steps) : Math.floor(steps)) + 1;
  };
  const [p, q] = [count(0), count(1)];
  const y = Array.from({ length: n * c * p * q }, (_, at) => {
    const [plane, row, column] = [Math.floor(at / (p * q)), Math.floor(at / q) % p, at % q];
    let best = Number.NEGATIVE_INFINITY;
    for (let r = 0; r < (kernel[0] ?? 1); r++)
      for (let s = 0; s < (kernel[1] ?? 1); s++) {
        const i = row * (strides[0] ?? 1) + r * (dilations[0] ?? 1) - (pads[0] ?? 0);
        const j = column * (strides[1] ?? 1) + s * (dilations[1] ?? 1) - (pads[1] ?? 0);
        if (i >= 0 && i < h && j >= 0 && j < w) best = Math.max(best, x[(plane * h + i) * w + j] ?? best);
      }
    return best;
  });
  const out = [n, c, p, q];
  return [{ shape: out }, { shape, data: x }, { shape: out, data: y }];
}

/** Partial last windows, with pads before and after them. */
const CEIL: readonly Sample[] = [
  {
    title: "ceil_mode and a last window that is partial on both axes",
    inputs: [{ shape: [1, 2, 5, 6] }],
    attrs: { kernel_shape: [2, 3], strides: [2, 2], ceil_mode: 1 },
  },
  {
    title: "ceil_mode and pads on all sides",
    inputs: [{ shape: [1, 1, 6, 5] }],
    attrs: { kernel_shape: [3, 3], strides: [2, 2], pads: [1, 1, 1, 1], ceil_mode: 1 },
  },
  {
    title: "ceil_mode and asymmetric pads",
    inputs: [{ shape: [1, 1, 6, 4] }],
    attrs: { kernel_shape: [3, 2], strides: [2, 3], pads: [0, 1, 1, 0], ceil_mode: 1 },
  },
  {
    title: "ceil_mode where the last window would begin in the padding",
    inputs: [{ shape: [1, 1, 4, 4] }],
    attrs: { kernel_shape: [2, 2], strides: [3, 3], pads: [1, 1, 1, 1], ceil_mode: 1 },
  },
];

const GLOBAL: readonly Sample[] = [
  { title: "images", inputs: [{ shape: [2, 3, 3, 2] }] },
  { title: "rows", inputs: [{ shape: [2, 2, 4] }] },
];

export const POOLING_SAMPLES: Readonly<Record<string, readonly Sample[]>> = {
  MaxPool: [...CASES, ...MAX_ONLY, ...CEIL],
  AveragePool: [
    ...CASES,
    ...CEIL,
    ...CEIL.map((sample) => ({
      ...sample,
      title: `${sample.title}, padding that counts`,
      attrs: { ...sample.attrs, count_include_pad: 1 },
    })),
    {
      title: "padding that counts",
      inputs: [{ shape: [1, 2, 4, 5] }],
      attrs: { kernel_shape: [3, 2], pads: [1, 1, 1, 0], count_include_pad: 1 },
    },
  ],
  MaxPoolGrad: [...CASES, ...MAX_ONLY].map((sample) => ({ ...sample, inputs: gradientInputs(sample) })),
  LpPool: [
    ...CASES,
    // ONNX's shape inference of LpPool counts a window that begins in the padding, ONNX Runtime's kernel does not.
    ...CEIL.slice(0, -1),
    ...MAX_ONLY,
    ...CASES.slice(0, 3).map((sample) => ({
      ...sample,
      title: `${sample.title} and p = 3`,
      attrs: { ...sample.attrs, p: 3 },
    })),
    {
      title: "p = 1",
      inputs: [{ shape: [1, 2, 3, 4] }],
      attrs: { kernel_shape: [2, 2], p: 1 },
    },
  ],
  GlobalAveragePool: GLOBAL,
  GlobalMaxPool: GLOBAL,
  GlobalLpPool: [
    ...GLOBAL,
    { title: "p = 1", inputs: [{ shape: [1, 2, 2, 3] }], attrs: { p: 1 } },
    { title: "p = 3", inputs: [{ shape: [1, 2, 2, 3] }], attrs: { p: 3 } },
  ],
  MaxUnpool: [
    {
      title: "places in any order",
      inputs: [
        { shape: [1, 2, 1, 2] },
        { shape: [1, 2, 1, 2], dtype: "int64", data: [3, 0, 4, 6] },
        { shape: [4], dtype: "int64", data: [1, 2, 2, 2], constant: true },
      ],
      attrs: { kernel_shape: [2, 1], strides: [2, 1] },
    },
  ],
};
