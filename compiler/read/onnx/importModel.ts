// Bytes of a foreign ONNX file (opset 9 to the newest) -> a graph of the IR at opset 18. Read this first:
// decode -> input and sizes -> walk the nodes (graphImporter.ts) -> names of the file on all values ->
// verify.
import type { GraphProto, ModelProto, ValueInfoProto } from "../../codec/onnxSchema.ts";
import { decodeModelProto } from "../../codec/protobuf.ts";
import { type Fault, InternalError, MttcError } from "../../diagnostics.ts";
import { dimAt } from "../../ir/dims.ts";
import type { TensorSources } from "../../ir/tensorSource.ts";
import type { Graph, Value } from "../../ir/types.ts";
import { verifyGraph } from "../../ir/verify.ts";
import { OPS } from "../../ops/table.ts";
import { deadValues } from "../../passes/deadValues.ts";
import { nearestNames } from "../../spec/nearestNames.ts";
import { declaredKinds } from "./declaredKinds.ts";
import { GraphImporter, opsetVersions, type Readable } from "./graphImporter.ts";
import { type InputOptions, type Layout, readModelInput } from "./modelInput.ts";
import { namesRead, neededNodes, Scope } from "./scope.ts";
import type { ExternalData } from "./tensorValues.ts";

/** The first operator set that is read, and the last that the written list (structure.ts) covers. */
export const OPSETS = { oldest: 9, newest: 28 } as const;
/** The batch's symbol while a file that fixes its batch is read for another. */
const BATCH_SYMBOL = "N";
/** Nodes that a file may have. */
const MAX_FILE_NODES = 100_000;

export interface ImportOptions extends InputOptions {
  /** Gives external data; without it a model that has some is refused (E_MODEL_PATH). */
  readonly externalData?: ExternalData | undefined;
  /**
   * Name of the value, or of the node that makes it, that becomes the only output; what it does not need
   * is not looked at. Without it, all outputs of the file.
   */
  readonly output?: string | undefined;
  /**
   * Whether the model is to be cut: then what is refused is left out, with all that follows from it
   * (`unread`), instead of refusing the file.
   */
  readonly isTrunk?: boolean | undefined;
}

/** The part of a model that was not read. */
export interface Unread {
  /** Why: the first fault, or undefined if only inputs that are no image are missing. */
  readonly fault: MttcError | undefined;
  /** Its nodes. */
  readonly nodes: number;
}

export interface ImportedModel {
  /** One image input; initializers that are used are constants under their names in the file. */
  readonly graph: Graph;
  readonly imageInput: Value;
  /** Of the image input; convolutions work on NCHW in either case. */
  readonly layout: Layout;
  /** The operator set that the file was written for. */
  readonly opset: number;
  /** Remarks for the log: what was left out or read otherwise than it stands. */
  readonly notes: readonly string[];
  /** With `isTrunk`: what was not read; the graph's outputs are then also the values that it begins with. */
  readonly unread: Unread | undefined;
  /** The file's metadata_props. */
  readonly metadata: readonly { readonly key: string; readonly value: string }[];
  /** What the file says of the graph's constants. */
  readonly sources: TensorSources;
}

/**
 * Imports a model. E_MODEL_PARSE (not an ONNX file, or a broken one), E_MODEL_OP (an operator that is
 * refused), E_MODEL_SHAPE, E_MODEL_DATA, E_MODEL_PATH, E_MODEL_ALLOC, E_MODEL_OUTPUT (no value named
 * `output`).
 */
