// One node of a foreign graph, as the rules of import see it: inputs that are values of the graph under
// construction, attributes read from protobuf, and the means to emit operators of opset 18 in its place.
import {
  ATTRIBUTE_TYPE,
  type AttributeProto,
  type GraphProto,
  type TensorProto,
} from "../../codec/onnxSchema.ts";
import { type ErrorCode, MttcError } from "../../diagnostics.ts";
import type { GraphBuilder } from "../../ir/builder.ts";
import type { TensorSource } from "../../ir/tensorSource.ts";
import type { Attrs, Dim, TensorData, Value } from "../../ir/types.ts";
import { type SizeList, sizesText } from "./sizeList.ts";

/** What a name of the file stands for. */
export type Imported = Value | SizeList | Sequence;

/** A list of tensors, each of its own shape. */
export interface Sequence {
  readonly items: readonly Value[];
}

export function isSizeList(imported: Imported): imported is SizeList {
  return "atProbes" in imported;
}

export function isSequence(imported: Imported): imported is Sequence {
  return "items" in imported;
}

export function isValue(imported: Imported): imported is Value {
  return "type" in imported;
}

/** What a rule gives for each output of the node, in order. */
export type Results = readonly (Imported | undefined)[];
/** Turns a node into operators of opset 18. */
export type Convert = (node: NodeCall) => Results;

/** Where the batch lies in the values of a file that fixes it (fixedBatch.ts). */
export interface BatchPlaces {
  /**
   * The node (its inputs are values, or absent) as it must be for our batch: operands that name the file's
   * batch replaced, inputs that are the same for all images repeated. E_MODEL_SHAPE where it mixes images.
   */
  adapt(node: NodeCall): NodeCall;
  /** Looks at what was emitted since the last call; E_MODEL_SHAPE at `node` where it mixes images. */
  follow(node: NodeCall): void;
  /** The size of an axis in the file. */
  fileDim(value: Value, axis: number): number;
}

/** What all nodes of an import share. */
export interface ImportContext {
  readonly b: GraphBuilder;
  readonly file: string;
  /** The batch that the graph is built for. */
  readonly batch: Dim;
  /** Batches at which sizes that depend on the batch are computed. */
  readonly probes: readonly number[];
  /** Conditions of N elements that batchStretch.ts has made, by source and rank. */
  readonly batchFlags: Map<string, Value>;
  /** The image input, if there is one. */
  readonly image: Value | undefined;
  /** Where the batch lies in values, for a file that fixes another batch than ours. */
  readonly fixedBatch: BatchPlaces | undefined;
  /** Remarks for the log. */
  readonly notes: Set<string>;
  /**
   * Initializers that may be trained, and what is computed from them: they keep their names, and a
   * standardized weight is trained as the weight that it was made from. With the numbers that they hold where
   * those are few, for operators that must know them.
   */
  readonly weights: Map<Value, TensorData | undefined>;
  /** What the file says of the constants that were made of it. */
  readonly sources: Map<Value, TensorSource>;
  readTensor(tensor: TensorProto): TensorData;
  /** Converts a branch in the scope of the node that holds it; values of its outputs. */
  convertBranch(node: NodeCall, graph: GraphProto): Results;
}

/** What helps where sizes that depend on the batch cannot be followed. */
export const BATCH_HINT =
  "name a value before this node as `output`, or export the model with a batch of 1, without dynamic axes";

export class NodeCall {
  readonly operator: string;
  readonly domain: string;
  readonly name: string;
  /** Version of the operator set that the node is written for. */
  readonly opset: number;
  readonly inputs: readonly (Imported | undefined)[];
  readonly outputs: readonly string[];
  readonly attributes: ReadonlyMap<string, AttributeProto>;
  readonly ctx: ImportContext;

  constructor(
    fields: Pick<NodeCall, "operator" | "domain" | "name" | "opset" | "inputs" | "outputs" | "attributes">,
    ctx: ImportContext,
  ) {
    this.operator = fields.operator;
    this.domain = fields.domain;
    this.name = fields.name;
    this.opset = fields.opset;
    this.inputs = fields.inputs;
    this.outputs = fields.outputs;
    this.attributes = fields.attributes;
    this.ctx = ctx;
  }

  get b(): GraphBuilder {
    return this.ctx.b;
  }

  fail(code: ErrorCode, message: string, hint?: string): never {
    const at = { file: this.ctx.file, node: this.name };
    const fault = { code, message: `${this.operator}: ${message}`, at };
    throw new MttcError(hint === undefined ? fault : { ...fault, hint });
  }

  /** A compulsory input that is a value of the graph; E_MODEL_SHAPE for symbolic sizes. */
  value(index: number): Value {
    return this.optionalValue(index) ?? this.fail("E_MODEL_PARSE", `input ${index} is missing`);
  }

