// A node that the table has at opset 18: attributes checked against the operator's own list, windows with
// explicit pads, types inferred and bounded, constants computed at once. All rules of import end here.
import { ATTRIBUTE_TYPE, type AttributeProto } from "../../codec/onnxSchema.ts";
import { MttcError } from "../../diagnostics.ts";
import { evaluateNode, toArray } from "../../ir/interpret.ts";
import { type AttrSpec, inferTypes, type Op } from "../../ir/op.ts";
import type { OpName } from "../../ir/opNames.ts";
import type { Attrs, AttrValue, Node, TensorData, TensorType, Value } from "../../ir/types.ts";
import { explicitWindow } from "./autoPad.ts";
import { type NodeCall, type Results, text } from "./nodeCall.ts";
import { refusePositions } from "./positionEmbedding.ts";
import { elementTypeName, importedDType } from "./tensorValues.ts";

/** Elements up to which a constant result is computed at import: 64 MiB of float32. */
export const MAX_FOLDED_ELEMENTS = 2 ** 24;
/** Elements of any value, the batch left out if it is a symbol: 16 GiB of float32. */
const MAX_VALUE_ELEMENTS = 2 ** 32;
/** Numbers that are kept at hand of what is computed from initializers: factors of a resize, bounds. */
const MAX_KNOWN_NUMBERS = 64;
/** Inputs whose numbers an operator must know, which stand as constants whatever they were computed from. */
const KNOWN_INPUTS: Readonly<Partial<Record<OpName, readonly number[]>>> = {
  Resize: [1, 2, 3],
  Pad: [1, 2, 3],
};
/** Multiply-adds up to which a product of constant matrices is computed. */
const MAX_FOLDED_PRODUCTS = 2 ** 28;

/** Attributes that say, with this value, what an operator without them does. */
const NEUTRAL_ATTRS: Readonly<Record<string, AttrValue>> = {
  storage_order: 0,
  ceil_mode: 0,
  count_include_pad: 0,
  dilations: [1, 1],
  output_padding: [0, 0],
  saturate: 1,
  antialias: 0,
  exclude_outside: 0,
  stash_type: 1,
  select_last_index: 0,
  allowzero: 0,
  noop_with_empty_axes: 0,
  round_mode: "up",
};

/** Emits the node as it stands, or its result if all inputs are constants. */
export function standardNode(given: NodeCall): Results {
  if (given.b.ops.get(given.operator)?.domain !== "" || given.domain !== "")
    return given.fail("E_MODEL_OP", "the operator is not supported", CUT_HINT);
  const node = given.ctx.fixedBatch?.adapt(given) ?? given;
  const op = node.b.ops.get(node.operator);
  if (!op) return node.fail("E_MODEL_OP", "the operator is not supported", CUT_HINT);
  const inputs = trimmed(node.inputs.map((_, i) => node.optionalValue(i)));
  checkInputs(node, op, inputs);
  const window = op.attrs.strides && op.attrs.pads ? explicitWindow(node, inputs) : node;
  return emitStandard(window, op, inputs, readAttributes(window, op));
}

/** What to do about an operator that cannot be imported. */
export const CUT_HINT = "if the features are wanted from before it, name that value as `output`";

function checkInputs(node: NodeCall, op: Op, inputs: readonly (Value | undefined)[]): void {
  const required = op.inputs.filter((input) => !/[?*]$/.test(input)).length;
  for (let i = 0; i < required; i++) node.value(i);
  if (inputs.length > op.inputs.length && !op.inputs.at(-1)?.endsWith("*"))
    node.fail("E_MODEL_OP", `has ${inputs.length} inputs, at most ${op.inputs.length} are supported`);
}

/** The numbers of a constant, if they are few. */
export function knownNumbers(data: TensorData | undefined): TensorData | undefined {
  return data && data.data.length <= MAX_KNOWN_NUMBERS ? data : undefined;
}

