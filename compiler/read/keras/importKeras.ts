// A Keras model -> a graph of the IR. In: the model's JSON and its arrays, as runtime/models/kerasFile.ts
// reads them; out: an inference graph in NCHW whose nodes have their layers as origins and whose weights
// are constants named `<layer>.<weight>`. Images are [N,C,H,W] all the way; nothing is transposed but where
// a layer mixes axes.
import { type Fault, InternalError, MttcError, nearestName } from "../../diagnostics.ts";
import { GraphBuilder } from "../../ir/builder.ts";
import type { OpTable } from "../../ir/op.ts";
import type { TensorSources } from "../../ir/tensorSource.ts";
import type { Dim, Graph, Value } from "../../ir/types.ts";
import { innerLayers, type KerasModel, readKerasModel } from "./kerasConfig.ts";
import type { ImageLayout } from "./kerasLayout.ts";
import type { KerasWeights, WeightDeclaration } from "./kerasWeights.ts";
import { type JsonObject, refuse } from "./layerConfig.ts";
import { LAYER_CLASSES, layerRule } from "./layerTable.ts";
import { applyModel } from "./modelCalls.ts";
import { neededPart, type PartBefore, partBefore, partUpTo } from "./modelPart.ts";
import { dealNested, hasNestedModels } from "./nestedWeights.ts";

/** A Keras model as its file holds it. */
export interface KerasSource {
  /** Name of the file, for messages. */
  readonly file: string;
  /** `{class_name, config}` of the model: foreign JSON. */
  readonly model: unknown;
  /** Major version of the Keras that wrote it. */
  readonly version: 2 | 3;
  readonly weights: KerasWeights;
}

export interface KerasImportOptions {
  readonly ops: OpTable;
  /** Height and width, for a model that leaves them open; a model that fixes them must agree. */
  readonly imshape?: readonly [H: number, W: number] | undefined;
  /** The batch dimension; "N" by default. */
  readonly batch?: Dim | undefined;
  /**
   * What the graph ends with: the path of a layer, or the name of a value that begins with one. Layers that
   * it does not need are not looked at. `features`: all but a head that cannot be read, behind the maps.
   */
  readonly until?: { readonly layer: string } | "features" | undefined;
}

/**
 * A foreign model as a graph: input float32 [batch,C,H,W] `imageInput`; outputs named like the layers that
 * make them.
 */
export interface ImportedKeras {
  readonly graph: Graph;
  readonly imageInput: string;
  readonly layout: "NCHW";
  /** What the user should know: what was left out or decided. */
  readonly notes: readonly string[];
  /** Result of each layer (its last call), by its path (`outer/inner`): where the graph can be cut. */
  readonly layers: ReadonlyMap<string, Value>;
  /** Which constants are weights of layers; all others come from configurations. */
  readonly sources: TensorSources;
}

/**
 * Builds the graph. E_MODEL_PARSE (damaged, missing weights, wrong shapes), E_MODEL_OP (a class, activation
 * or option that is not supported; all unknown classes at once), E_SHAPE; each names the file and the
 * layer.
 */
export function importKeras(source: KerasSource, options: KerasImportOptions): ImportedKeras {
  const whole = readKerasModel(source.model, source.file);
  const { until } = options;
  if (until === "features") return importFeatures(whole, source, options);
  return buildPart(until ? partUpTo(whole, until.layer) : neededPart(whole), whole, source, options);
}

/**
 * The whole model, or all of it that comes before layers that are not supported: only where these read no
 * feature maps any more. Otherwise the features could be meant to come from behind them: E_MODEL_OP.
 */
