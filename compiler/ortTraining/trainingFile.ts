// The graph of a training step -> training_model.onnx: what ONNX Runtime Training wants beside the graph, and
// what takes operators of its own. Gradients are summed where the runtime keeps them, running statistics are
// written where it keeps them, and dropout masks, which mttc's host draws, are drawn by the graph.
import { IR_VERSION, modelOfGraph, OPSET, PRODUCER } from "../codec/encodeGraph.ts";
import type {
  AttributeProto,
  ModelProto,
  NodeProto,
  TensorProto,
  ValueInfoProto,
} from "../codec/onnxSchema.ts";
import { encodeModelProto } from "../codec/protobuf.ts";
import { ONNX_DTYPES, tensorBytes } from "../codec/tensorBytes.ts";
import type { DType, Graph, Value } from "../ir/types.ts";
import type { Parameter } from "../model/parameters.ts";
import { accumulatedOf, bufferOf, gradientOf, RESET_FLAG } from "./artifactNames.ts";

/** Domain of the runtime's own operators. */
export const MICROSOFT = "com.microsoft";
/** Values of this file's own begin so. */
const OWN = "ort_training/";
const TRUE = `${OWN}true`;

/** A model of nodes that the IR does not know, in the versions that all of 1.17 to 1.19 load. */
export function plainModel(graph: ModelProto["graph"]): ModelProto {
  const opsetImport = [
    { domain: "", version: OPSET },
    { domain: MICROSOFT, version: 1 },
  ];
  return { irVersion: IR_VERSION, producerName: PRODUCER, opsetImport, graph };
}

/** The bytes of training_model.onnx. `graph` is finished; `optimized` are the parameters with gradients. */
export function encodeTrainingFile(graph: Graph, optimized: readonly Parameter[]): Uint8Array {
  const { graph: encoded } = modelOfGraph(graph, { kernelShapes: true });
  const isDrawn = new Set(graph.inputs.filter(isMask).map(({ name }) => name));
  const statistics = graph.outputs.flatMap(({ name, role }) =>
    role?.role === "state" && role.replaces !== undefined ? [{ name, replaces: role.replaces }] : [],
  );
  const isTaken = new Set([
    ...statistics.map(({ name }) => name),
    ...optimized.map(({ name }) => gradientOf(name)),
  ]);
  const flag = statistics.length > 0 ? [constant(TRUE, "bool", [1], [1])] : [];
  const masks = drawMasks(graph.inputs.filter(isMask));
  const model = plainModel({
    ...encoded,
    input: [
      ...encoded.input.filter(({ name }) => !isDrawn.has(name)),
      ...optimized.map(({ name, shape }) => declared(bufferOf(name), "float32", shape)),
      declared(RESET_FLAG, "bool", [1]),
    ],
    output: [
      ...encoded.output.filter(({ name }) => !isTaken.has(name)),
      ...optimized.map(({ name }) => declared(accumulatedOf(name), "bool", [1])),
    ],
    initializer: [...encoded.initializer, ...flag, ...masks.initializer],
    node: [
      ...masks.node,
      ...encoded.node,
      ...optimized.map(({ name }) =>
        accumulation([bufferOf(name), gradientOf(name), RESET_FLAG], accumulatedOf(name)),
      ),
      // The next value overwrites the present one in place: it was read before, as the next is made of it.
      ...statistics.map(({ name, replaces }) => accumulation([replaces, name, TRUE], `${OWN}${name}`)),
    ],
  });
  return encodeModelProto(model);
}

function isMask({ role }: Value): boolean {
  return role?.role === "mask";
}

/** buffer, value, flag: the buffer becomes the value where the flag is true, else their sum. */
function accumulation(input: readonly string[], output: string): NodeProto {
  return runtimeNode("InPlaceAccumulatorV2", input, [output]);
}

/**
 * Masks [N,C,1,1] of 0 and 1 / (1 - rate), anew in each run: dropout of ones. The ones come from the flag,
 * which the runtime feeds, lest they be taken for constants and the mask with them.
 */
function drawMasks(masks: readonly Value[]): { node: NodeProto[]; initializer: TensorProto[] } {
  if (masks.length === 0) return { node: [], initializer: [] };
  const one = `${OWN}one`;
  const node = [
    standardNode("Not", [RESET_FLAG], `${OWN}not_reset`),
    standardNode("Or", [RESET_FLAG, `${OWN}not_reset`], `${OWN}always`),
    standardNode("Cast", [`${OWN}always`], one, [{ name: "to", type: 2, i: ONNX_DTYPES.float32 }]),
  ];
  const initializer = [constant(`${OWN}drops`, "bool", [], [1])];
  for (const { name, type, role } of masks) {
    const [shape, rate, ones] = ["shape", "rate", "ones"].map((part) => `${OWN}${name}/${part}`) as [
      string,
      string,
      string,
    ];
    initializer.push(
      constant(shape, "int64", [type.shape.length], type.shape.map(Number)),
      constant(rate, "float32", [], [role?.role === "mask" ? role.rate : 0]),
    );
    node.push(
      standardNode("Expand", [one, shape], ones),
      standardNode("Dropout", [ones, rate, `${OWN}drops`], name),
    );
  }
  return { node, initializer };
}

function standardNode(
  opType: string,
  input: readonly string[],
  output: string,
  attribute: readonly AttributeProto[] = [],
): NodeProto {
  return { opType, name: output, input, output: [output], attribute };
}

/** A node of one of the runtime's own operators. */
export function runtimeNode(
  opType: string,
  input: readonly string[],
  output: readonly string[],
  attribute: readonly AttributeProto[] = [],
): NodeProto {
  return { opType, domain: MICROSOFT, name: output[0] ?? opType, input, output, attribute };
}

function constant(
  name: string,
  dtype: DType,
  shape: readonly number[],
  numbers: readonly number[],
): TensorProto {
  const data = tensorBytes({ dtype, shape, data: Float64Array.from(numbers) });
  return { name, dims: [...shape], dataType: ONNX_DTYPES[dtype], rawData: data };
}

/** An input or output that is a tensor. */
export function declared(name: string, dtype: DType, shape: readonly number[]): ValueInfoProto {
  const dim = shape.map((dimValue) => ({ dimValue }));
  return { name, type: { tensorType: { elemType: ONNX_DTYPES[dtype], shape: { dim } } } };
}
