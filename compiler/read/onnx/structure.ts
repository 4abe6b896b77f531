// What import does to operators that are about the graph itself (constants, copies, branches) or that no
// image trunk can have: control flow that depends on the image, random numbers, quantised integers,
// sequences, strings.
import { ATTRIBUTE_TYPE, type AttributeProto } from "../../codec/onnxSchema.ts";
import type { TensorData } from "../../ir/types.ts";
import { DOWNGRADES } from "./downgrades.ts";
import { EARLY_FORMS } from "./earlyForms.ts";
import { type ImportRule, refuseAll } from "./importRule.ts";
import { isValue, type NodeCall, type Results } from "./nodeCall.ts";
import { SEQUENCE_FORMS } from "./sequenceForms.ts";
import { constantOfShape, rangeOf, shapeOf, sizeOf } from "./sizeArithmetic.ts";
import { UPGRADES } from "./upgrades.ts";

function constant(node: NodeCall): Results {
  const [attribute] = node.attributes.values();
  if (!attribute || node.attributes.size !== 1) return node.fail("E_MODEL_PARSE", "expected one attribute");
  const value = node.b.constant(constantData(node, attribute), node.outputs[0]);
  node.ctx.sources.set(value, { kind: "constant" });
  return [value];
}

/** The input itself; of a stored tensor the same numbers under the name that the file gives them here. */
function identity(node: NodeCall): Results {
  const [input] = node.inputs;
  const source = input && isValue(input) ? node.ctx.sources.get(input) : undefined;
  if (!input || !isValue(input) || !source || source.kind === "constant") return [input ?? node.value(0)];
  const data = node.b.constantData(input);
  if (!data || node.outputs[0] === undefined) return [input];
  const alias = node.b.constant(data, node.outputs[0]);
  node.ctx.sources.set(alias, { aliasOf: input.name, ...source });
  node.ctx.weights.set(alias, node.ctx.weights.get(input));
  return [alias];
}

function constantData(node: NodeCall, attribute: AttributeProto): TensorData {
  const numbers = (values: readonly number[], dtype: "float32" | "int64", isList: boolean): TensorData => {
    const data = dtype === "float32" ? Float32Array.from(values) : Float64Array.from(values);
    return { dtype, shape: isList ? [values.length] : [], data };
  };
  switch (attribute.type) {
    case ATTRIBUTE_TYPE.tensor:
      return node.tensor(attribute.name);
    case ATTRIBUTE_TYPE.float:
      return numbers([attribute.f ?? 0], "float32", false);
    case ATTRIBUTE_TYPE.int:
      return numbers([attribute.i ?? 0], "int64", false);
    case ATTRIBUTE_TYPE.floats:
      return numbers(attribute.floats ?? [], "float32", true);
    case ATTRIBUTE_TYPE.ints:
      return numbers(attribute.ints ?? [], "int64", true);
    default:
      return node.fail("E_MODEL_OP", `a constant given as ${attribute.name} is not supported`);
  }
}

/** The branch that a constant condition takes. */
function takenBranch(node: NodeCall): Results {
  const condition = node.constant(0);
  if (condition?.data.length !== 1)
    return node.fail("E_MODEL_OP", "the condition depends on the image", "export the model without branches");
  return node.ctx.convertBranch(node, node.graph(condition.data[0] ? "then_branch" : "else_branch"));
}

function row(
  operator: string,
  treatment: ImportRule["treatment"],
  reason: string,
  convert: (node: NodeCall) => Results,
): ImportRule {
  return { operator, sinceOpset: 9, treatment, reason, convert };
}

const STRUCTURE: readonly ImportRule[] = [
  row("Constant", "folded", "becomes a constant of the graph", constant),
  row("Shape", "folded", "types are known at import; the batch may stay a symbol", shapeOf),
  row("Size", "folded", "types are known at import", sizeOf),
  row("ConstantOfShape", "folded", "its operand must be constant", constantOfShape),
  row("Range", "folded", "its operands must be constants", rangeOf),
  row("Identity", "removed", "its input takes its place", identity),
  row("If", "folded", "a constant condition takes one branch; another is refused", takenBranch),
  ...refuseAll(["Loop", "Scan"], 9, "loops have no derivative here"),
  ...refuseAll(
    ["RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Multinomial", "Bernoulli"],
    9,
    "graphs are the same at every run; the host draws random numbers",
  ),
  ...refuseAll(
    ["QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "QLinearConv", "QLinearMatMul"],
    9,
    "quantised models are not trained; bring the float model",
  ),
  ...refuseAll(
    ["ConvInteger", "MatMulInteger"],
    9,
    "quantised models are not trained; bring the float model",
  ),
  ...refuseAll(
    ["SequenceEmpty", "SequenceErase", "SequenceInsert", "SequenceMap"],
    9,
    "sequences are not tensors",
  ),
  ...refuseAll(["Optional", "OptionalGetElement", "OptionalHasElement"], 15, "optionals are not tensors"),
  ...refuseAll(["StringNormalizer", "TfIdfVectorizer"], 9, "strings are not read"),
  ...refuseAll(["LSTM", "GRU", "RNN"], 9, "recurrent networks are not trunks of image networks"),
  ...refuseAll(
    ["NonMaxSuppression", "NonZero", "Unique", "Compress"],
    9,
    "the result's size depends on the image",
  ),
  ...refuseAll(
    ["BitShift", "BitwiseAnd", "BitwiseOr", "BitwiseXor", "BitwiseNot"],
    11,
    "bits of integers are no features of an image",
  ),
  ...refuseAll(
    ["DFT", "STFT", "MelWeightMatrix", "HannWindow", "HammingWindow", "BlackmanWindow"],
    17,
    "spectra of signals are not parts of image networks",
  ),
  ...refuseAll(["Col2Im"], 18, "overlapping patches are not put together"),
  ...refuseAll(["Det"], 11, "determinants are not parts of image networks"),
  ...refuseAll(["RoiAlign", "MaxRoiPool"], 9, "regions come after the trunk: name an `output` before them"),
];

/**
 * All rows, for the documentation and for findRule: what import does to operators of ONNX's own domain.
 * Operators of other domains are refused unless the file brings a function for them, which is inlined.
 */
export const IMPORT_RULES: readonly ImportRule[] = [
  ...STRUCTURE,
  ...SEQUENCE_FORMS,
  ...EARLY_FORMS,
  ...UPGRADES,
  ...DOWNGRADES,
];
