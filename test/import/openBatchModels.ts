// Models whose batch is a symbol and that compute with it, as exporters write them: one image "x" [N,4,6,8].
import { type ForeignModel, ints, type NodeText, tensor, weights } from "./foreignModel.ts";

export type SizedModel = Omit<ForeignModel, "image">;

export const TOKEN = weights("token", [1, 1, 4]);
/** [N,4,6,8] -> [N,48,4], as a patch embedding leaves it. */
export const TOKENS: readonly NodeText[] = [
  ["Reshape(x, flat) -> rows"],
  ["Transpose(rows) -> t", { perm: [0, 2, 1] }],
];

const CONSTANTS = [
  ...["zero", "one", "two", "three", "four", "eight", "minus"].map((name, i) =>
    ints(name, [[0, 1, 2, 3, 4, 8, -1][i] ?? 0]),
  ),
  ...["zero0", "one0", "four0", "six0"].map((name, i) => tensor(name, "int64", [], [[0, 1, 4, 6][i] ?? 0])),
  ints("chw", [4, 6, 8]),
];
/** The batch as [N] and as a scalar. */
const BATCH: readonly NodeText[] = [
  ["Shape(x) -> s"],
  ["Slice(s, zero, one) -> n"],
  ["Gather(s, zero0) -> n0", { axis: 0 }],
];

