// Where features are taken of networks that have tokens or [N,H,W,C], never the stem alone, and not the class
// maps either; and that they come out as maps [N,C,H,W].
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { interpret } from "../../compiler/ir/interpret.ts";
import type { NDArray } from "../../compiler/ir/op.ts";
import { parseGraph } from "../../compiler/ir/print.ts";
import type { Graph } from "../../compiler/ir/types.ts";
import { OPS } from "../../compiler/ops/table.ts";
import { cutTrunk } from "../../compiler/read/onnx/cutTrunk.ts";
import { importModel } from "../../compiler/read/onnx/importModel.ts";
import { importTrunk } from "../../compiler/read/onnx/importTrunk.ts";
import { PROJECT_ROOT } from "../projectRoot.ts";
import { faultsOf } from "../spec/faultsOf.ts";
import { encodeForeign, imageOf, ints, weights } from "./foreignModel.ts";

const graphOf = (lines: string) => parseGraph(`graph net\n${lines.replace(/^\s+/gm, "").trim()}\n`, OPS);

const ones = (count: number) => `[${Array.from({ length: count }, (_, i) => (i % 7) - 3).join(" ")}]`;

/** A patch embedding of 16 patches, a class token and a register before them, one block, a classifier. */
const TRANSFORMER = `
  %image: f32[N,3,16,16]   = Input ; image
  %patch: f32[4,3,4,4]     = Constant ${ones(192)} ; patch
  %tokens: f32[1,2,4]      = Constant ${ones(8)} ; tokens
  %grow: i64[3]            = Constant [1 1 1] ; grow
  %flat: i64[3]            = Constant [0 4 16] ; flat
  %wide: f32[4,4]          = Constant ${ones(16)} ; wide
  %scale: f32[4]           = Constant [1 1 1 1] ; scale
  %first: i64[]            = Constant 0 ; first
  %two: f32[2,2,4]         = Constant ${ones(16)} ; two
  %dense: f32[4,5]         = Constant ${ones(20)} ; dense
  %embedded: f32[N,4,4,4]  = Conv %image, %patch {kernel_shape=[4,4], strides=[4,4]} ; embed
  %rows: f32[N,4,16]       = Reshape %embedded, %flat ; embed
  %sequence: f32[N,16,4]   = Transpose %rows {perm=[0,2,1]} ; embed
`;

const BLOCK = `
  %hidden: f32[2,18,4]     = MatMul %all, %wide ; block
  %curved: f32[2,18,4]     = Relu %hidden ; block
  %sum: f32[2,18,4]        = Add %all, %curved ; block
  %norm: f32[2,18,4]       = LayerNormalization %sum, %scale ; norm
  %class: f32[2,4]         = Gather %norm, %first {axis=1} ; pool
  %logits: f32[2,5]        = MatMul %class, %dense ; classifier
  output logits = %logits
`;

const WITH_TOKENS = graphOf(
  `${TRANSFORMER}
  %all: f32[2,18,4]        = Concat %two, %sequence {axis=1} ; embed
  ${BLOCK}`.replaceAll("N,", "2,"),
);

const image = imageOf([2, 3, 16, 16]);

function numbersOf(graph: Graph, name: string): NDArray {
  const found = interpret(graph, new Map([[graph.inputs[0]?.name ?? "", image]])).get(name);
  if (!found) throw new Error(`no output ${name}`);
  return found;
}

/** The value `name` of `graph` itself, uncut. */
function wholeValue(graph: Graph, name: string): NDArray {
  const value = graph.nodes.flatMap((node) => node.outputs).find((each) => each.name === name);
  if (!value) throw new Error(`no value ${name}`);
  return numbersOf({ ...graph, outputs: [{ name, value }] }, name);
}

/** [N,T,C] -> [N,C,h,w] without the first `before` tokens. */
function asMap({ data, shape }: NDArray, [height, width]: readonly [number, number], before = 0): number[] {
  const [n = 0, t = 0, c = 0] = shape;
  const map: number[] = [];
  for (let image = 0; image < n; image++)
    for (let channel = 0; channel < c; channel++)
      for (let place = 0; place < height * width; place++)
        map.push(data[(image * t + before + place) * c + channel] ?? Number.NaN);
  return map;
}

