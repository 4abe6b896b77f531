// A case's model -> a graph of the IR, by the importer that trunks go through. Inputs are inputs of the
// graph; where an operator needs some of them as constants (axes, sizes), they are given as such.
import { decodeModelProto, type ModelProto } from "../../compiler/codec/protobuf.ts";
import { type Fault, MttcError } from "../../compiler/diagnostics.ts";
import type { NDArray } from "../../compiler/ir/op.ts";
import { type Graph, isFloat } from "../../compiler/ir/types.ts";
import { verifyGraph } from "../../compiler/ir/verify.ts";
import { OPS } from "../../compiler/ops/table.ts";
import { GraphImporter, opsetVersions } from "../../compiler/read/onnx/graphImporter.ts";
import { OPSETS } from "../../compiler/read/onnx/importModel.ts";
import { Scope } from "../../compiler/read/onnx/scope.ts";
import { elementTypeName, importedDType } from "../../compiler/read/onnx/tensorValues.ts";
import type { ConformanceCase } from "./conformanceCase.ts";

/** A list of axes or sizes is shorter than this. */
const LISTED_NUMBERS = 8;

/**
 * Imports the model of a case with as few inputs as constants as it takes: none; integers; short lists too;
 * all. Throws what the importer said of the first attempt.
 */
export function importCase(given: ConformanceCase): Graph {
  const model = decodeModelProto(given.model);
  checkReadable(given, model);
  const isListed = ({ shape, data }: NDArray): boolean => shape.length <= 1 && data.length < LISTED_NUMBERS;
  const attempts: readonly ((array: NDArray, index: number) => boolean)[] = [
    () => false,
    (array) => !isFloat(array.dtype) && array.dtype !== "bool",
    (array, index) => !isFloat(array.dtype) || (index > 0 && isListed(array)),
    () => true,
  ];
  let refusal: unknown;
  for (const isConstant of attempts)
    try {
      return convert(given, model, isConstant);
    } catch (error) {
      if (!(error instanceof MttcError)) throw error;
      refusal ??= error;
    }
  throw refusal;
}

function convert(
  given: ConformanceCase,
  model: ModelProto,
  isConstant: (array: NDArray, index: number) => boolean,
): Graph {
  const { graph } = model;
  const opsets = opsetVersions(model.opsetImport);
  const importer = new GraphImporter(graph.name || "case", {
    file: given.id,
    ops: OPS,
    batch: "no batch",
    image: undefined,
    functions: model.functions ?? [],
    externalData: undefined,
  });
  const scope = new Scope({ prefix: "", initializers: graph.initializer, opsets, depth: 0 });
  given.inputs.forEach((input, index) => {
    if (!input) return;
    const [name, array] = input;
    const value = isConstant(array, index)
      ? importer.b.constant(array)
      : importer.b.input(name, array.dtype, array.shape);
    scope.define(name, value);
  });
  const outputs = graph.output.map(({ name }) => name);
  importer.convert(graph.node, outputs, scope);
  for (const name of outputs) importer.b.output(name, importer.findValue(name, scope, name));
  const built = importer.b.build();
  verifyGraph(built, { allowOwnOps: false, after: "import" });
  return built;
}

/** What trunks cannot be made of: other operator sets, inputs and outputs of types that are not read. */
function checkReadable({ id }: ConformanceCase, { graph, opsetImport }: ModelProto): void {
  const refuse = (fault: Omit<Fault, "at">): never => {
    throw new MttcError({ ...fault, at: { file: id } });
  };
  const opset = opsetVersions(opsetImport).get("") ?? 0;
  if (opset < OPSETS.oldest || opset > OPSETS.newest)
    refuse({
      code: "E_MODEL_OP",
      message: opset === 0 ? "no operators of ONNX's own domain" : `operator set ${opset} is not read`,
    });
  for (const { type } of [...graph.input, ...graph.output]) {
    const code = type?.tensorType?.elemType;
    if (code === undefined) refuse({ code: "E_MODEL_OP", message: "an input or output is no tensor" });
    else if (importedDType(code) === undefined)
      refuse({ code: "E_MODEL_DATA", message: `${elementTypeName(code)} is not read` });
  }
}