function importFeatures(whole: KerasModel, source: KerasSource, options: KerasImportOptions): ImportedKeras {
  const needed = neededPart(whole);
  const left = new Set<string>();
  let refused: MttcError | undefined;
  for (let part: PartBefore | undefined = { model: needed, ends: [] }; part; part = partBefore(needed, left))
    try {
      const imported = buildPart(part.model, whole, source, options);
      if (refused && part.ends.some(({ layer }) => isMap(imported.layers.get(layer)))) throw refused;
      const names = [...left].join(", ");
      const note = `layers behind the features that are not supported were not looked at: ${names}`;
      return left.size === 0 ? imported : { ...imported, notes: [...imported.notes, note] };
    } catch (error) {
      if (!(error instanceof MttcError) || error === refused || error.code !== "E_MODEL_OP") throw error;
      refused ??= error;
      const before = left.size;
      for (const { at } of error.faults)
        for (const name of needed.layers.keys()) if (isWithin(at?.node, name)) left.add(name);
      if (left.size === before) throw refused;
    }
  throw refused ?? new InternalError("a Keras model has no part");
}

/** Whether a value is a feature map, or nothing is known of it. */
function isMap(value: Value | undefined): boolean {
  const [, , height, width] = value?.type.shape ?? [];
  return value === undefined || (value.type.shape.length === 4 && (height !== 1 || width !== 1));
}

function isWithin(node: string | undefined, layer: string): boolean {
  return node === `layer ${layer}` || (node?.startsWith(`layer ${layer}/`) ?? false);
}

function buildPart(
  model: KerasModel,
  whole: KerasModel,
  source: KerasSource,
  options: KerasImportOptions,
): ImportedKeras {
  refuseUnknownLayers(model, source.file);
  const layout = imageLayout(model, source.file);
  const b = new GraphBuilder(model.name, options.ops);
  const notes = new Set<string>();
  const { name, shape } = imageInput(model, source.file, layout, options, (text) => notes.add(text));
  const layers = new Map<string, Value>();
  const constants = new Map<string, Value>();
  try {
    const image = b.within(name, () => b.input(name, "float32", shape));
    const { file, version } = source;
    const weights = dealtWeights(whole, source, { ...options, layout });
    const shared = { b, file, weights, version, layout, layers, constants };
    const results = applyModel(model, [image], { ...shared, note: (text) => notes.add(text) });
    nameOutputs(b, model, results, name);
  } catch (error) {
    throw withFile(error, source.file);
  }
  const skipped = [...innerLayers(model)].filter(({ layer }) => /Dropout|Noise/.test(layer.className)).length;
  if (skipped > 0) notes.add(`${skipped} dropout and noise layers were left out: the graph is for inference`);
  const sources = new Map([...constants.values()].map((value) => [value.name, { kind: "weight" as const }]));
  return { graph: b.build(), imageInput: name, layout: "NCHW", notes: [...notes], layers, sources };
}

/** Outputs are named like the layers that make them. */
function nameOutputs(b: GraphBuilder, model: KerasModel, results: readonly Value[], input: string): void {
  const taken = new Set<string>();
  for (const [i, { layer }] of model.outputs.entries()) {
    const value = results[i];
    if (!value) continue;
    const output = taken.has(layer) ? `${layer}:${i}` : layer;
    taken.add(output);
    b.output(output === input ? `${output}:out` : output, value);
  }
}

/**
 * Weights of nested models in a whole-model .h5 lie in the order of what all their layers declare, which
 * building the model once without numbers tells.
 */
function dealtWeights(
  model: KerasModel,
  { weights, file, version }: KerasSource,
  options: KerasImportOptions & { readonly layout: ImageLayout },
): KerasWeights {
  if (weights.kind !== "by-name" || !hasNestedModels(model)) return weights;
  const declared = new Map<string, readonly WeightDeclaration[]>();
  const b = new GraphBuilder(model.name, options.ops);
  const { layout } = options;
  try {
    const { name, shape } = imageInput(model, file, layout, options, () => {});
    const image = b.within(name, () => b.input(name, "float32", shape));
    const empty = { kind: "declarations", declared } as const;
    const none = { layers: new Map(), constants: new Map() };
    applyModel(model, [image], { b, file, weights: empty, version, layout, ...none, note: () => {} });
  } catch (error) {
    // What is wrong is said when the model is built with its numbers.
    if (!(error instanceof MttcError)) throw error;
  }
  return dealNested(model, weights.layers, declared);
}

