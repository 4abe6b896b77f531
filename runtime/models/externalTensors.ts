// Brings the numbers that an ONNX file keeps in other files into the model itself, each from a plain file of
// the model's own folder: given bytes, ONNX Runtime would look for them in the working directory.
import { DATA_LOCATION } from "../../compiler/codec/onnxSchema.ts";
import {
  encodeModelProto,
  type ModelProto,
  type NodeProto,
  type TensorProto,
} from "../../compiler/codec/protobuf.ts";
import { MttcError } from "../../compiler/diagnostics.ts";
import { readTensorBytes } from "../../compiler/read/onnx/tensorValues.ts";
import { MAX_MODEL_BYTES, type ModelFile } from "./modelFile.ts";

/**
 * The bytes of the model with all its numbers; those of the file where it has them. E_MODEL_PATH,
 * E_MODEL_DATA, E_FILE as reading external data; E_MODEL_ALLOC where it would pass 2 GiB.
 */
export function selfContainedBytes(file: ModelFile, model: ModelProto): Uint8Array {
  let total = 0;
  let isSplit = false;
  const inline = (tensor: TensorProto): TensorProto => {
    if (tensor.dataLocation !== DATA_LOCATION.external) return tensor;
    isSplit = true;
    const { dataLocation: _, externalData: __, ...head } = tensor;
    const rawData = readTensorBytes(tensor, file.externalData);
    total += rawData.length;
    if (total > MAX_MODEL_BYTES)
      throw new MttcError({
        code: "E_MODEL_ALLOC",
        message: `the external data has over ${MAX_MODEL_BYTES} bytes`,
        at: { file: file.file },
      });
    return { ...head, rawData };
  };
  const inlineNode = (node: NodeProto): NodeProto => ({
    ...node,
    attribute: (node.attribute ?? []).map((attribute) => ({
      ...attribute,
      ...(attribute.t && { t: inline(attribute.t) }),
      ...(attribute.tensors && { tensors: attribute.tensors.map(inline) }),
    })),
  });
  const { graph, functions } = model;
  const whole: ModelProto = {
    ...model,
    graph: { ...graph, node: graph.node.map(inlineNode), initializer: graph.initializer.map(inline) },
    ...(functions && { functions: functions.map((each) => ({ ...each, node: each.node.map(inlineNode) })) }),
  };
  return isSplit ? encodeModelProto(whole) : file.bytes;
}