describe("tokens", () => {
  test("become a map, class and register tokens left out, and the log says so", () => {
    const { graph, output, notes } = cutTrunk(WITH_TOKENS);
    expect(output).toBe("norm");
    const found = numbersOf(graph, "norm");
    expect(found.shape).toEqual([2, 4, 4, 4]);
    expect([...found.data]).toEqual(asMap(wholeValue(WITH_TOKENS, "norm"), [4, 4], 2));
    expect(notes).toEqual([
      'features are taken from "norm": 4 channels of 4x4, made of 16 tokens; the 2 before them (class, register) ' +
        "left out; 2 nodes after it are left out",
    ]);
  });

  test("by name, inside a block", () => {
    const { graph } = cutTrunk(WITH_TOKENS, "curved");
    const found = numbersOf(graph, "curved");
    expect([...found.data]).toEqual(asMap(wholeValue(WITH_TOKENS, "curved"), [4, 4], 2));
  });

  test("class_token takes the first alone", () => {
    const { graph, notes } = cutTrunk(WITH_TOKENS, "class_token");
    const found = numbersOf(graph, "norm");
    expect(found.shape).toEqual([2, 4, 1, 1]);
    const { data } = wholeValue(WITH_TOKENS, "norm");
    const tokens = [data.slice(0, 4), data.slice(18 * 4, 19 * 4)];
    expect([...found.data]).toEqual(tokens.flatMap((token) => [...token]));
    expect(notes[0]).toMatch(/the class token of "norm": 4 channels of 1x1/);
  });

  test("class_token where there is none: E_MODEL_OUTPUT", () => {
    const bytes = readFileSync(join(PROJECT_ROOT, "test/cases/models/tokens.onnx"));
    const options = { file: "tokens.onnx", imshape: [16, 16] as const, batch: "N", output: "class_token" };
    const [fault] = faultsOf(() => importTrunk(bytes, options));
    expect(fault).toMatchObject({
      code: "E_MODEL_OUTPUT",
      message: expect.stringContaining("no class token"),
    });
  });
});

describe("files of ../cases", () => {
  const read = (name: string) => readFileSync(join(PROJECT_ROOT, "test/cases/models", `${name}.onnx`));
  const options = (name: string) => ({ file: `${name}.onnx`, imshape: [16, 16] as const, batch: "N" });

  test.each([
    ["tokens", undefined],
    ["tokens", "h2"],
    ["maps-nhwc", undefined],
    ["maps-nhwc", "h2"],
  ])("%s, output %s: the map after the last product, not the patch embedding", (name, output) => {
    const trunk = importTrunk(read(name), { ...options(name), output });
    expect(trunk.output).toBe("h2");
    expect(trunk.graph.outputs[0]?.value.type.shape).toEqual(["N", 8, 4, 4]);
    const whole = importModel(read(name), { ...options(name), output: "h2" }).graph;
    const tokens = numbersOf(whole, "h2");
    const flat = { ...tokens, shape: [2, 16, 8] };
    expect([...numbersOf(trunk.graph, "h2").data]).toEqual(asMap(flat, [4, 4]));
  });
});

/** Windows of 2x2 of a map [N,H,W,C], work on each, and the way back, with nothing that goes around it. */
test("windows that are cut out and put back are the map again, for any batch", () => {
  const windows = graphOf(`
    %image: f32[N,4,8,8]          = Input ; image
    %w: f32[4,4]                  = Constant ${ones(16)} ; w
    %apart: i64[6]                = Constant [0 4 2 4 2 4] ; apart
    %list: i64[4]                 = Constant [0 16 4 4] ; list
    %back: i64[6]                 = Constant [0 4 4 2 2 4] ; back
    %whole: i64[4]                = Constant [0 8 8 4] ; whole
    %axes: i64[2]                 = Constant [1 2] ; axes
    %last: f32[N,8,8,4]           = Transpose %image {perm=[0,2,3,1]} ; last
    %cut: f32[N,4,2,4,2,4]        = Reshape %last, %apart ; cut
    %ordered: f32[N,4,4,2,2,4]    = Transpose %cut {perm=[0,1,3,2,4,5]} ; cut
    %windows: f32[N,16,4,4]       = Reshape %ordered, %list ; cut
    %made: f32[N,16,4,4]          = MatMul %windows, %w ; work
    %apart2: f32[N,4,4,2,2,4]     = Reshape %made, %back ; put
    %ordered2: f32[N,4,2,4,2,4]   = Transpose %apart2 {perm=[0,1,3,2,4,5]} ; put
    %map: f32[N,8,8,4]            = Reshape %ordered2, %whole ; put
    %pooled: f32[N,4]             = ReduceMean %map, %axes {keepdims=0} ; pool
    output y = %pooled
  `);
  const { output, graph } = cutTrunk(windows);
  expect([output, graph.outputs[0]?.value.type.shape]).toEqual(["map", ["N", 4, 8, 8]]);
});

