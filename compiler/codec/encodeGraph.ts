// Graph -> ONNX file bytes, opset 18. Node names are value names, doc strings are origins, so that profiles
// and ORT's errors point into the spec. Large constants may go to a file of their own that several graphs
// share.
import { InternalError } from "../diagnostics.ts";
import type { AttrSpec } from "../ir/op.ts";
import type { AttrValue, DType, Graph, Node, TensorData, TensorType, Value } from "../ir/types.ts";
import type { ConstantsFile } from "./constantsFile.ts";
import {
  type AttributeProto,
  encodeModelProto,
  type ModelProto,
  type NodeProto,
  type TensorProto,
  type ValueInfoProto,
} from "./protobuf.ts";
import { ONNX_DTYPES, tensorBytes } from "./tensorBytes.ts";

export const OPSET = 18;
export const IR_VERSION = 8;
export const PRODUCER = "mttc";

export interface EncodeOptions {
  /** Where constants of at least `ConstantsFile.threshold` bytes go; without it all are inside the file. */
  readonly constants?: ConstantsFile | undefined;
  /** metadata_props of the model. */
  readonly metadata?: Readonly<Record<string, string>>;
  /**
   * Spells the kernel_shape of convolutions out, which follows from the filter: onnxruntime-web's WebGPU
   * provider refuses them without.
   */
  readonly kernelShapes?: boolean;
}

/** Bytes of an ONNX model; the graph must be lowered (an own operator is an InternalError). */
export function encodeGraph(graph: Graph, options: EncodeOptions = {}): Uint8Array {
  return encodeModelProto(modelOfGraph(graph, options));
}

/** The same before it is bytes: for files that hold more than a graph of ours can say. */
export function modelOfGraph(graph: Graph, options: EncodeOptions = {}): ModelProto {
  const names = outputNames(graph);
  const nameOf = (value: Value | undefined): string => (value ? (names.get(value) ?? value.name) : "");
  const nodes = graph.nodes.map((node) =>
    encodeNode(node, nameOf, options.kernelShapes ? kernelShape(node) : {}),
  );
  for (const { name, value } of graph.outputs)
    if (nameOf(value) !== name) nodes.push({ ...copyNode(nameOf(value), name), docString: value.origin });
  return {
    irVersion: IR_VERSION,
    producerName: PRODUCER,
    opsetImport: opsetImports(graph),
    metadataProps: Object.entries(options.metadata ?? {}).map(([key, value]) => ({ key, value })),
    graph: {
      name: graph.name,
      node: nodes,
      input: graph.inputs.map((value) => valueInfo(value.name, value.type)),
      output: graph.outputs.map(({ name, value }) => valueInfo(name, value.type)),
      initializer: [...graph.constants].map(([value, data]) =>
        encodeConstant(value, data, options.constants),
      ),
    },
  };
}

/** Output names for values that can carry one: made by a node, first output of that value. */
function outputNames(graph: Graph): Map<Value, string> {
  const made = new Set<Value>(graph.nodes.flatMap((node) => node.outputs));
  const names = new Map<Value, string>();
  for (const { name, value } of graph.outputs)
    if (made.has(value) && !names.has(value)) names.set(value, name);
  return names;
}

function copyNode(from: string, to: string): NodeProto {
  return { opType: "Identity", name: `${to}/Identity`, input: [from], output: [to], attribute: [] };
}

/** ONNX's operators, and those domains of ONNX Runtime's of which one is used. */
function opsetImports(graph: Graph): ModelProto["opsetImport"] {
  const used = new Set(graph.nodes.map(({ op }) => op.domain));
  used.delete("");
  const extensions = [...used].toSorted().map((domain) => ({ domain, version: 1 }));
  return [{ domain: "", version: OPSET }, ...extensions];
}

/** The kernel_shape of a convolution whose filter has known sizes. */
function kernelShape({ op, inputs }: Node): Node["attrs"] {
  const sides =
    op.traits.includes("convolves") && op.attrs.kernel_shape ? inputs[1]?.type.shape.slice(2) : undefined;
  const isKnown = sides?.every((side): side is number => typeof side === "number");
  return isKnown ? { kernel_shape: sides as number[] } : {};
}

function encodeNode(
  node: Node,
  nameOf: (value: Value | undefined) => string,
  implied: Node["attrs"],
): NodeProto {
  const { op } = node;
  if (op.domain === "mttc") throw new InternalError(`${op.name} reached the ONNX encoder`);
  const input = node.inputs.map(nameOf);
  while (input.at(-1) === "") input.pop();
  return {
    opType: op.opType ?? op.name,
    ...(op.domain === "" ? {} : { domain: op.domain }),
    name: node.outputs[0]?.name ?? op.name,
    docString: node.outputs[0]?.origin ?? "",
    input,
    output: node.outputs.map(nameOf),
    attribute: Object.entries({ ...implied, ...node.attrs })
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, value]) => encodeAttribute(op.name, name, op.attrs[name], value)),
  };
}

/** AttributeProto.AttributeType numbers of the kinds that ops declare. */
const ATTRIBUTE_TYPES: Readonly<Record<AttrSpec["kind"], number>> = {
  float: 1,
  int: 2,
  string: 3,
  floats: 6,
  ints: 7,
};

function encodeAttribute(
  op: string,
  name: string,
  spec: AttrSpec | undefined,
  value: AttrValue,
): AttributeProto {
  // Cast holds our own dtype names; ONNX wants the number.
  if (op === "Cast" && name === "to")
    return { name, type: ATTRIBUTE_TYPES.int, i: ONNX_DTYPES[value as DType] };
  if (!spec) throw new InternalError(`${op} has no attribute ${name}`);
  const type = ATTRIBUTE_TYPES[spec.kind];
  switch (spec.kind) {
    case "float":
      return { name, type, f: value as number };
    case "int":
      return { name, type, i: value as number };
    case "string":
      return { name, type, s: new TextEncoder().encode(value as string) };
    case "floats":
      return { name, type, floats: value as readonly number[] };
    case "ints":
      return { name, type, ints: value as readonly number[] };
    default:
      throw new InternalError(`attribute kind ${String(spec.kind satisfies never)}`);
  }
}

function encodeConstant(value: Value, data: TensorData, file: ConstantsFile | undefined): TensorProto {
  const bytes = tensorBytes(data);
  const head = { name: value.name, dataType: ONNX_DTYPES[data.dtype], dims: [...data.shape] };
  const place = file?.place(bytes);
  if (!place) return { ...head, rawData: bytes };
  const external = Object.entries(place).map(([key, field]) => ({ key, value: String(field) }));
  return { ...head, dataLocation: 1, externalData: external };
}

function valueInfo(name: string, type: TensorType): ValueInfoProto {
  const dim = type.shape.map((size) => (typeof size === "number" ? { dimValue: size } : { dimParam: size }));
  return { name, type: { tensorType: { elemType: ONNX_DTYPES[type.dtype], shape: { dim } } } };
}
