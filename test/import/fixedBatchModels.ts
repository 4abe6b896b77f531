// Models that fix their batch, as exporters write them: one image "x" [N,4,6,8].
import { ints, tensor, weights } from "./foreignModel.ts";
import { type SizedModel, TOKEN, TOKENS } from "./openBatchModels.ts";

const flat = (batch: number) => ints("flat", [batch, 4, 48]);

/** Title, and the model as a file of a batch of so many images has it. */
export const FIXED_BATCH_MODELS: readonly (readonly [string, (batch: number) => SizedModel])[] = [
  [
    "a classifier's reshape",
    (n) => ({
      initializers: [ints("s", [n, 4]), weights("d", [4, 3])],
      nodes: [["GlobalAveragePool(x) -> p"], ["Reshape(p, s) -> f", { allowzero: 1 }], ["Gemm(f, d) -> y"]],
    }),
  ],
  [
    "sizes of a resize",
    (n) => ({
      initializers: [ints("s", [n, 4, 9, 16])],
      nodes: [["Resize(x, , , s) -> y", { mode: "linear" }]],
    }),
  ],
  [
    "a class token, expanded and put before the tokens",
    (n) => ({
      initializers: [flat(n), TOKEN, ints("e", [n, 1, 4])],
      nodes: [...TOKENS, ["Expand(token, e) -> c"], ["Concat(c, t) -> y", { axis: 1 }]],
    }),
  ],
  [
    "a class token that the exporter has repeated",
    (n) => ({
      initializers: [
        flat(n),
        tensor(
          "c",
          "float32",
          [n, 1, 4],
          Array.from({ length: 4 * n }, (_, i) => i % 4),
        ),
      ],
      nodes: [...TOKENS, ["Concat(c, t) -> y", { axis: 1 }]],
    }),
  ],
  [
    "positions that the exporter has repeated, projected by a trained filter",
    (n) => ({
      initializers: [
        tensor(
          "c",
          "float32",
          [n, 2, 6, 8],
          Array.from({ length: 96 * n }, (_, i) => (i % 96) / 96),
        ),
        weights("w", [4, 2, 1, 1]),
      ],
      nodes: [["Conv(c, w) -> p"], ["Add(x, p) -> y"]],
    }),
  ],
  [
    "numbers that the exporter has repeated, added",
    (n) => ({
      initializers: [
        flat(n),
        tensor(
          "c",
          "float32",
          [n, 1, 4],
          Array.from({ length: 4 * n }, (_, i) => i % 4),
        ),
      ],
      nodes: [...TOKENS, ["Add(c, t) -> y"]],
    }),
  ],
  [
    "windows as further images, each with its own number",
    (n) => ({
      initializers: [
        ints("six", [n, 4, 2, 3, 2, 4]),
        ints("windows", [4 * n, 12, 4]),
        ints("back", [n, 2, 2, 3, 4, 4]),
        ints("map", [n, 6, 8, 4]),
        tensor(
          "c",
          "float32",
          [4 * n, 1, 1],
          Array.from({ length: 4 * n }, (_, i) => i % 4),
        ),
        weights("m", [4, 4]),
      ],
      nodes: [
        ["Reshape(x, six) -> a"],
        ["Transpose(a) -> b", { perm: [0, 2, 4, 3, 5, 1] }],
        ["Reshape(b, windows) -> w"],
        ["Add(w, c) -> numbered"],
        ["MatMul(numbered, m) -> mixed"],
        ["Softmax(mixed) -> weighed", { axis: 1 }],
        ["Reshape(weighed, back) -> d"],
        ["Transpose(d) -> e", { perm: [0, 1, 3, 2, 4, 5] }],
        ["Reshape(e, map) -> y"],
      ],
    }),
  ],
  [
    "attention in PyTorch's own order, tokens before images",
    (n) => ({
      initializers: [
        flat(n),
        ints("heads", [48, 2 * n, 2]),
        ints("rows2", [48 * n, 4]),
        ints("tokens", [48, n, 4]),
        weights("m", [4, 4]),
      ],
      nodes: [
        ...TOKENS,
        ["Transpose(t) -> first", { perm: [1, 0, 2] }],
        ["Reshape(first, heads) -> h"],
        ["Transpose(h) -> q", { perm: [1, 0, 2] }],
        ["Transpose(h) -> k", { perm: [1, 2, 0] }],
        ["MatMul(q, k) -> scores"],
        ["Softmax(scores) -> p", { axis: -1 }],
        ["MatMul(p, q) -> o"],
        ["Transpose(o) -> back", { perm: [1, 0, 2] }],
        ["Reshape(back, rows2) -> r"],
        ["MatMul(r, m) -> l"],
        ["Reshape(l, tokens) -> z"],
        ["Transpose(z) -> y", { perm: [1, 0, 2] }],
      ],
    }),
  ],
  [
    "query, key and value in one",
    (n) => ({
      initializers: [flat(n), weights("m", [4, 12]), ints("five", [n, 48, 3, 2, 2]), ints("i", [2])],
      nodes: [
        ...TOKENS,
        ["MatMul(t, m) -> qkv"],
        ["Reshape(qkv, five) -> f"],
        ["Transpose(f) -> g", { perm: [2, 0, 3, 1, 4] }],
        ["Gather(g, i) -> v", { axis: 0 }],
        ["ReduceMean(v) -> y", { axes: [0], keepdims: 0 }],
      ],
      opset: 17,
    }),
  ],
  [
    "a flattened batch, and back",
    (n) => ({
      initializers: [ints("all", [4 * n, 48]), ints("back", [n, 4, 6, 8])],
      nodes: [["Reshape(x, all) -> a"], ["Relu(a) -> r"], ["Reshape(r, back) -> y"]],
    }),
  ],
  [
    "Flatten, Squeeze and Unsqueeze",
    (n) => ({
      initializers: [ints("last", [2, 3]), ints("first", [1]), ints("back", [n, 4])],
      nodes: [
        ["GlobalAveragePool(x) -> p"],
        ["Squeeze(p, last) -> s"],
        ["Unsqueeze(s, first) -> u"],
        ["Flatten(u) -> f", { axis: 2 }],
        ["Reshape(f, back) -> y"],
      ],
    }),
  ],
  [
    "bounds of a slice over all images",
    (n) => ({
      initializers: [ints("from", [0, 1]), ints("to", [n, 3])],
      nodes: [["Slice(x, from, to) -> y"]],
    }),
  ],
  [
    "a grid to sample, repeated for each image",
    (n) => ({
      initializers: [
        tensor("g", "float32", [1, 2, 2, 2], [-0.5, -0.25, 0.5, -0.3, -0.4, 0.6, 0.2, 0.1]),
        ints("e", [n, 2, 2, 2]),
      ],
      nodes: [["Expand(g, e) -> grid"], ["GridSample(x, grid) -> y"]],
    }),
  ],
  [
    "groups of channels",
    (n) => ({
      initializers: [
        ints("groups", [n, 2, 96]),
        ints("back", [n, 4, 6, 8]),
        tensor("one", "float32", [2], [1, 1]),
        tensor("zero", "float32", [2], [0, 0]),
      ],
      nodes: [
        ["Reshape(x, groups) -> g"],
        ["InstanceNormalization(g, one, zero) -> i"],
        ["Reshape(i, back) -> y"],
      ],
    }),
  ],
  [
    "sums of products by names",
    (n) => ({
      initializers: [flat(n), weights("m", [4, 5])],
      nodes: [...TOKENS, ["Einsum(t, m) -> y", { equation: "btc,cd->bdt" }]],
    }),
  ],
  [
    "the image's own sizes",
    (n) => ({
      initializers: [ints("rest", [4, 48]), ints("first", [0]), ints("back", [n, 48, 4])],
      nodes: [
        ["Shape(x) -> s"],
        ["Gather(s, first) -> n", { axis: 0 }],
        ["Concat(n, rest) -> sizes", { axis: 0 }],
        ["Reshape(x, sizes) -> a"],
        ["Reshape(a, back) -> y"],
      ],
    }),
  ],
];

/** Title, batch of the file, model. */
export const MIXED_MODELS: readonly (readonly [string, number, SizedModel])[] = [
  ["a mean over the images", 3, { nodes: [["ReduceMean(x) -> y", { axes: [0] }]], opset: 17 }],
  [
    "images added to each other",
    3,
    { initializers: [ints("i", [0])], nodes: [["Gather(x, i) -> f", { axis: 0 }], ["Add(x, f) -> y"]] },
  ],
  ["a softmax over the images", 3, { nodes: [["Softmax(x) -> y", { axis: 0 }]] }],
  [
    "numbers that differ from image to image",
    3,
    { initializers: [tensor("c", "float32", [3, 1, 1, 1], [1, 2, 3])], nodes: [["Add(x, c) -> y"]] },
  ],
  [
    "a batch that is taken apart",
    3,
    {
      initializers: [ints("s", [2, 3, 2, 6, 8])],
      nodes: [["Reshape(x, s) -> a"], ["Softmax(a) -> y", { axis: 1 }]],
    },
  ],
];