function refuseUnknownLayers(model: KerasModel, file: string): void {
  const faults: Fault[] = [];
  for (const { layer, path } of innerLayers(model)) {
    if (layer.className === "InputLayer" || layerRule(layer.className)) continue;
    const at = { file, node: `layer ${path}` };
    const message = `layers of the class ${layer.className} are not supported`;
    const near = nearestName(layer.className, LAYER_CLASSES);
    const similar = near === undefined ? "" : ` (supported, with a similar name: ${near})`;
    const way =
      layer.className === "Lambda"
        ? "its code is not data and is never run; replace it by layers, or export the model to ONNX"
        : `export the model to ONNX instead${similar}`;
    const hint = `${way}; if the features come from before it, name their layer as \`output\``;
    faults.push({ code: "E_MODEL_OP", message, at, hint });
  }
  if (faults.length > 0) throw new MttcError(faults);
}

/** The data_format of the model's layers; one that mixes both is refused. */
function imageLayout(model: KerasModel, file: string): ImageLayout {
  const formats = new Map<string, string>();
  for (const { layer, path } of innerLayers(model)) {
    const format = layer.config.data_format;
    // Flatten says how it reads its input, which matters for images only.
    if (typeof format === "string" && layer.className !== "Flatten") formats.set(format, path);
  }
  if (formats.size > 1)
    refuse(
      "E_MODEL_OP",
      { file, layer: [...formats.values()].join(", ") },
      "layers have different data_formats",
    );
  return formats.has("channels_first") ? "channels_first" : "channels_last";
}

/** Name and type of the image input: [batch,C,H,W]. */
function imageInput(
  model: KerasModel,
  file: string,
  layout: ImageLayout,
  { imshape, batch = "N" }: KerasImportOptions,
  note: (text: string) => void,
): { name: string; shape: readonly Dim[] } {
  const [reference, ...more] = model.inputs;
  const name = reference?.layer ?? "";
  const place = { file, layer: name };
  if (more.length > 0)
    refuse(
      "E_MODEL_OP",
      { file, layer: "" },
      `the model has ${more.length + 1} inputs; only one image is supported`,
    );
  const sizes = inputSizes(model.layers.get(name)?.config ?? {});
  if (sizes?.length !== 4)
    return refuse("E_MODEL_OP", place, "the model's input is not an image (four axes)");
  const [, first, second, third] = sizes;
  const [c, h, w] = layout === "channels_last" ? [third, first, second] : [first, second, third];
  if (typeof c !== "number")
    return refuse("E_MODEL_OP", place, "the model leaves its number of channels open");
  const size = [h ?? imshape?.[0], w ?? imshape?.[1]].map(
    (dim) =>
      dim ??
      refuse(
        "E_MODEL_PARSE",
        place,
        "the model leaves the size of its images open",
        "give imshape: height, width",
      ),
  );
  if (imshape && String(imshape) !== String(size))
    refuse("E_SHAPE", place, `the model takes images of ${size.join("x")}, imshape is ${imshape.join("x")}`);
  if (h === null || w === null)
    note(`the model takes images of any size; it was built for ${size.join("x")}`);
  return { name, shape: [batch, c, ...size] };
}

/** Sizes that an input layer gives, null for open ones. */
function inputSizes(config: JsonObject): readonly (number | null)[] | undefined {
  const shape =
    config.batch_shape ?? config.batch_input_shape ?? (isArray(config.shape) && [null, ...config.shape]);
  if (!isArray(shape)) return undefined;
  const isSize = (dim: unknown): dim is number | null =>
    dim === null || (Number.isSafeInteger(dim) && Number(dim) > 0 && Number(dim) <= 1 << 16);
  return shape.every(isSize) ? shape : undefined;
}

function isArray(value: unknown): value is readonly unknown[] {
  return Array.isArray(value);
}

/** Errors of shape rules know the layer only: they get the file. */
function withFile(error: unknown, file: string): unknown {
  if (!(error instanceof MttcError)) return error;
  const faults = error.faults.map((fault) => ({ ...fault, at: { file, ...fault.at } }));
  return new MttcError(faults, { cause: error.cause });
}
