// What of a foreign file is trained: the small cases of test/cases/models, their siblings, and exports by
// PyTorch of networks fresh from their constructors (test/fixtures/params), whose counts are PyTorch's own.
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { compile } from "../../compiler/compile.ts";
import { faultsOfAsync } from "../spec/faultsOf.ts";
import { type ForeignModel, ints, tensor, weights } from "./foreignModel.ts";
import {
  CLASSES,
  checkGradients,
  countTrained,
  fixedNames,
  isStatistic,
  load,
  loadModel,
  parametersOf,
  trainedNames,
} from "./loadTrunk.ts";

const CASES = join(import.meta.dirname, "../cases/models");
const EXPORTS = join(import.meta.dirname, "../fixtures/params");
let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "mttc-trained-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const conv = [["Conv(x, w1, b1) -> c", { pads: [1, 1, 1, 1] }]] as const;
const layer = [weights("w1", [4, 3, 3, 3]), weights("b1", [4])];

describe("the cases", () => {
  test.each([
    ["mean-std-inside", ["w1", "b1"], ["mean", "std"]],
    ["fixed-tensors", ["w1", "w2"], ["mean", "std", "blur"]],
    ["group-norm", ["w1", "b1", "g", "h"], ["ones", "zeros"]],
    ["scale-of-one-element", ["w1", "b1"], ["scale"]],
    ["scalar-parameter", ["w1", "b1", "gain"], []],
    ["small-weight-folded", ["w1", "b1", "t"], []],
    ["kernel-shared", ["w1", "b1", "w2"], []],
  ])("%s: %j are trained, %j are not", async (name, trained, fixed) => {
    const side = name === "fixed-tensors" ? 24 : 16;
    const loaded = await load(join(CASES, `${name}.onnx`), {}, side);
    expect(trainedNames(loaded)).toEqual(trained);
    expect(fixedNames(loaded)).toEqual(fixed);
  });

  test.each(["mean-std-inside", "group-norm", "scalar-parameter", "small-weight-folded", "kernel-shared"])(
    "%s: the gradients are those of central differences",
    async (name) => checkGradients(await load(join(CASES, `${name}.onnx`))),
  );

  test.each([
    ["norm-tied-statistics-train", "train", 1],
    ["norm-tied-statistics-frozen", "frozen", 1],
    ["norms-share-statistics", "train", 2],
  ] as const)(
    "%s: scale, bias, mean and variance of each norm are its own",
    async (name, batchnorm, norms) => {
      const loaded = await load(join(CASES, `${name}.onnx`), { batchnorm });
      const own = parametersOf(loaded);
      for (const role of ["norm_scale", "norm_bias", "running_mean", "running_var"])
        expect(own.filter((entry) => entry.role === role).map(({ shape }) => shape)).toEqual(
          Array(norms).fill([8]),
        );
      expect(own.filter(isStatistic).map(({ trained }) => trained)).toEqual(
        Array(2 * norms).fill(batchnorm === "train"),
      );
      expect(loaded.notes.filter((note) => note.includes("one each"))).toHaveLength(1);
    },
  );

  test("norm-tied-statistics-frozen: gradients of the parts that were merged", async () =>
    checkGradients(await load(join(CASES, "norm-tied-statistics-frozen.onnx"))));
});

