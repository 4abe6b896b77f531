// The subset of ONNX's protobuf schema (onnx.proto, IR version 8 to 10) that mttc reads and writes: the
// interfaces that the rest of the compiler sees, and the descriptor with the field numbers that protobuf.ts
// gives to protobufjs. Source of the numbers: onnx/onnx.proto of the ONNX project. Sparse tensors, training
// info and types other than tensors and sequences are left out; decoding skips them.

/** Bytes per element by TensorProto.DataType code; strings (8) have no fixed size and are absent. */
export const ONNX_ELEMENT_BYTES: ReadonlyMap<number, number> = new Map([
  [1, 4],
  [2, 1],
  [3, 1],
  [4, 2],
  [5, 2],
  [6, 4],
  [7, 8],
  [9, 1],
  [10, 2],
  [11, 8],
  [12, 4],
  [13, 8],
  [14, 8],
  [15, 16],
  [16, 2],
]);

/** AttributeProto.AttributeType codes: which field of an AttributeProto holds the value. */
export const ATTRIBUTE_TYPE = {
  float: 1,
  int: 2,
  string: 3,
  tensor: 4,
  graph: 5,
  floats: 6,
  ints: 7,
  strings: 8,
  tensors: 9,
  graphs: 10,
} as const;

/** TensorProto.DataLocation: 1 means that `externalData` says where the payload lies. */
export const DATA_LOCATION = { default: 0, external: 1 } as const;

/** A key and a value: model metadata, or the place of external data (`location`, `offset`, `length`). */
export interface StringStringEntryProto {
  readonly key: string;
  readonly value: string;
}

/** An operator set that a model uses; domain "" is ONNX's own. */
export interface OperatorSetIdProto {
  readonly domain: string;
  readonly version: number;
}

/** One dimension: a size, a symbol, or (neither) unknown. */
export interface DimensionProto {
  readonly dimValue?: number;
  readonly dimParam?: string;
}

/** A shape of known rank. */
export interface TensorShapeProto {
  readonly dim: readonly DimensionProto[];
}

/** A tensor type; without `shape` the rank is unknown. */
export interface TensorTypeProto {
  readonly elemType: number;
  readonly shape?: TensorShapeProto;
}

/**
 * A value's type: one of both. Maps and optionals, which mttc does not use, have neither; what is read of a
 * file has no sequences either.
 */
export interface TypeProto {
  readonly tensorType?: TensorTypeProto;
  readonly sequenceType?: { readonly elemType: TypeProto };
}

/** The type of a named value. */
export interface ValueInfoProto {
  readonly name: string;
  readonly type?: TypeProto;
  readonly docString?: string;
  readonly metadataProps?: readonly StringStringEntryProto[];
}

/**
 * A tensor's type and payload. `rawData` is little-endian and row-major, of exactly the size that dims and
 * data type give; after decoding it is a view of the file's bytes (of any alignment), and absent only where
 * the payload is external or of strings.
 */
export interface TensorProto {
  readonly name: string;
  readonly dims: readonly number[];
  readonly dataType: number;
  readonly rawData?: Uint8Array;
  readonly dataLocation?: number;
  readonly externalData?: readonly StringStringEntryProto[];
  readonly docString?: string;
}

/**
 * A named attribute; `type` (ATTRIBUTE_TYPE) says which one of the other fields holds the value. Strings are
 * UTF-8.
 */
export interface AttributeProto {
  readonly name: string;
  readonly type: number;
  readonly f?: number;
  readonly i?: number;
  readonly s?: Uint8Array;
  readonly t?: TensorProto;
  readonly g?: GraphProto;
  readonly floats?: readonly number[];
  readonly ints?: readonly number[];
  readonly strings?: readonly Uint8Array[];
  readonly tensors?: readonly TensorProto[];
  readonly graphs?: readonly GraphProto[];
  readonly docString?: string;
  /** Inside a function: the attribute of the calling node that gives the value. */
  readonly refAttrName?: string;
}

/** One operator application; an omitted optional input is "". */
export interface NodeProto {
  readonly name: string;
  readonly opType: string;
  readonly domain?: string;
  readonly input: readonly string[];
  readonly output: readonly string[];
  readonly attribute: readonly AttributeProto[];
  readonly docString?: string;
  /** Which of several functions of one name is called. */
  readonly overload?: string;
}

/**
 * A function of the model: an operator of `domain` whose meaning is given by nodes, over its own operator
 * sets.
 */
export interface FunctionProto {
  readonly name: string;
  readonly domain: string;
  readonly overload?: string;
  readonly input: readonly string[];
  readonly output: readonly string[];
  /** Attributes without a default, and those that have one. */
  readonly attribute: readonly string[];
  readonly attributeProto: readonly AttributeProto[];
  readonly node: readonly NodeProto[];
  readonly opsetImport: readonly OperatorSetIdProto[];
}

/** A graph: nodes in topological order, constants, typed inputs and outputs. */
export interface GraphProto {
  readonly name: string;
  readonly node: readonly NodeProto[];
  readonly initializer: readonly TensorProto[];
  readonly input: readonly ValueInfoProto[];
  readonly output: readonly ValueInfoProto[];
  readonly valueInfo?: readonly ValueInfoProto[];
  readonly docString?: string;
}

/** A whole model file. */
export interface ModelProto {
  readonly irVersion: number;
  readonly opsetImport: readonly OperatorSetIdProto[];
  readonly producerName?: string;
  readonly producerVersion?: string;
  readonly domain?: string;
  readonly modelVersion?: number;
  readonly docString?: string;
  readonly graph: GraphProto;
  readonly functions?: readonly FunctionProto[];
  readonly metadataProps?: readonly StringStringEntryProto[];
}

