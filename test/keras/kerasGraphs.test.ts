// What importKeras makes of models without weights, written out here: layouts, padding, names.
import { afterAll, describe, expect, it } from "vitest";
import { interpret } from "../../compiler/ir/interpret.ts";
import type { NDArray } from "../../compiler/ir/op.ts";
import { OPS } from "../../compiler/ops/table.ts";
import { type ImportedKeras, importKeras } from "../../compiler/read/keras/importKeras.ts";
import { OrtLibrary } from "../../runtime/ort/library.ts";
import { assertClose } from "../assertClose.ts";
import { runOnOrt } from "../ops/runOnOrt.ts";
import { ORT_FLOAT32, SUM_FLOAT64 } from "../tolerances.ts";

const library = OrtLibrary.open();
afterAll(() => library[Symbol.dispose]());

type Layer = readonly [className: string, name: string, config: object, inputs: readonly string[]];

/** A functional model as Keras 2 writes it; the last layer is the output. */
function build(
  shape: readonly (number | null)[],
  layers: readonly Layer[],
  imshape?: [number, number],
): ImportedKeras {
  const input = {
    class_name: "InputLayer",
    name: "image",
    config: { batch_input_shape: shape },
    inbound_nodes: [],
  };
  const rest = layers.map(([class_name, name, config, inputs]) => ({
    class_name,
    name,
    config,
    inbound_nodes: [inputs.map((from) => [from, 0, 0, {}])],
  }));
  const model = {
    class_name: "Functional",
    config: {
      layers: [input, ...rest],
      input_layers: [["image", 0, 0]],
      output_layers: [[layers.at(-1)?.[1], 0, 0]],
    },
  };
  const weights = { kind: "by-name", layers: new Map() } as const;
  return importKeras({ file: "model.h5", model, version: 2, weights }, { ops: OPS, imshape });
}

/** An image [N,C,H,W] of which every number is negative, and different. */
function negativeImage(shape: readonly number[]): NDArray {
  const count = shape.reduce((product, size) => product * size, 1);
  const data = Float64Array.from({ length: count }, (_, i) => -1 - ((i * 7) % count) / count);
  return { dtype: "float32", shape, data };
}

/** The model's layers for one data_format; `axis` is that of the channels. */
function mixedLayers(data_format: string, axis: number): Layer[] {
  return [
    [
      "ZeroPadding2D",
      "pad",
      {
        padding: [
          [1, 0],
          [0, 2],
        ],
        data_format,
      },
      ["image"],
    ],
    ["AveragePooling2D", "pool", { pool_size: [2, 2], padding: "same", data_format }, ["pad"]],
    ["Softmax", "softmax", { axis }, ["pool"]],
    ["Concatenate", "joined", { axis }, ["pool", "softmax"]],
    ["UpSampling2D", "up", { size: [2, 1], data_format }, ["joined"]],
    ["Flatten", "flat", { data_format }, ["up"]],
  ];
}

describe("a channels_first model", () => {
  it("gives what its channels_last twin gives, without the transposes between them", () => {
    const first = build([null, 3, 4, 5], mixedLayers("channels_first", 1));
    const last = build([null, 4, 5, 3], mixedLayers("channels_last", -1));
    const feeds = new Map([["image", negativeImage([2, 3, 4, 5])]]);
    const [right, found] = [interpret(last.graph, feeds), interpret(first.graph, feeds)];
    assertClose(found.get("flat")!.data, right.get("flat")!.data, { tolerance: SUM_FLOAT64, what: "flat" });
    expect(first.graph.nodes.filter(({ op }) => op.name === "Transpose")).toHaveLength(1);
  });

  it("that is channels_last in places is refused", () => {
    const mixed = [
      ...mixedLayers("channels_first", 1).slice(0, 1),
      ...mixedLayers("channels_last", -1).slice(1),
    ];
    expect(() => build([null, 4, 5, 3], mixed)).toThrow(/data_format/);
  });
});

describe("zero padding", () => {
  it("before max pooling stays zero on ONNX Runtime, which would pad with -infinity if it merged the two", () => {
    const { graph } = build(
      [null, 4, 4, 1],
      [
        [
          "ZeroPadding2D",
          "pad",
          {
            padding: [
              [1, 1],
              [1, 1],
            ],
          },
          ["image"],
        ],
        ["MaxPooling2D", "pool", { pool_size: [3, 3], strides: [3, 3] }, ["pad"]],
      ],
    );
    const feeds = new Map([["image", negativeImage([1, 1, 4, 4])]]);
    const expected = interpret(graph, feeds).get("pool")!;
    expect([...expected.data]).toEqual([0, 0, 0, 0]);
    const found = runOnOrt(library, graph, feeds, OPS).get("pool")!;
    assertClose(found.data, expected.data, { tolerance: ORT_FLOAT32, what: "pool", allowZero: true });
  });

  it("of two layers in a row is built as it stands", () => {
    const { graph } = build(
      [null, 4, 4, 1],
      [
        ["ZeroPadding2D", "a", {}, ["image"]],
        ["ZeroPadding2D", "b", { padding: [2, 1] }, ["a"]],
      ],
    );
    expect(graph.outputs[0]?.value.type.shape).toEqual(["N", 1, 10, 8]);
  });
});

describe("a layer that reorders axes", () => {
  it("of size 1 only becomes a reshape", () => {
    const { graph } = build(
      [null, 4, 4, 6],
      [
        ["GlobalAveragePooling2D", "mean", {}, ["image"]],
        ["Reshape", "image_again", { target_shape: [1, 1, 6] }, ["mean"]],
        ["Multiply", "scaled", {}, ["image", "image_again"]],
      ],
    );
    expect(graph.nodes.map(({ op }) => op.name)).toEqual(["ReduceMean", "Reshape", "Mul"]);
  });
});

describe("the result", () => {
  it("has the batch as a symbol, sizes from imshape, and layers by their paths", () => {
    const { graph, imageInput, layers, layout, notes } = build(
      [null, null, null, 3],
      [
        ["ReLU", "relu", { max_value: 6 }, ["image"]],
        ["SpatialDropout2D", "drop", { rate: 0.5 }, ["relu"]],
      ],
      [6, 8],
    );
    expect(graph.inputs[0]?.type.shape).toEqual(["N", 3, 6, 8]);
    expect([imageInput, layout]).toEqual(["image", "NCHW"]);
    expect(layers.get("drop")).toBe(layers.get("relu"));
    expect(graph.outputs[0]?.name).toBe("drop");
    expect(notes.join("\n")).toMatch(/built for 6x8[\s\S]*1 dropout/);
  });
});