describe("tensors that exporters merge", () => {
  const norm = ["s", "h", "m", "v"].map((name) =>
    tensor(name, "float32", [4], name === "v" ? [1, 2, 1.5, 0.5] : [0.5, -1, 2, 0.25]),
  );
  const twice: ForeignModel = {
    nodes: [
      ...conv,
      ["BatchNormalization(c, s, h, m, v) -> n1"],
      ["Relu(n1) -> r"],
      ["Conv(r, w2) -> d", { pads: [1, 1, 1, 1] }],
      ["BatchNormalization(d, s, h, m, v) -> n2"],
    ],
    initializers: [...layer, ...norm, weights("w2", [4, 4, 3, 3])],
  };

  test.each(["train", "frozen"] as const)(
    "a norm used twice, statistics %s: two norms",
    async (batchnorm) => {
      const loaded = await loadModel(folder, "twice", twice, { batchnorm });
      expect(trainedNames(loaded)).toEqual(["w1", "b1", "s", "h", "w2", "s@n2.scale", "h@n2.bias"]);
      expect(parametersOf(loaded).filter(isStatistic)).toHaveLength(4);
    },
  );

  test("zeros that are a bias here and a shift there become one each; zeros of both signs are equal", async () => {
    const loaded = await loadModel(folder, "zeros", {
      nodes: [
        ["Conv(x, w1, zero) -> c", { pads: [1, 1, 1, 1] }],
        ["Conv(c, w2, zero) -> d", { pads: [1, 1, 1, 1] }],
        ["Conv(d, w2) -> y", { pads: [1, 1, 1, 1] }],
      ],
      initializers: [layer[0]!, weights("w2", [4, 4, 3, 3]), tensor("zero", "float32", [4], [0, -0, 0, 0])],
    });
    expect(trainedNames(loaded)).toEqual(["w1", "zero", "w2", "zero@d.bias"]);
    expect(loaded.notes).toContain(
      "fcn: 1 tensors that hold the same numbers for several layers became 2, one each: zero (2)",
    );
    expect(loaded.notes).toContain(
      "fcn: 1 tensors that several layers share stay one each, trained by all their uses: w2",
    );
  });

  test("what one node reads twice is one use: a class token of zeros beside every image", async () => {
    const token = tensor("token", "float32", [1, 4, 1, 8], Array(32).fill(0));
    const model: ForeignModel = {
      nodes: [
        ...conv,
        ["Slice(x, at, to) -> one"],
        ["Less(one, one) -> never"],
        ["Where(never, token, token) -> tokens"],
        ["Concat(tokens, c) -> y", { axis: 2 }],
      ],
      initializers: [...layer, token, ints("at", [0, 0, 0, 0]), ints("to", [2 ** 31, 1, 1, 1])],
    };
    const loaded = await loadModel(folder, "token", model, { output: "y" });
    expect(trainedNames(loaded)).toEqual(["w1", "b1", "token"]);
    expect(loaded.notes.filter((note) => note.includes("one each"))).toEqual([]);
  });

  test("names that Identity gives to merged tensors are their names", async () => {
    const loaded = await loadModel(folder, "identity", {
      nodes: [
        ["Identity(one) -> layer.scale"],
        ["Identity(w2) -> w3"],
        ...conv,
        ["Mul(c, one) -> d"],
        ["Conv(d, w2) -> e", { pads: [1, 1, 1, 1] }],
        ["Mul(e, layer.scale) -> f"],
        ["Conv(f, w3) -> y", { pads: [1, 1, 1, 1] }],
      ],
      initializers: [
        ...layer,
        weights("w2", [4, 4, 3, 3]),
        tensor("one", "float32", [4, 1, 1], [1, 1, 1, 1]),
      ],
    });
    expect(trainedNames(loaded)).toEqual(["w1", "b1", "one", "w2", "layer.scale"]);
    checkGradients(loaded);
  });

  test("a kernel shared through Identity and Transpose is one parameter, its gradient the sum", async () => {
    const loaded = await loadModel(folder, "transposed", {
      nodes: [
        ["Identity(w2) -> same"],
        ["Transpose(w2) -> turned", { perm: [1, 0, 2, 3] }],
        ...conv,
        ["Conv(c, w2) -> d", { pads: [1, 1, 1, 1] }],
        ["Conv(d, same) -> e", { pads: [1, 1, 1, 1] }],
        ["Conv(e, turned) -> y", { pads: [1, 1, 1, 1] }],
      ],
      initializers: [...layer, weights("w2", [4, 4, 3, 3])],
    });
    expect(trainedNames(loaded)).toEqual(["w2", "w1", "b1"]);
    checkGradients(loaded);
  });
});