type FieldRow = readonly [name: string, id: number, type: string, rule?: "repeated"];

// Enums are int32 on the wire. The typed payload lists of TensorProto are declared as bytes, which is what a
// packed list is on the wire: so a hostile file cannot make protobufjs build an array of a billion numbers.
const MESSAGES: Readonly<Record<string, readonly FieldRow[]>> = {
  StringStringEntryProto: [
    ["key", 1, "string"],
    ["value", 2, "string"],
  ],
  OperatorSetIdProto: [
    ["domain", 1, "string"],
    ["version", 2, "int64"],
  ],
  DimensionProto: [
    ["dimValue", 1, "int64"],
    ["dimParam", 2, "string"],
  ],
  TensorShapeProto: [["dim", 1, "DimensionProto", "repeated"]],
  TensorTypeProto: [
    ["elemType", 1, "int32"],
    ["shape", 2, "TensorShapeProto"],
  ],
  SequenceTypeProto: [["elemType", 1, "TypeProto"]],
  TypeProto: [
    ["tensorType", 1, "TensorTypeProto"],
    ["sequenceType", 4, "SequenceTypeProto"],
  ],
  ValueInfoProto: [
    ["name", 1, "string"],
    ["type", 2, "TypeProto"],
    ["docString", 3, "string"],
    ["metadataProps", 4, "StringStringEntryProto", "repeated"],
  ],
  TensorProto: [
    ["dims", 1, "int64", "repeated"],
    ["dataType", 2, "int32"],
    ["floatData", 4, "bytes", "repeated"],
    ["int32Data", 5, "bytes", "repeated"],
    ["int64Data", 7, "bytes", "repeated"],
    ["name", 8, "string"],
    ["rawData", 9, "bytes"],
    ["doubleData", 10, "bytes", "repeated"],
    ["uint64Data", 11, "bytes", "repeated"],
    ["docString", 12, "string"],
    ["externalData", 13, "StringStringEntryProto", "repeated"],
    ["dataLocation", 14, "int32"],
  ],
  AttributeProto: [
    ["name", 1, "string"],
    ["f", 2, "float"],
    ["i", 3, "int64"],
    ["s", 4, "bytes"],
    ["t", 5, "TensorProto"],
    ["g", 6, "GraphProto"],
    ["floats", 7, "float", "repeated"],
    ["ints", 8, "int64", "repeated"],
    ["strings", 9, "bytes", "repeated"],
    ["tensors", 10, "TensorProto", "repeated"],
    ["graphs", 11, "GraphProto", "repeated"],
    ["docString", 13, "string"],
    ["type", 20, "int32"],
    ["refAttrName", 21, "string"],
  ],
  NodeProto: [
    ["input", 1, "string", "repeated"],
    ["output", 2, "string", "repeated"],
    ["name", 3, "string"],
    ["opType", 4, "string"],
    ["attribute", 5, "AttributeProto", "repeated"],
    ["docString", 6, "string"],
    ["domain", 7, "string"],
    ["overload", 8, "string"],
  ],
  FunctionProto: [
    ["name", 1, "string"],
    ["input", 4, "string", "repeated"],
    ["output", 5, "string", "repeated"],
    ["attribute", 6, "string", "repeated"],
    ["node", 7, "NodeProto", "repeated"],
    ["opsetImport", 9, "OperatorSetIdProto", "repeated"],
    ["domain", 10, "string"],
    ["attributeProto", 11, "AttributeProto", "repeated"],
    ["overload", 13, "string"],
  ],
  GraphProto: [
    ["node", 1, "NodeProto", "repeated"],
    ["name", 2, "string"],
    ["initializer", 5, "TensorProto", "repeated"],
    ["docString", 10, "string"],
    ["input", 11, "ValueInfoProto", "repeated"],
    ["output", 12, "ValueInfoProto", "repeated"],
    ["valueInfo", 13, "ValueInfoProto", "repeated"],
  ],
  ModelProto: [
    ["irVersion", 1, "int64"],
    ["producerName", 2, "string"],
    ["producerVersion", 3, "string"],
    ["domain", 4, "string"],
    ["modelVersion", 5, "int64"],
    ["docString", 6, "string"],
    ["graph", 7, "GraphProto"],
    ["opsetImport", 8, "OperatorSetIdProto", "repeated"],
    ["metadataProps", 14, "StringStringEntryProto", "repeated"],
    ["functions", 25, "FunctionProto", "repeated"],
  ],
};

/** A field of the descriptor in protobufjs's JSON form. */
export interface FieldDescriptor {
  readonly id: number;
  readonly type: string;
  readonly rule?: "repeated";
}

/** A message of the descriptor in protobufjs's JSON form. */
export interface MessageDescriptor {
  readonly edition: "proto2";
  readonly fields: Readonly<Record<string, FieldDescriptor>>;
}

/**
 * The descriptor for protobufjs. proto2 as onnx.proto is: a field that is there is written even when it is
 * zero (a dimension of size 0), scalar lists are written unpacked, and both forms of lists are read.
 */
export function describeOnnx(): { nested: Record<string, MessageDescriptor> } {
  const nested: Record<string, MessageDescriptor> = {};
  for (const [message, rows] of Object.entries(MESSAGES)) {
    const fields: Record<string, FieldDescriptor> = {};
    for (const [name, id, type, rule] of rows) fields[name] = rule ? { id, type, rule } : { id, type };
    nested[message] = { edition: "proto2", fields };
  }
  return { nested };
}
