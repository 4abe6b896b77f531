// From protobufjs's message objects to the plain interfaces of onnxSchema.ts: absent fields stay absent,
// names are always there, and the typed payload lists of old exporters (float_data, int64_data ...) become
// `rawData`. In: messages as decoded by protobuf.ts (int64 fields are exact numbers). Out: data without
// prototypes.
import { MttcError } from "../diagnostics.ts";
import {
  type AttributeProto,
  DATA_LOCATION,
  type DimensionProto,
  type FunctionProto,
  type GraphProto,
  type ModelProto,
  type NodeProto,
  ONNX_ELEMENT_BYTES,
  type TensorProto,
  type TypeProto,
  type ValueInfoProto,
} from "./onnxSchema.ts";

/** A decoded message: own properties are what the file has, the prototype gives protobuf's defaults. */
type Raw<T> = { [K in keyof T]-?: T[K] };

interface RawTensor extends Raw<Omit<TensorProto, "externalData">> {
  readonly externalData: NonNullable<TensorProto["externalData"]>;
  readonly floatData: readonly Uint8Array[];
  readonly int32Data: readonly Uint8Array[];
  readonly int64Data: readonly Uint8Array[];
  readonly doubleData: readonly Uint8Array[];
  readonly uint64Data: readonly Uint8Array[];
}
interface RawAttribute extends Raw<Omit<AttributeProto, "t" | "g" | "tensors" | "graphs">> {
  readonly t: RawTensor;
  readonly g: RawGraph;
  readonly tensors: readonly RawTensor[];
  readonly graphs: readonly RawGraph[];
}
interface RawNode extends Raw<Omit<NodeProto, "attribute">> {
  readonly attribute: readonly RawAttribute[];
}
interface RawGraph extends Raw<Omit<GraphProto, "node" | "initializer">> {
  readonly node: readonly RawNode[];
  readonly initializer: readonly RawTensor[];
}
interface RawFunction extends Raw<Omit<FunctionProto, "node" | "attributeProto">> {
  readonly node: readonly RawNode[];
  readonly attributeProto: readonly RawAttribute[];
}
/** ModelProto as protobufjs decodes it. */
export interface RawModel extends Raw<Omit<ModelProto, "graph" | "functions">> {
  readonly graph: RawGraph | null;
  readonly functions: readonly RawFunction[];
}

/** More elements than fit into the 2 GiB of a protobuf file. */
const MAX_TENSOR_ELEMENTS = 2 ** 31;

/** How many more integers may be expanded from typed payloads; shared by all tensors of a file. */
interface Budget {
  integers: number;
}

/**
 * The plain model; E_MODEL_PARSE when there is no graph or a payload has not the size that its type gives,
 * E_MODEL_SHAPE when a tensor's dims are negative or beyond any file.
 */
export function readModel(raw: RawModel, maxListedIntegers: number): ModelProto {
  if (raw.graph === null) fail("not an ONNX file: it has no graph");
  const budget = { integers: maxListedIntegers };
  return {
    irVersion: raw.irVersion ?? 0,
    opsetImport: raw.opsetImport.map(readOpset),
    ...ownFields(raw, ["producerName", "producerVersion", "domain", "modelVersion", "docString"]),
    graph: readGraph(raw.graph, budget),
    ...(raw.functions.length > 0 && { functions: raw.functions.map((each) => readFunction(each, budget)) }),
    ...(raw.metadataProps.length > 0 && { metadataProps: raw.metadataProps.map(readEntry) }),
  };
}

function readOpset({ domain, version }: ModelProto["opsetImport"][number]) {
  return { domain, version: Number(version) };
}

function readFunction(raw: RawFunction, budget: Budget): FunctionProto {
  return {
    name: raw.name,
    domain: raw.domain,
    ...ownFields(raw, ["overload"]),
    input: [...raw.input],
    output: [...raw.output],
    attribute: [...raw.attribute],
    attributeProto: raw.attributeProto.map((attribute) => readAttribute(attribute, budget)),
    node: raw.node.map((node) => readNode(node, budget)),
    opsetImport: raw.opsetImport.map(readOpset),
  };
}

function readGraph(raw: RawGraph, budget: Budget): GraphProto {
  return {
    name: raw.name,
    node: raw.node.map((node) => readNode(node, budget)),
    initializer: raw.initializer.map((tensor) => readTensor(tensor, budget)),
    input: raw.input.map(readValueInfo),
    output: raw.output.map(readValueInfo),
    ...(raw.valueInfo.length > 0 && { valueInfo: raw.valueInfo.map(readValueInfo) }),
    ...ownFields(raw, ["docString"]),
  };
}

function readNode(raw: RawNode, budget: Budget): NodeProto {
  return {
    name: raw.name,
    opType: raw.opType,
    ...ownFields(raw, ["domain"]),
    input: [...raw.input],
    output: [...raw.output],
    attribute: raw.attribute.map((attribute) => readAttribute(attribute, budget)),
    ...ownFields(raw, ["docString", "overload"]),
  };
}

function readAttribute(raw: RawAttribute, budget: Budget): AttributeProto {
  return {
    name: raw.name,
    type: raw.type,
    ...ownFields(raw, ["f", "i", "s", "docString", "refAttrName"]),
    ...(Object.hasOwn(raw, "t") && { t: readTensor(raw.t, budget) }),
    ...(Object.hasOwn(raw, "g") && { g: readGraph(raw.g, budget) }),
    ...(raw.floats.length > 0 && { floats: [...raw.floats] }),
    ...(raw.ints.length > 0 && { ints: [...raw.ints] }),
    ...(raw.strings.length > 0 && { strings: [...raw.strings] }),
    ...(raw.tensors.length > 0 && { tensors: raw.tensors.map((tensor) => readTensor(tensor, budget)) }),
    ...(raw.graphs.length > 0 && { graphs: raw.graphs.map((graph) => readGraph(graph, budget)) }),
  };
}