function emitStandard(node: NodeCall, op: Op, given: readonly (Value | undefined)[], attrs: Attrs): Results {
  const inputs = given.map((input, i) => {
    const known = input && KNOWN_INPUTS[op.name]?.includes(i) ? node.ctx.weights.get(input) : undefined;
    return known ? node.b.constant(known) : input;
  });
  const outputs = trimmed(node.outputs.map((name) => name || undefined)).length;
  const constants = inputs.map((input) => node.b.constantData(input));
  const numbers = inputs.map((input) => input && node.numbersOf(input));
  if (op.axes === "elementwise") refusePositions(node, inputs);
  const types = boundedTypes(node, op, inputs, constants, attrs);
  if (outputs > types.length)
    node.fail("E_MODEL_PARSE", `has ${outputs} outputs, the operator gives ${types.length}`);
  const isConstant = inputs.length > 0 && inputs.every((input, i) => !input || numbers[i]);
  const results =
    isConstant && isFolded(node, op, inputs, types)
      ? evaluated(node, { op, inputs, attrs }, numbers, types)
      : [];
  // What is computed from a tensor that may be trained stays computed, unless no derivative leads there.
  const isLearned =
    inputs.some((input) => input && node.ctx.weights.has(input)) &&
    types.some(({ dtype }) => dtype === "float32") &&
    !("notDifferentiable" in op.vjp);
  if (results.length > 0 && !isLearned)
    return results.map((data, i) => {
      const value = node.b.constant(data, node.outputs[i] || undefined);
      node.ctx.sources.set(value, { kind: "constant" });
      return value;
    });
  const values = guarded(node, () => node.b.emitAll(op.name, inputs, attrs, Math.max(1, outputs)));
  values.forEach((value, i) => {
    if (isConstant) node.ctx.weights.set(value, knownNumbers(results[i]));
  });
  return values;
}

/** The results of a node whose inputs are known, rounded as ONNX Runtime's would be. */
function evaluated(
  node: NodeCall,
  { op, inputs, attrs }: Pick<Node, "op" | "inputs" | "attrs">,
  numbers: readonly (TensorData | undefined)[],
  types: readonly TensorType[],
): TensorData[] {
  const known = new Map(inputs.flatMap((input, i) => (input && numbers[i] ? [[input, numbers[i]]] : [])));
  const outputs = types.map((type, i): Value => ({ name: `${node.name}.${i}`, type, origin: node.name }));
  const read = (value: Value) => toArray(known.get(value) ?? node.fail("E_MODEL_PARSE", "no such constant"));
  return guarded(node, () => evaluateNode({ op, inputs, outputs, attrs }, read, known)).map(rounded);
}

/**
 * Types of the outputs; E_MODEL_SHAPE if the operator refuses its inputs, E_MODEL_ALLOC if they are too
 * large.
 */
function boundedTypes(
  node: NodeCall,
  op: Op,
  inputs: readonly (Value | undefined)[],
  constants: readonly (TensorData | undefined)[],
  attrs: Attrs,
): readonly TensorType[] {
  const given = inputs.map((input) => input?.type);
  const types = guarded(node, () => inferTypes(op, given, constants, attrs, node.name));
  for (const { shape } of types) {
    let count = 1;
    for (const dim of shape) {
      if (typeof dim !== "number") continue;
      if (!Number.isSafeInteger(dim) || dim < 0) node.fail("E_MODEL_SHAPE", `gives the shape [${shape}]`);
      count *= dim;
    }
    if (count > MAX_VALUE_ELEMENTS) node.fail("E_MODEL_ALLOC", `gives the shape [${shape}]`);
  }
  return types;
}

/** Whether a constant result is computed now; E_MODEL_ALLOC if it is too large to hold. */
function isFolded(
  node: NodeCall,
  op: Op,
  inputs: readonly (Value | undefined)[],
  types: readonly TensorType[],
): boolean {
  const sizes = types.map(({ shape }) => shape.reduce<number>((n, dim) => n * Number(dim), 1));
  const largest = Math.max(...sizes);
  if (largest > MAX_FOLDED_ELEMENTS)
    node.fail("E_MODEL_ALLOC", `a constant of ${largest} elements is asked for`);
  if (op.traits.includes("random")) return false;
  const areLearned = inputs.some((input) => input && node.ctx.weights.has(input));
  if (areLearned && largest > MAX_KNOWN_NUMBERS) return false;
  if (op.axes === "elementwise" || op.traits.includes("movesData")) return true;
  if (op.name.startsWith("Reduce") || op.name === "Flatten" || op.name === "Reshape") return true;
  if (/queeze$/.test(op.name)) return true;
  const inner = Number(inputs[0]?.type.shape.at(-1) ?? 1);
  return op.name === "MatMul" && largest * inner <= MAX_FOLDED_PRODUCTS;
}

