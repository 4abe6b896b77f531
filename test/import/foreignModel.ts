// Foreign ONNX models for the tests of import, written with mttc's codec: nodes in one line each, any
// operator set, one image "x" and outputs of any shape.
import { ATTRIBUTE_TYPE } from "../../compiler/codec/onnxSchema.ts";
import {
  type AttributeProto,
  encodeModelProto,
  type FunctionProto,
  type GraphProto,
  type NodeProto,
  type TensorProto,
} from "../../compiler/codec/protobuf.ts";
import { ONNX_DTYPES, tensorBytes } from "../../compiler/codec/tensorBytes.ts";
import type { NDArray } from "../../compiler/ir/op.ts";
import type { DType } from "../../compiler/ir/types.ts";

/** A float is { f }, since 1 could be either kind; numbers are ints. */
export type AttributeText =
  | number
  | string
  | readonly number[]
  | { readonly f: number }
  | { readonly floats: readonly number[] }
  | { readonly t: TensorProto }
  | { readonly g: GraphProto }
  | { readonly ref: string; readonly type: number };

/** "Conv(x, w) -> y" and its attributes; an empty place is an input or output that is left out. */
export type NodeText = readonly [text: string, attributes?: Readonly<Record<string, AttributeText>>];

/** `Conv(x, w) -> y`, `com.microsoft::FusedConv(x) -> y`. */
export function node([line, attributes = {}]: NodeText): NodeProto {
  const [, domain = "", opType = "", inputs = "", outputs = ""] =
    /^(?:([\w.]+)::)?(\w+)\((.*)\) -> (.*)$/.exec(line) ?? [];
  const list = (text: string) => (text.trim() === "" ? [] : text.split(",").map((name) => name.trim()));
  return {
    name: `node of ${list(outputs)[0]}`,
    opType,
    ...(domain !== "" && { domain }),
    input: list(inputs),
    output: list(outputs),
    attribute: Object.entries(attributes).map(([name, value]) => attribute(name, value)),
  };
}

function attribute(name: string, value: AttributeText): AttributeProto {
  if (typeof value === "number") return { name, type: ATTRIBUTE_TYPE.int, i: value };
  if (typeof value === "string")
    return { name, type: ATTRIBUTE_TYPE.string, s: new TextEncoder().encode(value) };
  if ("f" in value) return { name, type: ATTRIBUTE_TYPE.float, f: value.f };
  if ("floats" in value) return { name, type: ATTRIBUTE_TYPE.floats, floats: value.floats };
  if ("t" in value) return { name, type: ATTRIBUTE_TYPE.tensor, t: value.t };
  if ("g" in value) return { name, type: ATTRIBUTE_TYPE.graph, g: value.g };
  if ("ref" in value) return { name, type: value.type, refAttrName: value.ref };
  return { name, type: ATTRIBUTE_TYPE.ints, ints: value };
}

export function tensor(
  name: string,
  dtype: DType,
  dims: readonly number[],
  numbers: readonly number[],
): TensorProto {
  const rawData = tensorBytes({ dtype, shape: [...dims], data: Float64Array.from(numbers) });
  return { name, dims, dataType: ONNX_DTYPES[dtype], rawData };
}

/** float32 numbers between -1 and 1, different ones for different names. */
export function weights(name: string, dims: readonly number[]): TensorProto {
  const count = dims.reduce((product, dim) => product * dim, 1);
  const start = [...name].reduce((sum, c) => sum + c.charCodeAt(0), 0);
  return tensor(
    name,
    "float32",
    dims,
    Array.from({ length: count }, (_, i) => Math.sin(start + 1.7 * i)),
  );
}

export function ints(name: string, numbers: readonly number[]): TensorProto {
  return tensor(name, "int64", [numbers.length], numbers);
}

export interface ForeignModel {
  readonly opset?: number;
  readonly nodes: readonly NodeText[];
  readonly initializers?: readonly TensorProto[];
  /** Names; none: the first output of the last node. */
  readonly outputs?: readonly string[];
  /** Sizes of the image "x"; a string is a symbol. */
  readonly image?: readonly (number | string)[];
  readonly functions?: readonly FunctionProto[];
  /** Versions of other operator sets. */
  readonly domains?: Readonly<Record<string, number>>;
}

/** The image of all models that do not ask for another. */
export const IMAGE_SHAPE = [2, 3, 6, 5] as const;

export function outputsOf({ outputs, nodes }: ForeignModel): readonly string[] {
  return outputs ?? [node(nodes.at(-1) ?? [""]).output[0] ?? ""];
}

export function graphOf(nodes: readonly NodeText[], outputs: readonly string[]): GraphProto {
  return {
    name: "branch",
    node: nodes.map(node),
    initializer: [],
    input: [],
    output: outputs.map((name) => ({ name, type: { tensorType: { elemType: 1 } } })),
  };
}

/** Bytes of the model. Output types are left to whoever reads it, except that they are tensors. */
export function encodeForeign(model: ForeignModel, outputType: DType = "float32"): Uint8Array {
  const { opset = 18, nodes, initializers = [], image = IMAGE_SHAPE, functions, domains = {} } = model;
  const dim = image.map((size) => (typeof size === "number" ? { dimValue: size } : { dimParam: size }));
  return encodeModelProto({
    irVersion: functions ? 10 : 8,
    opsetImport: [
      { domain: "", version: opset },
      ...Object.entries(domains).map(([domain, version]) => ({ domain, version })),
    ],
    graph: {
      name: "foreign",
      node: nodes.map(node),
      initializer: initializers,
      input: [{ name: "x", type: { tensorType: { elemType: 1, shape: { dim } } } }],
      output: outputsOf(model).map((name) => ({
        name,
        type: { tensorType: { elemType: ONNX_DTYPES[outputType] } },
      })),
    },
    ...(functions && { functions }),
  });
}

/** An image of the shape, smooth enough that no two neighbours are equal. */
export function imageOf(shape: readonly number[] = IMAGE_SHAPE): NDArray {
  const count = shape.reduce((product, dim) => product * dim, 1);
  const data = Float64Array.from({ length: count }, (_, i) => Math.fround(Math.sin(0.7 * i) * 2));
  return { dtype: "float32", shape, data };
}