function readValueInfo(raw: ValueInfoProto): ValueInfoProto {
  const metadata = raw.metadataProps ?? [];
  return {
    name: raw.name,
    ...(raw.type != null && { type: readType(raw.type) }),
    ...ownFields(raw, ["docString"]),
    ...(metadata.length > 0 && { metadataProps: metadata.map(readEntry) }),
  };
}

function readType({ tensorType }: TypeProto): TypeProto {
  if (tensorType == null) return {};
  const { elemType, shape } = tensorType;
  if (shape == null) return { tensorType: { elemType } };
  const dim = shape.dim.map((raw): DimensionProto => ownFields(raw, ["dimValue", "dimParam"]));
  return { tensorType: { elemType, shape: { dim } } };
}

function readEntry(raw: { readonly key: string; readonly value: string }) {
  return { key: raw.key, value: raw.value };
}

function readTensor(raw: RawTensor, budget: Budget): TensorProto {
  const head = { name: raw.name, dims: [...raw.dims], dataType: raw.dataType };
  const doc = ownFields(raw, ["docString"]);
  if (raw.dataLocation === DATA_LOCATION.external)
    return {
      ...head,
      dataLocation: raw.dataLocation,
      externalData: raw.externalData.map(readEntry),
      ...doc,
    };
  const elementBytes = ONNX_ELEMENT_BYTES.get(raw.dataType);
  if (elementBytes === undefined) return { ...head, ...doc };
  const rawData = readPayload(raw, elementBytes, budget);
  const expected = countElements(raw) * elementBytes;
  if (rawData.length !== expected)
    fail(`tensor "${raw.name}" of shape [${raw.dims}] has ${rawData.length} bytes, expected ${expected}`);
  return { ...head, rawData, ...doc };
}

function countElements(raw: RawTensor): number {
  let count = 1;
  for (const dim of raw.dims) {
    if (dim < 0) failShape(`tensor "${raw.name}" has the negative dimension ${dim}`);
    count *= dim;
  }
  if (count > MAX_TENSOR_ELEMENTS)
    failShape(`tensor "${raw.name}" of shape [${raw.dims}] has more elements than a file can hold`);
  return count;
}

/** Payload bytes, whichever of TensorProto's fields holds them (onnx.proto says which types go where). */
function readPayload(raw: RawTensor, elementBytes: number, budget: Budget): Uint8Array {
  if (Object.hasOwn(raw, "rawData")) return raw.rawData;
  if (raw.floatData.length > 0) return joinChunks(raw.floatData);
  if (raw.doubleData.length > 0) return joinChunks(raw.doubleData);
  const varints = [...raw.int32Data, ...raw.int64Data, ...raw.uint64Data];
  return expandVarints(joinChunks(varints), elementBytes, raw.name, budget);
}

function joinChunks(chunks: readonly Uint8Array[]): Uint8Array {
  if (chunks.length === 1 && chunks[0]) return chunks[0];
  const joined = new Uint8Array(chunks.reduce((total, chunk) => total + chunk.length, 0));
  let at = 0;
  for (const chunk of chunks) {
    joined.set(chunk, at);
    at += chunk.length;
  }
  return joined;
}

/** Packed varints as little-endian integers of `elementBytes` each (the low bytes, as protobuf truncates). */
function expandVarints(packed: Uint8Array, elementBytes: number, name: string, budget: Budget): Uint8Array {
  let count = 0;
  for (const byte of packed) if (byte < 0x80) count += 1;
  budget.integers -= count;
  if (budget.integers < 0) fail(`tensor "${name}": too many integers outside raw_data`);
  if (packed.length > 0 && (packed[packed.length - 1] ?? 0) >= 0x80)
    fail(`tensor "${name}": an integer of its payload is cut short`);
  const bytes = new Uint8Array(count * elementBytes);
  let at = 0;
  let bit = 0;
  for (const byte of packed) {
    // Seven bits per byte, spread over the bytes of the element; bits beyond its width are dropped.
    const low = at + (bit >> 3);
    const shifted = (byte & 0x7f) << (bit & 7);
    if (bit >> 3 < elementBytes) bytes[low] = (bytes[low] ?? 0) | (shifted & 0xff);
    if ((bit >> 3) + 1 < elementBytes) bytes[low + 1] = (bytes[low + 1] ?? 0) | (shifted >> 8);
    bit += 7;
    if (byte < 0x80) {
      at += elementBytes;
      bit = 0;
    }
  }
  return bytes;
}

/** The named fields that the file has, as a plain object. */
function ownFields<T extends object, K extends keyof T>(raw: T, names: readonly K[]): Pick<T, K> {
  const fields: Partial<Pick<T, K>> = {};
  for (const name of names) if (Object.hasOwn(raw, name)) fields[name] = raw[name];
  return fields as Pick<T, K>;
}

function fail(message: string): never {
  throw new MttcError({ code: "E_MODEL_PARSE", message });
}

function failShape(message: string): never {
  throw new MttcError({ code: "E_MODEL_SHAPE", message });
}
