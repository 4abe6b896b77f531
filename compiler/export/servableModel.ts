// What an ONNX file must be before it is opened to predict: it may come from anywhere, and its metadata may
// have been written for another. No loops and branches, which nothing bounds, nothing that asks for absurd
// memory outright, and a border that is the metadata's: one input `image`, an output for each task.
import type { GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto } from "../codec/protobuf.ts";
import { ONNX_DTYPES } from "../codec/tensorBytes.ts";
import { type Fault, suggestName } from "../diagnostics.ts";
import { type ModelMetadata, taskOfServed } from "./modelMetadata.ts";

/** Operators that hold other graphs; their runs cannot be bounded by looking at them. */
const CONTROL_FLOW: ReadonlySet<string> = new Set(["If", "Loop", "Scan", "SequenceMap"]);
const DOMAINS: ReadonlySet<string> = new Set(["", "ai.onnx", "com.microsoft"]);
/** Elements that one node may ask for by a constant: 1 GiB of float32. */
const MAX_ASKED_ELEMENTS = 2 ** 28;
/** Numbers of one image, all channels: 1 GiB of float32. */
const MAX_IMAGE_NUMBERS = 2 ** 28;

/** Every way in which the model is not what its metadata says, or is not run; no place is set. */
export function servableFaults(model: ModelProto, metadata: ModelMetadata): Fault[] {
  const functions = new Set((model.functions ?? []).map(({ domain, name }) => `${domain}::${name}`));
  const nodes = [...model.graph.node, ...(model.functions ?? []).flatMap(({ node }) => node)];
  const constants = constantsOf(model.graph);
  return [
    ...nodes.flatMap((node) => nodeFaults(node, functions)),
    ...model.graph.node.flatMap((node) => allocationFaults(node, constants)),
    ...metadataFaults(metadata),
    ...inputFaults(model.graph, metadata),
    ...metadata.tasks.flatMap((task) => [
      ...outputFaults(model.graph, task),
      ...heatmapFaults(model.graph, task),
    ]),
  ];
}

/** Images that the graph takes at a time where its file fixes that; undefined for any number. */
export function fixedBatch(graph: GraphProto): number | undefined {
  const size = dimsOf(graphInputs(graph)[0])?.[0];
  return typeof size === "number" ? size : undefined;
}

function nodeFaults(node: NodeProto, functions: ReadonlySet<string>): Fault[] {
  const domain = node.domain ?? "";
  const refuse = (message: string): Fault[] => {
    const hint = "no export of mttc has such a node; only those are predicted with";
    return [{ code: "E_MODEL_OP", message, at: { node: node.name }, hint }];
  };
  const attributes = node.attribute ?? [];
  if (CONTROL_FLOW.has(node.opType) || attributes.some(({ g, graphs }) => g ?? graphs?.length))
    return refuse(`${node.opType} holds a graph of its own (a loop or a branch), which is not run`);
  if (DOMAINS.has(domain) || functions.has(`${domain}::${node.opType}`)) return [];
  return refuse(`${node.opType} is of the domain "${domain}", which is not known`);
}

/** Constants by name, those of Constant nodes too. */
function constantsOf({ initializer, node }: GraphProto): ReadonlyMap<string, TensorProto> {
  const made = node.flatMap(({ opType, output, attribute }): [string, TensorProto][] => {
    const value = attribute?.find(({ name }) => name === "value")?.t;
    return opType === "Constant" && value && output[0] ? [[output[0], value]] : [];
  });
  return new Map([...initializer.map((tensor) => [tensor.name, tensor] as const), ...made]);
}

/** The input that says the size of what an operator makes. */
const SHAPE_INPUT: Readonly<Record<string, number>> = { ConstantOfShape: 0, Expand: 1, Tile: 1, Reshape: 1 };

function allocationFaults(node: NodeProto, constants: ReadonlyMap<string, TensorProto>): Fault[] {
  const place = SHAPE_INPUT[node.opType];
  const listed = node.attribute?.find(({ name }) => name === "shape")?.ints;
  const shape = place === undefined ? listed : int64sOf(constants.get(node.input[place] ?? ""));
  const count = (shape ?? []).reduce((product, size) => product * Math.max(1, size), 1);
  if (count <= MAX_ASKED_ELEMENTS) return [];
  const message = `${node.opType} asks for [${shape}], over ${MAX_ASKED_ELEMENTS} numbers`;
  return [{ code: "E_MODEL_ALLOC", message, at: { node: node.name } }];
}

function int64sOf(tensor: TensorProto | undefined): number[] | undefined {
  if (tensor?.dataType !== ONNX_DTYPES.int64 || tensor.rawData === undefined) return undefined;
  const { buffer, byteOffset, byteLength } = tensor.rawData;
  const view = new DataView(buffer, byteOffset, byteLength);
  return Array.from({ length: byteLength >> 3 }, (_, i) => Number(view.getBigInt64(8 * i, true)));
}