/** float32 results are rounded as ONNX Runtime's would be; others are exact as they are. */
function rounded({ dtype, shape, data }: TensorData): TensorData {
  return { dtype, shape, data: dtype === "float32" ? Float32Array.from(data) : data };
}

/**
 * Runs a rule of the operator table on what a foreign file asks of it. Its E_SHAPE becomes E_MODEL_SHAPE;
 * that it stumbles over lists of lengths it does not expect is the file's fault too.
 */
export function guarded<T>(node: NodeCall, body: () => T): T {
  try {
    return body();
  } catch (error) {
    if (error instanceof MttcError && error.code !== "E_SHAPE") throw error;
    const message = error instanceof MttcError ? (error.faults[0]?.message ?? "") : String(error);
    const at = { file: node.ctx.file, node: node.name };
    throw new MttcError({ code: "E_MODEL_SHAPE", message, at }, { cause: error });
  }
}

function readAttributes(node: NodeCall, op: Op): Attrs {
  const attrs: Record<string, AttrValue> = {};
  // Sorted, so that the order in the file does not show.
  for (const [name, attribute] of [...node.attributes].sort(([a], [b]) => (a < b ? -1 : 1))) {
    const spec = Object.hasOwn(op.attrs, name) ? op.attrs[name] : undefined;
    const value =
      op.name === "Cast" && name === "to" ? castType(node, attribute) : attributeValue(node, attribute);
    if (spec && isOfKind(value, spec.kind)) attrs[name] = value;
    else if (spec) node.fail("E_MODEL_PARSE", `attribute ${name} is not of kind ${spec.kind}`);
    else if (String(value) !== String(NEUTRAL_ATTRS[name]))
      node.fail("E_MODEL_OP", `attribute ${name}=${String(value).slice(0, 80)} is not supported`, CUT_HINT);
  }
  for (const [name, spec] of Object.entries(op.attrs))
    if (spec.default === undefined && !(name in attrs))
      node.fail("E_MODEL_PARSE", `attribute ${name} is missing`);
  return attrs;
}

function castType(node: NodeCall, attribute: AttributeProto): string {
  const code = attribute.i ?? 0;
  return (
    importedDType(code) ?? node.fail("E_MODEL_OP", `to ${elementTypeName(code)} is not supported`, CUT_HINT)
  );
}

function attributeValue(node: NodeCall, attribute: AttributeProto): AttrValue {
  const { type, name } = attribute;
  if (type === ATTRIBUTE_TYPE.float) return attribute.f ?? 0;
  if (type === ATTRIBUTE_TYPE.int) return attribute.i ?? 0;
  if (type === ATTRIBUTE_TYPE.string) return text(attribute.s);
  if (type === ATTRIBUTE_TYPE.floats) return attribute.floats ?? [];
  if (type === ATTRIBUTE_TYPE.ints) return attribute.ints ?? [];
  return node.fail("E_MODEL_OP", `attribute ${name} is of a kind that is not supported`);
}

function isOfKind(value: AttrValue, kind: AttrSpec["kind"]): boolean {
  if (kind === "string") return typeof value === "string";
  const isList = kind === "ints" || kind === "floats";
  const numbers = Array.isArray(value) ? value : [value];
  const isInteger = kind === "int" || kind === "ints";
  return (
    Array.isArray(value) === isList &&
    numbers.every((x) => typeof x === "number" && (!isInteger || Number.isSafeInteger(x)))
  );
}

/** Without what is undefined at the end. */
function trimmed<T>(list: readonly (T | undefined)[]): readonly (T | undefined)[] {
  return list.slice(0, list.findLastIndex((item) => item !== undefined) + 1);
}