export function importModel(bytes: Uint8Array, options: ImportOptions): ImportedModel {
  const model = inFile(options.file, () => decodeModelProto(bytes));
  const opsets = opsetVersions(model.opsetImport);
  const opset = checkOpset(opsets.get("") ?? 0, options.file);
  const { graph } = model;
  const wanted = wantedOutputs(graph, options);
  const isTrunk = options.isTrunk === true && options.output === undefined;
  const needed = new Set(neededNodes(graph.node, wanted).flatMap((node) => [...namesRead(node)]));
  const isNeeded = (name: string): boolean => needed.has(name) || wanted.includes(name);
  const symbol = typeof options.batch === "string" ? options.batch : BATCH_SYMBOL;
  const input = readModelInput(graph, { ...options, batch: symbol }, { isNeeded, isTrunk });
  checkNames(graph, options.file);
  const isAsItStands =
    typeof options.batch === "number" && [undefined, options.batch].includes(input.fileBatch);
  const batch = isAsItStands ? options.batch : symbol;
  const importer = new GraphImporter(graph.name || "model", {
    file: options.file,
    ops: OPS,
    batch,
    image: { ...input, shape: input.shape.with(0, batch) },
    functions: uniqueFunctions(model, options.file),
    externalData: options.externalData,
    declared: declaredKinds(graph),
  });
  const scope = new Scope({ prefix: "", initializers: graph.initializer, opsets, depth: 0 });
  const { image = neverMade() } = importer;
  scope.define(input.name, image);
  const unread = withFileSize(input.notes, () => {
    if (isTrunk) return importer.convertReadable(graph.node, wanted, scope, new Set(input.others));
    importer.convert(graph.node, wanted, scope);
    return undefined;
  });
  const named = finished(importer, scope, { wanted, unread });
  const sized = typeof options.batch === "number" ? withBatch(named, options.batch) : named;
  verifyGraph(sized, { allowOwnOps: false, after: "import" });
  const [imageInput = image] = sized.inputs;
  return {
    graph: sized,
    imageInput,
    layout: input.layout,
    opset,
    notes: [...input.notes, ...importer.notes],
    unread: unread && unread.count > 0 ? unreadPart(unread, input.notes) : undefined,
    metadata: model.metadataProps ?? [],
    sources: new Map([...importer.sources].map(([{ name }, source]) => [name, source])),
  };
}

function neverMade(): never {
  throw new InternalError("the importer has no image input");
}

function unreadPart({ fault, count }: Readable, notes: readonly string[]): Unread {
  return { fault: fault && sizeHint(fault, notes), nodes: count };
}

/** The graph with its outputs: those wanted that were read, and what the unread part begins with. */
function finished(
  importer: GraphImporter,
  scope: Scope,
  { wanted, unread }: { readonly wanted: readonly string[]; readonly unread: Readable | undefined },
): Graph {
  const { b, names } = importer;
  for (const name of wanted)
    if (!unread?.missing.has(name)) b.output(name, importer.findValue(name, scope, name));
  [...(unread?.border ?? [])].forEach((value, i) => {
    b.output(`unread/${i}`, value);
  });
  // Operands of what was folded are left behind.
  return deadValues.run(nameValues(b.build(), names), OPS);
}

/** The graph for a batch of a known size. */
function withBatch(graph: Graph, batch: number): Graph {
  const known = new Map<Value, Value>();
  const sized = (value: Value): Value => {
    const shape = value.type.shape.map((dim) => dimAt(dim, batch));
    const result = known.get(value) ?? { ...value, type: { ...value.type, shape } };
    known.set(value, result);
    return result;
  };
  return {
    ...graph,
    inputs: graph.inputs.map(sized),
    constants: new Map([...graph.constants].map(([value, data]) => [sized(value), data])),
    nodes: graph.nodes.map((node) => ({
      ...node,
      inputs: node.inputs.map((input) => input && sized(input)),
      outputs: node.outputs.map(sized),
    })),
    outputs: graph.outputs.map(({ name, value }) => ({ name, value: sized(value) })),
  };
}

function checkOpset(opset: number, file: string): number {
  const { oldest, newest } = OPSETS;
  if (opset >= oldest && opset <= newest) return opset;
  const message =
    opset === 0
      ? "the file does not say its operator set"
      : `operator sets ${oldest} to ${newest} are read, it has ${opset}`;
  const convert =
    "import onnx; from onnx import version_converter as v; " +
    `onnx.save(v.convert_version(onnx.load("${file}"), 18), "converted.onnx")`;
  const hint = opset === 0 ? "export it again with opset_version=18" : `convert it: python -c '${convert}'`;
  throw new MttcError({ code: "E_MODEL_OP", message, at: { file }, hint });
}

