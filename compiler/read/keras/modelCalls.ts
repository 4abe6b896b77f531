// Walks the calls of a Keras model from its outputs back and builds them in an order in which every input
// is there first. Models inside models are walked the same way, with paths `outer/inner`. No recursion over
// layers: a chain may be as long as it likes. References that lead nowhere or in circles are E_MODEL_PARSE.
import type { GraphBuilder } from "../../ir/builder.ts";
import type { TensorData, Value } from "../../ir/types.ts";
import type { KerasLayerCall, TensorReference } from "./kerasCalls.ts";
import type { KerasLayer, KerasModel } from "./kerasConfig.ts";
import type { ImageLayout } from "./kerasLayout.ts";
import {
  findWeights,
  type KerasWeights,
  permuteArray,
  type StoredArray,
  type WeightDeclaration,
  type WeightPlace,
} from "./kerasWeights.ts";
import type { LayerCall } from "./layerCall.ts";
import { type KerasPlace, LayerConfig, refuse } from "./layerConfig.ts";
import { layerRule } from "./layerTable.ts";
import { foldPadding } from "./paddingFold.ts";

/** What all calls of an import share. */
export interface ImportState {
  readonly b: GraphBuilder;
  readonly file: string;
  readonly weights: KerasWeights;
  readonly version: 2 | 3;
  readonly layout: ImageLayout;
  /** Results by path of the layer, filled as they are built. */
  readonly layers: Map<string, Value>;
  /** Constants that layers have asked for, by name: a layer that is called twice has its weights once. */
  readonly constants: Map<string, Value>;
  note(text: string): void;
}

/** A model's place among the others. */
interface ModelPlace {
  readonly names: readonly string[];
  /** Its folder in a .keras file, with "/" at the end; "" for the whole. */
  readonly folder: string;
}

/** Results of a model for the inputs given, in the order of its outputs. */
export function applyModel(
  original: KerasModel,
  inputs: readonly Value[],
  state: ImportState,
  place: ModelPlace = { names: [], folder: "" },
): readonly Value[] {
  const model = foldPadding(original);
  const at: KerasPlace = { file: state.file, layer: place.names.join("/") };
  if (model.inputs.length !== inputs.length)
    refuse("E_MODEL_PARSE", at, `it has ${model.inputs.length} inputs and is called with ${inputs.length}`);
  const done = new Map<string, readonly Value[]>();
  model.inputs.forEach((reference, i) => {
    const input = inputs[i];
    if (input) done.set(keyOf(reference), [input]);
  });
  const result = (reference: TensorReference): Value =>
    done.get(keyOf(reference))?.[reference.tensor] ??
    refuse("E_MODEL_PARSE", at, `layer ${reference.layer} has no result ${reference.tensor}`);
  for (const reference of callOrder(model, new Set(done.keys()), at)) {
    const { layer, call } = findCall(model, reference, at);
    const names = [...place.names, layer.name];
    const operands = call.operands.map((operand) =>
      typeof operand === "number" ? operand : result(operand),
    );
    const values = applyLayer(layer, call, operands, names, `${place.folder}${layer.folder}`, state);
    done.set(keyOf(reference), values);
    if (values[0]) state.layers.set(names.join("/"), values[0]);
  }
  return model.outputs.map(result);
}

/** One call of one layer, as a key. */
function keyOf({ layer, node }: TensorReference): string {
  return `${node} ${layer}`;
}

function findCall(
  model: KerasModel,
  reference: TensorReference,
  at: KerasPlace,
): { layer: KerasLayer; call: KerasLayerCall } {
  const layer = model.layers.get(reference.layer);
  if (!layer)
    return refuse("E_MODEL_PARSE", at, `there is no layer ${reference.layer}, which another one uses`);
  const call = layer.calls[reference.node];
  if (call) return { layer, call };
  const inner = { ...at, layer: [at.layer, layer.name].filter((name) => name !== "").join("/") };
  return refuse("E_MODEL_PARSE", inner, `call ${reference.node} of it is used, but not listed`);
}

/** The calls that the outputs need, each after those that it needs itself. */
function callOrder(model: KerasModel, given: ReadonlySet<string>, at: KerasPlace): TensorReference[] {
  const order: TensorReference[] = [];
  const finished = new Set(given);
  const entered = new Set<string>();
  const stack = [...model.outputs].reverse();
  for (let reference = stack.pop(); reference; reference = stack.pop()) {
    const key = keyOf(reference);
    if (finished.has(key)) continue;
    const { call } = findCall(model, reference, at);
    const needs = call.operands.filter((operand) => typeof operand !== "number");
    const open = needs.filter((operand) => !finished.has(keyOf(operand)));
    if (open.length === 0) {
      finished.add(key);
      order.push(reference);
      continue;
    }
    // Met again before its inputs were done: it is one of its own inputs' inputs.
    if (entered.has(key)) refuse("E_MODEL_PARSE", at, `layer ${reference.layer} depends on its own result`);
    entered.add(key);
    stack.push(reference, ...open.reverse());
  }
  return order;
}

function applyLayer(
  layer: KerasLayer,
  { options, border }: KerasLayerCall,
  operands: readonly (Value | number)[],
  names: readonly string[],
  folder: string,
  state: ImportState,
): readonly Value[] {
  const path = names.join("/");
  const place: WeightPlace = { file: state.file, layer: path, names, path: folder };
  if (
    options.training === true &&
    (layer.model || /^BatchNorm|Dropout|Noise|^StochasticDepth/.test(layer.className))
  )
    refuse("E_MODEL_OP", place, "it is called with training=True: it would not be in inference form");
  if (layer.model) {
    const values = operands.filter((operand) => typeof operand !== "number");
    return applyModel(layer.model, values, state, { names, folder: `${folder}/` });
  }
  const rule = layerRule(layer.className);
  if (!rule) return refuse("E_MODEL_OP", place, `layers of the class ${layer.className} are not supported`);
  return state.b.within(path, () => [rule(layerCall(layer, operands, border, place, state))]);
}

function layerCall(
  layer: KerasLayer,
  operands: readonly (Value | number)[],
  border: KerasLayerCall["border"],
  place: WeightPlace,
  state: ImportState,
): LayerCall {
  const { b, layout, version } = state;
  const path = place.layer;
  const [first] = operands;
  return {
    b,
    layer: path,
    className: layer.className,
    config: new LayerConfig(layer.config, place),
    operands,
    border: border ?? [0, 0, 0, 0],
    layout,
    version,
    get x() {
      if (first === undefined || typeof first === "number" || operands.length !== 1)
        return refuse("E_MODEL_PARSE", place, `it takes one tensor, ${operands.length} inputs are given`);
      return first;
    },
    weights: (declarations) => {
      const arrays = findWeights(state.weights, place, declarations);
      return declarations.map((declared, i) => {
        const name = `${path}.${declared.names[0]}`;
        const known = state.constants.get(name);
        const value = known ?? b.constant(asConstant(arrays[i], declared), name);
        state.constants.set(name, value);
        return value;
      });
    },
    arrays: (declarations) => findWeights(state.weights, place, declarations),
    constant: (shape, numbers) => b.constant({ dtype: "float32", shape, data: Float64Array.from(numbers) }),
    note: (text) => state.note(text),
    fail: (code, message, hint) => refuse(code, place, message, hint),
  };
}

function asConstant(array: StoredArray | undefined, { perm, to }: WeightDeclaration): TensorData {
  const stored = array ?? { shape: [], data: new Float32Array() };
  const { shape, data } = perm ? permuteArray(stored, perm) : stored;
  return { dtype: "float32", shape: to ?? shape, data };
}
