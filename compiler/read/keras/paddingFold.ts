// ZeroPadding2D before convolutions that do not pad themselves becomes padding of the convolutions: half of
// Keras's applications are written so, and a Pad node of its own costs a copy of the image. In: a model; out:
// the same model with such layers bypassed.
import type { KerasLayerCall, Operand, TensorReference } from "./kerasCalls.ts";
import type { KerasLayer, KerasModel } from "./kerasConfig.ts";
import type { JsonObject } from "./layerConfig.ts";

/** Pixels around an image: [top, left, bottom, right], as ONNX orders pads. */
export type Border = readonly [top: number, left: number, bottom: number, right: number];

const MAX_BORDER = 1 << 14;
const CONVOLUTIONS: readonly string[] = ["Conv2D", "DepthwiseConv2D"];

/**
 * `padding` or `cropping` of a layer: [[top, bottom], [left, right]], [rows, columns] or a number; undefined for
 * anything else.
 */
export function readBorder(value: unknown): Border | undefined {
  const list: unknown[] = Array.isArray(value) ? value : [value, value];
  const sides = list.map((entry) => (Array.isArray(entry) ? (entry as unknown[]) : [entry, entry]));
  const pixels = sides.flat();
  const isBorder = (entry: unknown): entry is number =>
    Number.isInteger(entry) && Number(entry) >= 0 && Number(entry) <= MAX_BORDER;
  if (sides.length !== 2 || sides.some((side) => side.length !== 2) || !pixels.every(isBorder))
    return undefined;
  const [top = 0, bottom = 0, left = 0, right = 0] = pixels;
  return [top, left, bottom, right];
}

/** Bypasses every ZeroPadding2D that is called once, is no output, and feeds such convolutions only. */
export function foldPadding(model: KerasModel): KerasModel {
  const paddings = [...model.layers.values()].filter(
    ({ className, calls }) => className === "ZeroPadding2D" && calls.length === 1,
  );
  const folded = new Map<string, { source: TensorReference; border: Border }>();
  for (const layer of paddings) {
    const [source, ...more] = layer.calls[0]?.operands ?? [];
    const border = readBorder(layer.config.padding ?? 1);
    if (source === undefined || typeof source === "number" || more.length > 0) continue;
    if (!border || !isFoldable(model, layer)) continue;
    folded.set(layer.name, { source, border });
  }
  if (folded.size === 0) return model;
  const bypass = (call: KerasLayerCall): KerasLayerCall => {
    const [operand] = call.operands;
    const padding = operand === undefined ? undefined : folded.get(layerOf(operand));
    return padding ? { ...call, operands: [padding.source], border: padding.border } : call;
  };
  const layers = [...model.layers].map(
    ([name, layer]) => [name, { ...layer, calls: layer.calls.map(bypass) }] as const,
  );
  return { ...model, layers: new Map(layers) };
}

function isFoldable(model: KerasModel, { name }: KerasLayer): boolean {
  if (model.outputs.some((reference) => reference.layer === name)) return false;
  return [...model.layers.values()].every(({ className, config, calls }) => {
    const uses = calls.filter(({ operands }) => operands.some((operand) => layerOf(operand) === name));
    const isConvolution = CONVOLUTIONS.includes(className) && doesNotPad(config);
    return uses.length === 0 || (isConvolution && uses.every(({ operands }) => operands.length === 1));
  });
}

function doesNotPad({ padding = "valid" }: JsonObject): boolean {
  return padding === "valid";
}

function layerOf(operand: Operand): string {
  return typeof operand === "number" ? "" : operand.layer;
}
