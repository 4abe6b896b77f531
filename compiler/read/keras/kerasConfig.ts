// The JSON of a Keras model -> its layers and how they are connected, the same for sequential and
// functional models, for Keras 2 and 3, and for models inside models. Everything is checked: names,
// references, nesting. Which classes of layers there are is not known here.
import {
  type KerasLayerCall,
  type Operand,
  readCalls,
  readReferences,
  type TensorReference,
} from "./kerasCalls.ts";
import { isObject, type JsonObject, type KerasPlace, refuse } from "./layerConfig.ts";

/** Models inside models: as deep as anybody nests, and no deeper than the stack allows. */
const MAX_NESTING = 16;
const MODEL_CLASSES: readonly string[] = ["Sequential", "Functional", "Model"];

export interface KerasLayer {
  readonly name: string;
  /** Without the package of a registered class ("keras>LayerScale"). */
  readonly className: string;
  readonly config: JsonObject;
  readonly calls: readonly KerasLayerCall[];
  /** The content of a layer that is a model itself. */
  readonly model?: KerasModel;
  /** Place of its weights in a .keras file, within its model. */
  readonly folder: string;
}

export interface KerasModel {
  readonly name: string;
  readonly layers: ReadonlyMap<string, KerasLayer>;
  readonly inputs: readonly TensorReference[];
  readonly outputs: readonly TensorReference[];
}

/**
 * Reads the description of a whole model. E_MODEL_PARSE, naming the layer; E_MODEL_OP for a model that is a
 * class of its own.
 */
export function readKerasModel(description: unknown, file: string): KerasModel {
  return readModel(description, { file, layer: "" }, 0);
}

/** All layers below `model` that are no models, with their paths. */
export function* innerLayers(model: KerasModel, path = ""): Generator<{ layer: KerasLayer; path: string }> {
  for (const layer of model.layers.values()) {
    const here = path === "" ? layer.name : `${path}/${layer.name}`;
    if (layer.model) yield* innerLayers(layer.model, here);
    else yield { layer, path: here };
  }
}

function readModel(description: unknown, place: KerasPlace, depth: number): KerasModel {
  if (depth > MAX_NESTING) refuse("E_MODEL_PARSE", place, `models are nested more than ${MAX_NESTING} deep`);
  if (!isObject(description))
    return refuse("E_MODEL_PARSE", place, "the description of a model is not an object");
  const className = String(description.class_name);
  if (!MODEL_CLASSES.includes(className))
    refuse(
      "E_MODEL_OP",
      place,
      `the model is of the class ${className}: its code is not in the file`,
      "models made with Sequential or the functional API can be read; so can the .onnx file of any model",
    );
  // The first versions of Keras wrote the list of a sequential model's layers alone.
  const config = Array.isArray(description.config) ? { layers: description.config } : description.config;
  if (!isObject(config) || !Array.isArray(config.layers))
    return refuse("E_MODEL_PARSE", place, "the model has no list of layers");
  const name = typeof config.name === "string" ? config.name : "model";
  const isSequential = className === "Sequential";
  const layers = readLayers(config.layers, isSequential, place, depth);
  if (isSequential) return chain(name, layers, config, place);
  const ports = (key: "input_layers" | "output_layers"): readonly TensorReference[] => {
    const references = readReferences(config[key], place);
    if (references.length === 0) refuse("E_MODEL_PARSE", place, `the model lists no ${key}`);
    return references;
  };
  const counted = countCallsFromZero(layers, ports("output_layers"));
  return {
    name,
    layers: new Map(counted.layers.map((layer) => [layer.name, layer])),
    inputs: ports("input_layers"),
    outputs: counted.outputs,
  };
}

/**
 * References count the calls of a layer from 0; but a model's own making may be its call 0: in Keras 2
 * always, in Keras 3 for functional models among the outputs only. Takes that off, so that all references
 * count the calls listed.
 */