/** Models whose batch is a symbol. */
export const OPEN_BATCH_MODELS: readonly (readonly [string, SizedModel])[] = [
  [
    "4N by Mul, and back by Div and Cast",
    {
      initializers: [...CONSTANTS, ints("rest", [6, 8]), ints("rest2", [4, 6, 8])],
      nodes: [
        ...BATCH,
        ["Mul(n, four) -> nn"],
        ["Concat(nn, rest) -> sizes", { axis: 0 }],
        ["Reshape(x, sizes) -> a"],
        ["Shape(a) -> sa"],
        ["Slice(sa, zero, one) -> many"],
        ["Cast(many) -> f", { to: 1 }],
        ["Cast(four) -> g", { to: 1 }],
        ["Div(f, g) -> h"],
        ["Floor(h) -> i"],
        ["Cast(i) -> k", { to: 7 }],
        ["Concat(k, rest2) -> back", { axis: 0 }],
        ["Reshape(a, back) -> y"],
      ],
    },
  ],
  [
    "Size, divided by what is known",
    {
      initializers: [...CONSTANTS, ints("per", [48]), ints("rest", [48])],
      nodes: [
        ["Size(x) -> all"],
        ["Div(all, per) -> rows"],
        ["Concat(rows, rest) -> sizes", { axis: 0 }],
        ["Reshape(x, sizes) -> y"],
      ],
    },
  ],
  [
    "2N + 2N - 3N of sizes, by Add and Sub",
    {
      initializers: [...CONSTANTS],
      nodes: [
        ...BATCH,
        ["Mul(n, two) -> a"],
        ["Add(a, a) -> b"],
        ["Mul(n, three) -> c"],
        ["Sub(b, c) -> d"],
        ["Concat(d, minus) -> sizes", { axis: 0 }],
        ["Reshape(x, sizes) -> y"],
      ],
    },
  ],
  [
    "N + 1 that is taken back",
    {
      initializers: [...CONSTANTS],
      nodes: [
        ...BATCH,
        ["Add(n, one) -> more"],
        ["Sub(more, one) -> less"],
        ["Concat(less, chw) -> sizes", { axis: 0 }],
        ["Reshape(x, sizes) -> y"],
      ],
    },
  ],
  [
    "an expanded token, sizes by Where and Equal",
    {
      initializers: [...CONSTANTS, TOKEN, ints("flat", [0, 4, 48]), ints("ask", [-1, -1])],
      nodes: [
        ...TOKENS,
        ...BATCH,
        ["Concat(n, ask) -> wanted", { axis: 0 }],
        ["Equal(wanted, minus) -> keeps"],
        ["Where(keeps, one, wanted) -> sizes"],
        ["Expand(token, sizes) -> c"],
        ["Concat(c, t) -> y", { axis: 1 }],
      ],
    },
  ],
  [
    "a tiled token",
    {
      initializers: [...CONSTANTS, TOKEN, ints("flat", [0, 4, 48]), ints("ones", [2, 1])],
      nodes: [
        ...TOKENS,
        ...BATCH,
        ["Concat(n, ones) -> repeats", { axis: 0 }],
        ["Tile(token, repeats) -> c"],
        ["Concat(c, t) -> y", { axis: 1 }],
      ],
    },
  ],
  [
    "zeros of the batch's size",
    {
      initializers: [...CONSTANTS, ints("rest", [1, 6, 8])],
      nodes: [
        ...BATCH,
        ["Concat(n, rest) -> sizes", { axis: 0 }],
        ["ConstantOfShape(sizes) -> z"],
        ["Concat(z, x) -> y", { axis: 1 }],
      ],
    },
  ],
  [
    "ones for windows of the batch",
    {
      initializers: [...CONSTANTS, ints("rest", [6, 8])],
      nodes: [
        ...BATCH,
        ["Mul(n, four) -> nn"],
        ["Concat(nn, rest) -> sizes", { axis: 0 }],
        ["ConstantOfShape(sizes) -> z", { value: { t: tensor("v", "float32", [1], [2]) } }],
        ["Reshape(x, sizes) -> a"],
        ["Mul(z, a) -> y"],
      ],
    },
  ],
  [
    "a position for each image, counted from 0",
    {
      initializers: [...CONSTANTS, ints("ends", [1, 2, 3])],
      nodes: [
        ...BATCH,
        ["Range(zero0, n0, one0) -> r"],
        ["Cast(r) -> f", { to: 1 }],
        ["Unsqueeze(f, ends) -> h"],
        ["Add(x, h) -> y"],
      ],
    },
  ],
  [
    "positions counted by numbers that CastLike makes",
    {
      initializers: [...CONSTANTS, tensor("like", "float32", [], [0])],
      nodes: [
        ["CastLike(zero0, like) -> from"],
        ["CastLike(six0, like) -> to"],
        ["CastLike(one0, like) -> by"],
        ["Range(from, to, by) -> r"],
        ["Unsqueeze(r, one) -> column"],
        ["Add(x, column) -> y"],
      ],
    },
  ],
  [
    "a position for each row, expanded over the images",
    {
      initializers: [...CONSTANTS, ints("ends", [0, 1, 3]), ints("rest", [1, 6, 1])],
      nodes: [
        ...BATCH,
        ["Gather(s, two) -> rows", { axis: 0 }],
        ["Squeeze(rows, zero) -> rows0"],
        ["Range(zero0, rows0, one0) -> r"],
        ["Cast(r) -> f", { to: 1 }],
        ["Unsqueeze(f, ends) -> g"],
        ["Concat(n, rest) -> sizes", { axis: 0 }],
        ["Expand(g, sizes) -> h"],
        ["Concat(x, x) -> twice", { axis: 1 }],
        ["Add(twice, h) -> y"],
      ],
    },
  ],
  [
    "a resize by the image's sizes, doubled",
    {
      initializers: [...CONSTANTS, ints("ends", [4])],
      nodes: [
        ...BATCH,
        ["Slice(s, zero, two) -> nc"],
        ["Slice(s, two, ends) -> hw"],
        ["Mul(hw, two) -> big"],
        ["Concat(nc, big) -> sizes", { axis: 0 }],
        ["Resize(x, , , sizes) -> y", { mode: "linear", coordinate_transformation_mode: "align_corners" }],
      ],
    },
  ],
  [
    "a resize by scales that are computed",
    {
      initializers: [...CONSTANTS, ints("ends", [4]), tensor("unit", "float32", [2], [1, 1])],
      nodes: [
        ...BATCH,
        ["Slice(s, two, ends) -> hw"],
        ["Mul(hw, three) -> big"],
        ["Cast(big) -> a", { to: 1 }],
        ["Cast(hw) -> b", { to: 1 }],
        ["Div(a, b) -> ratio"],
        ["Concat(unit, ratio) -> scales", { axis: 0 }],
        ["Resize(x, , scales) -> y", { mode: "cubic" }],
      ],
    },
  ],
  [
    "windows by -1",
    {
      initializers: [
        ints("six", [-1, 4, 2, 3, 2, 4]),
        ints("windows", [-1, 12, 4]),
        ints("back", [-1, 2, 2, 3, 4, 4]),
      ],
      nodes: [
        ["Reshape(x, six) -> a"],
        ["Transpose(a) -> b", { perm: [0, 2, 4, 3, 5, 1] }],
        ["Reshape(b, windows) -> w"],
        ["Softmax(w) -> p", { axis: 1 }],
        ["Reshape(p, back) -> y"],
      ],
    },
  ],
  [
    "sizes of windows divided by their number, with -1 beside",
    {
      initializers: [...CONSTANTS, ints("windows", [-1, 12, 4]), ints("rest", [2, 2, -1, 4])],
      nodes: [
        ["Transpose(x) -> t", { perm: [0, 2, 3, 1] }],
        ["Reshape(t, windows) -> w"],
        ["Shape(w) -> s"],
        ["Slice(s, zero, one) -> many"],
        ["Div(many, four) -> n"],
        ["Concat(n, rest) -> sizes", { axis: 0 }],
        ["Reshape(w, sizes) -> y"],
      ],
    },
  ],
  [
    "Flatten that merges the batch with channels",
    {
      initializers: [ints("back", [-1, 4, 48])],
      nodes: [["Flatten(x) -> f", { axis: 2 }], ["Relu(f) -> r"], ["Reshape(r, back) -> y"]],
    },
  ],
  [
    "all images in one row, and back",
    {
      initializers: [ints("all", [-1]), ints("back", [-1, 4, 6, 8])],
      nodes: [["Reshape(x, all) -> f"], ["Relu(f) -> r"], ["Reshape(r, back) -> y"]],
    },
  ],
  [
    "a slice to the batch's own size",
    {
      initializers: [...CONSTANTS],
      nodes: [...BATCH, ["Slice(x, zero, n, zero) -> y"]],
    },
  ],
  [
    "images beside images, and apart",
    {
      initializers: [ints("back", [-1, 4, 6, 8]), ints("rows", [2, -1, 192]), ints("axis", [0])],
      nodes: [
        ["Exp(x) -> m"],
        ["Concat(x, m) -> both", { axis: 0 }],
        ["Reshape(both, rows) -> apart"],
        ["ReduceSum(apart, axis) -> sum", { keepdims: 0 }],
        ["Reshape(sum, back) -> y"],
      ],
    },
  ],
  [
    "sizes in a model's functions of opset 11, by attributes",
    {
      opset: 11,
      initializers: [...CONSTANTS],
      nodes: [
        ["Shape(x) -> s"],
        ["Gather(s, zero0) -> n0", { axis: 0 }],
        ["Unsqueeze(n0) -> n", { axes: [0] }],
        ["Squeeze(n) -> n1", { axes: [0] }],
        ["Unsqueeze(n1) -> n2", { axes: [0] }],
        ["Concat(n2, minus) -> sizes", { axis: 0 }],
        ["Reshape(x, sizes) -> y"],
      ],
    },
  ],
];