/** Names of the outputs that are imported. */
function wantedOutputs(graph: GraphProto, { output, file }: ImportOptions): readonly string[] {
  const outputs = graph.output.map(({ name }: ValueInfoProto) => name);
  if (output === undefined) {
    if (outputs.length > 0) return outputs;
    throw new MttcError({ code: "E_MODEL_PARSE", message: "the graph has no outputs", at: { file } });
  }
  const names = graph.node.flatMap((node) => node.output).filter((name) => name !== "");
  if (names.includes(output)) return [output];
  const [made] = graph.node.find(({ name }) => name === output)?.output ?? [];
  if (made) return [made];
  const hint = `the nearest names: ${nearestNames(output, names).join(", ")}`;
  throw new MttcError({
    code: "E_MODEL_OUTPUT",
    message: `there is no value "${output}"`,
    at: { file },
    hint,
  });
}

/** Every name is defined once, and the file is of a size that can be walked. */
function checkNames(graph: GraphProto, file: string): void {
  const fail = (message: string): never => {
    throw new MttcError({ code: "E_MODEL_PARSE", message, at: { file } });
  };
  if (graph.node.length > MAX_FILE_NODES)
    fail(`${graph.node.length} nodes, at most ${MAX_FILE_NODES} are read`);
  const inputs = new Set<string>();
  for (const { name } of graph.input) {
    if (inputs.has(name)) fail(`two inputs are named "${name}"`);
    inputs.add(name);
  }
  const defined = new Set<string>();
  for (const { name } of graph.initializer) {
    if (defined.has(name)) fail(`"${name}" is defined twice`);
    defined.add(name);
  }
  for (const name of inputs) defined.add(name);
  for (const node of graph.node)
    for (const name of node.output) {
      if (name !== "" && defined.has(name)) fail(`"${name}" is defined twice`);
      defined.add(name);
    }
  const outputs = graph.output.map(({ name }) => name);
  if (new Set(outputs).size !== outputs.length) fail("two outputs have one name");
}

function uniqueFunctions(model: ModelProto, file: string) {
  const functions = model.functions ?? [];
  const keys = functions.map(({ domain, name, overload = "" }) => JSON.stringify([domain, name, overload]));
  const twice = keys.find((key, i) => keys.indexOf(key) !== i);
  if (twice === undefined) return functions;
  const message = `the function ${twice} is defined twice`;
  throw new MttcError({ code: "E_MODEL_PARSE", message, at: { file } });
}

/**
 * Gives values their names in the file, where nothing else has them; the others keep those of their origin.
 */
function nameValues(graph: Graph, names: ReadonlyMap<Value, string>): Graph {
  const taken = new Set([...graph.inputs, ...graph.constants.keys()].map(({ name }) => name));
  const free = (base: string): string => {
    let name = base;
    for (let suffix = 2; taken.has(name); suffix++) name = `${base}:${suffix}`;
    taken.add(name);
    return name;
  };
  const made = graph.nodes.flatMap((node) => node.outputs);
  const renamed = new Map<Value, Value>();
  for (const isNamed of [true, false])
    for (const value of made) {
      const name = names.get(value);
      if ((name !== undefined) === isNamed) renamed.set(value, { ...value, name: free(name ?? value.name) });
    }
  const current = (value: Value): Value => renamed.get(value) ?? value;
  return {
    ...graph,
    nodes: graph.nodes.map((node) => ({
      ...node,
      inputs: node.inputs.map((input) => input && current(input)),
      outputs: node.outputs.map(current),
    })),
    outputs: graph.outputs.map(({ name, value }) => ({ name, value: current(value) })),
  };
}

/** Where the images' size is not the one that the file has fixed, faults of shape say so. */
function withFileSize<T>(notes: readonly string[], body: () => T): T {
  try {
    return body();
  } catch (error) {
    throw error instanceof MttcError ? sizeHint(error, notes) : error;
  }
}

function sizeHint(error: MttcError, [note]: readonly string[]): MttcError {
  if (error.code !== "E_MODEL_SHAPE" || note === undefined) return error;
  const hint = `${note}: take its size as imshape, or export it with symbolic height and width`;
  return new MttcError(
    error.faults.map((fault): Fault => ({ hint, ...fault })),
    { cause: error },
  );
}

/** Adds the file to the places of faults. */
function inFile<T>(file: string, body: () => T): T {
  try {
    return body();
  } catch (error) {
    if (!(error instanceof MttcError)) throw error;
    const faults = error.faults.map((fault): Fault => ({ ...fault, at: { file, ...fault.at } }));
    throw new MttcError(faults, { cause: error });
  }
}