/** As PyTorch exports nn.Unfold: an index of the rows and one of the columns, places within a patch first. */
const unfoldedBy = (index: string) =>
  graphOf(`
    %image: f32[N,4,8,8]          = Input ; image
    %index: i64[2,4]              = Constant ${index} ; index
    %stem: f32[4,4,1,1]           = Constant ${ones(16)} ; stem
    %w: f32[16,12]                = Constant ${ones(192)} ; w
    %list: i64[3]                 = Constant [0 16 16] ; list
    %axes: i64[1]                 = Constant [1] ; axes
    %made: f32[N,4,8,8]           = Conv %image, %stem {kernel_shape=[1,1]} ; stem
    %rows: f32[N,4,2,4,8]         = Gather %made, %index {axis=2} ; unfold
    %both: f32[N,4,2,4,2,4]       = Gather %rows, %index {axis=4} ; unfold
    %ordered: f32[N,4,2,2,4,4]    = Transpose %both {perm=[0,1,2,4,3,5]} ; unfold
    %flat: f32[N,16,16]           = Reshape %ordered, %list ; unfold
    %sequence: f32[N,16,16]       = Transpose %flat {perm=[0,2,1]} ; unfold
    %tokens: f32[N,16,12]         = MatMul %sequence, %w ; work
    %pooled: f32[N,12]            = ReduceMean %tokens, %axes {keepdims=0} ; pool
    output y = %pooled
  `);

test("patches that were unfolded are tokens (TNT), their places are channels", () => {
  const { output, graph } = cutTrunk(unfoldedBy("[0 2 4 6 1 3 5 7]"));
  expect([output, graph.outputs[0]?.value.type.shape]).toEqual(["tokens", ["N", 12, 4, 4]]);
});

test("indices in any other order are no patches: the places are not those of the image", () => {
  expect(cutTrunk(unfoldedBy("[0 2 4 6 1 3 7 5]")).output).toBe("made");
});

describe("position embeddings have the size of the images that the network was made for", () => {
  const transformer = (stored: readonly number[]) =>
    encodeForeign({
      image: ["n", 3, "h", "w"],
      initializers: [weights("patch", [8, 3, 4, 4]), weights("table", stored), ints("flat", [0, 8, -1])],
      nodes: [
        ["Conv(x, patch) -> c", { strides: [4, 4] }],
        ["Reshape(c, flat) -> rows"],
        ["Transpose(rows) -> tokens", { perm: [0, 2, 1] }],
        ["Add(tokens, table) -> y"],
      ],
    });
  const options = (side: number) => ({ file: "vit.onnx", imshape: [side, side] as const, batch: "N" });

  test("images of that size are taken", () => {
    expect(importTrunk(transformer([1, 16, 8]), options(16)).output).toBe("y");
  });

  test("others are refused, with the size", () => {
    const [fault] = faultsOf(() => importTrunk(transformer([1, 16, 8]), options(24)));
    expect(fault).toMatchObject({ code: "E_MODEL_SHAPE", at: { node: "node of y" } });
    expect(fault?.message).toMatch(/images of 16x16 pixels: 16 tokens; images of 24x24 give 36$/);
    expect(fault?.hint).toMatch(/^take imshape: \[16, 16\]/);
  });

  test("... of patches that do not divide the images, too", () => {
    const [fault] = faultsOf(() => importTrunk(transformer([1, 16, 8]), options(27)));
    expect(fault?.message).toMatch(/images of 16x16 pixels: 16 tokens; images of 27x27 give 36$/);
  });

  test("a table that is no square of tokens is refused as the shapes that it is", () => {
    const [fault] = faultsOf(() => importTrunk(transformer([1, 15, 8]), options(24)));
    expect(fault?.message).toMatch(/broadcast/);
  });
});