describe("numbers of the arithmetic", () => {
  test.each<[string, ForeignModel["nodes"], NonNullable<ForeignModel["initializers"]>]>([
    [
      "a matrix that resamples",
      [...conv, ["MatMul(c, a) -> y"]],
      [
        tensor(
          "a",
          "float32",
          [8, 4],
          Array.from({ length: 32 }, (_, i) => (Math.floor(i / 8) === i % 4 ? 0.5 : 0)),
        ),
      ],
    ],
    [
      "Sobel's filters",
      [["Conv(c, a) -> y", { group: 1 }]],
      [
        tensor(
          "a",
          "float32",
          [1, 4, 3, 3],
          Array.from({ length: 36 }, (_, i) => [-1, 0, 1, -2, 0, 2, -1, 0, 1][i % 9] ?? 0),
        ),
      ],
    ],
    [
      "a mask",
      [["Add(c, a) -> y"]],
      [
        tensor(
          "a",
          "float32",
          [8, 8],
          Array.from({ length: 64 }, (_, i) => (i % 3 ? 0 : -100)),
        ),
      ],
    ],
    ["positions", [["Add(c, a) -> y"]], [tensor("a", "float32", [8, 1], [0, 1, 2, 3, 4, 5, 6, 7])]],
    [
      "a number that two nodes read",
      [["Mul(c, a) -> d"], ["Mul(d, a) -> y"]],
      [tensor("a", "float32", [], [0.5])],
    ],
    [
      "an epsilon under a root",
      [["Mul(c, c) -> q"], ["Add(q, a) -> p"], ["Sqrt(p) -> y"]],
      [tensor("a", "float32", [], [1e-5])],
    ],
    ["bounds", [["Clip(c, , a) -> y"]], [tensor("a", "float32", [], [6])]],
    ["an exponent", [["Exp(c) -> d"], ["Pow(d, a) -> y"]], [tensor("a", "float32", [], [0.5])]],
    [
      "a norm of groups without scale of its own, as initializers",
      [["Reshape(c, groups) -> q"], ["InstanceNormalization(q, a, z) -> n"], ["Reshape(n, back) -> y"]],
      [
        ints("groups", [0, 2, -1]),
        ints("back", [0, 4, 8, 8]),
        tensor("a", "float32", [2], [1, 1]),
        tensor("z", "float32", [2], [0, 0]),
      ],
    ],
  ])("%s: not trained, and listed", async (what, nodes, initializers) => {
    const model = {
      nodes: nodes.includes(conv[0] as never) ? nodes : [...conv, ...nodes],
      initializers: [...layer, ...initializers],
    };
    const loaded = await loadModel(folder, "fixed", model, { output: "y" });
    expect(trainedNames(loaded), what).toEqual(["w1", "b1"]);
    expect(fixedNames(loaded)).toContain("a");
  });

  test.each<[string, ForeignModel["nodes"], NonNullable<ForeignModel["initializers"]>]>([
    [
      "a layer scale of one number throughout",
      [["Mul(c, a) -> y"]],
      [tensor("a", "float32", [1, 4, 1, 1], [1, 1, 1, 1])],
    ],
    [
      "four numbers that only a function reads",
      [["Exp(a) -> e"], ["Mul(c, e) -> y"]],
      [weights("a", [4, 1, 1])],
    ],
    ["one slope of a PRelu", [["PRelu(c, a) -> y"]], [tensor("a", "float32", [1], [0.25])]],
    [
      "an instance norm's scale, fresh",
      [["InstanceNormalization(c, a, z) -> y"]],
      [tensor("a", "float32", [4], [1, 1, 1, 1]), tensor("z", "float32", [4], [0, 0, 0, 0])],
    ],
    ["a position embedding", [["Add(c, a) -> y"]], [weights("a", [1, 4, 8, 8])]],
    [
      "the one number of a module",
      [["Mul(c, a) -> y"]],
      [{ ...tensor("a", "float32", [1], [0.5]), name: "block.a" }],
    ],
    ["a kernel of zeros", [["Conv(c, a) -> y"]], [tensor("a", "float32", [4, 4, 3, 3], Array(144).fill(0))]],
    [
      "a standardised kernel",
      [["ReduceMean(a) -> m", { axes: [1, 2, 3] }], ["Sub(a, m) -> s"], ["Conv(c, s) -> y"]],
      [weights("a", [4, 4, 3, 3])],
    ],
  ])("%s is learned", async (_, nodes, initializers) => {
    const text = JSON.stringify(nodes).replaceAll(
      "(c, a)",
      initializers[0]?.name === "block.a" ? "(c, block.a)" : "(c, a)",
    );
    const model = {
      opset: 17,
      nodes: [...conv, ...(JSON.parse(text) as typeof nodes)],
      initializers: [...layer, ...initializers],
    };
    const loaded = await loadModel(folder, "learned", model, { output: "y" });
    expect(trainedNames(loaded)).toEqual(["w1", "b1", ...initializers.map(({ name }) => name)]);
  });

  test("weight decay is for kernels: not for scales, slopes and embeddings", async () => {
    const loaded = await loadModel(folder, "decay", {
      nodes: [...conv, ["Mul(c, g) -> d"], ["PRelu(d, p) -> e"], ["Add(e, q) -> f"], ["Conv(f, w2) -> y"]],
      initializers: [
        ...layer,
        weights("g", [1, 4, 1, 1]),
        weights("p", [4, 1, 1]),
        weights("q", [1, 4, 8, 8]),
        weights("w2", [4, 4, 3, 3]),
      ],
    });
    const kernels = parametersOf(loaded).filter(({ role }) => role === "kernel");
    expect(kernels.map(({ name }) => name)).toEqual(["fcn.w1", "fcn.w2"]);
  });
});

