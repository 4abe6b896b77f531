// Where a network is cut: by name, or by itself before the global pooling that everything passes.
import { describe, expect, test } from "vitest";
import { parseGraph, printGraph } from "../../compiler/ir/print.ts";
import { OPS } from "../../compiler/ops/table.ts";
import { cutTrunk } from "../../compiler/read/onnx/cutTrunk.ts";
import { importModel } from "../../compiler/read/onnx/importModel.ts";
import { importTrunk } from "../../compiler/read/onnx/importTrunk.ts";
import { faultsOf } from "../spec/faultsOf.ts";
import { encodeForeign, type NodeText, weights } from "./foreignModel.ts";

const graphOf = (lines: string) => parseGraph(`graph net\n${lines.trim().replace(/^ +/gm, "")}\n`, OPS);

/** A squeeze-and-excitation block, whose pooling is no end, then pooling and classifier. */
const NETWORK = graphOf(`
  %image: f32[N,4,8,8]       = Input ; image
  %w: f32[4,4,1,1]           = Constant [1 0 0 0 0 1 0 0 0 0 1 0 0 0 0 1] ; w
  %axes: i64[2]              = Constant [2 3] ; axes
  %dense: f32[4,2]           = Constant [1 0 0 1 1 1 0 0] ; dense
  %conv: f32[N,4,8,8]        = Conv %image, %w ; block
  %squeeze: f32[N,4,1,1]     = ReduceMean %conv, %axes ; block
  %gate: f32[N,4,1,1]        = Sigmoid %squeeze ; block
  %scaled: f32[N,4,8,8]      = Mul %conv, %gate ; block
  %pooled: f32[N,4]          = ReduceMean %scaled, %axes {keepdims=0} ; pool
  %logits: f32[N,2]          = MatMul %pooled, %dense ; classifier
  output logits = %logits
`);

describe("by itself", () => {
  test("the map before the pooling that all ways pass, with a remark that says which", () => {
    const { graph, output, notes } = cutTrunk(NETWORK);
    expect(output).toBe("scaled");
    expect(notes).toEqual([
      'features are taken from "scaled": 4 channels of 8x8; 2 nodes after it are left out',
    ]);
    expect(printGraph(graph)).not.toContain("dense");
    expect(graph.outputs.map(({ name }) => name)).toEqual(["scaled"]);
  });

  test("of several outputs, what all of them depend on", () => {
    const two = { ...NETWORK, outputs: [...NETWORK.outputs, { name: "gate", value: valueNamed("gate") }] };
    expect(cutTrunk(two).output).toBe("conv");
  });

  test("a network without a classifier is taken whole", () => {
    const headless = { ...NETWORK, outputs: [{ name: "features", value: valueNamed("scaled") }] };
    expect(cutTrunk(headless).output).toBe("scaled");
  });

  test("a pooling window of the whole map ends the trunk too", () => {
    const { output } = cutTrunk(
      graphOf(`
        %image: f32[2,4,7,7]  = Input ; image
        %r: f32[2,4,7,7]      = Relu %image ; r
        %p: f32[2,4,1,1]      = AveragePool %r {kernel_shape=[7,7]} ; p
        %y: f32[2,4,1,1]      = Neg %p ; y
        output y = %y
      `),
    );
    expect(output).toBe("r");
  });

  test("no map at all: E_MODEL_SHAPE", () => {
    const flat = graphOf(`
      %image: f32[2,4,7,7]  = Input ; image
      %y: f32[2,196]        = Flatten %image ; y
      output y = %y
    `);
    expect(faultsOf(() => cutTrunk(flat))[0]?.code).toBe("E_MODEL_SHAPE");
  });

  test("no map at all: the names that are given can be taken", () => {
    const folded = graphOf(`
      %image: f32[2,4,7,7]  = Input ; image
      %list: i64[3]         = Constant [2 28 7] ; list
      %map: i64[4]          = Constant [2 7 4 7] ; map
      %a: f32[2,28,7]       = Reshape %image, %list ; a
      %b: f32[2,7,4,7]      = Reshape %a, %map ; b
      %y: f32[2,28,7]       = Reshape %b, %list ; y
      output y = %y
    `);
    const [fault] = faultsOf(() => cutTrunk(folded));
    expect(fault).toMatchObject({ code: "E_MODEL_SHAPE", hint: "name one as `output`, for example: b" });
    expect(cutTrunk(folded, "b").output).toBe("b");
  });
});