describe("what is no feature map", () => {
  const head = (rest: string) =>
    graphOf(`
      %image: f32[N,4,4,4]   = Input ; image
      %deep: f32[64,4,1,1]   = Constant ${ones(256)} ; deep
      %score: f32[7,64,1,1]  = Constant ${ones(448)} ; score
      %features: f32[N,64,4,4] = Conv %image, %deep ; features
      %curved: f32[N,64,4,4] = Relu %features ; features
      %scores: f32[N,7,4,4]  = Conv %curved, %score ; scores
      ${rest}
    `);

  test("7 emotions at 4x4 before the pooling: the map before them", () => {
    const { output, notes } = cutTrunk(
      head(`
        %pooled: f32[N,7,1,1] = GlobalAveragePool %scores ; pool
        %y: f32[N,7]          = Flatten %pooled ; y
        %p: f32[N,7]          = Softmax %y {axis=1} ; p
        output p = %p
      `),
    );
    expect(output).toBe("curved");
    expect(notes[1]).toBe(
      '"scores" gives 7 channels, then Softmax: the network\'s result: features are those before it',
    );
  });

  test("... without a softmax too", () => {
    const { output } = cutTrunk(
      head(`
        %pooled: f32[N,7,1,1] = GlobalAveragePool %scores ; pool
        output y = %pooled
      `),
    );
    expect(output).toBe("curved");
  });

  test("a detector's map of probabilities: the map before its convolution", () => {
    const { output } = cutTrunk(head("%p: f32[N,7,4,4] = Sigmoid %scores ; p\noutput p = %p"));
    expect(output).toBe("curved");
  });

  test("SqueezeNet's 1000 maps: those before", () => {
    const { output, notes } = cutTrunk(
      graphOf(`
        %image: f32[N,4,3,3]       = Input ; image
        %deep: f32[8,4,1,1]        = Constant ${ones(32)} ; deep
        %score: f32[1000,8,1,1]    = Constant ${ones(8000)} ; score
        %features: f32[N,8,3,3]    = Conv %image, %deep ; features
        %scores: f32[N,1000,3,3]   = Conv %features, %score ; scores
        %curved: f32[N,1000,3,3]   = Relu %scores ; scores
        %pooled: f32[N,1000,1,1]   = GlobalAveragePool %curved ; pool
        output y = %pooled
      `),
    );
    expect(output).toBe("features");
    expect(notes[1]).toMatch(/1000 channels of 8, taken for classes/);
  });

  test("where there is nothing before it, a line says that the features are poor", () => {
    const { output, notes } = cutTrunk(
      graphOf(`
        %image: f32[N,64,4,4]  = Input ; image
        %score: f32[7,64,1,1]  = Constant ${ones(448)} ; score
        %scores: f32[N,7,4,4]  = Conv %image, %score ; scores
        %p: f32[N,7,4,4]       = Sigmoid %scores ; p
        output p = %p
      `),
    );
    expect(output).toBe("p");
    expect(notes[1]).toMatch(/^the features are poor: "scores" gives 7 channels, then Sigmoid/);
  });

  test("a gate of squeeze and excitation at the end is no result, nor are few channels of few", () => {
    const { output } = cutTrunk(
      graphOf(`
        %image: f32[N,64,4,4]  = Input ; image
        %w: f32[64,64,1,1]     = Constant ${ones(4096)} ; w
        %x: f32[N,64,4,4]      = Conv %image, %w ; x
        %gate: f32[N,64,4,4]   = Sigmoid %x ; swish
        %y: f32[N,64,4,4]      = Mul %x, %gate ; swish
        output y = %y
      `),
    );
    expect(output).toBe("y");
  });
});

describe("never the stem alone", () => {
  /** Two branches of four layers each, that meet only in the logits. */
  const branch = (name: string) =>
    [1, 2, 3, 4].map(
      (i) => `%${name}${i}: f32[N,4,4,4] = Conv %${i === 1 ? "stem" : `${name}${i - 1}`}, %w ; ${name}`,
    );
  const network = graphOf(`
    %image: f32[N,4,4,4]  = Input ; image
    %w: f32[4,4,1,1]      = Constant ${ones(16)} ; w
    %stem: f32[N,4,4,4]   = Conv %image, %w ; stem
    ${branch("a").join("\n")}
    ${branch("b").join("\n")}
    %pa: f32[N,4,1,1]     = GlobalAveragePool %a4 ; a
    %pb: f32[N,4,1,1]     = GlobalAveragePool %b4 ; b
    %y: f32[N,8,1,1]      = Concat %pa, %pb {axis=1} ; y
    output y = %y
    output b = %pb
  `);

  test("E_MODEL_OUTPUT, with how much would be left out and the names of candidates", () => {
    const [fault] = faultsOf(() => cutTrunk(network));
    expect(fault?.code).toBe("E_MODEL_OUTPUT");
    expect(fault?.message).toMatch(/^"stem" is the last map .* 8 layers on maps or tokens come after it/);
    expect(fault?.hint).toMatch(/^name the features as `output`, for example: b4, a4/);
  });

  test("each candidate can be taken", () => {
    const [fault] = faultsOf(() => cutTrunk(network));
    for (const name of fault?.hint?.replace(/^.*: /, "").split(", ") ?? [])
      expect(cutTrunk(network, name).output).toBe(name);
  });
});