describe("fcn.train and fcn.fixed", () => {
  const path = join(CASES, "fixed-tensors.onnx");

  test("overrule by name", async () => {
    const loaded = await load(path, { train: ["blur", "fcn.mean"], fixed: ["w1"] }, 24);
    expect(trainedNames(loaded)).toEqual(["mean", "blur", "w2"]);
    expect(fixedNames(loaded)).toEqual(["std", "w1"]);
  });

  test("the name in the file means every copy of a tensor that was merged, a copy's own name that one", async () => {
    const model: ForeignModel = {
      nodes: [
        ["Conv(x, w1, z) -> c", { pads: [1, 1, 1, 1] }],
        ["Conv(c, w2, z) -> y", { pads: [1, 1, 1, 1] }],
      ],
      initializers: [layer[0]!, weights("w2", [4, 4, 3, 3]), tensor("z", "float32", [4], [0, 0, 0, 0])],
    };
    expect(trainedNames(await loadModel(folder, "all", model, { fixed: ["z"] }))).toEqual(["w1", "w2"]);
    expect(trainedNames(await loadModel(folder, "one", model, { fixed: ["z@y.bias"] }))).toEqual([
      "w1",
      "z",
      "w2",
    ]);
  });

  test.each([
    [{ train: ["blurr"] }, "fcn.train[0]", 'the fcn has no tensor "blurr"', "the nearest names: blur"],
    [{ fixed: ["w1", "w2x"] }, "fcn.fixed[1]", 'the fcn has no tensor "w2x"', "the nearest names: w2, w1"],
    [{ train: ["blur"], fixed: ["blur"] }, "fcn.fixed[0]", '"blur" is in train as well', ""],
  ])("%j is a fault that says where", async (lists, at, message, hint) => {
    const loaded = await load(path, lists, 24);
    const [fault] = await faultsOfAsync(async () => compile(loaded.spec, CLASSES, { trunk: loaded.trunk }));
    expect([fault?.code, fault?.at?.path, fault?.message]).toEqual(["E_CONFIG", at, message]);
    expect(fault?.hint ?? "").toContain(hint);
  });

  test("a running statistic is in neither", async () => {
    const loaded = await load(join(CASES, "norms-share-statistics.onnx"), { train: ["mean"] });
    const [fault] = await faultsOfAsync(async () => compile(loaded.spec, CLASSES, { trunk: loaded.trunk }));
    expect(fault?.message).toContain("running statistic");
  });
});

describe("exports by PyTorch, fresh from the constructor", () => {
  const exports = readdirSync(EXPORTS).filter((name) => name.endsWith(".onnx"));
  const counts = JSON.parse(readFileSync(join(EXPORTS, "counts.json"), "utf8")) as Record<string, number>;

  test.each(exports)("%s: as many numbers are trained as PyTorch has parameters", async (name) => {
    const loaded = await load(join(EXPORTS, name), { batchnorm: "train" }, 32);
    expect(countTrained(loaded)).toBe(counts[name]);
  });
});