function countCallsFromZero(
  layers: readonly KerasLayer[],
  outputs: readonly TensorReference[],
): { layers: readonly KerasLayer[]; outputs: readonly TensorReference[] } {
  const models = new Map(layers.flatMap((layer) => (layer.model ? [[layer.name, layer]] : [])));
  if (models.size === 0) return { layers, outputs };
  const isKeras3 = layers.some(({ calls }) => calls.some(({ isMarked }) => isMarked));
  const used = layers.flatMap(({ calls }) => calls.flatMap(({ operands }) => operands));
  // A model of Keras 2 of which call 0 is used was counted from 0 after all.
  const fromZero = new Set(
    [...used, ...outputs].flatMap((operand) =>
      typeof operand !== "number" && operand.node === 0 ? [operand.layer] : [],
    ),
  );
  const shift = (reference: TensorReference, isOutput: boolean): TensorReference => {
    const model = models.get(reference.layer);
    const isShifted = isKeras3
      ? isOutput && model?.className !== "Sequential"
      : !fromZero.has(reference.layer);
    return model && isShifted ? { ...reference, node: reference.node - 1 } : reference;
  };
  const shiftOperand = (operand: Operand): Operand =>
    typeof operand === "number" ? operand : shift(operand, false);
  return {
    layers: layers.map((layer) => ({
      ...layer,
      calls: layer.calls.map((call) => ({ ...call, operands: call.operands.map(shiftOperand) })),
    })),
    outputs: outputs.map((reference) => shift(reference, true)),
  };
}

function readLayers(
  list: readonly unknown[],
  isSequential: boolean,
  outer: KerasPlace,
  depth: number,
): KerasLayer[] {
  const names = new Set<string>();
  const folders = new Map<string, number>();
  return list.map((entry): KerasLayer => {
    if (!isObject(entry) || typeof entry.class_name !== "string" || !isObject(entry.config))
      return refuse("E_MODEL_PARSE", outer, "a layer has no class_name and config");
    const className = entry.class_name.slice(entry.class_name.lastIndexOf(">") + 1);
    const name = entry.name ?? entry.config.name;
    if (typeof name !== "string" || name === "")
      return refuse("E_MODEL_PARSE", outer, `a layer of class ${className} has no name`);
    const place = { ...outer, layer: outer.layer === "" ? name : `${outer.layer}/${name}` };
    if (names.has(name)) refuse("E_MODEL_PARSE", place, "two layers have this name");
    names.add(name);
    const isModel = MODEL_CLASSES.includes(className);
    return {
      name,
      className,
      config: entry.config,
      calls: isSequential ? [] : readCalls(entry.inbound_nodes, place),
      folder: `layers/${nextFolder(folders, isModel ? modelFolder(className) : className)}`,
      ...(isModel ? { model: readModel({ ...entry, class_name: className }, place, depth + 1) } : {}),
    };
  });
}

function modelFolder(className: string): string {
  return className === "Model" ? "Functional" : className;
}

/** Keras names a .keras file's folders by class in snake case, and numbers those after the first. */
function nextFolder(counts: Map<string, number>, className: string): string {
  const base = className
    .replace(/\W+/g, "")
    .replace(/(.)([A-Z][a-z]+)/g, "$1_$2")
    .replace(/([a-z])([A-Z])/g, "$1_$2")
    .toLowerCase();
  const before = counts.get(base) ?? 0;
  counts.set(base, before + 1);
  return before === 0 ? base : `${base}_${before}`;
}

/**
 * A sequential model as a functional one; without an input layer it gets one from what its first layer
 * says.
 */
function chain(name: string, list: readonly KerasLayer[], config: JsonObject, place: KerasPlace): KerasModel {
  const [first] = list;
  if (!first) return refuse("E_MODEL_PARSE", place, "the model has no layers");
  const given = first.config.batch_input_shape ?? config.build_input_shape;
  const input: KerasLayer = {
    name: freeName(`${first.name}_input`, list),
    className: "InputLayer",
    config: { batch_input_shape: given },
    calls: [],
    folder: "",
  };
  const layers = first.className === "InputLayer" ? list : [input, ...list];
  const reference = (layer: string): TensorReference => ({ layer, node: 0, tensor: 0 });
  const connected = layers.map((layer, i): KerasLayer => {
    const before = layers[i - 1];
    return before
      ? { ...layer, calls: [{ operands: [reference(before.name)], options: {}, isMarked: false }] }
      : layer;
  });
  return {
    name,
    layers: new Map(connected.map((layer) => [layer.name, layer])),
    inputs: [reference(connected[0]?.name ?? "")],
    outputs: [reference(connected.at(-1)?.name ?? "")],
  };
}

function freeName(wanted: string, layers: readonly KerasLayer[]): string {
  return layers.some(({ name }) => name === wanted) ? freeName(`${wanted}_`, layers) : wanted;
}