  optionalValue(index: number): Value | undefined {
    const input = this.inputs[index];
    if (!input || isValue(input)) return input;
    if (isSequence(input)) return this.fail("E_MODEL_OP", `input ${index} is a sequence, not a tensor`);
    return this.fail(
      "E_MODEL_SHAPE",
      `input ${index}, [${sizesText(input, this.ctx.probes)}], depends on the batch in a way that is not followed`,
      BATCH_HINT,
    );
  }

  /** The numbers of a value that is constant, or computed from initializers alone; of few numbers only. */
  numbersOf(value: Value): TensorData | undefined {
    return this.b.constantData(value) ?? this.ctx.weights.get(value);
  }

  /** The numbers of an input, if it is given and constant. */
  constant(index: number): TensorData | undefined {
    const input = this.inputs[index];
    return input && isValue(input) ? this.numbersOf(input) : undefined;
  }

  /** The numbers of a compulsory constant input; E_MODEL_OP if they depend on the image. */
  numbers(index: number): number[] {
    const data = this.constant(index) ?? this.fail("E_MODEL_OP", `input ${index} must be constant`);
    return Array.from(data.data);
  }

  has(name: string): boolean {
    return this.attributes.has(name);
  }

  int(name: string, standard?: number): number {
    const attribute = this.#attribute(name, "int", standard !== undefined);
    return attribute ? (attribute.i ?? 0) : (standard ?? 0);
  }

  float(name: string, standard?: number): number {
    const attribute = this.#attribute(name, "float", standard !== undefined);
    return attribute ? (attribute.f ?? 0) : (standard ?? 0);
  }

  string(name: string, standard?: string): string {
    const attribute = this.#attribute(name, "string", standard !== undefined);
    return attribute ? text(attribute.s) : (standard ?? "");
  }

  ints(name: string, standard?: readonly number[]): readonly number[] {
    const attribute = this.#attribute(name, "ints", standard !== undefined);
    return attribute ? (attribute.ints ?? []) : (standard ?? []);
  }

  floats(name: string): readonly number[] {
    return this.#attribute(name, "floats", false)?.floats ?? [];
  }

  tensor(name: string): TensorData {
    const { t } = this.#attribute(name, "tensor", false) ?? {};
    return this.ctx.readTensor(t ?? this.fail("E_MODEL_PARSE", `attribute ${name} holds no tensor`));
  }

  graph(name: string): GraphProto {
    const { g } = this.#attribute(name, "graph", false) ?? {};
    return g ?? this.fail("E_MODEL_PARSE", `attribute ${name} holds no graph`);
  }

  /** The node with other inputs or attributes; attributes that are undefined are taken away. */
  with(changes: {
    readonly operator?: string;
    readonly inputs?: readonly (Imported | undefined)[];
    readonly attrs?: Readonly<Record<string, Attrs[string] | undefined>>;
    readonly outputs?: readonly string[];
  }): NodeCall {
    const attributes = new Map(this.attributes);
    for (const [name, value] of Object.entries(changes.attrs ?? {})) {
      if (value === undefined) attributes.delete(name);
      else attributes.set(name, attributeOf(name, value));
    }
    const { operator = this.operator, inputs = this.inputs, outputs = this.outputs } = changes;
    const { domain, name, opset } = this;
    return new NodeCall({ operator, domain, name, opset, inputs, outputs, attributes }, this.ctx);
  }

  /** The node with parts of what all nodes share replaced. */
  inContext(changes: Partial<ImportContext>): NodeCall {
    return new NodeCall(this, { ...this.ctx, ...changes });
  }

  #attribute(
    name: string,
    kind: keyof typeof ATTRIBUTE_TYPE,
    isOptional: boolean,
  ): AttributeProto | undefined {
    const attribute = this.attributes.get(name);
    if (!attribute && isOptional) return undefined;
    if (!attribute) return this.fail("E_MODEL_PARSE", `attribute ${name} is missing`);
    if (attribute.type !== ATTRIBUTE_TYPE[kind])
      return this.fail("E_MODEL_PARSE", `attribute ${name} is not of kind ${kind}`);
    return attribute;
  }
}

/** Attributes made by rules: numbers are integers, which is what the operators concerned have. */
function attributeOf(name: string, value: Attrs[string]): AttributeProto {
  if (typeof value === "number") return { name, type: ATTRIBUTE_TYPE.int, i: value };
  if (typeof value === "string")
    return { name, type: ATTRIBUTE_TYPE.string, s: new TextEncoder().encode(value) };
  return { name, type: ATTRIBUTE_TYPE.ints, ints: value };
}

/** UTF-8 bytes as text. */
export function text(bytes: Uint8Array | undefined): string {
  return new TextDecoder().decode(bytes ?? new Uint8Array());
}