function metadataFaults({ tasks, preprocessing }: ModelMetadata): Fault[] {
  const fault = (message: string): Fault => ({ code: "E_MODEL_META", message });
  const { height, width, channels } = preprocessing;
  const faults: Fault[] = [];
  if (height * width * channels > MAX_IMAGE_NUMBERS)
    faults.push(fault(`the metadata asks for images of ${height}x${width}x${channels}, beyond any memory`));
  if (tasks.length === 0) faults.push(fault("the metadata names no task"));
  const twice = (names: readonly string[]): string | undefined =>
    names.find((name, i) => names.indexOf(name) !== i);
  const task = twice(tasks.map(({ name }) => name));
  if (task !== undefined) faults.push(fault(`the metadata has the task ${JSON.stringify(task)} twice`));
  for (const entry of tasks) {
    const { name, numbers, numbersAre } = taskOfServed(entry);
    if (new Set(numbers).size !== numbers.length)
      faults.push(fault(`the ${numbersAre} of ${JSON.stringify(name)} in the metadata are not distinct`));
  }
  return faults;
}

/** Inputs that a caller feeds: older files list their initializers, too. */
function graphInputs({ input, initializer }: GraphProto): ValueInfoProto[] {
  const constants = new Set(initializer.map(({ name }) => name));
  return input.filter(({ name }) => !constants.has(name));
}

function inputFaults(graph: GraphProto, { preprocessing }: ModelMetadata): Fault[] {
  const inputs = graphInputs(graph);
  const names = inputs.map(({ name }) => JSON.stringify(name)).join(", ");
  const [image] = inputs;
  if (inputs.length !== 1 || image?.name !== "image")
    return [{ code: "E_MODEL_META", message: `expected one input "image", the file has ${names || "none"}` }];
  const { height, width, channels, dtype, resize } = preprocessing;
  if (resize === "graph") return anySizeFaults(image, preprocessing);
  const batch = fixedBatch(graph) ?? 1;
  if (!(batch >= 1 && batch * height * width * channels <= MAX_IMAGE_NUMBERS))
    return [
      { code: "E_MODEL_META", message: `the file takes ${batch} images at a time, which cannot be given` },
    ];
  return typeFaults('input "image"', image, dtype, [undefined, height, width, channels]);
}

/** One image of RGB bytes at a time; its height and width must be open, whatever they are called. */
function anySizeFaults(
  image: ValueInfoProto,
  { channels, dtype, greyscale }: ModelMetadata["preprocessing"],
): Fault[] {
  const isRgb = channels === 3 && dtype === "uint8" && !greyscale;
  const [count, ...open] = dimsOf(image)?.slice(0, 3) ?? [];
  const message = "the metadata says that the graph resizes: then it takes uint8 [1,H,W,3], RGB of any size";
  if (!isRgb || count !== 1 || open.some((dim) => typeof dim === "number"))
    return [{ code: "E_MODEL_META", message }];
  return typeFaults('input "image"', image, dtype, [1, undefined, undefined, channels]);
}

type Entry = ModelMetadata["tasks"][number];

function outputFaults(graph: GraphProto, task: Entry): Fault[] {
  return wantedFaults(graph, task, task.output, [undefined, taskOfServed(task).width]);
}

function heatmapFaults(graph: GraphProto, task: Entry): Fault[] {
  const { heatmap } = task;
  return heatmap ? wantedFaults(graph, task, heatmap.output, [undefined, heatmap.height, heatmap.width]) : [];
}

function wantedFaults(
  { output }: GraphProto,
  task: Entry,
  wanted: string,
  shape: readonly (number | undefined)[],
): Fault[] {
  const found = output.find(({ name }) => name === wanted);
  const of = `of task ${JSON.stringify(task.name)}`;
  if (found) return typeFaults(`output ${JSON.stringify(wanted)} ${of}`, found, "float32", shape);
  const names = output.map(({ name }) => name);
  const message = `there is no output ${JSON.stringify(wanted)} ${of}: ${suggestName(wanted, names)}`;
  return [{ code: "E_MODEL_OUTPUT", message }];
}

/** `shape` as the metadata has it, undefined for any size; a size that the file leaves open fits. */
function typeFaults(
  what: string,
  info: ValueInfoProto,
  dtype: keyof typeof ONNX_DTYPES,
  shape: readonly (number | undefined)[],
): Fault[] {
  const dims = dimsOf(info);
  const elemType = info.type?.tensorType?.elemType;
  const fits =
    dims === undefined ||
    (dims.length === shape.length &&
      dims.every((dim, i) => typeof dim !== "number" || (shape[i] ?? dim) === dim));
  if (fits && elemType === ONNX_DTYPES[dtype]) return [];
  const wanted = `${dtype} [${shape.map((size) => size ?? "N").join(",")}]`;
  const found =
    Object.entries(ONNX_DTYPES).find(([, code]) => code === elemType)?.[0] ?? `element type ${elemType}`;
  const message = `the metadata says that ${what} is ${wanted}, the file has ${found} [${dims ?? "?"}]`;
  return [{ code: "E_MODEL_META", message }];
}

function dimsOf(info: ValueInfoProto | undefined): (number | string)[] | undefined {
  const dims = info?.type?.tensorType?.shape?.dim;
  return dims?.map(({ dimValue, dimParam }) => dimValue ?? dimParam ?? "?");
}