describe("by name", () => {
  test("the value of that name, and nothing after it", () => {
    const { graph, output } = cutTrunk(NETWORK, "conv");
    expect([output, graph.nodes.length]).toEqual(["conv", 1]);
  });

  test("an unknown name is answered with the nearest", () => {
    const [fault] = faultsOf(() => cutTrunk(NETWORK, "scale"));
    expect(fault?.code).toBe("E_MODEL_OUTPUT");
    expect(fault?.hint).toMatch(/^the nearest names: scaled, /);
  });

  test("a value that is no map of the batch: E_MODEL_SHAPE with names that are", () => {
    const [fault] = faultsOf(() => cutTrunk(NETWORK, "pooled"));
    expect(fault?.code).toBe("E_MODEL_SHAPE");
    expect(fault?.hint).toContain("scaled");
  });

  test("names of the file are known even where the node itself goes away", () => {
    const nodes = [["Relu(x) -> r"], ["Dropout(r) -> d"], ["Identity(d) -> i"], ["Neg(i) -> y"]] as const;
    const bytes = encodeForeign({ opset: 13, nodes });
    const options = { file: "m.onnx", imshape: [6, 5] as const, batch: 2 };
    expect(importTrunk(bytes, { ...options, output: "i" }).output).toBe("r");
    const [fault] = faultsOf(() => importTrunk(bytes, { ...options, output: "j" }));
    expect(fault).toMatchObject({ code: "E_MODEL_OUTPUT", at: { file: "m.onnx" } });
  });
});

describe("sizes and layouts", () => {
  const nodes: readonly NodeText[] = [["Conv(x, w) -> c", { pads: [1, 1, 1, 1] }], ["Relu(c) -> y"]];
  const initializers = [weights("w", [4, 3, 3, 3])];
  const options = { file: "m.onnx", imshape: [6, 5] as const, batch: "N" };

  test("symbolic sizes become those of the images", () => {
    const bytes = encodeForeign({ nodes, initializers, image: ["batch", 3, "height", "width"] });
    const { imageInput, graph, notes } = importModel(bytes, options);
    expect(imageInput.type.shape).toEqual(["N", 3, 6, 5]);
    expect(graph.outputs[0]?.value.type.shape).toEqual(["N", 4, 6, 5]);
    expect(notes).toEqual([]);
  });

  test("fixed sizes that differ are noted; a fixed batch is replaced", () => {
    const { imageInput, notes } = importModel(
      encodeForeign({ nodes, initializers, image: [1, 3, 224, 224] }),
      options,
    );
    expect(imageInput.type.shape).toEqual(["N", 3, 6, 5]);
    expect(notes).toEqual(["the file was made for images of 224x224 pixels; it is built for 6x5"]);
  });

  test("a reshape to the file's own batch follows the batch that is asked for", () => {
    const bytes = encodeForeign({
      image: [1, 4, 6, 5],
      nodes: [["Constant() -> s", { value_ints: [1, 2, 2, 6, 5] }], ["Reshape(x, s) -> y"]],
    });
    const { graph } = importModel(bytes, { ...options, batch: 8 });
    expect(graph.outputs[0]?.value.type.shape).toEqual([8, 2, 2, 6, 5]);
  });

  test("a transposition to [N,C,H,W] at the beginning tells NHWC where sizes do not", () => {
    const bytes = encodeForeign({
      image: ["n", "h", "w", "c"],
      initializers,
      nodes: [["Neg(x) -> m"], ["Transpose(m) -> t", { perm: [0, 3, 1, 2] }], ["Conv(t, w) -> y"]],
    });
    // Neg is no arithmetic of preprocessing: not followed.
    expect(importModel.bind(null, bytes, { ...options, channels: 3 })).toThrow();
    const plain = encodeForeign({
      image: ["n", "h", "w", "c"],
      initializers,
      nodes: [["Transpose(x) -> t", { perm: [0, 3, 1, 2] }], ["Conv(t, w) -> y"]],
    });
    const { layout, imageInput } = importModel(plain, { ...options, channels: 3 });
    expect([layout, imageInput.type.shape]).toEqual(["NHWC", ["N", 6, 5, 3]]);
  });
});

function valueNamed(name: string) {
  const value = NETWORK.nodes.flatMap((node) => node.outputs).find((each) => each.name === name);
  if (!value) throw new Error(`no value ${name}`);
  return value;
}
