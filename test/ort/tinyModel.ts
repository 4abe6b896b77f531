// Small ONNX models for the tests of runtime/ort, made with mttc's own codec.
import {
  type AttributeProto,
  encodeModelProto,
  type TensorProto,
  type ValueInfoProto,
} from "../../compiler/codec/protobuf.ts";
import { ONNX_DTYPES } from "../../compiler/codec/tensorBytes.ts";
import type { DType } from "../../compiler/ir/types.ts";

/** `[name, dtype, shape]` of a graph's input or output. */
export type Border = readonly [name: string, dtype: DType, shape: readonly (number | string)[]];

/** One node; its name is `name`, or the operator. */
export interface TinyNode {
  readonly op: string;
  readonly name?: string;
  readonly input: readonly string[];
  readonly output: readonly string[];
  readonly attribute?: readonly AttributeProto[];
}

function valueInfo([name, dtype, shape]: Border): ValueInfoProto {
  const dim = shape.map((size) => (typeof size === "number" ? { dimValue: size } : { dimParam: size }));
  return { name, type: { tensorType: { elemType: ONNX_DTYPES[dtype], shape: { dim } } } };
}

/** Bytes of a model of opset 18. */
export function tinyModel(
  nodes: readonly TinyNode[],
  inputs: readonly Border[],
  outputs: readonly Border[],
  initializer: readonly TensorProto[] = [],
): Uint8Array {
  return encodeModelProto({
    irVersion: 8,
    opsetImport: [{ domain: "", version: 18 }],
    graph: {
      name: "tiny",
      node: nodes.map(({ op, name, input, output, attribute }) => ({
        name: name ?? op,
        opType: op,
        input,
        output,
        attribute: attribute ?? [],
      })),
      initializer,
      input: inputs.map(valueInfo),
      output: outputs.map(valueInfo),
    },
  });
}

/** c = a + b of float32, a and c of shape [N, 4] (N may be a symbol), b of shape [4]. */
export function addModel(rows: number | string = "N"): Uint8Array {
  const node = { op: "Add", name: "shared_layers[0]/Add", input: ["a", "b"], output: ["c"] };
  const wide: readonly (number | string)[] = [rows, 4];
  return tinyModel(
    [node],
    [
      ["a", "float32", wide],
      ["b", "float32", [4]],
    ],
    [["c", "float32", wide]],
  );
}

/** y = x multiplied `times` times by itself, a square matrix: as long a run as a test wants. */
export function longModel(size: number, times: number): Uint8Array {
  const nodes = Array.from({ length: times }, (_, k) => ({
    op: "MatMul",
    name: `long/MatMul#${k}`,
    input: [k === 0 ? "x" : `t${k - 1}`, "x"],
    output: [k === times - 1 ? "y" : `t${k}`],
  }));
  return tinyModel(nodes, [["x", "float32", [size, size]]], [["y", "float32", [size, size]]]);
}
